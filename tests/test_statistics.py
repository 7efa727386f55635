"""Statistics: every method of quantile, axes, weights, gaps and ties, against NumPy's values, differences and routes without our rules."""
import dask
import dask.array as da
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import autodiffnb.statistics  # files its rules
from autodiffnb import Tensor, check_grads, grad, gradients, hessian, jacobian
from autodiffnb.statistics import HALFWAY, LINES, RANKS, in_rows

METHODS = (*LINES, *RANKS, *HALFWAY)
QUANTILES = dict(quantile=(np.quantile, 1), nanquantile=(np.nanquantile, 1), percentile=(np.percentile, 100), nanpercentile=(np.nanpercentile, 100))
REDUCTIONS = dict(median=np.median, nanmedian=np.nanmedian, nanmax=np.nanmax, nanmin=np.nanmin,
                  **{name: lambda x, f=f, unit=unit, **params: f(x, 0.37 * unit, **params) for name, (f, unit) in QUANTILES.items()})
NUMPY_2_0 = np.lib.NumpyVersion(np.__version__) < "2.1.0"      # differs at ties of "closest_observation", and weighs axis=None in another order
quick = settings(max_examples=15, deadline=None)
shapes = st.lists(st.integers(1, 3), min_size=0, max_size=3).map(tuple)


def axes_of(ndim):
    "None, an int of either sign, or a tuple of some axes"
    if ndim == 0: return st.none()
    one = st.integers(-ndim, ndim - 1)
    some = st.lists(one, unique_by=lambda n: n % ndim, min_size=1, max_size=ndim).map(tuple)
    return st.none() | one | one.map(np.int64) | some


def distinct(shape, dtype=float, seed=0):
    "Numbers at least 0.1 apart, in random order, so that differences meet no ties"
    n = int(np.prod(shape))
    return np.random.default_rng(seed).permutation(0.3 + 0.15 * np.arange(n)).reshape(shape).astype(dtype)


def gaps(shape, seed=1):
    "The same with nan in about a third of the places, never in the first of an axis"
    x = distinct(shape)
    holes = np.random.default_rng(seed).random(shape) < 0.4
    if x.ndim: holes[(0,) * x.ndim] = False
    return np.where(holes & (x.size > 1), np.nan, x)


def same(got, expected, rtol=1e-12):
    "Equal in shape, dtype and, nearly, in value; nan where nan is"
    got = got.value if isinstance(got, Tensor) else got
    assert np.shape(got) == np.shape(expected) and np.asarray(got).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(got, expected, rtol=1e-5 if np.asarray(expected).dtype == np.float32 else rtol, atol=1e-14)


def by_differences(f, x, h=1e-3):
    "The derivatives of the array f(x) by each number of x that is no nan: central differences, exact for what is linear between ties."
    columns = np.zeros((*np.shape(f(x)), *x.shape))
    for place in np.ndindex(x.shape):
        if np.isnan(x[place]): continue
        step = np.zeros_like(x)
        step[place] = h
        columns[(..., *place)] = (f(x + step) - f(x - step)) / (2 * h)
    return columns


# --- quantiles -----------------------------------------------------------------------------------------------------

def test_every_method_of_numpy_is_known():
    with pytest.raises(ValueError) as error: np.quantile(np.ones(3), 0.5, method="unknown")
    for method in METHODS: assert f"'{method}'" in str(error.value)
    assert str(error.value).count("'") == 2 * (len(METHODS) + 1)


@pytest.mark.parametrize("name", QUANTILES)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_against_numpy_and_differences(method, name):
    f, unit = QUANTILES[name]
    x = gaps((3, 7)) if "nan" in name else distinct((3, 7))
    for q in (0.01, 0.13, 0.49, 0.77, 0.99) if NUMPY_2_0 else (0.0, 0.13, 0.5, 0.77, 1.0):
        call = lambda x: f(x, q * unit, axis=1, method=method)
        same(call(Tensor(x)), call(x))
        np.testing.assert_allclose(jacobian(call)(x), by_differences(call, x), atol=1e-9)
    several = np.array([0.9, 0.02, 0.31, 0.31]) * unit
    same(f(Tensor(x), several, axis=0, method=method, keepdims=True), f(x, several, axis=0, method=method, keepdims=True))


