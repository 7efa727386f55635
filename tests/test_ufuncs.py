"""Ufuncs beyond the call: methods and keywords against loops and NumPy's own values; edges, results in pairs, and errors."""
import math

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from autodiffnb import Tensor, check_grads, grad, gradients, hessian, jacobian, jvp, topological_order, vjp
from autodiffnb import ufuncs
from autodiffnb.tensor import constants, rules

quick = settings(max_examples=30, deadline=None)
BINARY = [fn for fn in rules if isinstance(fn, np.ufunc) and fn.nin == 2 and fn.signature is None and fn not in (np.ldexp, np.heaviside)
          and getattr(np, fn.__name__, None) is fn]
SMOOTH = [np.add, np.subtract, np.multiply, np.divide, np.power, np.float_power, np.hypot, np.logaddexp, np.logaddexp2, np.arctan2, np.maximum, np.minimum, np.fmax, np.fmin]
SEVERAL_AXES = [np.add, np.multiply, np.hypot, np.logaddexp, np.logaddexp2, np.maximum, np.minimum, np.fmax, np.fmin]
of = pytest.mark.parametrize("fn", BINARY, ids=lambda fn: fn.__name__)
of_smooth = pytest.mark.parametrize("fn", SMOOTH, ids=lambda fn: fn.__name__)


def numbers(*shape, seed=0, dtype=float):
    "Between 0.7 and 1.5, at least 0.01 apart."
    n = math.prod(shape)
    return (0.7 + 0.8 * np.random.default_rng(seed).permutation(np.arange(n) + 0.37) / max(n, 1)).reshape(shape).astype(dtype)


def same(got, expected, rtol=1e-12):
    "Equal in shape, dtype and, nearly, in value."
    got = got.value if isinstance(got, Tensor) else got
    assert np.shape(got) == np.shape(expected) and np.asarray(got).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-300)


def reduced(fn, x, *args, method="reduce", **params):
    """`fn.reduce` of a plain array. On processors with AVX-512, NumPy 2.4's power and arctan2 skip numbers between the first and
    the last; their loops for long doubles do not."""
    if fn not in (np.power, np.arctan2): return getattr(fn, method)(x, *args, **params)
    return getattr(fn, method)(x.astype(np.longdouble), *args, **params).astype(x.dtype)


def loop(fn, x, axis):
    "All results of `fn.accumulate(x, axis)` as a list, by calls of `fn`."
    rows = [x[(slice(None),) * axis + (k,)] for k in range(x.shape[axis])]
    out = rows[:1]
    for row in rows[1:]: out.append(fn(out[-1], row))
    return out


# --- methods --------------------------------------------------------------------------------------------------------

@of
@pytest.mark.parametrize("shape, axis", [((5,), 0), ((3, 4), 0), ((3, 4), -1), ((2, 3, 2), 1), ((1, 2), 0), ((0, 2), 0), ((2, 0), 0)])
def test_accumulate_is_a_loop(fn, shape, axis):
    x = numbers(*shape)
    t, u = Tensor(x), Tensor(x)
    y = fn.accumulate(t, axis=axis)
    same(y, fn.accumulate(x, axis=axis), rtol=1e-10)
    if not x.shape[axis]: return
    g = np.random.default_rng(1).normal(size=y.shape)
    looped = np.stack(loop(fn, u, axis % x.ndim), axis=axis)
    if fn in (np.copysign, np.nextafter): expected = gradients(looped, u, g) if isinstance(looped, Tensor) else np.zeros_like(x)
    else: expected = gradients(looped, u, g)
    np.testing.assert_allclose(gradients(y, t, g), expected, rtol=1e-9, atol=1e-12)


@of
@pytest.mark.parametrize("shape, params", [((5,), {}), ((3, 4), dict(axis=1)), ((3, 4), dict(axis=-2, keepdims=True)), ((2, 3), dict(axis=0, initial=1.25)), ((1, 2), {}), ((2, 0), {})])
def test_reduce_is_numpys(fn, shape, params):
    x = numbers(*shape)
    t = Tensor(x)
    y = fn.reduce(t, **params)
    same(y, reduced(fn, x, **params), rtol=1e-10)
    check_grads(lambda t: fn.reduce(t, **params), order=1 if fn in (np.fmod, np.remainder) else 2)(x)


