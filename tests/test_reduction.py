"""Reductions: every axis, keyword and dtype, against NumPy's values and against differences of first and second order."""
import dask.array as da
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import autodiffnb.shaping  # reductions are recorded in terms of shaping
from autodiffnb import Tensor, gradients, hessian
from autodiffnb.check import check_grads
from autodiffnb.reduction import kept_shape, number_reduced

EVERYWHERE = dict(sum=np.sum, mean=np.mean, prod=np.prod, max=np.max, min=np.min, amax=np.amax, amin=np.amin, ptp=np.ptp, var=np.var, std=np.std,
                  average=np.average, nansum=np.nansum, nanprod=np.nanprod, nanmean=np.nanmean, nanvar=np.nanvar, nanstd=np.nanstd)
MASKED = {name: EVERYWHERE[name] for name in ("sum", "mean", "prod", "max", "min", "var", "std")}
RUNNING = dict(cumsum=np.cumsum, cumprod=np.cumprod)
ORDERED = ("max", "min", "amax", "amin", "ptp")

shapes = hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)
shapes_with_zero = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3)
quick = settings(max_examples=25, deadline=None)


def axes_of(ndim):
    "None, an int of either sign, or a tuple of some axes"
    if ndim == 0: return st.none()
    one = st.integers(-ndim, ndim - 1)
    some = st.lists(one, unique_by=lambda n: n % ndim, max_size=ndim).map(tuple)
    return st.none() | one | one.map(np.int64) | some


def distinct(shape, dtype=float, seed=0):
    "Numbers at least 0.1 apart and away from zero, in random order, so that differences meet no ties"
    n = int(np.prod(shape))
    return np.random.default_rng(seed).permutation(0.3 + 0.15 * np.arange(n)).reshape(shape).astype(dtype)


def same(got, expected):
    "Equal in shape, dtype and, nearly, in value"
    got = got.value if isinstance(got, Tensor) else got
    assert np.shape(got) == np.shape(expected)
    assert np.asarray(got).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(got, expected, rtol=1e-5 if np.asarray(expected).dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("name", EVERYWHERE)
@quick
@given(data=st.data())
def test_axes_and_keepdims(name, data):
    f, x = EVERYWHERE[name], distinct(data.draw(shapes))
    params = dict(axis=data.draw(axes_of(x.ndim)), keepdims=data.draw(st.booleans()))
    if name in ("std", "nanstd") and number_reduced(x.shape, params["axis"]) < 3: return   # a corner, and a straight line
    same(f(Tensor(x), **params), f(x, **params))
    check_grads(lambda t: f(t, **params), order=2)(x)


@pytest.mark.parametrize("name", RUNNING)
@quick
@given(data=st.data())
def test_running(name, data):
    f, x = RUNNING[name], distinct(data.draw(hnp.array_shapes(min_dims=0, max_dims=3, max_side=5)))
    axis = data.draw(st.none() | st.integers(-x.ndim, x.ndim - 1) if x.ndim else st.none())
    same(f(Tensor(x), axis), f(x, axis))
    check_grads(lambda t: f(t, axis), order=2)(x)


@pytest.mark.parametrize("name", MASKED)
@quick
@given(data=st.data())
def test_where(name, data):
    f, x = MASKED[name], distinct(data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=3, max_side=4)))
    mask = data.draw(hnp.arrays(bool, data.draw(st.sampled_from([x.shape, x.shape[-1:]]))))
    mask[..., :3] = True    # standard deviations of less are a corner, or a straight line
    params = dict(axis=data.draw(st.none() | st.just(-1)), keepdims=data.draw(st.booleans()), where=mask)
    if name in ORDERED: params["initial"] = {"max": -9.0, "min": 9e9}[name]
    same(f(Tensor(x), **params), f(x, **params))
    check_grads(lambda t: f(t, **params), order=2)(x)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("initial", [0.0, 1.0, 2.05])
def test_initial_is_one_more_number(name, initial):
    f, x = EVERYWHERE[name], distinct((2, 3)) + 0.01
    same(f(Tensor(x), axis=0, initial=initial), f(x, axis=0, initial=initial))
    check_grads(lambda t, i: f(t, axis=0, initial=i), order=2)(x, initial)


