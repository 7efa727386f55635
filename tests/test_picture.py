"""Figures that show themselves once and say what they show; graphs as SVG, of any size, without a program."""
import json, re, subprocess, sys, time
from xml.etree import ElementTree

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from autodiffnb import Tensor, cross_entropy, defvjp, gradients, primitive, topological_order
from autodiffnb import picture as P

names = ["T-shirt", "Coat", "Bag"]
SVG = "{http://www.w3.org/2000/svg}"
rng = np.random.default_rng(0)


def probabilities(n, c, seed=0):
    p = np.random.default_rng(seed).random((n, c))
    return p / p.sum(axis=1, keepdims=True)


def thirds(images):
    "Certain probabilities: class 0 up to a mean of a third, then 1, from two thirds on 2"
    u = np.asarray(images).mean(axis=(1, 2))
    return np.stack([1 - u, np.full(len(u), 2/3), u], axis=1) / (5/3)


# ---------------------------------------------------------------- figures

HISTORY = dict(epoch=[1, 2, 3], train_loss=[3, 2, 1], validation_loss=[3.0, 2.0, 2.5], validation_accuracy=[0.5, 0.7, 0.6])
FIGURES = dict(
    image_grid=lambda: P.image_grid(rng.random((7, 4, 6)), list("abcdefg"), "title"),
    weight_images=lambda: P.weight_images(rng.normal(size=(16, 3)), names),
    curves=lambda: P.curves(HISTORY),
    curves_of_seeds=lambda: P.curves([HISTORY, {name: [2 * x for x in column] for name, column in HISTORY.items()}]),
    learning_rates=lambda: P.learning_rates([0.1, 1, 10], [0.5, 0.4, np.nan]),
    draw_interpolation=lambda: P.draw_interpolation(thirds, np.zeros((2, 2)), np.ones((2, 2))),
    draw_confusion=lambda: P.draw_confusion(np.arange(9).reshape(3, 3), names),
    confident_mistakes=lambda: P.confident_mistakes(rng.random((20, 4, 4)), np.arange(20) % 3, probabilities(20, 3), names),
)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_shows_itself_once_and_is_narrow_enough(name, tmp_path):
    figure = FIGURES[name]()
    assert isinstance(figure, matplotlib.figure.Figure)
    assert plt.get_fignums() == []  # what pyplot holds would be shown a second time
    assert figure.get_size_inches()[0] <= 6
    figure.savefig(tmp_path / "figure.png")
    assert 1000 < (tmp_path / "figure.png").stat().st_size < 60_000
    assert figure.get_suptitle() or figure.axes[0].get_title()


def test_images_share_one_scale():
    figure = P.image_grid([[[0.0, 1.0]], [[0.0, 5.0]]])
    assert [axis.images[0].get_clim() for axis in figure.axes] == [(0, 5), (0, 5)]


def test_weights_are_on_a_symmetric_scale_and_in_place():
    W = np.zeros((6, 2)); W[1, 0], W[5, 1] = -3, 2
    figure = P.weight_images(W, ["a", "b"], shape=(2, 3))
    first, second = figure.axes[:2]
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-3, 3)
    assert np.array_equal(first.images[0].get_array(), [[0, -3, 0], [0, 0, 0]])
    assert np.array_equal(second.images[0].get_array(), [[0, 0, 0], [0, 0, 2]])
    assert [first.get_title(), second.get_title()] == ["a", "b"]
    assert len(figure.axes) == 3  # one colourbar for both


def test_weights_may_be_a_tensor_or_all_zero():
    assert P.weight_images(Tensor(np.zeros((4, 2)))).axes[0].images[0].get_clim() == (-1, 1)


class Diary:
    def to_dict(self): return HISTORY


@pytest.mark.parametrize("history", [HISTORY, Diary()], ids=["dict", "to_dict"])
def test_curves_have_labels_and_say_the_best(history):
    loss, accuracy = P.curves(history).axes
    assert [loss.get_xlabel(), loss.get_ylabel(), accuracy.get_ylabel()] == ["epoch", "loss", "accuracy"]
    assert [line.get_label() for line in loss.lines] == ["train", "validation"]
    assert np.array_equal(loss.lines[1].get_xydata(), [[1, 3], [2, 2], [3, 2.5]])
    assert loss.get_title() == "lowest validation loss: 2.000, epoch 2"
    assert accuracy.get_title() == "highest validation accuracy: 0.700, epoch 2"
    assert len({(line.get_color(), line.get_linestyle()) for line in loss.lines}) == 2
    assert len({line.get_linestyle() for line in loss.lines}) == 2


@pytest.mark.parametrize("losses, title", [([1.0, np.nan], "lowest train loss: 1.000, epoch 1"), ([None, np.nan], "loss"), ([-np.inf, 4], "lowest train loss: 4.000, epoch 2")])
def test_a_run_that_went_wrong_still_gets_its_curves(losses, title):
    assert P.curves(dict(train_loss=losses)).axes[0].get_title() == title


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 30, 200])
def test_students_quantiles(freedom):
    stats = pytest.importorskip("scipy.stats")
    for level in (0.5, 0.95, 0.99): assert P.student(level, freedom) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=2e-4)


def test_confidence_covers_as_often_as_it_says():
    rng = np.random.default_rng(3)
    mean, half = P.confidence(rng.normal(size=(4, 4000)))
    assert abs((abs(mean) < half).mean() - 0.95) < 0.012


def test_confidence_with_runs_that_ended():
    mean, half = P.confidence([[1.0, 2.0, 3.0], [3.0, np.nan, np.inf]])
    assert np.array_equal(mean, [2, 2, 3])
    assert half[0] == pytest.approx(12.706, rel=1e-3) and np.isnan(half[1:]).all()