@pytest.mark.parametrize("fn", SEVERAL_AXES, ids=lambda fn: fn.__name__)
@pytest.mark.parametrize("params", [dict(axis=None), dict(axis=(0, 2)), dict(axis=(2, 0), keepdims=True), dict(axis=()), dict(axis=None, keepdims=True), dict(axis=(-1, 1), initial=0.9)])
def test_reduce_over_several_axes(fn, params):
    x = numbers(2, 3, 2)
    same(fn.reduce(Tensor(x), **params), fn.reduce(x, **params), rtol=1e-12)
    check_grads(lambda t: fn.reduce(t, **params))(x)


@of_smooth
@pytest.mark.parametrize("mask", [np.array([True, False, True, True]), np.array([[True], [False], [False]]), False], ids=str)
def test_reduce_where(fn, mask):
    if fn is np.arctan2: pytest.skip("no number leaves arctan2 as it is")
    x = numbers(3, 4)
    params = dict(axis=1, where=mask, initial=1.1)
    same(fn.reduce(Tensor(x), **params), reduced(fn, x, **params), rtol=1e-12)
    check_grads(lambda t: fn.reduce(t, **params))(x)
    if fn.identity is not None: same(fn.reduce(Tensor(x), axis=1, where=mask), fn.reduce(x, axis=1, where=mask))


@of_smooth
def test_initial_may_be_a_tensor(fn):
    x = numbers(3, 2)
    check_grads(lambda t, start: fn.reduce(t, initial=start))(x, np.array(1.2))


@of
@pytest.mark.parametrize("starts", [[0], [0, 2], [0, 2, 3], [1, 3, 2, 2, 4], [4, 0], [0, 1, 2, 3, 4], []], ids=str)
@pytest.mark.parametrize("axis", [0, -1])
def test_reduceat_is_numpys(fn, starts, axis):
    x, starts = numbers(5, 5), np.array(starts, int)
    t = Tensor(x)
    y = fn.reduceat(t, starts, axis=axis)
    same(y, reduced(fn, x, starts, method="reduceat", axis=axis), rtol=1e-10)
    g = np.random.default_rng(1).normal(size=y.shape)
    expected, u = np.zeros_like(x), Tensor(np.moveaxis(x, axis, 0))
    for i, start in enumerate(starts):
        stop = starts[i + 1] if i + 1 < len(starts) else 5
        piece = u[start:max(stop, start + 1)]
        expected += np.moveaxis(gradients(loop(fn, piece, 0)[-1], u, np.moveaxis(g, axis, 0)[i]), 0, axis)
    np.testing.assert_allclose(gradients(y, t, g), expected, rtol=1e-9, atol=1e-12)


@quick
@given(x=hnp.arrays(float, st.integers(1, 12), elements=st.sampled_from([-1.0, 0.0, 1.0, 2.0, np.nan])), fn=st.sampled_from([np.maximum, np.minimum, np.fmax, np.fmin]))
def test_a_running_extreme_shares_as_the_extreme_of_what_came_so_far(x, fn):
    y = fn.accumulate(t := Tensor(x))
    np.testing.assert_array_equal(y.value, fn.accumulate(x))
    for k in range(len(x)):
        got = gradients(y, t, np.eye(len(x))[k])
        winners = (x[:k + 1] == y.value[k]) | (np.isnan(x[:k + 1]) & np.isnan(y.value[k]))
        np.testing.assert_allclose(got, np.append(winners / winners.sum(), np.zeros(len(x) - k - 1)), atol=1e-12)


@of
@pytest.mark.parametrize("left, right", [((2,), (3,)), ((), (3,)), ((2, 2), ()), ((0,), (2,)), ((2, 1), (1, 2))], ids=str)
def test_outer_is_numpys(fn, left, right):
    a, b = numbers(*left), numbers(*right, seed=1) + 0.005
    same(fn.outer(Tensor(a), b), fn.outer(a, b), rtol=1e-12)
    same(fn.outer(a, Tensor(b)), fn.outer(a, b), rtol=1e-12)
    check_grads(fn.outer, order=1)(a, b)


def test_outer_takes_lists_and_keywords_and_several_results():
    t = Tensor([1.5, 2.5])
    same(np.multiply.outer([1, 2], t), np.multiply.outer([1, 2], t.value))
    same(np.multiply.outer(t, [1, 2], dtype=np.float32), np.multiply.outer(t.value, [1, 2], dtype=np.float32))
    for got, expected in zip(np.divmod.outer(t, [1.0, 2.0]), np.divmod.outer(t.value, [1.0, 2.0])): same(got, expected)


