"""Figures that show themselves once and say what they show; graphs as SVG, of any size, without a program."""
import subprocess, sys, time
from xml.etree import ElementTree

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from autodiffnb import Tensor, cross_entropy, topological_order
from autodiffnb import picture as P

names = ["T-shirt", "Coat", "Bag"]
SVG = "{http://www.w3.org/2000/svg}"
rng = np.random.default_rng(0)


def probabilities(n, c, seed=0):
    p = np.random.default_rng(seed).random((n, c))
    return p / p.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------- figures

HISTORY = dict(epoch=[1, 2, 3], train_loss=[3, 2, 1], validation_loss=[3.0, 2.0, 2.5], validation_accuracy=[0.5, 0.7, 0.6])
FIGURES = dict(
    image_grid=lambda: P.image_grid(rng.random((7, 4, 6)), list("abcdefg"), "title"),
    weight_images=lambda: P.weight_images(rng.normal(size=(16, 3)), names),
    curves=lambda: P.curves(HISTORY),
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
    (lambda: P.draw(7), TypeError, "output: expected a Tensor, got int"),
    (lambda: P.draw(Tensor(7), limit=0), ValueError, "limit: expected 1 or more, got 0"),
])
def test_errors_name_what_was_expected_and_what_came(call, error, words):
    with pytest.raises(error) as caught: call()
    assert words in str(caught.value)


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
    assert "x" * 50 in next(svg.iter(f"{SVG}title")).text


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
    "Every colour is that of the text around, but for the adjoints'"
    a = Tensor(2.0, name="a")
    loss = np.multiply(a, a) + 1
    loss.backward()
    svg, _ = read(P.draw(loss))
    assert {e.get(k) for e in svg.iter() for k in ("fill", "stroke")} - {None} == {"currentColor", "none", "#D55E00"}
    drawing = P.draw(loss)
    assert drawing._repr_html_().count("<svg") == drawing._repr_svg_().count("<svg") == 1
    assert "style=" not in drawing.svg  # nothing that would colour the rest of a page


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


def test_large_graphs_are_folded():
    y = chain(5_000)
    svg, boxes = read(P.draw(y, limit=10))
    assert len(topological_order(y)) == 10_002
    assert [box[0] for box in boxes[:3]] == ["x", "w", "9,990 earlier"]
    assert len(boxes) == 13
    assert "9,990" in P.draw(y, limit=10).summary
    assert sum("stroke-dasharray" in r.attrib for r in svg.iter(f"{SVG}rect")) == 1


def test_large_graphs_do_not_freeze():
    y = chain(5_000)
    start = time.process_time()
    drawing = P.draw(y)
    assert time.process_time() - start < 5  # takes about a tenth of a second
    assert len(drawing.svg) < 100_000


def test_a_graph_with_more_leaves_than_anyone_reads():
    total = sum(Tensor(1.0, name=f"p{i}") for i in range(300))
    _, boxes = read(P.draw(total, limit=10))
    assert len(boxes) <= 21


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(0, 99))
def test_folding_keeps_arrows_downwards(limit, seed):
    rng, made = np.random.default_rng(seed), [Tensor(1.0, name="a"), Tensor(1.0)]
    for _ in range(15): made.append(made[rng.integers(len(made))] * made[rng.integers(len(made))])
    boxes, arrows, hidden = P.folded(made[-1], limit)
    assert all(a < b for a, b in arrows)
    assert len(boxes) - bool(hidden) + hidden == len(topological_order(made[-1]))
    assert boxes.count(None) == bool(hidden)
    read(P.draw(made[-1], limit))


def test_saved_files_stand_alone(tmp_path):
    P.draw(Tensor(1.0, name="é") * 2).save(tmp_path / "graph.svg")
    assert ElementTree.parse(tmp_path / "graph.svg").getroot().tag == f"{SVG}svg"