@pytest.mark.parametrize("name", ["max", "min"])
def test_initial_of_an_empty_extreme(name):
    f, x = EVERYWHERE[name], np.zeros((2, 0))
    same(f(Tensor(x), axis=1, initial=3.0), f(x, axis=1, initial=3.0))
    assert gradients(f(Tensor(x), axis=1, initial=(i := Tensor(3.0))), i, np.ones(2)) == 2.0


@pytest.mark.parametrize("name", [n for n in EVERYWHERE if n not in (*ORDERED, "average")])   # an average of none divides by zero
@quick
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")
def test_no_numbers(name, data):
    f, x = EVERYWHERE[name], np.zeros(data.draw(shapes_with_zero))
    axis = data.draw(axes_of(x.ndim))
    t = Tensor(x)
    y = f(t, axis=axis)
    same(y, f(x, axis=axis))
    grad = gradients(y, t, np.ones(y.shape))
    assert grad.shape == x.shape and grad.dtype == x.dtype


@pytest.mark.parametrize("name", {**EVERYWHERE, **RUNNING})
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.longdouble])
def test_the_dtype_stays(name, dtype):
    f, x = {**EVERYWHERE, **RUNNING}[name], distinct((2, 3), dtype)
    t = Tensor(x)
    for axis in (0, 1):
        y = f(t, axis=axis)
        d = gradients(y, t, np.ones(y.shape, dtype), create_graph=True)
        assert (y.dtype, d.dtype, gradients(d.sum(), t).dtype) == (dtype, dtype, dtype)
    if name in MASKED and name not in ORDERED: assert f(t, axis=0, where=x > 0).dtype == dtype


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "cumsum", "cumprod", "var", "std", "nansum"])
def test_dtype_argument(name):
    f, x = {**EVERYWHERE, **RUNNING}[name], distinct((2, 3), np.float32)
    t = Tensor(x)
    y = f(t, axis=0, dtype=np.float64)
    same(y, f(x, axis=0, dtype=np.float64))
    assert gradients(y, t, np.ones(y.shape)).dtype == np.float32


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "var", "std", "cumsum", "cumprod", "average"])
def test_complex(name):
    f, rng = {**EVERYWHERE, **RUNNING}[name], np.random.default_rng(1)
    x = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))
    same(f(Tensor(x), axis=1), f(x, axis=1))
    check_grads(lambda t: f(t, axis=1), order=1)(x)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min"])
def test_a_python_number(name):
    t = Tensor(3.0)
    y = EVERYWHERE[name](t * t)
    assert y.item() == 9 and gradients(y, t) == 6


@pytest.mark.parametrize("f", [np.max, np.min])
def test_ties_share(f):
    t = Tensor([2.0, 2.0, 2.0, 5.0 if f is np.min else -5.0])
    np.testing.assert_allclose(gradients(f(t), t), [1/3, 1/3, 1/3, 0])


@pytest.mark.parametrize("f", [np.max, np.min])
def test_a_nan_is_what_was_chosen(f):
    t = Tensor([1.0, np.nan, np.nan])
    np.testing.assert_array_equal(gradients(f(t), t), [0, 0.5, 0.5])


@pytest.mark.parametrize("zeros", [[], [0], [2], [3], [0, 3], [1, 2], [0, 1, 3]])
@pytest.mark.parametrize("f", [np.prod, np.cumprod])
def test_products_with_zeros(f, zeros):
    x = distinct((4, 2))
    x[zeros, 0] = 0
    check_grads(lambda t: f(t, axis=0), order=2)(x)
    check_grads(f, order=2)(x)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 9, 31])
def test_running_product_of_any_length(n):
    x, g = distinct((n,)) / 2, np.random.default_rng(n).normal(size=n)
    t = Tensor(x)
    by_definition = [sum(g[k] * np.prod(np.delete(x[:k + 1], d)) for k in range(d, n)) for d in range(n)]
    np.testing.assert_allclose(gradients(np.cumprod(t), t, g), by_definition, rtol=1e-10)


