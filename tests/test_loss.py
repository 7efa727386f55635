"""Cross-entropy: the cancellation, every kind of label, every reduction, and errors that say which and where."""
import re

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from autodiffnb import Tensor, accuracy, check_grads, cross_entropy, gradients, log_softmax, nll, softmax
from autodiffnb.tensor import rules, topological_order

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(4, 3))
T = np.array([2, 0, 1, 2])
INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]


def one_hot(t, c): return np.eye(c)[t]


@st.composite
def problems(draw):
    "Logits of any rank, an axis for the classes, and labels; seldom no observation at all."
    shape = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    shape[axis] = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return rng.normal(size=shape) * 3, rng.integers(0, shape[axis], np.delete(shape, axis)), axis


@given(problems())
@settings(max_examples=100, deadline=None)
def test_by_a_loop_over_the_definition(problem):
    z, t, axis = problem
    rows, labels = np.moveaxis(z, axis, -1).reshape(-1, z.shape[axis]), t.ravel()
    prices = np.array([-np.log(np.exp(row[k]) / sum(np.exp(row))) for row, k in zip(rows, labels)])
    for logits in (z, Tensor(z)):
        got = [cross_entropy(logits, t, axis, reduction=r) for r in ("none", "sum", "mean")]
        got = [y.value if isinstance(y, Tensor) else y for y in got]
        np.testing.assert_allclose(got[0], prices.reshape(t.shape), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(got[1], prices.sum(), rtol=1e-12, atol=1e-14)
        if t.size: np.testing.assert_allclose(got[2], prices.mean(), rtol=1e-12, atol=1e-14)
        assert np.shape(got[1]) == np.shape(got[2]) == ()


@given(problems())
@settings(max_examples=60, deadline=None)
def test_the_gradient_is_softmax_minus_one_hot_over_n(problem):
    z, t, axis = problem
    o = np.moveaxis(one_hot(t, z.shape[axis]), -1, axis)
    logits = Tensor(z)
    expected = softmax(z, axis) - o
    np.testing.assert_allclose(gradients(cross_entropy(logits, t, axis), logits), expected / max(t.size, 1), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(gradients(cross_entropy(logits, t, axis, "sum"), logits), expected, rtol=1e-12, atol=1e-15)
    g = np.random.default_rng(0).normal(size=t.shape)
    np.testing.assert_allclose(gradients(cross_entropy(logits, t, axis, "none"), logits, g), expected * np.expand_dims(g, axis), rtol=1e-12, atol=1e-15)


@given(problems(), st.sampled_from(["mean", "sum", "none"]))
@settings(max_examples=25, deadline=None)
def test_derivatives_of_both_orders(problem, reduction):
    z, t, axis = problem
    check_grads(lambda z: cross_entropy(z, t, axis, reduction), order=2)(z)
    check_grads(lambda z: nll(log_softmax(z, axis), t, axis, reduction), order=2)(z)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape, axis", [((3,), 0), ((4, 3), -1), ((3, 4), 0), ((2, 3, 2), 1)])
def test_probabilities_as_targets(reduction, shape, axis):
    z, q = RNG.normal(size=shape), softmax(RNG.normal(size=shape), axis)
    log_p = np.log(np.exp(z) / np.exp(z).sum(axis=axis, keepdims=True))
    prices = -(q * log_p).sum(axis=axis)
    expected = dict(none=prices, sum=prices.sum(), mean=prices.mean())[reduction]
    np.testing.assert_allclose(cross_entropy(z, q, axis, reduction), expected, rtol=1e-12)
    np.testing.assert_allclose(nll(log_p, q, axis, reduction), expected, rtol=1e-12)
    t = Tensor(z)
    scale = dict(none=1, sum=1, mean=prices.size)[reduction]
    y = cross_entropy(t, q, axis, reduction)
    np.testing.assert_allclose(gradients(y, t, np.ones(y.shape)), (softmax(z, axis) - q) / scale, rtol=1e-11, atol=1e-14)
    check_grads(lambda z: cross_entropy(z, q, axis, reduction), order=2)(z)
    soft = Tensor(q)                                       # a teacher learns too
    y = cross_entropy(z, soft, axis, reduction)
    np.testing.assert_allclose(gradients(y, soft, np.ones(y.shape)), -log_p / scale, rtol=1e-11)


def test_one_hot_probabilities_are_labels():
    for reduction in ("mean", "sum", "none"):
        np.testing.assert_allclose(cross_entropy(Z, one_hot(T, 3), reduction=reduction), cross_entropy(Z, T, reduction=reduction), rtol=1e-13)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_of_every_integer_dtype(dtype):
    t = Tensor(Z)
    np.testing.assert_array_equal(cross_entropy(Z, T.astype(dtype)), cross_entropy(Z, T))
    np.testing.assert_array_equal(gradients(cross_entropy(t, T.astype(dtype)), t), gradients(cross_entropy(t, T), t))
    assert accuracy(Z, T.astype(dtype)) == accuracy(Z, T)
    np.testing.assert_array_equal(nll(log_softmax(Z), T.astype(dtype)), nll(log_softmax(Z), T))
    with pytest.raises(ValueError, match=r"\[0, 3\), got 3 at index \(1,\); 1 of 4"): cross_entropy(Z, np.array([2, 3, 0, 0], dtype))


def test_small_labels_of_many_classes():
    "uint8 labels with more classes than a uint8 can number."
    z, t = RNG.normal(size=(2, 300)), np.array([255, 7], np.uint8)
    np.testing.assert_allclose(cross_entropy(z, t), cross_entropy(z, t.astype(int)), rtol=1e-15)


def test_labels_as_lists_and_numbers():
    assert cross_entropy(Z, T.tolist()) == cross_entropy(Z, tuple(T)) == cross_entropy(Z, T)
    assert cross_entropy(Z.tolist(), T.tolist()) == cross_entropy(Z, T)
    np.testing.assert_allclose(cross_entropy([1.0, 2.0, 3.0], 2), cross_entropy(np.array([[1.0, 2.0, 3.0]]), [2]), rtol=1e-15)
    for label in (2, np.int64(2), np.uint8(2), np.array(2)):
        t = Tensor([1.0, 2.0, 3.0])
        y = cross_entropy(t, label)
        assert y.shape == ()
        np.testing.assert_allclose(gradients(y, t), softmax(t.value) - [0, 0, 1], rtol=1e-13)
        assert accuracy([1.0, 2.0, 3.0], label) == 1.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_dtype_of_the_logits_stays(dtype, reduction):
    t = Tensor(Z.astype(dtype))
    for labels in (T, T.astype(np.uint8), softmax(Z).astype(dtype)):
        y = cross_entropy(t, labels, reduction=reduction)
        grad = gradients(y, t, np.ones(y.shape))
        assert y.dtype == grad.dtype == dtype and grad.shape == Z.shape
        assert cross_entropy(Z.astype(dtype), labels, reduction=reduction).dtype == dtype


@pytest.mark.parametrize("row, label, price", [([1e4, 0.0, -1e4], 0, 0.0), ([1e4, 0.0, -1e4], 2, 2e4), ([-1e4, -1e4, -1e4], 1, np.log(3)), ([0.0, -np.inf, 0.0], 0, np.log(2)),
                                               ([1e4, -np.inf, 0.0], 2, 1e4)])
def test_large_logits_and_classes_ruled_out(row, label, price):
    for dtype in (np.float32, np.float64):
        t = Tensor(np.array([row], dtype))
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            y = cross_entropy(t, [label])
            grad = gradients(y, t)
            second = gradients((gradients(y, t, create_graph=True) * np.arange(3)).sum(), t)
        np.testing.assert_allclose(y.value, price, rtol=1e-6)
        np.testing.assert_allclose(grad[0], softmax(t.value)[0] - one_hot(label, 3), atol=1e-7)
        assert np.isfinite(second).all() and abs(grad).max() <= 1


def test_a_true_class_that_was_ruled_out_is_infinitely_dear():
    assert cross_entropy(np.array([[0.0, -np.inf]]), [1]) == np.inf


def test_probability_zero_costs_nothing_where_it_was_ruled_out():
    z, q = Tensor(np.array([[0.0, -np.inf, 0.0]])), np.array([[0.5, 0.0, 0.5]])
    np.testing.assert_allclose(cross_entropy(z, q).value, np.log(2))
    np.testing.assert_allclose(gradients(cross_entropy(z, q), z), 0, atol=1e-15)


def test_confident_and_right_keeps_its_small_price():
    "Against long doubles: a price of 1e-9 is not rounded to a multiple of the precision of 1."
    z = np.array([[20.0, 0.0]])
    exact = np.log1p(np.exp(np.longdouble(-20)))
    assert abs(cross_entropy(z, [0]) - exact) < 4 * np.finfo(float).eps       # what log(sum) can give; of the order of 1e-16
    t = Tensor(z)
    np.testing.assert_allclose(gradients(cross_entropy(t, [0]), t)[0, 1], float(np.exp(np.longdouble(-20)) / (1 + np.exp(np.longdouble(-20)))), rtol=1e-12)


def test_first_loss_of_a_classifier_that_knows_nothing():
    assert cross_entropy(np.zeros((32, 10)), np.arange(32) % 10) == pytest.approx(np.log(10), rel=1e-15)


# --- errors --------------------------------------------------------------------------------------------------------------

BAD = [
    ([2, 0, 3, 1], ValueError, "labels: expected integers in [0, 3), got 3 at index (2,); 1 of 4 are out of range"),
    ([2, -1, 3, 1], ValueError, "labels: expected integers in [0, 3), got -1 at index (1,); 2 of 4 are out of range"),
    (np.array([2, 255, 0, 0], np.uint8), ValueError, "got 255 at index (1,)"),
    (np.array([2**63, 0, 0, 0], np.uint64), ValueError, "got 9223372036854775808 at index (0,)"),
    ([2, 0, 1], ValueError, "labels: expected shape (4,), that of the logits (4, 3) without axis -1; got (3,)"),
    (2, ValueError, "expected shape (4,)"), ([[2], [0], [1], [2]], ValueError, "got (4, 1)"), (np.eye(3, dtype=int)[T], ValueError, "got (4, 3)"),
    ([2.0, 0.0, 1.0, 2.0], TypeError, "labels: expected integers of shape (4,), or probabilities of shape (4, 3); got float64 of shape (4,)"),
    ([True, False, True, True], TypeError, "got bool of shape (4,)"), (["a", "b", "c", "d"], TypeError, "labels: expected integers"), ([None] * 4, TypeError, "got object"),
    (np.array([2, 0, 1, 2], complex), TypeError, "got complex128"), ([], TypeError, "got float64 of shape (0,)"),
    (np.full((4, 3), 0.5), ValueError, "labels: expected probabilities that are not negative and sum to 1 along axis -1; got 0.5 at index (0, 0)"),
    (np.array([[1.0, 0, 0]] * 3 + [[1.5, -0.5, 0]]), ValueError, "got -0.5 at index (3, 1)"), (np.array([[1.0, 0, 0]] * 3 + [[np.nan, 1, 0]]), ValueError, "at index (3, 0)"),
    (np.full((3, 4), 1 / 3), ValueError, "labels: expected probabilities of shape (4, 3), that of the logits; got (3, 4)"),
]


@pytest.mark.parametrize("labels, error, message", BAD)
def test_malformed_labels(labels, error, message):
    for scores in (Z, Tensor(Z)):
        for f in (cross_entropy, lambda z, t: nll(log_softmax(z), t)):
            with pytest.raises(error, match=re.escape(message)): f(scores, labels)
    if np.ndim(labels) < 2 or np.asarray(labels).dtype.kind in "iu":
        with pytest.raises(error, match=re.escape(message)): accuracy(Z, labels)


def test_labels_that_are_wrong_in_more_dimensions():
    z, t = RNG.normal(size=(2, 5, 3)), np.zeros((2, 3), int)
    t[1, 2] = 5
    with pytest.raises(ValueError, match=re.escape("[0, 5), got 5 at index (1, 2); 1 of 6")): cross_entropy(z, t, axis=1)
    with pytest.raises(ValueError, match=re.escape("expected shape (2, 3), that of the logits (2, 5, 3) without axis 1; got (3, 2)")): cross_entropy(z, t.T, axis=1)


def test_other_malformed_arguments():
    for f in (cross_entropy, nll):
        with pytest.raises(ValueError, match="reduction: expected one of mean, sum, none; got 'average'"): f(Z, T, reduction="average")
        for axis in (2, -3):
            with pytest.raises(ValueError, match=re.escape(f"axis: expected an axis of the logits, whose shape is (4, 3); got {axis}")): f(Z, T, axis=axis)
        with pytest.raises(ValueError, match="axis|logits"): f(1.0, 0)
    with pytest.raises(ValueError, match="axis: expected an axis"): accuracy(Z, T, axis=2)


def test_a_class_axis_of_no_length():
    with pytest.raises(ValueError): cross_entropy(np.zeros((2, 0)), [0, 0])


def test_labels_may_not_be_integer_tensors_in_silence():
    "A Tensor of labels is floating: it is refused, and the message says so."
    with pytest.raises(TypeError, match="labels: expected integers"): cross_entropy(Z, Tensor(T))


# --- the rest ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("reduction, expected", [("mean", 0.0), ("sum", 0.0), ("none", [])])
def test_no_observations(reduction, expected):
    z, t = Tensor(np.zeros((0, 3), np.float32)), np.zeros(0, int)
    y = cross_entropy(z, t, reduction=reduction)
    np.testing.assert_array_equal(y.value, expected)
    assert gradients(y, z, np.ones(y.shape)).shape == (0, 3) and np.isnan(accuracy(z, t))


def test_one_node_in_the_graph_and_softmax_computed_once(monkeypatch):
    z = Tensor(Z)
    y = cross_entropy(z, T)
    assert len(topological_order(y)) == 2
    calls, exp = [], np.exp
    monkeypatch.setattr(np, "exp", lambda *a, **k: calls.append(a) or exp(*a, **k))
    first, second = gradients(y, z), gradients(y, z)
    assert not calls
    np.testing.assert_array_equal(first, second)
    first[...] = 7                                       # the residual that stays behind is not what was handed out
    np.testing.assert_array_equal(gradients(y, z), second)


def test_sum_handed_out_is_not_the_residual():
    z = Tensor(Z)
    y = cross_entropy(z, T, reduction="sum")
    before = gradients(y, z).copy()
    gradients(y, z)[...] = 7
    np.testing.assert_array_equal(gradients(y, z), before)


def test_arguments_are_not_written_to():
    z, t, q = Z.copy(), T.copy(), softmax(Z)
    for x in (z, t, q): x.setflags(write=False)
    for labels in (t, q):
        for reduction in ("mean", "sum", "none"):
            logits = Tensor(z)
            y = cross_entropy(logits, labels, reduction=reduction)
            gradients(y, logits, np.ones(y.shape))


def test_accuracy():
    z = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 4.0]])
    assert accuracy(z, [1, 0, 0, 0]) == 0.75 and type(accuracy(z, [1, 0, 0, 0])) is float
    assert accuracy(Tensor(z), [1, 0, 1, 0]) == 1.0 and accuracy(z.T, [1, 0, 1, 0], axis=0) == 1.0
    assert accuracy(z.tolist(), np.array([0, 1, 0, 1], np.uint8)) == 0.0


