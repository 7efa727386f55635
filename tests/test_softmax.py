"""Log-softmax and its family: every axis, large logits, rows with -inf, against long doubles, forwards and backwards."""
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from autodiffnb import Tensor, check_grads, gradients, log_softmax, logsumexp, softmax

FAMILY = dict(softmax=softmax, log_softmax=log_softmax, logsumexp=logsumexp)
AXES = [((3,), 0), ((3,), -1), ((2, 3), 0), ((2, 3), 1), ((2, 3), -2), ((2, 3, 2), 1), ((2, 3, 2), (0, 2)), ((2, 3, 2), (-1, 1)), ((2, 3), (0, 1)), ((1, 1), 0)]
# What long doubles are worth differs between processors; where they are no longer than doubles, the comparison is with doubles.
LONG = np.finfo(np.longdouble).eps


def exactly(z, axis):
    "Softmax, its logarithm and the logarithm of the sum, in long doubles and by the definition."
    z = np.asarray(z, np.longdouble)
    m = z.max(axis=axis, keepdims=True)
    total = np.exp(z - m).sum(axis=axis, keepdims=True)
    log_p = z - m - np.log(total)
    return dict(softmax=np.exp(log_p), log_softmax=log_p, logsumexp=(m + np.log(total)).squeeze(axis))


def pulled_back(name, z, g, axis):
    "The adjoint of z in long doubles, by the formulas of the chapter."
    p, g = exactly(z, axis)["softmax"], np.asarray(g, np.longdouble)
    if name == "softmax": return p * (g - (g * p).sum(axis=axis, keepdims=True))
    if name == "log_softmax": return g - p * g.sum(axis=axis, keepdims=True)
    return np.expand_dims(g, axis) * p


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("shape, axis", AXES)
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.longdouble])
def test_against_long_doubles_in_both_directions(name, shape, axis, scale, dtype):
    rng = np.random.default_rng(0)
    z = (rng.standard_normal(shape) * scale).astype(dtype)
    t = Tensor(z)
    y = FAMILY[name](t, axis)
    g = rng.standard_normal(y.shape).astype(dtype)
    grad = gradients(y, t, g)
    assert y.dtype == grad.dtype == dtype and grad.shape == shape
    eps = max(np.finfo(dtype).eps, LONG)
    np.testing.assert_allclose(y.value.astype(np.longdouble), exactly(z, axis)[name], rtol=8 * eps, atol=8 * eps)
    np.testing.assert_allclose(grad.astype(np.longdouble), pulled_back(name, z, g, axis), rtol=16 * eps, atol=16 * eps)
    np.testing.assert_array_equal(y.value, FAMILY[name](z, axis))     # on a plain array it is the plain function
    assert not isinstance(FAMILY[name](z, axis), Tensor)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("shape, axis", AXES)
def test_derivatives(name, shape, axis):
    check_grads(lambda z: FAMILY[name](z, axis), order=2)(np.random.default_rng(1).normal(size=shape))


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
def test_third_order(axis):
    check_grads(lambda z: log_softmax(z, axis).sum(), order=3, modes="vjp")(np.random.default_rng(1).normal(size=(2, 2)))


@pytest.mark.parametrize("name", FAMILY)
@given(st.lists(st.floats(-30, 30), min_size=1, max_size=5), st.sampled_from([-1e4, -3.0, 0.5, 1e4]))
@settings(max_examples=30, deadline=None)
def test_a_shift_changes_no_probability(name, row, shift):
    z, f = np.array(row), FAMILY[name]
    moved = shift if name == "logsumexp" else 0
    np.testing.assert_allclose(f(z + shift), f(z) + moved, rtol=1e-9, atol=1e-9)
    s, t = Tensor(z), Tensor(z + shift)
    g = np.random.default_rng(0).standard_normal(np.shape(f(z)))
    np.testing.assert_allclose(gradients(f(s), s, g), gradients(f(t), t, g), atol=1e-8)