def test_curves_of_seeds_are_means_in_bands():
    runs = [dict(train_loss=[1.0, 2.0]), dict(train_loss=[3.0, 2.5, 9.0]), dict(train_loss=[2.0, 1.5])]
    axis, = P.curves(runs).axes
    assert np.array_equal(axis.lines[0].get_xydata(), [[1, 2], [2, 2], [3, 9]])
    band, = axis.collections
    lower, upper = band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()
    assert 2 - lower == pytest.approx(P.student(0.95, 2) / np.sqrt(3), rel=1e-6) and upper - 2 == pytest.approx(2 - lower)
    assert axis.get_title() == "lowest train loss: 2.000 ± 2.484,\nepoch 1, mean of 3 runs"


def test_learning_rates_say_which():
    figure = P.learning_rates([1.0, 0.01, 0.1], [np.inf, 3.0, 2.0], "loss")
    axis, = figure.axes
    assert axis.get_title() == "Lowest loss at learning rate 0.1: 2"
    assert np.array_equal(axis.lines[0].get_xydata(), [[0.01, 3], [0.1, 2]])
    assert axis.lines[1].get_xdata().tolist() == [1.0] and axis.get_xscale() == "log"
    assert P.learning_rates([1, 2], [1.0, 2.0]).axes[0].get_title().endswith("try beyond the ends")
    assert P.learning_rates([1, 2], [np.nan, np.inf]).axes[0].get_title() == "All 2 learning rates ran away"
    some = P.learning_rates([1, 2, 3], [[1.0, np.nan], [2.0, 2.2], [4.0, 4.1]]).axes[0]
    assert some.get_title().startswith("Lowest validation loss at learning rate 2: 2.1 ± ")  # one seed ran away at the least mean


def test_decision_changes_are_where_they_are():
    u, p, changes = P.decision_changes(thirds, np.zeros((2, 2)), np.ones((2, 2)))
    assert u.shape == (101,) and p.shape == (101, 3)
    assert [c[1:] for c in changes] == [(0, 1), (1, 2)]
    assert [c[0] for c in changes] == pytest.approx([1/3, 2/3], abs=1e-9)
    figure = P.draw_interpolation(thirds, np.zeros((2, 2)), np.ones((2, 2)), names)
    assert figure.axes[0].get_title() == "T-shirt, then Coat from 0.33, then Bag from 0.67"
    assert P.draw_interpolation(thirds, np.zeros((2, 2)), np.zeros((2, 2)), names).axes[0].get_title() == "T-shirt all the way"


# ---------------------------------------------------------------- mistakes

@given(st.integers(1, 5).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.tuples(st.integers(0, c - 1), st.integers(0, c - 1)), max_size=40))))
def test_confusion_counts_pairs(drawn):
    c, pairs = drawn
    t, y = np.array(pairs, int).reshape(-1, 2).T
    expected = np.zeros((c, c), int)
    for r, s in pairs: expected[r, s] += 1
    found = P.confusion_matrix(t, y, classes=c)
    assert found.shape == (c, c) and found.dtype.kind == "i"
    assert np.array_equal(found, expected)


def test_small_integer_labels_do_not_overflow():
    M = P.confusion_matrix(np.full(3, 19, np.uint8), np.full(3, 19, np.uint8))
    assert M.shape == (20, 20) and M[19, 19] == 3


def test_the_title_of_a_confusion_says_share_and_worst():
    figure = P.draw_confusion([[8, 2, 0], [0, 9, 1], [3, 0, 7]], names)
    assert figure.axes[0].get_title() == "80.0% right; most often wrong: Bag taken for T-shirt, 3 of 10"
    assert P.draw_confusion(np.eye(2, dtype=int)).axes[0].get_title() == "100.0% right"


@given(st.integers(0, 10_000))
def test_mistakes_are_all_the_wrong_ones_by_falling_confidence(seed):
    p, t = probabilities(30, 3, seed), np.random.default_rng(seed + 1).integers(0, 3, 30)
    found = P.mistakes(t, p)
    assert sorted(found) == [i for i in range(30) if p[i].argmax() != t[i]]
    assert (np.diff(p[found].max(axis=1)) <= 0).all()


def test_no_mistakes_is_a_picture_too():
    assert P.confident_mistakes(np.zeros((2, 3, 3)), [0, 1], np.eye(2)).get_suptitle() == "0 of 2 wrong; the 0 most confident"