@pytest.mark.parametrize("f", [np.var, np.std])
def test_variance_with_settings(f):
    x, mask = distinct((3, 4)), np.array([True, True, False, True])
    for params in (dict(ddof=1), dict(correction=1), dict(axis=1, ddof=0.5), dict(axis=(0, 1), ddof=2, keepdims=True),
                   dict(axis=1, mean=np.ones((3, 1))), dict(axis=1, ddof=1, where=mask)):
        same(f(Tensor(x), **params), f(x, **params))
        check_grads(lambda t: f(t, **params), order=2)(x)
    check_grads(lambda t, m: f(t, axis=1, mean=m), order=2)(x, np.ones((3, 1)))


def test_standard_deviation_of_equal_numbers():
    t = Tensor(np.full((2, 3), 0.5))
    np.testing.assert_array_equal(gradients(np.std(t, axis=1).sum(), t), np.zeros((2, 3)))
    np.testing.assert_array_equal(hessian(np.std)(np.zeros(3)), np.zeros((3, 3)))


@pytest.mark.parametrize("params", [dict(), dict(axis=1), dict(axis=-1, keepdims=True), dict(axis=(0, 1))])
def test_average_with_weights(params):
    x, w = distinct((2, 3)), distinct((2, 3), seed=1)
    same(np.average(Tensor(x), weights=w, **params), np.average(x, weights=w, **params))
    check_grads(lambda t, u: np.average(t, weights=u, **params), order=2)(x, w)
    if params.get("axis") in (1, -1): check_grads(lambda t, u: np.average(t, weights=u, **params), order=2)(x, w[0])


def test_nan_left_out():
    x = np.array([[1.0, np.nan, 3.0], [2.0, 5.0, np.nan]])
    for f in (np.nansum, np.nanmean, np.nanprod, np.nanvar, np.nanstd):
        t = Tensor(x)
        same(f(t, axis=1), f(x, axis=1))
        grad = gradients(f(t, axis=1).sum(), t)
        assert np.isfinite(grad).all() and (grad[np.isnan(x)] == 0).all()


@quick
@given(data=st.data())
def test_where_chooses(data):
    condition_shape, a_shape, b_shape = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3)).input_shapes
    condition = data.draw(hnp.arrays(bool, condition_shape))
    a, b = distinct(a_shape), distinct(b_shape, seed=1)
    same(np.where(condition, Tensor(a), Tensor(b)), np.where(condition, a, b))
    check_grads(lambda a, b: np.where(condition, a * b, b), order=2)(a, b)


def test_where_is_finite_beside_a_nan():
    a, b = Tensor([1.0, np.nan]), Tensor([np.inf, 2.0])
    ga, gb = gradients(np.where([True, False], a, b), [a, b], np.ones(2))
    np.testing.assert_array_equal(ga, [1, 0])
    np.testing.assert_array_equal(gb, [0, 1])


@quick
@given(data=st.data())
def test_broadcast_to(data):
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=1, base_shape=data.draw(hnp.array_shapes(max_dims=3, max_side=3, min_side=0))))
    x = distinct(shapes.input_shapes[0])
    same(np.broadcast_to(Tensor(x), shapes.result_shape), np.broadcast_to(x, shapes.result_shape))
    check_grads(lambda t: np.broadcast_to(t * t, shapes.result_shape), order=2)(x)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [6, -1, (6,), (3, -1), [2, 3, 1], (np.int64(1), 6)])
def test_reshape(shape, order):
    x = distinct((2, 3))
    same(np.reshape(Tensor(x), shape, order=order), np.reshape(x, shape, order=order))
    check_grads(lambda t: np.reshape(t * t, shape, order=order), order=2)(x)
    check_grads(lambda t: np.reshape(t * t, shape, order=order) * 2.0, order=2)(np.asfortranarray(x))


def test_reshape_as_a_method():
    t = Tensor(distinct((2, 3)))
    for shape in [(3, 2), (-1,), ((3, 2),), ([6],), (1, 6)]: same(t.reshape(*shape), t.value.reshape(*shape))
    assert Tensor([[2.0]]).reshape(()).shape == Tensor([[2.0]]).reshape().shape == ()