@pytest.mark.parametrize("method", METHODS)
def test_the_derivative_is_two_numbers_that_add_up_to_one(method):
    x = distinct((9,))
    for q in np.linspace(0, 1, 23):
        G = grad(lambda x: np.quantile(x, q, method=method))(x)
        assert np.count_nonzero(G) in (1, 2) and np.isclose(G.sum(), 1) and (G >= 0).all()
        np.testing.assert_allclose(G @ x, np.quantile(Tensor(x), q, method=method).value, rtol=1e-12)     # a quantile is linear in its two numbers
        np.testing.assert_array_equal(hessian(lambda x: np.quantile(x, q, method=method))(x), np.zeros((9, 9)))


@pytest.mark.parametrize("name", REDUCTIONS)
@quick
@given(data=st.data())
def test_axes_and_keepdims(name, data):
    f, shape = REDUCTIONS[name], data.draw(shapes)
    x = gaps(shape) if "nan" in name and data.draw(st.booleans()) else distinct(shape)
    params = dict(axis=data.draw(axes_of(x.ndim)), keepdims=data.draw(st.booleans()))
    if np.isnan(x).any() and not (~np.isnan(x)).any(axis=params["axis"]).all(): return      # nothing but nan: a test of its own
    same(f(Tensor(x), **params), f(x, **params))
    np.testing.assert_allclose(jacobian(lambda x: f(x, **params))(x), by_differences(lambda x: f(x, **params), x), atol=1e-9)
    if not np.isnan(x).any() and x.size <= 6: check_grads(lambda t: f(t, **params), order=2)(x)


@quick
@given(data=st.data())
def test_rows_are_those_of_numpy(data):
    x = distinct(data.draw(shapes))
    axis = data.draw(axes_of(x.ndim))
    np.testing.assert_allclose(in_rows(x, axis).sum(axis=-1), x.sum(axis=axis), rtol=1e-12)