def test_methods_of_what_has_no_derivative_give_plain_arrays():
    t = Tensor([1.0, 0.0, 2.0])
    for got, expected in ((np.logical_or.reduce(t), True), (np.less.outer(t, t), np.less.outer(t.value, t.value)), (np.logical_and.accumulate(t), [True, False, False]),
                          (np.floor_divide.reduceat(t, [0, 1]), np.floor_divide.reduceat(t.value, [0, 1])), (np.less(t, 1, dtype=object), [False, True, False])):
        assert not isinstance(got, Tensor)
        np.testing.assert_array_equal(got, expected)


def test_one_number_alone():
    "NumPy starts a reduction from the identity: of hypot one number comes out as its size, of a running hypot as it is."
    x = np.array([-3.0])
    t = Tensor(x)
    for call in (np.hypot.reduce, np.hypot.accumulate, lambda v: np.hypot.reduceat(v, [0]), np.logaddexp.reduce, np.subtract.reduce): same(call(t), call(x))
    assert gradients(np.hypot.reduce(t), t)[0] == -1 and gradients(np.hypot.reduceat(t, [0]), t, [1.0])[0] == 1


@pytest.mark.parametrize("x, expected", [([-np.inf], [1]), ([-np.inf] * 4, [.25] * 4), ([np.inf, 3, np.inf], [.5, 0, .5]), ([-np.inf, 3, 3], [0, .5, .5]), ([1e4, -1e4], [1, 0])], ids=str)
@pytest.mark.parametrize("fn", [np.logaddexp, np.logaddexp2], ids=lambda fn: fn.__name__)
@pytest.mark.filterwarnings("error")
def test_infinite_logarithms_share(fn, x, expected):
    g = gradients(fn.reduce(t := Tensor(np.array(x, float))), t, create_graph=True)
    np.testing.assert_allclose(g.value, expected, atol=1e-12)
    assert np.isfinite(gradients(g.sum(), t)).all()