def test_astype():
    t = Tensor(np.array([1.5, 2.5], np.float32))
    y = t.astype(np.float64)
    assert y.dtype == np.float64 and gradients(y.sum(), t).dtype == np.float32
    assert isinstance(t.astype(int), np.ndarray) and t.astype("float32") is t
    check_grads(lambda x: (x * x).astype(complex) * (1 + 2j), order=2)(np.array([1.0, 2.0]))
    check_grads(lambda x: (x * x).astype(np.float64), order=2)(3.0)


@pytest.mark.parametrize("call, word", [
    (lambda t: np.sum(t, out=np.zeros(())), "out="), (lambda t: np.max(t, out=np.zeros(())), "out="), (lambda t: np.cumsum(t, out=np.zeros(6)), "out="),
    (lambda t: np.reshape(t, -1, order="A"), "order="), (lambda t: np.ptp(t, out=np.zeros(())), "out="),
    (lambda t: np.sum(t, colour=1), "colour"), (lambda t: np.var(t, out=np.zeros(())), "out="), (lambda t: np.cumsum(t, initial=1), "initial"),
])
def test_unsupported_keywords_are_named(call, word):
    with pytest.raises(TypeError, match=word): call(Tensor(distinct((2, 3))))


@pytest.mark.parametrize("call", [lambda t: np.sum(t, axis=2), lambda t: np.prod(t, axis=(0, 5)), lambda t: np.max(t, axis=-3), lambda t: np.cumprod(t, 2)])
def test_axes_that_are_not_there(call):
    with pytest.raises(np.exceptions.AxisError): call(Tensor(distinct((2, 3))))


def test_errors_of_value():
    t = Tensor(np.zeros((2, 0)))
    with pytest.raises(ValueError): np.max(t, axis=1)
    with pytest.raises(ValueError, match="initial="): np.max(Tensor([1.0]), where=[True])
    with pytest.raises(ValueError): np.sum(Tensor([1.0, 2.0]), where=np.ones((3, 2), bool))
    with pytest.raises(ValueError): Tensor([1.0, 2.0]).reshape(3)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var", "std", "prod", "cumsum", "cumprod"])
@pytest.mark.parametrize("axis", [0, 1])
def test_dask_stays_lazy(name, axis):
    f, x = {**EVERYWHERE, **RUNNING}[name], distinct((4, 6))
    t, host = Tensor(da.from_array(x, chunks=(2, 3))), Tensor(x)
    y = f(t, axis=axis)
    grad, expected = gradients((y * y).sum(), t), gradients((f(host, axis=axis)**2).sum(), host)
    assert isinstance(grad, da.Array)
    np.testing.assert_allclose(grad.compute(), expected, atol=1e-15)    # sums of blocks differ in the last bits


def test_kept_shape_is_what_numpy_keeps():
    for axis in (None, 0, -1, (0, 2), (), np.int64(1)):
        assert kept_shape((2, 3, 4), axis) == np.zeros((2, 3, 4)).sum(axis=axis, keepdims=True).shape
        assert number_reduced((2, 3, 4), axis) == np.ones((2, 3, 4)).sum(axis=axis).max()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("f", [np.mean, np.max, np.min, lambda x: np.mean(x, where=np.ones(70_000, bool))])
def test_float16_has_adjoints_beyond_the_largest_count_it_holds(f, create_graph):
    t = Tensor(np.ones(70_000, np.float16))
    y, grad = f(t), gradients(f(t), t, create_graph=create_graph)
    assert y.value == 1 and y.dtype == grad.dtype == np.float16
    np.testing.assert_allclose(np.asarray(getattr(grad, "value", grad), float), 1 / 70_000, rtol=0.01)