@pytest.mark.parametrize("call, error, words", [
    (lambda: P.image_grid(np.zeros((3, 3))), ValueError, "images: expected an array with 3 axes, got shape (3, 3)"),
    (lambda: P.image_grid(np.zeros((2, 3, 3)), ["one"]), ValueError, "titles: expected 2, one for each image, got 1"),
    (lambda: P.weight_images(np.zeros((6, 2))), ValueError, "W has shape (6, 2)"),
    (lambda: P.weight_images(np.zeros((6, 2)), shape=(2, 2)), ValueError, "got (2, 2)"),
    (lambda: P.weight_images(np.zeros((4, 2)), ["one"]), ValueError, "class_names: expected 2, one for each class, got 1"),
    (lambda: P.curves(dict(loss=[1])), ValueError, "got loss"),
    (lambda: P.curves({}), ValueError, "got none"),
    (lambda: P.confusion_matrix([0.0], [0]), TypeError, "labels: expected integers, got float64"),
    (lambda: P.confusion_matrix([0, 1], [0]), ValueError, "predicted: expected 2, one for each label, got 1"),
    (lambda: P.confusion_matrix([0, 3], [0, 0], classes=3), ValueError, "labels: expected integers in [0, 3), got 3"),
    (lambda: P.confusion_matrix([0, 0], [0, -1]), ValueError, "predicted: expected integers in [0, 1), got -1"),
    (lambda: P.draw_confusion(np.zeros((2, 3))), ValueError, "got shape (2, 3)"),
    (lambda: P.mistakes([0], np.zeros((2, 3))), ValueError, "probabilities: expected 1 rows"),
    (lambda: P.confident_mistakes(np.zeros((1, 2, 2)), [0, 1], np.eye(2)), ValueError, "images: expected 2"),
    (lambda: P.curves([dict(train_loss=[1]), dict(train_accuracy=[1])]), ValueError, "history: expected the column train_loss in every run, got none in run 1"),
    (lambda: P.curves([]), ValueError, "got none"),
    (lambda: P.learning_rates([1, 2], [1]), ValueError, "losses: expected shape (2,) or (2, seeds)"),
    (lambda: P.learning_rates([1, -2], [1, 2]), ValueError, "rates: expected at least one, all positive"),
    (lambda: P.learning_rates([], []), ValueError, "rates: expected at least one"),
    (lambda: P.decision_changes(thirds, np.zeros((2, 2)), np.zeros((2, 3))), ValueError, "second: expected shape (2, 2)"),
    (lambda: P.decision_changes(thirds, np.zeros((2, 2)), np.zeros((2, 2)), steps=1), ValueError, "steps: expected 2 or more, got 1"),
    (lambda: P.curves("loss"), TypeError, "history: expected a dict of columns, an object whose to_dict() gives one, or a list of such; got str"),
    (lambda: P.curves(dict(epoch=[1, 2], train_loss=[3, 2, 1])), ValueError, "history: expected 3 numbers in the column epoch, as many as in train_loss; got 2"),
    (lambda: P.weight_images(np.zeros((4, 0))), ValueError, "W: expected weights of at least one pixel and class, got shape (4, 0)"),
    (lambda: P.weight_images(np.zeros((4, 2)), shape=4), ValueError, "shape: expected (height, width), got 4"),
    (lambda: P.image_grid(np.zeros((2, 0, 3))), ValueError, "images: expected images with pixels, got shape (2, 0, 3)"),
    (lambda: P.draw_confusion(np.zeros((0, 0), int)), ValueError, "counts: expected as many rows as columns, one at least, got shape (0, 0)"),
    (lambda: P.draw_confusion([[1, -2], [0, 1]]), ValueError, "counts: expected numbers that are not negative, got -2"),
    (lambda: P.draw_confusion([[1, np.nan], [0, 1]]), ValueError, "counts: expected numbers that are not negative, got nan"),
    (lambda: P.mistakes([0, 2], np.eye(2)), ValueError, "labels: expected integers in [0, 2), got 2"),
    (lambda: P.mistakes([0.0, 1.0], np.eye(2)), TypeError, "labels: expected integers, got float64"),
    (lambda: P.learning_rates([1, 2], np.zeros((2, 0))), ValueError, "losses: expected shape (2,) or (2, seeds)"),
    (lambda: P.learning_rates([1, np.inf], [1, 2]), ValueError, "rates: expected at least one, all positive and finite"),
    (lambda: P.decision_changes(lambda x: np.where(x.mean(axis=(1, 2))[:, None] > 0.5, np.nan, [[0.4, 0.6]]), np.zeros((2, 2)), np.ones((2, 2))), ValueError, "probabilities: expected numbers, got nan at a share of 0.51 of the second image"),
    (lambda: P.draw(Tensor(1.0), names=["a"]), TypeError, "names: expected a mapping of names to Tensors, such as locals(), got list"),
    (lambda: P.draw(Tensor([1.0, 2.0]) * 2, adjoints=True), ValueError, "g: expected an adjoint of shape (2,)"),
    (lambda: P.replay(7), TypeError, "output: expected a Tensor, got int"),
    (lambda: P.replay(Tensor([1.0, 2.0]) * 2), ValueError, "g: expected an adjoint of shape (2,)"),
    (lambda: P.replay(Tensor(7), limit=0), ValueError, "limit: expected 1 or more, got 0"),
    (lambda: P.draw(7), TypeError, "output: expected a Tensor, got int"),
    (lambda: P.draw(Tensor(7), limit=0), ValueError, "limit: expected 1 or more, got 0"),
])
def test_errors_name_what_was_expected_and_what_came(call, error, words):
    with pytest.raises(error) as caught: call()
    assert words in str(caught.value)


def test_the_best_epoch_is_one_that_all_runs_have_reached():
    for short in ([0.9, 0.4], [0.9, 0.4, np.nan]):
        title = P.curves([dict(train_loss=[1.0, 0.5, 0.1]), dict(train_loss=short)]).axes[0].get_title()
        assert title.startswith("lowest train loss: 0.450 ± 0.6") and title.endswith("epoch 2, mean of 2 runs")


def test_columns_may_be_made_of_tensors():
    assert P.curves(dict(train_loss=[Tensor(2.0), Tensor(1.0)])).axes[0].get_title() == "lowest train loss: 1.000, epoch 2"


def test_dollars_in_names_are_dollars():
    class_names = ["$x", "a_b^2", "y$ \\frac$"]
    for figure in (P.draw_confusion(1 + np.eye(3, dtype=int), class_names), P.weight_images(rng.random((4, 3)), class_names), P.draw_interpolation(thirds, np.zeros((2, 2)), np.ones((2, 2)), class_names),
                   P.confident_mistakes(rng.random((9, 4, 4)), np.arange(9) % 3, probabilities(9, 3), class_names)):
        figure.canvas.draw()      # matplotlib would find \\frac without its arguments
        texts = [t.get_text() for t in figure.findobj(matplotlib.text.Text)]
        assert any("x" in text for text in texts) and not [text for text in texts if matplotlib.cbook.is_math_text(text)]