@pytest.mark.parametrize("fn", [np.logaddexp, np.logaddexp2, np.hypot, np.fmax, np.fmin], ids=lambda fn: fn.__name__)
def test_a_fold_and_a_scan_say_the_same(fn):
    x, g = np.random.default_rng(0).normal(size=(7, 3)), np.random.default_rng(1).normal(size=3)
    t = Tensor(x)
    np.testing.assert_allclose(gradients(fn.reduce(t), t, g), gradients(fn.accumulate(t)[-1], t, g), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(hessian(fn.reduce)(x[:, 0]), hessian(lambda x: fn.accumulate(x)[-1])(x[:, 0]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fn, value", [(np.logaddexp, -np.inf), (np.hypot, 0.0), (np.add, 0.0), (np.multiply, 1.0)])
def test_empty_reductions_have_the_identity(fn, value):
    same(fn.reduce(Tensor(np.zeros((0, 2)))), np.full(2, value))
    assert gradients(fn.reduce(t := Tensor(np.zeros((0, 2)))), t, np.ones(2)).shape == (0, 2)


@pytest.mark.parametrize("call", [lambda t: np.add.reduce(t), lambda t: np.hypot.reduce(t), lambda t: np.hypot.reduce(t, axis=0), lambda t: np.logaddexp.reduce(t, axis=None)])
def test_a_number_without_axes(call):
    for x in (np.array(-2.0), 2.0): np.testing.assert_allclose(call(Tensor(x)).value, call(np.array(x)))


def test_long_scans_are_flat():
    "One node, a hundred thousand steps, and a way back of a few dozen array calls."
    x = np.random.default_rng(0).normal(size=100_000)
    y = np.logaddexp.accumulate(t := Tensor(x))[-1]
    assert len(topological_order(y)) == 3
    total = gradients(y, t)
    np.testing.assert_allclose(total, np.exp(x - np.logaddexp.reduce(x)), rtol=1e-9)


def test_jacobian_and_hessian_of_a_scan():
    x = numbers(4)
    J = jacobian(np.hypot.accumulate)(x)
    y = np.hypot.accumulate(x)
    np.testing.assert_allclose(J, np.tril(x / y[:, None]), rtol=1e-12)
    H = hessian(np.hypot.reduce)(x)
    np.testing.assert_allclose(H, (np.eye(4) - np.outer(x, x) / y[-1]**2) / y[-1], atol=1e-12)
    p = np.exp(x - np.logaddexp.reduce(x))
    np.testing.assert_allclose(hessian(np.logaddexp.reduce)(x), np.diag(p) - np.outer(p, p), atol=1e-12)


@of_smooth
def test_tangents_are_the_jacobians(fn):
    x, v = numbers(5), np.random.default_rng(2).normal(size=5)
    for f in (fn.accumulate, fn.reduce, lambda x: fn.reduceat(x, [0, 3]), lambda x: np.ldexp(*np.frexp(np.modf(fn.accumulate(x))[0]))):
        np.testing.assert_allclose(jvp(f, (x,), (v,))[1], jacobian(f)(x) @ v, rtol=1e-9, atol=1e-12)
    loss = lambda x: np.sum(fn.accumulate(x) ** 2) + fn.reduce(x) ** 2
    np.testing.assert_allclose(jvp(grad(loss), (x,), (v,))[1], hessian(loss)(x) @ v, rtol=1e-8, atol=1e-10)
    Z, V = numbers(3, 4), np.random.default_rng(3).normal(size=(3, 4))
    for axis in (0, 1): np.testing.assert_allclose(jvp(lambda x: fn.accumulate(x, axis=axis), (Z,), (V,))[1], np.tensordot(jacobian(lambda x: fn.accumulate(x, axis=axis))(Z), V, 2), rtol=1e-9, atol=1e-12)


@of_smooth
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_methods_keep_dtypes(fn, dtype):
    x = numbers(4, 2, dtype=dtype)
    for call in (fn.reduce, fn.accumulate, lambda v: fn.reduceat(v, [0, 2]), lambda v: fn.outer(v, v[0]), lambda v: fn.reduce(v, where=v > 1, initial=1) if fn in ufuncs.neutral else v,
                 lambda v: fn.reduce(v, dtype=np.float64), lambda v: fn.accumulate(v, dtype=np.float64), lambda v: fn.reduceat(v, [1], dtype=np.float64)):
        y, t = call(x), Tensor(x)
        assert call(t).dtype == y.dtype and gradients(call(t), t, np.ones(y.shape)).dtype == dtype


@pytest.mark.parametrize("fn", [np.add, np.subtract, np.multiply, np.divide, np.power])
def test_complex_scans(fn):
    z = numbers(4, 2) + 0.3j * numbers(4, 2, seed=1)
    check_grads(lambda z: fn.accumulate(z))(z)
    check_grads(lambda z: fn.reduce(z, axis=1))(z)
    same(fn.reduce(Tensor(z)), fn.reduce(z))


# --- keywords ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", [np.float32, np.float64, "f4", np.longdouble, np.complex128])
def test_dtype_of_a_call(dtype):
    x = numbers(3)
    for call in (lambda v: np.exp(v, dtype=dtype), lambda v: np.add(v, np.arange(3), dtype=dtype), lambda v: np.multiply(2, v, dtype=dtype), lambda v: np.divide(v, v, dtype=dtype, casting="same_kind")):
        t = Tensor(x)
        same(call(t), call(x), rtol=1e-6)
        g = gradients(call(t), t, np.ones(3))
        assert g.dtype == x.dtype
    assert np.exp(Tensor(1.0), dtype=np.float32).dtype == np.float32
    assert np.matmul(Tensor(np.eye(2)), np.eye(2), dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("params", [dict(casting="same_kind"), dict(order="F"), dict(subok=False), dict(casting="unsafe", order="C"), dict(where=True), dict(where=np.True_), dict(signature="d->d"), dict(sig="d->d")], ids=str)
def test_keywords_that_change_no_number(params):
    x = numbers(2, 3)
    t = Tensor(x)
    same(np.exp(t, **params), np.exp(x))
    same(gradients(np.exp(t, **params), t, np.ones((2, 3))), np.exp(x))
    x32 = np.ones(3, np.float32)
    assert np.exp(Tensor(x32), casting="safe").dtype == np.float32 and (np.add(Tensor(x32), 2.0, casting="safe")).dtype == np.float32


def test_keywords_of_constants_and_entries():
    t = Tensor([1.5, -2.5])
    assert type(np.sign(t, casting="same_kind")) is np.ndarray and type(np.floor(t, dtype=np.float64)) is np.ndarray
    same(np.modf(t, casting="same_kind")[0], np.array([0.5, -0.5]))
    same(np.divmod(t, 2, dtype=np.float32)[1], np.divmod(t.value, 2, dtype=np.float32)[1])


@pytest.mark.skipif(not hasattr(np, "vecdot"), reason="this NumPy has no vecdot")
@pytest.mark.parametrize("fn, left, right, params", [
    ("vecdot", (3, 2), (3, 2), dict(axis=0)), ("vecdot", (3, 2), (3, 2), dict(keepdims=True)), ("vecdot", (2, 3, 2), (3, 2), dict(axis=-2, keepdims=True)), ("vecdot", (3, 2), (2, 3), dict(axes=[0, 1, ()])),
    ("vecdot", (3, 2), (2, 3), dict(axes=[0, 1])), ("matmul", (2, 4, 3), (4, 3, 2), dict(axes=[(0, 2), (1, 2), (0, 1)])), ("matmul", (3, 2, 4), (3, 4, 2), dict(axes=[(1, 2), (-2, -1), (-1, -2)])),
    ("matmul", (3,), (3,), dict(axes=[0, 0, ()])), ("matvec", (3, 2), (3,), dict(axes=[(1, 0), 0, 0])), ("vecmat", (3,), (2, 3), dict(axes=[0, (1, 0), 0]))], ids=str)
def test_axes_of_products(fn, left, right, params):
    if not hasattr(np, fn): pytest.skip(f"this NumPy has no {fn}")
    fn, a, b = getattr(np, fn), numbers(*left), numbers(*right, seed=1)
    same(fn(Tensor(a), Tensor(b), **params), fn(a, b, **params))
    check_grads(lambda a, b: fn(a, b, **params))(a, b)


# --- errors -----------------------------------------------------------------------------------------------------------

t, M = Tensor([1.0, 2.0, 3.0]), Tensor(np.ones((2, 3)))
REFUSED = {
    "where": (lambda: np.exp(t, where=[True, False, True]), TypeError, r"np\.exp of a Tensor: where= .*uninitialised.*np\.where\(condition, np\.exp\(np\.where\(condition, t, 1\)\), 0\)"),
    "where and dtype": (lambda: np.add(t, 1, dtype=np.float32, where=[True, False, True]), TypeError, r"where=.*np\.where"),
    "where False": (lambda: np.exp(t, where=False), TypeError, "uninitialised"),
    "out": (lambda: np.exp(t, out=np.zeros(3)), TypeError, r"np\.exp of a Tensor: out=.*write into an array"), "out Tensor": (lambda: np.add(t.value, 1, out=t), TypeError, "out="),
    "out of reduce": (lambda: np.add.reduce(M, out=np.zeros(3)), TypeError, "out="), "out of accumulate": (lambda: np.hypot.accumulate(t, out=np.zeros(3)), TypeError, "out="),
    "at add": (lambda: np.add.at(np.zeros(3), [0], t), TypeError, r"at\(x\)\[i\]\.add\(v\)"), "at max": (lambda: np.maximum.at(t, [0], 1.0), TypeError, r"at\(x\)\[i\]\.max\(v\)"),
    "at hypot": (lambda: np.hypot.at(t, [0], 1.0), TypeError, r"at\(x\)\[i\]\.set\(np\.hypot\(x\[i\], v\)\)"), "at exp": (lambda: np.exp.at(t, [0]), TypeError, r"at\(x\)\[i\]\.set\(np\.exp\(x\[i\]\)\)"),
    "at less": (lambda: np.logical_or.at(np.zeros(3, bool), [0], t), TypeError, r"\.at writes"),
    "dtype": (lambda: np.add(t, 1, dtype=int, casting="unsafe"), TypeError, "dtype=int64 has no derivative"), "cast": (lambda: np.add(t, 1, dtype=int), TypeError, "[Cc]ast"),
    "cast no": (lambda: np.exp(t, dtype=np.float32, casting="no"), TypeError, "[Cc]ast"), "reduce dtype": (lambda: np.add.reduce(t, dtype=int), TypeError, "dtype=int64 has no derivative"),
    "axis": (lambda: np.hypot.reduce(t, axis=1), np.exceptions.AxisError, "axis 1 is out of bounds"), "axis of scan": (lambda: np.hypot.accumulate(t, axis=1), np.exceptions.AxisError, "axis 1"),
    "axis of pieces": (lambda: np.add.reduceat(t, [0], axis=1), np.exceptions.AxisError, "axis 1"), "twice": (lambda: np.hypot.reduce(M, axis=(0, 0)), ValueError, "duplicate|repeated"),
    "order matters": (lambda: np.subtract.reduce(M, axis=(0, 1)), ValueError, "not reorderable"), "nothing": (lambda: np.fmax.reduce(t[:0]), ValueError, "no identity"),
    "nothing of all": (lambda: np.maximum.reduce(M[:0]), ValueError, "no identity"), "None": (lambda: np.add.reduce(t[:0], initial=None), ValueError, "no identity"),
    "mask without start": (lambda: np.fmax.reduce(t, where=[True, False, True]), ValueError, "initial"), "mask": (lambda: np.arctan2.reduce(t, where=[True, False, True], initial=1.0), TypeError, "where="),
    "unary": (lambda: np.exp.reduce(t), ValueError, "binary"), "unary outer": (lambda: np.exp.outer(t, t), ValueError, "binary"), "gufunc": (lambda: np.matmul.reduce(M), (TypeError, RuntimeError, ValueError), "signature"),
    "scan of a number": (lambda: np.add.accumulate(Tensor(1.0)), TypeError, "scalar"), "start": (lambda: np.add.reduceat(t, [0, 3]), IndexError, "out-of-bounds"), "negative": (lambda: np.add.reduceat(t, [-1]), IndexError, "out-of-bounds"),
    "positions": (lambda: np.add.reduceat(t.value, t), TypeError, r"t\.value"), "axes": (lambda: np.matmul(M, M, axes=[0, 1]), (ValueError, TypeError, np.exceptions.AxisError), "axes"),
    "unknown": (lambda: np.exp(t, colour=1), TypeError, "colour"), "no rule": (lambda: np.frompyfunc(lambda a, b: a, 2, 1).reduce(t), TypeError, "has no rule"), "no rule, keyword": (lambda: np.bitwise_or(t, 1, dtype=int), TypeError, "integers"),
    "gcd": (lambda: np.gcd(t, 2), TypeError, r"np\.gcd of a Tensor: it is for integers.*t\.value\.astype\(int\)"), "isnat": (lambda: np.isnat(t), TypeError, "dates"), "gcd.reduce": (lambda: np.gcd.reduce(t), TypeError, "integers"),
    "floor": (lambda: math.floor(M), (TypeError, ValueError), "size 1|length-1|only"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore:'where' used without:UserWarning")
def test_errors_say_what_and_why(name):
    call, kind, message = REFUSED[name]
    with pytest.raises(kind, match=message): call()


def test_nothing_is_written_by_a_refused_call():
    target = np.zeros(3)
    for call in (lambda: np.exp(t, out=target), lambda: np.add.at(target, [0], t), lambda: np.add.reduce(M, out=target)):
        with pytest.raises(TypeError): call()
    np.testing.assert_array_equal(target, 0)


# --- edges ------------------------------------------------------------------------------------------------------------

def derivatives(f, *at):
    "First and second derivatives of `f` at the given numbers, by argument."
    args = tuple(map(float, at))
    first = grad(f, tuple(range(len(args))))(*args)
    return [float(v) for v in first], [[float(w) for w in grad(lambda *a, i=i: grad(f, tuple(range(len(args))))(*a)[i], tuple(range(len(args))))(*args)] for i in range(len(args))]


@pytest.mark.parametrize("f, at, first", [
    (np.hypot, (0, 0), [0, 0]), (np.arctan2, (0, 0), [0, 0]), (np.cbrt, (0,), [0]), (np.fabs, (0,), [0]), (np.absolute, (0,), [0]), (np.copysign, (0, -2), [0, 0]), (np.copysign, (3, 0.0), [1, 0]), (np.copysign, (3, -0.0), [-1, 0]),
    (np.logaddexp, (-np.inf, -np.inf), [.5, .5]), (np.logaddexp, (np.inf, np.inf), [.5, .5]), (np.logaddexp, (np.inf, 1), [1, 0]), (np.logaddexp, (-np.inf, 1), [0, 1]), (np.logaddexp, (np.inf, -np.inf), [1, 0]),
    (np.logaddexp2, (-np.inf, -np.inf), [.5, .5]), (np.logaddexp2, (1, np.inf), [0, 1]), (np.logaddexp, (1e4, -1e4), [1, 0]), (np.power, (0, 0), [0, 0]), (np.power, (0, 2), [0, 0]), (np.float_power, (0, 0), [0, 0]), (np.float_power, (0, 3), [0, 0]),
    (np.arctan, (1e200,), [0]), (np.arcsinh, (1e200,), [1e-200]), (np.hypot, (1e200, 1e200), [2**-.5] * 2), (np.arctan2, (3e-200, 4e-200), [1.6e199, -1.2e199]), (np.fmax, (np.nan, 1), [0, 1]), (np.fmin, (1, np.nan), [1, 0]),
    (np.fmax, (np.nan, np.nan), [.5, .5]), (np.fmax, (2, 2), [.5, .5]), (np.fmod, (-7, 3), [1, 2]), (np.fmod, (7, -3), [1, 2]), (np.fmod, (1, np.inf), [1, 0]), (np.heaviside, (0, 0.5), [0, 1]), (np.heaviside, (1, 0.5), [0, 0]),
    (np.ldexp, (3,), [8]), (np.deg2rad, (np.inf,), [np.pi / 180]), (lambda x: np.modf(x)[0], (np.inf,), [1]), (lambda x: np.frexp(x)[0], (0,), [1])],
    ids=lambda v: getattr(v, "__name__", str(v)))
@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
@pytest.mark.filterwarnings("error")
def test_edges_are_finite_and_as_documented(f, at, first):
    g = (lambda x: np.ldexp(x, 3)) if f is np.ldexp else f
    got, second = derivatives(g, *at)
    np.testing.assert_allclose(got, first, rtol=1e-12)
    assert np.isfinite(second).all() or max(map(abs, got)) > 1e100


@pytest.mark.parametrize("f, at", [(np.arcsin, 1.0), (np.arcsin, -1.0), (np.arctanh, 1.0), (np.arccosh, 1.0)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_ends_of_domains_are_steep(f, at):
    (first,), ((second,),) = derivatives(f, at)
    assert first == np.inf and not np.isfinite(second)


def test_complex_absolute_and_sign_at_zero():
    z = Tensor(np.array([0j, 3 + 4j]))
    for f in (np.absolute, lambda z: np.real(np.sign(z)), lambda z: np.imag(np.sign(z))):
        g = gradients(f(z), z, np.ones(2), create_graph=True)
        assert g.value[0] == 0 and np.isfinite(g.value).all()
        second = gradients(np.real(g), z, np.ones(2))
        assert second[0] == 0 and np.isfinite(second).all()


def test_the_sign_of_a_real_number_is_a_plain_array():
    assert type(np.sign(Tensor([1.0, -2.0]))) is np.ndarray and np.sign(Tensor(2.0)) == 1.0
    same(np.sign(Tensor([3 + 4j, 0])), np.array([0.6 + 0.8j, 0]))


@pytest.mark.parametrize("f", [np.arcsin, np.arccos, np.arctan, np.arcsinh, np.arccosh, np.arctanh, np.tan, np.log2, np.log10, np.exp2], ids=lambda f: f.__name__)
def test_complex_branches(f):
    "In all four quadrants, inside and outside of the unit circle, and beside the cuts."
    z = np.array([r * np.exp(1j * phi) for r in (0.5, 2.0) for phi in np.arange(0.3, 6.3, 0.6)])
    check_grads(f)(z)
    for side in (1e-3j, -1e-3j): check_grads(f)(np.array([-2.0, -0.5, 0.5, 2.0]) + side)


@pytest.mark.parametrize("f", [np.arcsin, np.arccos, np.arctanh, np.arccosh, np.sqrt, np.log, np.log2, np.log1p, np.arcsinh, np.arctan], ids=lambda f: f.__name__)
def test_both_sides_of_a_cut(f):
    "On a cut the derivative is that of its own side, which the sign of zero tells; NumPy's own values beside it say which that is."
    along = np.array([complex(x, zero) for x in (-3.0, -1.25, 1.25, 3.0) for zero in (0.0, -0.0)])
    across = np.array([complex(zero, x) for x in (-3.0, 3.0) for zero in (0.0, -0.0)])
    for z, step in ((along, lambda z, h: np.array([complex(w.real + h, w.imag) for w in z])), (across, lambda z, h: np.array([complex(w.real, w.imag + h) for w in z]))):
        one = 1 if z is along else 1j
        for g in (f, lambda z: vjp(f, z)[1](np.ones_like(z))[0]):    # the function, and its derivative
            expected = (g(step(z, 1e-6)) - g(step(z, -1e-6))) / (2e-6 * one)
            np.testing.assert_allclose(vjp(g, z)[1](np.ones_like(z))[0], expected, rtol=1e-7)


@pytest.mark.parametrize("f, x, exact", [(np.arcsin, 1 - 2.0**-40, (2.0**-40 * (2 - 2.0**-40)) ** -0.5), (np.arctanh, 1 - 2.0**-40, 1 / (2.0**-40 * (2 - 2.0**-40))),
                                         (np.arccosh, 1 + 2.0**-40, (2.0**-40 * (2 + 2.0**-40)) ** -0.5), (np.arcsinh, 1e150, 1e-150), (np.cbrt, 1e-300, 1e200 / 3)])
def test_digits_are_kept_near_the_edges(f, x, exact): assert abs(grad(f)(x) / exact - 1) < 3e-13


@quick
@given(a=st.floats(-1e3, 1e3), b=st.floats(-1e3, 1e3))
def test_the_shares_of_a_logaddexp_sum_to_one(a, b):
    for f in (np.logaddexp, np.logaddexp2):
        first = grad(f, (0, 1))(a, b)
        assert abs(sum(first) - 1) < 1e-12 and min(first) >= 0


@quick
@given(x=st.floats(-1e300, 1e300), b=st.floats(0.01, 1e3) | st.floats(-1e3, -0.01))
def test_what_two_results_say_is_numpys(x, b):
    for f in (np.modf, np.frexp, lambda v: np.divmod(v, b)):
        for got, expected in zip(f(Tensor(x)), f(x)): same(got, expected)
    q, r = divmod(Tensor(x), b)
    assert (q, r.item()) == divmod(np.float64(x), b) and not isinstance(q, Tensor)


@pytest.mark.parametrize("x", [np.inf, -np.inf, np.nan, -0.0, 0.0, 3.0, -3.0, 5e-324, 1.7e308])
def test_parts_of_special_numbers(x):
    x = np.array(x)
    for f in (np.modf, np.frexp):
        got, expected = f(Tensor(x)), f(x)
        for a, b in zip(got, expected):
            a = a.value if isinstance(a, Tensor) else a
            np.testing.assert_array_equal(a, b)
            assert np.signbit(a) == np.signbit(b)


def test_python_protocols():
    t = Tensor(7.5)
    q, r = divmod(t, 2)
    assert q == 3 and gradients(r, t) == 1
    q, r = divmod(20.0, t)
    assert q == 2 and gradients(r, t) == -2
    q, r = divmod(np.array([20.0, 8.0]), t)
    assert q.tolist() == [2, 1] and gradients(r, t, np.ones(2)) == -3
    assert round(t) == 8 and type(round(t)) is int and round(Tensor(2.718), 2) == 2.72 and math.floor(t) == 7 and math.ceil(t) == 8 and math.trunc(t) == 7 and type(math.floor(t)) is int
    assert round(Tensor([1.26, 2.0]), 1).tolist() == [1.3, 2.0]


def test_frexp_and_ldexp_undo_each_other():
    x = numbers(5)
    same(jacobian(lambda x: np.ldexp(*np.frexp(x)))(x), np.eye(5))


def test_nextafter_passes_on():
    a = Tensor(np.array([1.0, 2.0]))
    same(gradients(np.nextafter(a, np.inf), a, np.ones(2)), np.ones(2))
    assert type(np.spacing(a)) is np.ndarray


def test_numeric_ufuncs_are_all_classified():
    "Whatever takes floating-point numbers has a rule or an entry, or has no derivative."
    from autodiffnb.tensor import entries
    from numpy.testing.overrides import get_overridable_numpy_ufuncs
    floating = {fn for fn in get_overridable_numpy_ufuncs() if getattr(np, fn.__name__, None) is fn and any("d" in kinds.split("->")[0] for kinds in fn.types)}
    assert len(floating) > 70
    assert {fn for fn in floating if not (fn in rules or fn in entries or fn in constants)} == set()