def test_no_degrees_of_freedom_are_as_in_numpy():
    t = Tensor([2.0])
    with np.errstate(invalid="ignore"), pytest.warns(RuntimeWarning): y = np.var(t, ddof=1)
    with np.errstate(invalid="ignore"): assert np.isnan(y.value) and np.isnan(gradients(y, t)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
@pytest.mark.parametrize("initial", [np.float64(0.3), np.array(0.7), np.int64(2), 0.25, True])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "nansum", "nanprod", "nanmax", "nanmin"])
def test_initial_does_not_widen_the_result(name, initial, dtype):
    "A first number has the dtype of the others, as NumPy has it; one that NumPy refuses is refused by name."
    f, x = getattr(np, name), np.array([[0.5, -1.25, 2.0], [0.125, 3.0, -0.75]]).astype(dtype)
    if np.iscomplexobj(x) and name.endswith(("max", "min")): return
    for params in (dict(), dict(axis=1), dict(axis=0, where=[True, False, True])):
        got, expected = f(Tensor(x), initial=initial, **params), f(x, initial=initial, **params)
        assert got.dtype == expected.dtype
        np.testing.assert_allclose(got.value, expected, rtol=8 * np.finfo(dtype).eps)
    with pytest.raises(ValueError, match=r"initial: expected a number, got shape \(2,\)"): f(Tensor(x), initial=np.ones(2))
    if not np.iscomplexobj(x):
        with pytest.raises(TypeError, match="initial: expected a real number"): f(Tensor(x), initial=2j)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "nanprod", "cumsum", "cumprod", "nancumsum", "nancumprod"])
@pytest.mark.parametrize("axis", [0, -1])
def test_a_number_has_an_axis_too(name, axis):
    "NumPy takes axis 0 and axis -1 of an array without axes, and no other."
    f = getattr(np, name)
    same(f(Tensor(np.array(1.5)), axis=axis), f(np.array(1.5), axis=axis))
    check_grads(lambda x: f(x, axis=axis) * x)(np.array(1.5))
    with pytest.raises((ValueError, IndexError), match="axis 1"): f(Tensor(np.array(1.5)), axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("number", [0.1, 0.3, 1 / 3, 1e5 + 0.1])
def test_the_deviation_of_equal_numbers_has_no_slope(number, dtype):
    "Even where the mean of equal numbers is another number in its last digit, so that NumPy's deviation is not quite zero."
    for n in range(2, 12):
        x = np.full((n, 2), number, dtype)
        for f in (np.std, lambda x: np.sum(np.std(x, axis=0)), lambda x: np.std(x, ddof=1), np.nanstd):
            assert np.abs(gradients(f(t := Tensor(x)), t)).max() <= 8 * np.finfo(dtype).eps


def test_no_initial_is_the_default():
    for f in (np.sum, np.prod): same(f(Tensor(np.arange(3.0)), initial=None), f(np.arange(3.0), initial=None))


@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmean", "nanvar", "nanstd"])
def test_where_beside_nan(name):
    "What is nan and what a mask leaves out are left out together."
    f, x = getattr(np, name), np.array([[0.5, np.nan, 2.0, 1.5], [0.125, 3.0, np.nan, -0.75]])
    for params in (dict(where=[True, True, False, True]), dict(axis=1, where=np.array([[True], [True]]), keepdims=True), dict(axis=0, where=True)):
        same(f(Tensor(x), **params), f(x, **params))
    mask = np.array([True, True, False, True])
    check_grads(lambda t: f(np.where(np.isnan(x), np.nan, t), axis=1, where=mask))(np.nan_to_num(x))
    if name in ("nansum", "nanprod"): same(f(Tensor(x), None, None, None, False, 0.5, mask), f(x, None, None, None, False, 0.5, mask))


@pytest.mark.parametrize("name", ["var", "std", "nanvar", "nanstd"])
def test_ddof_of_numpy_does_not_widen_the_result(name):
    f, x = getattr(np, name), np.array([0.5, 1.5, 4.0], np.float32)
    same(f(Tensor(x), ddof=np.int64(1)), f(x, ddof=np.int64(1)))
    for dtype, a in ((complex, x), (float, x + 1j)):
        with pytest.raises(TypeError, match="not whether they are complex"): f(Tensor(a), dtype=dtype)