def test_titles_stay_inside_the_figure():
    long = ["a very long name of a class, really", "another very long one that goes on", "short"]
    for figure in (P.draw_confusion([[5, 1, 2], [0, 7, 1], [6, 9, 3]], long), P.learning_rates([0.01, 0.1, 1], [[1, 2, 1.5], [0.5, np.nan, 0.6], [0.7, 0.8, 0.9]]),
                   P.draw_interpolation(thirds, np.zeros((2, 2)), np.ones((2, 2)), long)):
        figure.canvas.draw()
        box = figure.axes[0].title.get_window_extent()
        assert 0 <= box.x0 and box.x1 <= figure.bbox.width, figure.axes[0].get_title()


def test_titles_of_images_do_not_overlap():
    figure = P.confident_mistakes(rng.random((9, 4, 4)), np.arange(9) % 3, probabilities(9, 3), ["a class with a long name"] * 3)
    figure.canvas.draw()
    boxes = [axis.title.get_window_extent() for axis in figure.axes if axis.get_title()]
    assert len(boxes) > 3 and all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:]) if a.y0 == b.y0)


@pytest.mark.parametrize("c, scale", [(10, 10), (10, 10**7), (40, 100), (60, 10**6)])
def test_numbers_of_a_confusion_stay_in_their_fields(c, scale):
    figure = P.draw_confusion(rng.integers(scale // 2, scale, (c, c)))
    figure.canvas.draw()
    axis, = figure.axes
    field = axis.get_window_extent().width / c
    assert all(text.get_window_extent().width < field for text in axis.texts)
    assert bool(axis.texts) == (c < 60)


def test_shares_are_short_and_nothing_is_nothing():
    assert P.draw_confusion([[2/3, 1/3], [0, 1]]).axes[0].get_title() == "83.3% right; most often wrong: 0 taken for 1, 0.333 of 1"
    assert P.draw_confusion(np.zeros((2, 2), int)).axes[0].get_title() == "No observations"


def test_a_probability_of_nan_is_a_mistake():
    assert P.mistakes([0, 0], [[np.nan, 0.5], [0.9, 0.1]]).tolist() == [0]


def test_what_is_not_finite_does_not_spoil_the_scale():
    assert P.weight_images([[1.0], [np.inf], [np.nan], [-3.0]]).axes[0].images[0].get_clim() == (-3, 3)
    assert P.image_grid([[[np.nan, 2.0]], [[0.0, 5.0]]]).axes[0].images[0].get_clim() == (0, 5)


def test_the_ends_of_a_sweep_are_ends_of_a_range():
    assert "beyond" not in P.learning_rates([1, 1], [1.0, 2.0]).axes[0].get_title()


def test_without_matplotlib_graphs_are_drawn_and_figures_name_the_extra():
    code = """
import sys
for name in list(sys.modules):
    assert not name.startswith("matplotlib")
sys.modules["matplotlib"] = None
import autodiffnb, autodiffnb.picture as P
assert "<svg" in P.draw(autodiffnb.Tensor(1.0) * 2).svg
try: P.curves(dict(train_loss=[1]))
except ImportError as error: print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "autodiffnb[plot]" in said and "matplotlib" in said


def test_importing_does_not_import_matplotlib():
    subprocess.run([sys.executable, "-c", "import autodiffnb, autodiffnb.picture, sys; assert not [m for m in sys.modules if m.startswith('matplotlib')]"], check=True)


# ---------------------------------------------------------------- layout

@st.composite
def graphs(draw):
    "Boxes and arrows from lower to higher numbers, every box but the last with a way on"
    count = draw(st.integers(1, 12))
    arrows = [(i, draw(st.integers(i + 1, count - 1))) for i in range(count - 1)]
    more = draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=15))
    return count, arrows + [(a, b) for a, b in more if a < b]


def longest(i, arrows): return max((1 + longest(b, arrows) for a, b in arrows if a == i), default=0)


@given(graphs())
def test_depth_is_the_longest_way(graph):
    count, arrows = graph
    assert P.depths(count, arrows) == [longest(i, arrows) for i in range(count)]


@given(graphs())
def test_every_arrow_is_a_chain_of_links_between_neighbouring_rows(graph):
    count, arrows = graph
    depth = P.depths(count, arrows)
    rows, links = P.routes(depth, arrows)
    assert all(p[1] == q[1] + 1 for p, q in links)
    assert all(p[1] == d for d, row in enumerate(rows) for p in row)
    ends = [(p[0], q[0]) for p, q in links if depth[q[0]] == q[1] and p[0] != q[0]]
    assert sorted(ends) == sorted(arrows)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=6), st.data())
def test_spaced_is_the_nearest_that_keeps_its_distance(wanted, data):
    m, wanted = len(wanted), np.array(wanted)
    gaps = np.array(data.draw(st.lists(st.floats(0, 20), min_size=m - 1, max_size=m - 1)))
    x = P.spaced(wanted, gaps)
    assert (np.diff(x) >= gaps - 1e-9).all()
    for other in (wanted.mean() + np.cumsum([0, *gaps]) + data.draw(st.floats(-50, 50)), np.sort(wanted) + np.cumsum([0, *gaps])):
        step = other - x  # the set of allowed positions is convex: no direction into it may lead nearer
        assert step @ (x - wanted) >= -1e-6 * (1 + abs(step).max()) * (1 + abs(x - wanted).max())


@given(graphs(), st.integers(0, 99))
def test_boxes_of_a_row_do_not_overlap(graph, seed):
    count, arrows = graph
    rows, links = P.routes(P.depths(count, arrows), arrows)
    sizes = np.random.default_rng(seed)
    widths = {p: float(sizes.integers(4, 200)) for row in rows for p in row}
    x = P.placed(P.arranged(rows, links), links, widths)
    assert min(x[p] - widths[p]/2 for p in x) == pytest.approx(0)
    for row in rows:
        for p, q in zip(row, row[1:]): assert x[q] - x[p] >= (widths[p] + widths[q])/2 + 10


# ---------------------------------------------------------------- graphs

def read(drawing):
    "Parsed SVG, and the lines of each box"
    svg = ElementTree.fromstring(drawing.svg)
    return svg, [[t.text for t in g.iter(f"{SVG}text")] for g in svg.iter(f"{SVG}g") if g.find(f"{SVG}rect") is not None]


def heads(svg): return [p for p in svg.iter(f"{SVG}path") if p.get("fill") == "currentColor"]


def firsts(boxes): return [box.lines if isinstance(box, P.Fold) else P.call_of(box) for box in boxes]


def test_names_calls_shapes_values_and_adjoints():
    W, x = Tensor([[1.0, 2.0], [3.0, 4.0]], name="W"), np.float64([5.0, 6.0])
    loss = (W * x).sum()
    loss.name = "loss"
    assert not any("grad" in line for box in read(P.draw(loss))[1] for line in box)
    loss.backward(keep=True)
    _, boxes = read(P.draw(loss))
    assert boxes[0] == ["W", "float64[2, 2]", "1, 2, 3, 4", "grad 5, 6, 5, 6"]
    assert boxes[1] == ["multiply(W, float64[2])", "float64[2, 2]", "5, 12, 15, 24", "grad 1, 1, 1, 1"]
    assert boxes[2][0].startswith("loss = sum(·") and boxes[2][1:] == ["float64", "56", "grad 1"]


def test_an_arrow_for_every_use():
    a = Tensor(3.0, name="a")
    svg, boxes = read(P.draw((a + a) * a))
    assert len(boxes) == 3 and len(heads(svg)) == 4


def test_a_leaf_alone():
    svg, boxes = read(P.draw(Tensor(1.5)))
    assert boxes == [["leaf", "float64", "1.5"]] and heads(svg) == []


def test_long_values_are_ranges_and_long_lines_are_cut_but_kept():
    t = Tensor(np.arange(10.0), name="x" * 50)
    svg, (lines,) = read(P.draw(t))
    assert lines == ["x" * 33 + "…", "float64[10]", "0 to 9"]
    assert "x" * 50 in [title.text for title in svg.iter(f"{SVG}title")][1]


@pytest.mark.parametrize("value", [np.float32(2), np.zeros((0, 3)), np.array([np.nan] * 9), np.array([1 + 2j] * 9), 1 + 2j, np.float16([1])])
def test_any_value_can_be_drawn(value): read(P.draw(Tensor(value) * 2))


def test_lazy_values_stay_lazy():
    da = pytest.importorskip("dask.array")
    def explode(block): raise AssertionError("computed")
    x = Tensor(da.ones((4, 4)).map_blocks(explode, dtype=float, meta=np.zeros((0, 0))), name="x")
    _, boxes = read(P.draw(x * 2))
    assert boxes[0] == ["x", "float64[4, 4]"]


def test_names_are_text_not_markup():
    _, (lines,) = read(P.draw(Tensor(1.0, name="<b>&\"")))
    assert lines[0] == "<b>&\""


def test_dark_pages():
    "Every colour is that of the text around; the adjoints' is a mixture with it"
    a = Tensor(2.0, name="a")
    loss = np.multiply(a, a) + 1
    loss.backward()
    svg, _ = read(P.draw(loss))
    assert {e.get(k) for e in svg.iter() for k in ("fill", "stroke")} - {None} == {"currentColor", "none", P.ADJOINT} and "currentColor" in P.ADJOINT
    drawing = P.draw(loss)
    assert drawing._repr_html_().count("<svg") == 1
    assert "<style" not in drawing.svg and not any("color" in e.get("style", "") for e in svg.iter())  # nothing that would colour the rest of a page


def test_drawings_are_read_aloud_and_not_shrunk():
    a = Tensor(2.0, name="a<b")
    svg, _ = read(P.draw(a * a))
    assert svg.get("role") == "img" and svg[0].tag == f"{SVG}title" and svg[0].text == "Computation graph of 2 Tensors"
    assert svg[1].tag == f"{SVG}desc" and svg[1].text == "a<b; multiply(a<b, a<b)"
    assert float(svg.get("font-size")) >= 9 and "max-width:none" in svg.get("style")
    assert not [e for e in svg.iter() if e is not svg and e.get("font-size")]
    assert svg.get("viewBox").split()[2:] == [svg.get("width"), svg.get("height")]  # one unit is one pixel


def test_names_come_from_variables_where_there_are_none():
    a, b = Tensor(2.0), Tensor(3.0, name="own")
    hidden = a * b
    _, boxes = read(P.draw(hidden + 1, names=dict(_5=a, first=a, second=a, b=b, hidden=hidden, x=3)))
    assert [box[0] for box in boxes] == ["first", "own", "hidden = multiply(first, own)", "add(hidden, 1)"]
    assert a.name is None and hidden.name is None


def test_adjoints_without_setting_them():
    a = Tensor([2.0, 3.0], name="a")
    loss = (a * a).sum()
    assert [box[-1] for box in read(P.draw(loss, adjoints=True))[1]] == ["grad 4, 6", "grad 1, 1", "grad 1"]
    assert [box[-1] for box in read(P.draw(a * 2, adjoints=np.array([1.0, 5.0])))[1]] == ["grad 2, 10", "grad 1, 5"]
    assert a.grad is None and loss.grad is None


def test_a_step_of_training():
    rng = np.random.default_rng(1)
    W, b = Tensor(rng.normal(size=(6, 3)), name="W"), Tensor(np.zeros(3), name="b")
    loss = cross_entropy(rng.random((4, 6)) @ W + b, np.array([0, 1, 2, 0]))
    _, boxes = read(P.draw(loss))
    assert len(boxes) == len(topological_order(loss))
    assert boxes[0][1] == "float64[6, 3]"


def chain(length):
    x, w = Tensor(0.0, name="x"), Tensor(0.5, name="w")
    for _ in range(length): x = x * w + 1
    return x


def test_steps_that_repeat_are_folded():
    y = chain(5_000)
    assert len(topological_order(y)) == 10_002
    boxes, arrows, number = P.folded(y, 10)
    assert firsts(boxes) == ["x", "w", "multiply(x, w)", "add(·, 1)", ["4,998 more, as below:", "multiply, add"], "multiply(·, w)", "add(·, 1)"]
    assert sorted(arrows) == [(0, 2), (1, 2), (1, 4), (1, 5), (2, 3), (3, 4), (4, 5), (5, 6)]
    assert len(number) == 10_002
    svg, _ = read(P.draw(y, limit=10))
    assert sum("stroke-dasharray" in r.attrib for r in svg.iter(f"{SVG}rect")) == 1
    assert "9,996 folded" in P.draw(y, limit=10).summary


def test_small_graphs_are_not_folded():
    y = chain(6)
    assert firsts(P.folded(y, 14)[0]).count("add(·, 1)") == 6 and not [b for b in P.folded(y, 14)[0] if isinstance(b, P.Fold)]
    assert [b.lines for b in P.folded(y, 13)[0] if isinstance(b, P.Fold)] == [["4 more, as below:", "multiply, add"]]


def test_folds_hold_the_leaves_that_only_they_use():
    x = Tensor(np.ones(2), name="x")
    for k in range(20): x = np.tanh(x * Tensor(np.ones(2), name=f"w{k}"))
    boxes, _, number = P.folded(x, 8)
    assert firsts(boxes)[:2] == ["x", "w0"] and ["18 more, as below:", "multiply, tanh", "with 18 leaves"] in firsts(boxes)
    assert len(number) == 61


def test_loops_in_loops():
    W, total = Tensor(np.eye(2), name="W"), 0.0
    for _ in range(30):
        x = Tensor(np.ones(2))
        for _ in range(5): x = np.tanh(W @ x)
        total = total + x.sum()
    said = [b.lines[:2] for b in P.folded(total, 10)[0] if isinstance(b, P.Fold)]
    assert any(lines[0] == "28 more, as below:" or lines[0] == "29 more, as below:" for lines in said)
    assert len(P.folded(total, 10)[0]) <= 16


def test_steps_with_a_source_of_their_own_repeat():
    "An argument from the same place in every step, or from as far back"
    h = np.exp(Tensor(1.0, name="a"))
    y = h * 1
    for _ in range(50): y = y * h
    assert [b.lines[0] for b in P.folded(y, 5)[0] if isinstance(b, P.Fold)] == ["49 more, as below:"]
    made = [h]
    for k in range(50): made.append(made[-1] * made[7 * k * k % (k + 1)])  # from all over the place
    assert "earlier" in [b.lines[0].split()[-1] for b in P.folded(made[-1], 5)[0] if isinstance(b, P.Fold)]


def test_other_shapes_and_calls_are_not_repetitions():
    x = Tensor(np.ones(1), name="x")
    for _ in range(20): x = np.concatenate([x, x[:1]])
    assert [b.lines for b in P.folded(x, 6)[0] if isinstance(b, P.Fold)] == [["34 earlier"]]


def random_graph(seed, count):
    rng, made = np.random.default_rng(seed), [Tensor(1.0, name="a"), Tensor(0.5)]
    fs = [np.add, np.multiply, np.subtract, np.maximum]
    for _ in range(count): made.append(fs[rng.integers(4)](made[-1], made[rng.integers(max(0, len(made) - 50), len(made))]))
    return made[-1]


@pytest.mark.parametrize("show", ["draw", "replay", "_repr_html_"])
@pytest.mark.parametrize("make", [lambda: chain(5_000), lambda: random_graph(0, 10_000)], ids=["a loop", "no repetition"])
def test_large_graphs_do_not_freeze(show, make):
    y = make()
    start = time.process_time()
    shown = getattr(P, show)(y) if hasattr(P, show) else y._repr_html_()
    assert time.process_time() - start < 5  # takes one or two tenths of a second
    assert len(shown if isinstance(shown, str) else shown._repr_html_()) < 100_000


def test_calls_with_more_arguments_than_anyone_reads():
    leaves = [Tensor([float(i)], name=f"p{i}") for i in range(3000)]
    boxes, arrows, number = P.folded(np.concatenate(leaves), 40)
    assert firsts(boxes)[:2] == [["2,994 more leaves"], "p0"] and len(boxes) == 8 and len(arrows) == 7
    assert firsts(boxes)[-1] == "join(p0, p1, p2, p3, p4, p5, ... 3,000 in all, axis=0)"
    assert len(P.draw(np.concatenate(leaves)).svg) < 10_000


def test_a_graph_with_more_leaves_than_anyone_reads():
    total = sum(Tensor(1.0, name=f"p{i}") for i in range(300))
    _, boxes = read(P.draw(total, limit=10))
    assert len(boxes) <= 11 and any("with 298 leaves" in box for box in boxes)


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow")
@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 999), st.integers(1, 6), st.integers(1, 12))
def test_folding_keeps_arrows_downwards_and_loses_nothing(limit, seed, step, times):
    "Random steps, repeated: whatever is folded, no box comes before what it needs, and every Tensor has its box"
    rng, made = np.random.default_rng(seed), [Tensor(1.0, name="a"), Tensor(1.0)]
    pattern = [(rng.integers(3), rng.integers(1, 6)) for _ in range(step)]
    for _ in range(times):
        for f, back in pattern: made.append((np.add, np.multiply, np.maximum)[f](made[-1], made[-min(back, len(made))]))
        if rng.random() < 0.1: made.append(made[0] * made[-1])
    boxes, arrows, number = P.folded(made[-1], limit)
    assert all(a < b for a, b in arrows)
    assert set(number) == set(topological_order(made[-1]))
    assert all(boxes[i] is t or isinstance(boxes[i], P.Fold) for t, i in number.items())
    assert {(number[a], number[t]) for t in number for a in t.args if isinstance(a, Tensor)} - {(i, i) for i in range(len(boxes))} == set(arrows)
    read(P.draw(made[-1], limit))
    assert P.replay(made[-1], limit=limit).steps >= 2


# ---------------------------------------------------------------- a Tensor's view

def test_a_leaf_has_no_graph_and_a_result_has():
    a = Tensor(2.0, name="a")
    assert "<svg" not in a._repr_html_()
    html = (a * 3)._repr_html_()
    assert "<details open>" in html and html.count("<svg") == 1 and "<table>" in html
    assert "<details>" in chain(100)._repr_html_() and "Graph of 6 Tensors, and 196 folded" in chain(100)._repr_html_()


def test_the_view_of_a_huge_graph_gives_up_early():
    y = chain(P.MANY)
    start = time.process_time()
    assert "more than 20,000 Tensors" in y._repr_html_() and "<svg" not in y._repr_html_()
    assert time.process_time() - start < 1  # takes a hundredth of a second


def test_the_walk_stops_where_it_has_seen_enough():
    class Endless(Tensor):
        args = property(lambda self: (object.__new__(Endless),))
    assert not P.within(object.__new__(Endless), 100)
    assert P.within(chain(10), 22) and not P.within(chain(10), 21)


# ---------------------------------------------------------------- replay

def loss_of_training():
    rng = np.random.default_rng(1)
    W, b = Tensor(rng.normal(size=(6, 3)), name="W"), Tensor(np.zeros(3), name="b")
    return cross_entropy(np.tanh(rng.random((4, 6)) @ W + b), np.array([0, 1, 2, 0])), [W, b]


@pytest.mark.parametrize("seed", range(5))
def test_visits_are_the_sweep(seed):
    y = random_graph(seed, 30)
    found = {}
    for t, q, handed in P.visits(y):
        assert t is y or q == found[t]
        for i, term, before, now in handed:
            a = t.args[i]
            assert found.get(a) == before and now == (term if before is None else before + term)
            found[a] = now
    nodes = [t for t in topological_order(y) if t is not y]
    assert [found.get(t, 0.0) for t in nodes] == gradients(y, nodes)


def test_visits_of_arrays_and_their_errors():
    loss, leaves = loss_of_training()
    found = {t.args[i]: now for t, q, handed in P.visits(loss) for i, _, _, now in handed}
    for leaf, expected in zip(leaves, gradients(loss, leaves)): assert np.array_equal(found[leaf], expected)
    broken = primitive(lambda x: x)
    defvjp(broken, lambda g, y, x: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught: list(P.visits(broken(Tensor(1.0))))
    assert "while differentiating" in caught.value.__notes__[0]


def parsed(figure):
    "The figure's items: visited box, lit lines, adjoints; and its text"
    html = re.sub(r"<script>.*?</script>|<style>.*?</style>", "", figure.html, flags=re.S)
    root = ElementTree.fromstring(html.replace("<br>", "<br/>").replace("<nav hidden>", '<nav hidden="">').replace('aria-label="step of the backward sweep">', 'aria-label="sweep"/>'))
    return root, [(int(li.get("data-box")), [int(k) for k in li.get("data-lit").split()], json.loads(li.get("data-adjoints")), "".join(li.itertext())) for li in root.iter("li")]


def test_replay_tells_the_accumulation():
    a, b = Tensor(3.0, name="a"), Tensor(4.0, name="b")
    y = a * b + a
    y.name = "y"
    root, steps = parsed(P.replay(y))
    assert len(steps) == 4 == P.replay(y).steps
    assert [s[0] for s in steps] == [3, 3, 2, -1]
    assert [s[2] for s in steps] == [{"3": "1"}, {"2": "1", "0": "1"}, {"0": "5", "1": "3"}, {}]
    assert "had 1, gets 4, now 5" in steps[2][3] and "its first term: 3" in steps[2][3]
    formulas = [m.get("alttext") for m in root.iter("math")]
    assert r"\bar{a} \leftarrow \bar{a} + \bar{t_{1}} \cdot b" in formulas and r"\bar{b} \leftarrow \bar{t_{1}} \cdot a" in formulas
    assert len(steps[1][1]) == 4  # one line to the product, and to `a`, past the product, one in three pieces
    assert a.grad is None and y.grad is None


def test_lit_lines_lead_to_the_box_that_is_visited():
    y = random_graph(3, 12)
    boxes, arrows, number = P.folded(y, 40)
    plan = P.planned([["box"] for _ in boxes], P.kinds_of(boxes), arrows)
    _, steps = parsed(P.replay(y, limit=40))
    for box, lit, _, _ in steps[1:-1]:
        ends = [plan.wires[k][0] for k in lit if plan.wires[k][2] == box]
        assert sorted(set(ends)) == sorted({number[a] for a in boxes[box].args if isinstance(a, Tensor)})
        assert all(plan.wires[k][2] in (box, None) for k in lit)


def test_lines_that_go_on_to_other_boxes_are_not_lit():
    a, b = Tensor(3.0, name="a"), Tensor(4.0, name="b")
    _, steps = parsed(P.replay(np.exp(np.exp(a * b)) * a))
    assert [len(lit) for _, lit, *_ in steps] == [0, 8, 1, 1, 2, 0]  # past three boxes, the line to `a` has seven pieces; none of them is lit at the product


def test_replay_asks_nothing_of_a_network_or_a_kernel():
    html = P.replay(loss_of_training()[0]).html
    assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg)|src=|@import|url\(|fetch|import\(|requirejs|Jupyter", html)
    assert html.count("<figure") == html.count("</figure>") == html.count("<script>") == 1
    assert len(html) < 15_000 and "$" not in html.replace("${", "")


def test_replay_of_folds_in_one_step_each():
    figure = P.replay(chain(2_000), limit=8)
    _, steps = parsed(figure)
    assert len(steps) == 7 and "1,998 more, as below: multiply, add" in steps[3][3] and "through 3,996 calls" in steps[3][3]
    assert steps[-1][3].count("=") == 2
    y = chain(2_000)
    w = next(t for t in topological_order(y) if t.name == "w")
    said = {k: v for s in steps for k, v in s[2].items()}
    assert said["1"] == f"{gradients(y, w):.4g}"


def test_replay_of_names_that_are_markup():
    a = Tensor(2.0, name="<script>alert(1)</script>")
    html = P.replay(a * a * Tensor(1.0, name="x\"y&'")).html
    assert "<script>alert" not in html
    parsed(P.replay(a * a))


@pytest.mark.parametrize("make", [lambda x: np.linalg.inv(x), lambda x: np.linalg.eigh(x + x.T)[0], lambda x: np.sort(x), lambda x: np.einsum("ij,kj->ik", x, x), lambda x: np.fft.fft(x).real,
                                  lambda x: np.where(x > 0, x, 0), lambda x: x[:, :2], lambda x: np.concatenate([x, x]), lambda x: np.std(x, axis=0), lambda x: x.at[0].set(1.0), lambda x: np.linalg.svd(x)[1]])
def test_any_rule_can_be_replayed(make):
    x = Tensor(np.random.default_rng(0).normal(size=(3, 3)), name="x")
    _, steps = parsed(P.replay(make(x).sum(), limit=40))
    assert not any("the rule of" in text for *_, text in steps)  # which stands where no formula was found


def test_saved_pages_stand_alone(tmp_path):
    P.replay(Tensor(1.0, name="é") * 2).save(tmp_path / "sweep.html")
    page = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and 'charset="utf-8"' in page and "é" in page


# ---------------------------------------------------------------- formulas

@pytest.mark.parametrize("call, latex", [
    (lambda x, y: x * y, [r"\bar{z} \cdot y", r"\bar{z} \cdot x"]),
    (lambda x, y: x - y, [r"\bar{z}", r"-\bar{z}"]),
    (lambda x, y: x / y, [r"\frac{\bar{z}}{y}", None]),
    (lambda x, y: x @ y, [r"\bar{z}\,y^{\top}", r"x^{\top}\,\bar{z}"]),
    (lambda x, y: np.exp(x), [r"\bar{z} \cdot z"]),
    (lambda x, y: np.tanh(x), [r"\bar{z} \cdot \left(1 - z \cdot z\right)"]),
    (lambda x, y: np.sin(x), [r"\bar{z} \cdot \mathrm{cos}(x)"]),
])
def test_rules_as_formulas(call, latex):
    x, y = Tensor(np.full((2, 2), 0.5), name="x"), Tensor(np.full((2, 2), 2.0), name="y")
    z = call(x, y)
    z.name = "z"
    called = P.Called([x, y, z], {})
    for i, expected in enumerate(latex):
        f = P.rule_formula(z, i, np.ones((2, 2)), called)
        assert expected is None or f.latex == expected
        ElementTree.fromstring(f.whole())


def test_a_formula_says_when_the_sweep_sums():
    z = Tensor(np.ones((2, 3)), name="x") + Tensor(np.ones(3), name="b")
    f = P.rule_formula(z, 1, np.ones((2, 3)), P.Called([*z.args, z], {}))
    assert f.latex == r"\mathrm{sum_to}(\bar{t_{1}}, \texttt{(3,)})".replace("sum_to", r"sum\_to")


def test_formulas_that_nobody_would_read_are_not_written():
    long = primitive(lambda x: x)
    def rule(g, y, x):
        for _ in range(60): g = g * x
        return g
    defvjp(long, rule)
    z = long(Tensor(1.0, name="x"))
    assert "the rule of" in P.rule_formula(z, 0, 1.0, P.Called([*z.args, z], {})).mathml


@pytest.mark.parametrize("name, latex", [("x", "x"), ("v1", "v_{1}"), ("logits", r"\mathrm{logits}"), ("W_2", "W_{2}"), ("a_b", r"\texttt{a\_b}"), ("50%", r"\texttt{50\%}")])
def test_symbols(name, latex): assert P.symbol(name).latex == latex


def test_names_in_a_replay_are_all_different():
    a, b = Tensor(1.0, name="t1"), Tensor(2.0)
    y = a * b
    assert list(P.Called([a, b, y], {}).values()) == ["t1", "t2", "t3"]


def test_a_replay_without_its_style_says_what_to_do():
    html = P.replay(Tensor(2.0) * 3).html
    assert ".untrusted{display:none}" in html.partition("</style>")[0]
    bare = re.sub(r"<(style|script|svg)\b.*?</\1>", "", html, flags=re.S)      # as JupyterLab shows a notebook that is not trusted
    assert "Trust this notebook" in bare and "every call that used" in bare


def test_saved_files_stand_alone(tmp_path):
    P.draw(Tensor(1.0, name="é") * 2).save(tmp_path / "graph.svg")
    assert ElementTree.parse(tmp_path / "graph.svg").getroot().tag == f"{SVG}svg"