def test_against_sorting_and_indexing():
    "np.sort and brackets have rules of their own, which know no masks."
    x = distinct((4, 6))
    for q in (0.0, 0.2, 0.33, 0.8, 1.0):
        v = q * 5
        k, part = int(min(np.floor(v), 4)), v - min(np.floor(v), 4)
        def ours(t): return np.sum(np.quantile(t, q, axis=1) ** 2)
        def sorting(t): s = np.sort(t, axis=1); return np.sum((s[:, k] * (1 - part) + s[:, k + 1] * part) ** 2)
        np.testing.assert_allclose(grad(ours)(x), grad(sorting)(x), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(hessian(ours)(x), hessian(sorting)(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", LINES)
def test_the_slope_in_q(method):
    x, rows = distinct((7,)), gaps((3, 7))
    for q in (0.21, 0.48, 0.83):
        slope = (np.quantile(x, q + 1e-4, method=method) - np.quantile(x, q - 1e-4, method=method)) / 2e-4
        assert np.isclose(grad(lambda q: np.quantile(x, q, method=method))(q), slope) and slope > 0
        slopes = (np.nanpercentile(rows, 100*q + 1e-3, axis=1, method=method) - np.nanpercentile(rows, 100*q - 1e-3, axis=1, method=method)) / 2e-3
        np.testing.assert_allclose(jacobian(lambda p: np.nanpercentile(rows, p, axis=1, method=method))(100 * q), slopes, rtol=1e-6, atol=1e-9)
    same(np.quantile(x, Tensor([0.0, 1.0]), method=method), np.quantile(x, [0.0, 1.0], method=method))


def test_the_slope_at_the_ends_is_that_of_the_piece_inside():
    x, s = distinct((7,)), np.sort(distinct((7,)))
    G = jacobian(lambda q: np.quantile(x, q))(np.array([0.0, 1.0]))
    np.testing.assert_allclose(G, np.diag([6 * (s[1] - s[0]), 6 * (s[-1] - s[-2])]), atol=1e-12)
    np.testing.assert_array_equal(jacobian(lambda q: np.quantile(x, q, method="hazen"))(np.array([0.0, 1.0])), np.zeros((2, 2)))     # flat near the ends


@pytest.mark.parametrize("method", [*RANKS, *HALFWAY])
def test_steps_have_no_slope_in_q(method):
    assert grad(lambda q: np.quantile(distinct((5,)), q, method=method) * 3 + q)(0.4) == 1


def test_both_the_numbers_and_q():
    x = distinct((2, 6))
    check_grads(lambda x, q: np.quantile(x, q, axis=1, method="weibull"))(x, np.array([0.3, 0.66]))
    check_grads(lambda x, q: np.nanpercentile(x, q, axis=(0, 1)))(x, np.array(31.0))
    mixed = jacobian(grad(lambda x, q: np.quantile(x, q), argnums=1), argnums=0)(x[0], 0.3)      # d/dx of the slope (n - 1)(x[2] - x[1])
    expected = np.zeros(6)
    expected[np.argsort(x[0])[[1, 2]]] = -5, 5
    np.testing.assert_allclose(mixed, expected)


# --- ties, nan, infinities, nothing -----------------------------------------------------------------------------------

@pytest.mark.parametrize("name", REDUCTIONS)
def test_ties_share_alike_whatever_the_order(name):
    f, x = REDUCTIONS[name], np.array([2.0, 1.0, 2.0, 2.0, 5.0, 5.0, 1.0])
    G = grad(f)(x)
    for value in set(x): assert len(set(G[x == value])) == 1
    assert np.isclose(G.sum(), 1)
    order = np.random.default_rng(0).permutation(7)
    np.testing.assert_array_equal(grad(f)(x[order]), G[order])


def test_all_equal(): np.testing.assert_allclose(grad(lambda x: np.quantile(x, 0.4))(np.full(4, 3.0)), np.full(4, 0.25))


@pytest.mark.parametrize("name", ["median", "quantile", "percentile"])
def test_a_nan_is_the_result_and_hears_of_it(name):
    f, x = REDUCTIONS[name], np.array([[1.0, np.nan, 2.0, np.nan], [3.0, 1.0, 2.0, 5.0]])
    same(f(Tensor(x), axis=1), f(x, axis=1))
    G = gradients(f(t := Tensor(x), axis=1), t, np.ones(2))
    np.testing.assert_allclose(G[0], [0, 0.5, 0, 0.5])
    np.testing.assert_allclose(G[1], grad(f)(x[1]))


@pytest.mark.parametrize("name", ["nanmedian", "nanquantile", "nanpercentile", "nanmax", "nanmin"])
def test_a_nan_that_is_skipped_hears_nothing(name):
    f, x = REDUCTIONS[name], np.array([[1.0, np.nan, 2.0, 7.0], [np.nan, 1.0, np.nan, np.nan]])
    G = gradients(f(t := Tensor(x), axis=1), t, np.ones(2))
    np.testing.assert_array_equal(G[np.isnan(x)], 0)
    np.testing.assert_allclose(G[0][~np.isnan(x[0])], grad(f)(x[0][~np.isnan(x[0])]))
    assert G[1, 1] == 1


@pytest.mark.filterwarnings("ignore:All-NaN")
@pytest.mark.parametrize("name", ["nanmedian", "nanquantile", "nanpercentile", "nanmax", "nanmin"])
def test_nothing_but_nan(name):
    f, x = REDUCTIONS[name], np.array([[np.nan, np.nan], [1.0, np.nan]])
    same(f(Tensor(x), axis=1), f(x, axis=1))
    np.testing.assert_array_equal(gradients(f(t := Tensor(x), axis=1), t, np.array([3.0, 1.0])), [[1.5, 1.5], [1, 0]])


def test_an_infinite_neighbour_is_no_nan():
    x = Tensor([1.0, np.inf, 2.0, np.inf, np.inf])
    with np.errstate(all="raise"):
        assert np.quantile(x, 0.25).item() == 2 and np.quantile(x, 0.8).item() == np.inf and np.nanmedian(x).item() == np.inf
        np.testing.assert_array_equal(gradients(np.quantile(x, 0.25), x), [0, 0, 1, 0, 0])
        np.testing.assert_allclose(gradients(np.quantile(x, 0.8), x), [0, 1/3, 0, 1/3, 1/3])
    assert np.nanmax(Tensor([-np.inf, np.nan])).item() == -np.inf


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value", "ignore:divide by zero")
def test_size_zero_as_numpy():
    for f in (np.median, np.nanmedian):
        for shape, axis in (((2, 0), 0), ((2, 0), 1), ((0,), None), ((0, 3), 1), ((0, 3), (0, 1))):
            x = np.zeros(shape)
            same(f(Tensor(x), axis=axis), f(x, axis=axis))
            y = f(t := Tensor(x), axis=axis)
            assert gradients(y, t, np.ones(y.shape)).shape == shape
    same(np.quantile(Tensor(np.zeros((2, 0))), 0.5, axis=0), np.zeros(0))
    same(np.quantile(Tensor(np.ones((2, 3))), [], axis=0), np.zeros((0, 3)))
    with pytest.raises((ValueError, IndexError)): np.quantile(Tensor(np.zeros(0)), 0.5)
    with pytest.raises(ValueError): np.nanmax(Tensor(np.zeros((0, 3))), axis=0)
    same(np.nanmax(Tensor(np.zeros((0, 3))), axis=0, initial=1.5), np.full(3, 1.5))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_dtypes_are_numpys(dtype):
    x = distinct((2, 5), dtype)
    for q in (0.3, 0, np.array(0.3, dtype), [0, 1], np.array([0.3, 0.6])):
        for method in ("linear", "lower", "midpoint", "averaged_inverted_cdf"):
            for f in (np.quantile, np.nanquantile):
                expected = f(x, q, axis=1, method=method)
                y = f(t := Tensor(x), q, axis=1, method=method)
                assert y.shape == expected.shape and (y.dtype == expected.dtype or np.lib.NumpyVersion(np.__version__) < "2.3.0")
                assert gradients(y, t, np.ones(y.shape, y.dtype)).dtype == dtype
    assert np.median(Tensor(x)).dtype == np.nanmax(Tensor(x)).dtype == np.nanmedian(Tensor(x)).dtype == dtype


def test_a_number_without_axes():
    for f in REDUCTIONS.values():
        assert f(Tensor(3.0)).item() == 3 and grad(f)(3.0) == 1 and f(Tensor(3.0), keepdims=True).shape == ()


def test_complex_medians():
    z = np.array([1 + 2j, 3.0, 2 - 1j])
    same(np.median(Tensor(z)), np.median(z))
    same(np.nanmedian(Tensor(gap := np.append(z, np.nan))), np.nanmedian(gap))
    np.testing.assert_array_equal(gradients(np.nanmedian(t := Tensor(gap)), t), [0, 0, 1, 0])
    np.testing.assert_array_equal(gradients(np.median(t := Tensor(z)), t), [0, 0, 1])


# --- weights ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("f", [np.quantile, np.nanquantile, np.percentile, np.nanpercentile])
def test_weighted_quantiles(f):
    unit = 100 if "percentile" in f.__name__ else 1
    x = gaps((3, 5)) if "nan" in f.__name__ else distinct((3, 5))
    w = np.random.default_rng(2).uniform(0.1, 1, size=(3, 5))
    for axis, weights in ((1, w), (0, w), (None, w), ((0, 1), w)):
        for q in (0.0, 0.3, 1.0, [0.2, 0.9]):
            if np.isnan(x).all(axis=axis).any(): continue
            call = lambda x: f(x, np.multiply(q, unit), axis=axis, weights=weights, method="inverted_cdf")
            if NUMPY_2_0 and axis in (None, (0, 1)): continue
            same(call(Tensor(x)), call(x))
            np.testing.assert_allclose(jacobian(call)(x), by_differences(call, x), atol=1e-9)
    one_row = lambda x: np.quantile(x, 0.4, axis=1, weights=w[0], method="inverted_cdf")
    same(one_row(Tensor(distinct((3, 5)))), one_row(distinct((3, 5))))


def test_a_weighted_quantile_by_hand():
    "The first number, in order, up to which the weights are at least a share q of all."
    x, w = distinct((3, 5)), np.random.default_rng(2).uniform(0.1, 1, size=(3, 5))
    order = np.argsort(x, axis=None)
    share = np.cumsum(w.ravel()[order]) / w.sum()
    for q in (0.1, 0.3, 0.8):
        place = order[np.argmax(share >= q)]
        G = grad(lambda x: np.quantile(x, q, weights=w, method="inverted_cdf"))(x)
        assert G.ravel()[place] == 1 and np.count_nonzero(G) == 1
        assert np.quantile(Tensor(x), q, weights=w, method="inverted_cdf").item() == x.ravel()[place]


def test_weights_of_a_quantile_are_constants():
    x, w = distinct((4,)), np.array([1.0, 2.0, 1.0, 1.0])
    call = lambda x, w: np.quantile(x, 0.4, weights=w, method="inverted_cdf")
    np.testing.assert_array_equal(grad(call, argnums=1)(x, w), np.zeros(4))
    np.testing.assert_array_equal(grad(call)(x, w), grad(lambda x: call(x, w))(x))
    assert not isinstance(call(x, Tensor(w)), Tensor)


def test_average_returns_its_weights():
    x, w = distinct((3, 4, 2)), distinct((2, 3), seed=3)
    for params in (dict(axis=(2, 0), weights=w), dict(axis=(0, 2), weights=w.T), dict(axis=1, weights=w.ravel()[:4]), dict(weights=x), dict(axis=1), {}, dict(axis=-1, keepdims=True)):
        for got, expected in zip(np.average(Tensor(x), returned=True, **params), np.average(x, returned=True, **params), strict=True): same(got, expected)
        same(np.average(Tensor(x), **params), np.average(x, **params))
    check_grads(lambda x, w: np.average(x, axis=(2, 0), weights=w, returned=True))(x, w)
    check_grads(lambda w: np.average(x, axis=(2, 0), weights=w))(w)
    with pytest.raises(ZeroDivisionError, match="sum to zero"): np.average(Tensor(x), axis=1, weights=[1.0, -1.0, 0.0, 0.0])
    with pytest.raises(TypeError, match="axis= must be given"): np.average(Tensor(x), weights=w)
    with pytest.raises(ValueError, match=r"weights: expected shape \(3, 4, 2\) or \(4,\)"): np.average(Tensor(x), axis=1, weights=w)


# --- covariance -------------------------------------------------------------------------------------------------------

def covariance_by_loops(X, w, freedom):
    "Covariance of rows, a number at a time."
    p, n = X.shape
    means = [sum(w[d] * X[i, d] for d in range(n)) / sum(w) for i in range(p)]
    return np.array([[sum(w[d] * (X[i, d] - means[i]) * np.conj(X[j, d] - means[j]) for d in range(n)) / freedom for j in range(p)] for i in range(p)])


COVARIANCES = [{}, dict(bias=True), dict(ddof=0), dict(ddof=2), dict(fweights=[1, 2, 0, 3, 1]), dict(aweights=np.array([1.0, 0.5, 2.0, 0.1, 1.0])),
               dict(aweights=np.array([1.0, 0.5, 2.0, 0.1, 1.0]), fweights=[1, 2, 0, 3, 1]), dict(aweights=np.array([1.0, 0.5, 2.0, 0.1, 1.0]), ddof=0)]


@pytest.mark.parametrize("params", COVARIANCES)
@pytest.mark.parametrize("dtype", [float, complex])
def test_covariance(params, dtype):
    X = np.random.default_rng(0).normal(size=(3, 5)) + (1j * np.random.default_rng(1).normal(size=(3, 5)) if dtype is complex else 0)
    same(np.cov(Tensor(X), **params), np.cov(X, **params))
    same(np.cov(Tensor(X.T), rowvar=False, **params), np.cov(X, **params))
    same(np.cov(Tensor(X[:2]), Tensor(X[2]), **params), np.cov(X, **params))
    same(np.cov(Tensor(X[0]), **params), np.cov(X[0], **params))
    check_grads(lambda X: np.cov(X, **params), order=2 if dtype is float else 1)(X)
    w = np.asarray(params.get("aweights", 1.0)) * np.asarray(params.get("fweights", np.ones(5)))
    ddof = params.get("ddof", 0 if params.get("bias") else 1)
    freedom = w.sum() - ddof * (w @ (params["aweights"] if "aweights" in params else np.ones(5))) / w.sum()
    np.testing.assert_allclose(np.cov(Tensor(X), **params).value, covariance_by_loops(X, w, freedom), rtol=1e-12, atol=1e-14)


def test_covariance_is_differentiable_in_its_importances():
    X, a = np.random.default_rng(0).normal(size=(2, 5)), np.array([1.0, 0.5, 2.0, 0.1, 1.0])
    for params in ({}, dict(ddof=0), dict(fweights=[1, 2, 0, 3, 1], ddof=2)): check_grads(lambda a: np.cov(X, aweights=a, **params))(a)
    assert abs(grad(lambda a: np.sum(np.cov(X, aweights=a, ddof=0)))(a) @ a) < 1e-12      # all importances times a number: no change


def test_correlation():
    X = np.random.default_rng(0).normal(size=(3, 6))
    same(np.corrcoef(Tensor(X)), np.corrcoef(X))
    same(np.corrcoef(Tensor(X[0]), Tensor(X[1])), np.corrcoef(X[0], X[1]))
    same(np.corrcoef(Tensor(X), rowvar=False), np.corrcoef(X, rowvar=False))
    assert np.corrcoef(Tensor(X[0])).item() == 1
    check_grads(np.corrcoef)(X)
    J = jacobian(np.corrcoef)(X)
    np.testing.assert_allclose(np.einsum("iijk->ijk", J), 0, atol=1e-12)             # every variable with itself: always 1
    np.testing.assert_allclose(J.sum(axis=3), 0, atol=1e-12)                         # a shift of a variable
    np.testing.assert_allclose(np.einsum("ijkd,kd->ijk", J, X), 0, atol=1e-12)       # a change of its scale


def test_a_perfect_correlation_keeps_its_curvature():
    "It is a maximum: flat, and curved downwards, which half a clip would halve."
    x, e = np.array([1.0, 2.0, 4.0]), np.array([0.5, -1.0, 0.7])
    def r(s): return np.corrcoef(x, 2 * x + s * e)[0, 1]
    h = 1e-3
    expected = (np.corrcoef(x, 2*x + h*e)[0, 1] - 2 + np.corrcoef(x, 2*x - h*e)[0, 1]) / h**2
    assert abs(grad(r)(0.0)) < 1e-9 and expected < -0.01
    assert np.isclose(grad(grad(r))(0.0), expected, rtol=1e-4)


# --- running, counting, sets ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["nancumsum", "nancumprod", "nanmax", "nanmin"])
def test_without_nan_against_numpy(name):
    f, x = getattr(np, name), gaps((3, 4))
    for axis in (None, 0, -1):
        same(f(Tensor(x), axis=axis), f(x, axis=axis))
        np.testing.assert_allclose(jacobian(lambda x: f(x, axis=axis))(x), by_differences(lambda x: f(x, axis=axis), x), atol=1e-6)


@pytest.mark.parametrize("f", [np.nanmax, np.nanmin])
def test_initial_and_where(f):
    x, where = gaps((2, 4)), np.array([True, False, True, True])
    for params in (dict(initial=0.5), dict(initial=0.5, axis=0), dict(initial=-9.0, where=where, axis=1), dict(initial=9.0, where=where, keepdims=True)):
        same(f(Tensor(x), **params), f(x, **params))
        np.testing.assert_allclose(jacobian(lambda x: f(x, **params))(x), by_differences(lambda x: f(x, **params), x), atol=1e-9)
    with pytest.raises(ValueError, match="where= needs initial="): f(Tensor(x), where=where)


@pytest.mark.skipif(not hasattr(np, "cumulative_sum"), reason="NumPy has it since 2.1")
def test_cumulative():
    x = distinct((2, 3))
    for name in ("cumulative_sum", "cumulative_prod"):
        f = getattr(np, name)
        for params in (dict(axis=0), dict(axis=-1, include_initial=True), dict(axis=1, include_initial=True)):
            same(f(Tensor(x), **params), f(x, **params))
            check_grads(lambda x: f(x, **params))(x)
        same(f(Tensor(2.0), include_initial=True), f(2.0, include_initial=True))
        with pytest.raises(ValueError, match=f"{name}: axis= must be given for 2 axes"): f(Tensor(x))


HERE = np.array([0.1, 0.4, 0.4, 0.9, 1.0, -3.0, 0.0, np.nan])
W = np.random.default_rng(0).normal(size=8)


@pytest.mark.parametrize("bins, params", [(4, dict(range=(0, 1))), ([0.0, 0.4, 0.5, 1.0], {}), (3, dict(range=(-1, 0.5))), ([0.0, 0.4, 1.0], dict(density=True)), (np.array([0.2, 0.9]), {})])
def test_weighted_histogram(bins, params):
    w = np.abs(W) if params.get("density") else W
    for got, expected in zip(np.histogram(HERE, bins, weights=Tensor(w), **params), np.histogram(HERE, bins, weights=w, **params), strict=True): same(got, expected)
    check_grads(lambda w: np.histogram(HERE, bins, weights=w, **params)[0])(w)


def test_histogram_of_tensors():
    x = distinct((3, 4)) + np.random.default_rng(0).uniform(0, 0.05, (3, 4))
    for bins in (4, "sturges"):
        counts, edges = np.histogram(Tensor(x), bins)
        same(counts, np.histogram(x, bins)[0]), same(edges, np.histogram(x, bins)[1])
        assert not isinstance(counts, Tensor)
        check_grads(lambda x: np.histogram(x, bins)[1])(x)
        check_grads(lambda x: np.histogram(x, bins, density=True)[0])(x)
    assert not any(isinstance(y, Tensor) for y in np.histogram(Tensor(x), 3, range=(0, 1)))
    same(np.histogram_bin_edges(Tensor([2.0, 2.0]), 2), np.histogram_bin_edges([2.0, 2.0], 2))
    counts, edges = np.histogram(x, bins=(b := Tensor([0.3, 0.8, 1.9])), density=True)
    same(counts, np.histogram(x, b.value, density=True)[0])
    assert edges is b


def test_bincount():
    at, w = np.array([0, 3, 3, 1]), np.array([1.0, 2.0, 4.0, 8.0])
    same(np.bincount(at, weights=Tensor(w), minlength=6), np.bincount(at, weights=w, minlength=6))
    same(np.bincount(at, weights=Tensor(w.astype(np.float32))), np.bincount(at, weights=w.astype(np.float32)))
    np.testing.assert_array_equal(gradients(np.bincount(at, weights=(t := Tensor(w))), t, np.array([1.0, 10.0, 100.0, 1000.0])), [1, 1000, 1000, 10])
    with pytest.raises(ValueError, match="same length"): np.bincount(at, weights=Tensor(w[:2]))
    with pytest.raises(TypeError, match=r"positions.*x\.value\.astype\(int\)"): np.bincount(Tensor(w))


@pytest.mark.parametrize("params", [dict(bins=(2, 3)), dict(bins=2, density=True), dict(bins=([0.0, 0.5, 1.0], 2)), dict(bins=2, range=[(0, 1), (0.2, 0.8)])])
def test_histograms_in_several_dimensions(params):
    places = np.random.default_rng(1).uniform(size=(9, 2))
    w = np.random.default_rng(2).uniform(0.5, 1, size=9)
    counts, edges = np.histogramdd(places, weights=Tensor(w), **params)
    expected, expected_edges = np.histogramdd(places, weights=w, **params)
    same(counts, expected)
    for got, e in zip(edges, expected_edges, strict=True): same(got, e)
    check_grads(lambda w: np.histogramdd(places, weights=w, **params)[0])(w)
    for got, e in zip(np.histogram2d(*places.T, weights=Tensor(w), **params), np.histogram2d(*places.T, weights=w, **params), strict=True): same(got, e)
    with pytest.raises(TypeError, match="constant in the sample"): np.histogramdd(Tensor(places))
    with pytest.raises(TypeError, match="constant in the sample"): np.histogram2d(Tensor(places[:, 0]), places[:, 1])


def test_histogram2d_of_shared_edges():
    x, w = np.random.default_rng(1).uniform(size=(2, 9)), np.random.default_rng(2).uniform(size=9)
    same(np.histogram2d(*x, [0.0, 0.2, 0.7, 1.0], weights=Tensor(w))[0], np.histogram2d(*x, [0.0, 0.2, 0.7, 1.0], weights=w)[0])


def test_positions_are_plain():
    t = Tensor([0.3, np.nan, 2.0])
    for y in (np.digitize(t, [0.0, 1.0]), np.nanargmax(t), np.nanargmin(t), np.isin(t, [2.0])): assert not isinstance(y, Tensor)
    assert np.nanargmax(t) == 2


# --- errors -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("call, error, message", [
    (lambda t: np.quantile(t, 1.5), ValueError, r"q must be in the range \[0, 1\]"),
    (lambda t: np.quantile(t, np.nan), ValueError, "q must be in the range"),
    (lambda t: np.percentile(t, -1), ValueError, r"percentile: q must be in the range \[0, 100\], got -1"),
    (lambda t: np.quantile(t, Tensor(2.0)), ValueError, "q must be in the range"),
    (lambda t: np.quantile(t, np.full((1, 1, 1), 0.5)), ValueError, "q must be a number or have one axis, got 3"),
    (lambda t: np.quantile(t, 0.5, method="middle"), ValueError, "method must be one of averaged_inverted_cdf, .*; got 'middle'"),
    (lambda t: np.quantile(t, 0.5, weights=np.ones(3)), ValueError, "only method='inverted_cdf' takes weights, got 'linear'"),
    (lambda t: np.quantile(t, 0.5, weights=-np.ones(3), method="inverted_cdf"), ValueError, "weights must not be negative"),
    (lambda t: np.quantile(t, 0.5, weights=np.ones(2), axis=0, method="inverted_cdf"), ValueError, r"weights: expected shape \(3,\)"),
    (lambda t: np.quantile(t * 1j, 0.5), TypeError, "a must be real, got complex128"),
    (lambda t: np.quantile(t, 0.5, axis=1), np.exceptions.AxisError, "out of bounds"),
    (lambda t: np.median(t, axis=(0, 0)), ValueError, "repeated axis"),
    (lambda t: np.median(t, out=np.zeros(())), TypeError, "np.median of a Tensor: out= writes"),
    (lambda t: np.nanmax(t, out=np.zeros(())), TypeError, "np.nanmax of a Tensor: out= writes"),
    (lambda t: np.nanpercentile(t, 5, out=np.zeros(())), TypeError, "np.nanpercentile of a Tensor: out= writes"),
    (lambda t: np.unique(t), TypeError, "np.unique of a Tensor: how many numbers it returns"),
    (lambda t: np.union1d(t, t), TypeError, "how many numbers it returns"),
    (lambda t: np.cov(np.ones((2, 2, 2)), t), ValueError, "m: expected at most 2 axes, got 3"),
    (lambda t: np.cov(t, ddof=0.5), ValueError, "ddof: expected an integer, got 0.5"),
    (lambda t: np.cov(t, aweights=np.ones(2)), ValueError, r"aweights: expected shape \(3,\), one for each observation; got \(2,\)"),
    (lambda t: np.cov(t, aweights=-np.ones(3)), ValueError, "aweights: expected no negative numbers"),
    (lambda t: np.cov(t, fweights=np.array([1.0, 0.5, 1.0])), TypeError, "fweights: expected whole numbers"),
    (lambda t: np.cov(t, fweights=t), TypeError, "np.cov of a Tensor: fweights= are counts"),
])
def test_errors(call, error, message):
    with pytest.raises(error, match=message): call(Tensor([1.0, 2.0, 3.0]))


# --- lazy arrays ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", [name for name in REDUCTIONS if name not in ("nanmax", "nanmin")])
def test_rows_in_several_pieces_stay_lazy(name):
    f, x = REDUCTIONS[name], gaps((3, 7)) if "nan" in name else distinct((3, 7))
    def forbidden(*args, **kwargs): raise AssertionError("a Dask array was computed")
    with dask.config.set(scheduler=forbidden):
        t = Tensor(da.from_array(x, chunks=(2, 3)))
        y = f(t, axis=1)
        G = gradients(y, t, da.ones(3, chunks=3))
    plain = Tensor(x)
    with dask.config.set(scheduler="synchronous"):
        np.testing.assert_allclose(y.value.compute(), f(x, axis=1), rtol=1e-12)
        np.testing.assert_allclose(G.compute(), gradients(f(plain, axis=1), plain, np.ones(3)), rtol=1e-12)