def test_a_shift_by_an_exact_number_changes_no_bit():
    z = np.array([[1.0, 2.0, -3.5], [0.25, 0.0, 8.0]])
    for f in (softmax, log_softmax): np.testing.assert_array_equal(f(z + 1024), f(z))


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("row", [[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4], [1e4, 1e4, 0.0], [1e38, 0.0, -1e38], [1e4] * 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_logits(name, row, dtype):
    t = Tensor(np.array([row], dtype))
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        y = FAMILY[name](t)
        grad = gradients(y, t, np.ones(y.shape))
        second = gradients(gradients(y, t, Tensor(np.ones(y.shape, dtype)), create_graph=True).sum(), t)
    assert np.isfinite(y.value).all() and np.isfinite(grad).all() and np.isfinite(second).all()


@pytest.mark.parametrize("row, p", [([0.0, -np.inf, 0.0], [0.5, 0, 0.5]), ([-np.inf, 2.0], [0, 1]), ([1e4, -np.inf, -1e4], [1, 0, 0]), ([-np.inf, -np.inf, 3.0], [0, 0, 1])])
def test_rows_with_classes_ruled_out(row, p):
    z, p = Tensor(np.array([row, [1.0] * len(row)])), np.array(p)
    with np.errstate(invalid="raise"):
        np.testing.assert_array_equal(softmax(z).value[0], p)
        l = log_softmax(z)
        np.testing.assert_array_equal(l.value[0], np.subtract(row, np.max(row)) - np.log(1 / p.max()))
        assert logsumexp(z).value[0] == np.max(row) + np.log(1 / p.max())
        k = int(np.argmax(p))
        picked = np.zeros(z.shape)
        picked[0, k] = 1
        for f, expected in ((log_softmax, picked[0] - p), (softmax, p * (picked[0] - p[k]))):
            grad = gradients(f(z), z, picked)
            np.testing.assert_allclose(grad[0], expected, atol=1e-15)
            np.testing.assert_array_equal(grad[1], 0)
        np.testing.assert_array_equal(gradients(logsumexp(z), z, np.array([1.0, 0.0]))[0], p)
        second = gradients((gradients(l, z, Tensor(picked), create_graph=True) * picked).sum(), z)     # of p[k], but for the sign
        np.testing.assert_allclose(second[0], -p[k] * ((np.arange(len(row)) == k) - p), atol=1e-15)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_a_row_without_any_class():
    z = np.array([[-np.inf, -np.inf], [0.0, 0.0]])
    np.testing.assert_array_equal(logsumexp(z), [-np.inf, np.log(2)])
    assert np.isnan(softmax(z)[0]).all() and np.isnan(log_softmax(z)[0]).all()      # there is no distribution on no class
    np.testing.assert_array_equal(softmax(z)[1], 0.5)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_nan_and_inf_are_not_hidden():
    assert np.isnan(softmax(np.array([np.nan, 1.0]))).all() and np.isnan(logsumexp(np.array([np.nan, 1.0])))
    assert logsumexp(np.array([np.inf, 1.0])) == np.inf


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_probabilities_and_bounds(name):
    z = np.random.default_rng(0).normal(size=(50, 10)) * 20
    if name == "softmax":
        np.testing.assert_allclose(softmax(z).sum(axis=-1), 1, rtol=1e-14)
        np.testing.assert_allclose(gradients(softmax(t := Tensor(z)), t, np.ones(z.shape)), 0, atol=1e-14)
    if name == "log_softmax": assert (log_softmax(z) <= 0).all()
    if name == "logsumexp": assert (logsumexp(z) >= z.max(-1)).all() and (logsumexp(z) <= z.max(-1) + np.log(10)).all()


@pytest.mark.parametrize("axis", [0, -1, (0, 1)])
def test_the_three_agree(axis):
    z = np.random.default_rng(0).normal(size=(3, 4))
    np.testing.assert_allclose(np.exp(log_softmax(z, axis)), softmax(z, axis), rtol=1e-13)
    np.testing.assert_allclose(z - logsumexp(z, axis, keepdims=True), log_softmax(z, axis), rtol=1e-13)
    t = Tensor(z)
    np.testing.assert_allclose(gradients(logsumexp(t, axis).sum(), t), softmax(z, axis), rtol=1e-13)


def test_keepdims_and_defaults():
    z = np.random.default_rng(0).normal(size=(2, 3, 4))
    assert logsumexp(z).shape == (2, 3) and logsumexp(z, axis=1).shape == (2, 4) and logsumexp(z, (0, 1), True).shape == (1, 1, 4) and np.shape(logsumexp(z[0, 0])) == ()
    np.testing.assert_array_equal(softmax(z), softmax(z, axis=-1))
    np.testing.assert_array_equal(softmax(z=Tensor(z), axis=1).value, softmax(z, axis=1))
    np.testing.assert_array_equal(log_softmax(logits=Tensor(z), axis=(0, 1)).value, log_softmax(z, (0, 1)))


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("shape, axis", [((0, 3), -1), ((3, 0), 0), ((0, 3, 2), (1, 2))])
def test_no_observations(name, shape, axis):
    t = Tensor(np.zeros(shape, np.float32))
    y = FAMILY[name](t, axis)
    assert y.size == 0 and gradients(y, t, np.zeros(y.shape)).shape == shape and y.dtype == np.float32


@pytest.mark.parametrize("name", FAMILY)
def test_lists_and_integers_become_arrays(name):
    f = FAMILY[name]
    for z in ([1, 2, 3], np.array([1, 2, 3]), np.array([1, 2, 3], np.uint8), (1.0, 2.0, 3.0)): np.testing.assert_array_equal(f(z), f(np.array([1.0, 2.0, 3.0])))


@pytest.mark.parametrize("name", FAMILY)
def test_errors(name):
    f = FAMILY[name]
    for z in (1.0, np.float64(1), np.array(1.0), Tensor(1.0)):
        with pytest.raises(ValueError, match="logits: expected an array with an axis of classes"): f(z)
    for axis in (2, -3, (0, 5)):
        with pytest.raises(ValueError, match="axis"): f(np.zeros((2, 3)), axis)
        with pytest.raises(ValueError, match="axis"): f(Tensor(np.zeros((2, 3))), axis)
    with pytest.raises(TypeError, match="real or complex numbers"): f(["a", "b"])


def test_log_softmax_keeps_the_probabilities_and_computes_them_once(monkeypatch):
    z = Tensor(np.random.default_rng(0).normal(size=(4, 3)))
    y = log_softmax(z)
    np.testing.assert_allclose(y.kept[0], softmax(z.value), rtol=1e-15)
    before = y.kept[0].copy()
    calls, exp = [], np.exp
    monkeypatch.setattr(np, "exp", lambda *a, **k: calls.append(a) or exp(*a, **k))
    for _ in range(2): gradients(y, z, np.ones(y.shape))
    assert not calls
    np.testing.assert_array_equal(y.kept[0], before)      # a residual is never written to


def test_arguments_are_not_written_to():
    z, g = np.random.default_rng(0).normal(size=(2, 4, 3))
    for x in (z, g): x.setflags(write=False)
    for f in (softmax, log_softmax): gradients(f(t := Tensor(z)), t, g)
    gradients(logsumexp(t), t, g[:, 0])