def test_signatures_of_the_contract():
    import inspect
    for f, names in ((cross_entropy, ["logits", "labels", "axis", "reduction"]), (nll, ["log_probabilities", "labels", "axis", "reduction"])):
        parameters = inspect.signature(f).parameters
        assert list(parameters) == names and parameters["axis"].default == -1 and parameters["reduction"].default == "mean"
    np.testing.assert_array_equal(cross_entropy(logits=Z, labels=T, axis=-1, reduction="sum"), cross_entropy(Z, T, -1, "sum"))


def test_labels_of_a_table_are_refused_with_the_line_to_write():
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    labels = pd.Series(T)
    for call in (lambda: cross_entropy(Z, labels), lambda: nll(log_softmax(Z), labels), lambda: accuracy(Z, labels)):
        with pytest.raises(TypeError, match=r"Series: .*x\.to_numpy\(\)"): call()


def test_masked_scores_are_refused():
    M = np.ma.masked_array(Z, mask=np.eye(*Z.shape) > 0)
    for call in (lambda: cross_entropy(M, T), lambda: cross_entropy(M, softmax(Z)), lambda: nll(M, T), lambda: accuracy(M, T), lambda: softmax(M), lambda: log_softmax(M), lambda: cross_entropy(np.matrix(Z), T)):
        with pytest.raises(TypeError, match="its arithmetic is not that of an array"): call()
