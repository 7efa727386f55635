"""Fourier transforms: every length, axis and normalisation against the transform's own matrix, and what is refused."""
import inspect
import itertools
import warnings

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import autodiffnb
from autodiffnb import Tensor, check_grads, gradients, hessian, topological_order
from autodiffnb.tensor import entries

ONE = [np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft, np.fft.hfft, np.fft.ihfft]
MANY = [np.fft.fft2, np.fft.ifft2, np.fft.rfft2, np.fft.irfft2, np.fft.fftn, np.fft.ifftn, np.fft.rfftn, np.fft.irfftn]
REAL = {np.fft.rfft, np.fft.rfft2, np.fft.rfftn, np.fft.ihfft}
NORMS = [None, "backward", "ortho", "forward"]
name = lambda fn: fn.__name__


def numbers(shape, fn, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + (0 if fn in REAL else 1j * rng.standard_normal(shape))


def adjoint(y, seed=1):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(y.shape) + (1j * rng.standard_normal(y.shape) if np.iscomplexobj(y) else 0)


def by_columns(call, x, g):
    "The adjoint of `x`, from what the linear map `call` makes of each unit, real and imaginary: u_x - i u_y."
    total = np.zeros(x.shape, x.dtype)
    for i in np.ndindex(x.shape):
        for unit in (1, 1j) if np.iscomplexobj(x) else (1,):
            e = np.zeros(x.shape, x.dtype)
            e[i] = unit
            moved = np.sum(g * call(e)).real
            total[i] += moved if unit == 1 else -1j * moved
    return total


def agree(call, x):
    "Does the sweep find the adjoint that the columns of the map give, in the shape and dtype of `x`?"
    t = Tensor(x)
    y = call(t)
    np.testing.assert_array_equal(y.value, call(x))
    g = adjoint(y.value)
    got = gradients(y, t, g)
    assert got.shape == x.shape and got.dtype == x.dtype
    np.testing.assert_allclose(got, by_columns(call, x, g), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fn", ONE, ids=name)
@pytest.mark.parametrize("norm", NORMS)
def test_one_axis_at_every_length(fn, norm):
    for shape, axis in [((5,), -1), ((4,), 0), ((3, 4), 0), ((2, 5), 1), ((2, 3, 2), -2)]:
        for n in [None, 1, 2, 3, 4, 5, 6, 9]: agree(lambda x: fn(x, n, axis, norm), numbers(shape, fn))


@pytest.mark.parametrize("fn", MANY, ids=name)
@pytest.mark.parametrize("norm", NORMS)
def test_several_axes_at_every_length(fn, norm):
    for shape, axes in [((3, 4), (0, 1)), ((3, 4), (1, 0)), ((2, 3, 4), (0, 2)), ((2, 3, 4), (-1, -3)), ((2, 3), (0,)), ((2, 2, 3), (2, 0, 1))]:
        for s in [None, (2,) * len(axes), (5, 1, 4)[:len(axes)], (-1,) * len(axes), (3,) * (len(axes) - 1) + (-1,)]:
            if fn in (np.fft.irfft2, np.fft.irfftn) and s is None and shape[axes[-1]] == 1: continue
            agree(lambda x: fn(x, s, axes, norm), numbers(shape, fn))


@pytest.mark.parametrize("fn", MANY, ids=name)
def test_default_axes(fn):
    agree(fn, numbers((2, 3, 2), fn))


@pytest.mark.parametrize("fn", [np.fft.fftn, np.fft.ifftn], ids=name)
def test_the_same_axis_twice_is_done_twice_in_numpys_order(fn):
    for axes, s in [((0, 0), None), ((1, 0, 1), (4, 2, 3)), ((0, 0), (2, 5)), ((0, 0, 1), (5, 2, 4))]: agree(lambda x: fn(x, s, axes), numbers((4, 3), fn))


@pytest.mark.parametrize("fn", [np.fft.rfftn, np.fft.irfftn, np.fft.rfft2], ids=name)
def test_the_same_axis_twice_is_refused_where_numpys_versions_differ(fn):
    with pytest.raises(TypeError, match=rf"np\.fft\.{fn.__name__} of a Tensor: an axis comes twice in \(0, 1, 0\)"): fn(Tensor(np.ones((4, 3))), axes=(0, 1, -2))


@pytest.mark.parametrize("fn", [np.fft.fftn, np.fft.ifftn, np.fft.rfftn, np.fft.irfftn], ids=name)
def test_lengths_without_axes_mean_the_last_ones_and_are_deprecated(fn):
    x = numbers((2, 3, 4), fn)
    with pytest.warns(DeprecationWarning): y = fn(Tensor(x), s=(2, 5))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(y.value, fn(x, s=(2, 5)))
        agree(lambda x: fn(x, s=(2, 5)), x)


@pytest.mark.parametrize("fn", [np.fft.fftshift, np.fft.ifftshift], ids=name)
@pytest.mark.parametrize("axes", [None, 0, -1, (0, 1), [1], (2, 0)])
def test_shifts(fn, axes): agree(lambda x: fn(x, axes), numbers((3, 4, 5), fn))


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_shape_axes_and_lengths(data):
    fn = data.draw(st.sampled_from(MANY))
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=4))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, max_size=3, unique=fn not in (np.fft.fft2, np.fft.ifft2, np.fft.fftn, np.fft.ifftn)))
    s = data.draw(st.none() | st.tuples(*[st.integers(1, 5) for _ in axes]))
    agree(lambda x: fn(x, s, [k - len(shape) * (k % 2) for k in axes], "ortho"), numbers(shape, fn))


@pytest.mark.parametrize("fn", [*ONE, *MANY], ids=name)
def test_a_real_array_may_go_in_anywhere_and_keeps_a_real_adjoint(fn): agree(fn, numbers((3, 4), np.fft.rfft))


@pytest.mark.parametrize("fn", [*ONE, *MANY], ids=name)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.complex64])
def test_precision_stays(fn, dtype):
    if fn in REAL and dtype == np.complex64: return
    x = np.arange(12).reshape(3, 4).astype(dtype)
    for create_graph in (False, True):
        t = Tensor(x)
        y = fn(t)
        assert y.dtype == fn(x).dtype
        g = gradients(y, t, np.ones(y.shape, y.dtype), create_graph=create_graph)
        assert g.dtype == dtype and g.shape == x.shape


def test_signatures_are_numpys():
    for fn in [*ONE, *MANY, np.fft.fftshift, np.fft.ifftshift]:
        ours = [(p.name, p.default) for p in inspect.signature(entries[fn]).parameters.values() if p.name != "fn"]
        assert ours == [(p.name, p.default) for p in inspect.signature(fn).parameters.values()], fn


def raised(f, *args, **kwargs):
    with pytest.raises((ValueError, TypeError, IndexError)) as caught: f(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize("call", [
    lambda x: np.fft.fft(x[:0]), lambda x: np.fft.fft(x, 0), lambda x: np.fft.fft(x, -1), lambda x: np.fft.rfft(x, n=-3), lambda x: np.fft.irfft(x[:1]), lambda x: np.fft.hfft(x[:1]),
    lambda x: np.fft.fftn(x, (3, 3), (0,)), lambda x: np.fft.fft(x, axis=1), lambda x: np.fft.fftn(x, axes=(0, 5)), lambda x: np.fft.fft2(x), lambda x: np.fft.fft(x[0]),
    lambda x: np.fft.fft(x, norm="unitary"), lambda x: np.fft.hfft(x, norm="unitary"), lambda x: np.fft.ihfft(x, norm="unitary"), lambda x: np.fft.rfft(x * 1j), lambda x: np.fft.rfftn(x, axes=()),
    lambda x: np.fft.fftn(x, axes=0), lambda x: np.fft.fft(x, 2.5), lambda x: np.fft.fft(x, axis=None)])
def test_what_numpy_refuses_is_refused(call):
    x = np.arange(4.0)
    theirs, ours = raised(call, x), raised(call, Tensor(x))
    assert isinstance(ours, (ValueError, IndexError) if isinstance(theirs, (ValueError, IndexError)) else TypeError)


@pytest.mark.parametrize("fn", [*ONE, *MANY], ids=name)
def test_out_is_refused_by_name(fn):
    with pytest.raises(TypeError, match=rf"np\.fft\.{fn.__name__} of a Tensor: out="): fn(Tensor(np.ones((2, 2))), out=np.zeros((2, 2), complex))


def test_a_tensor_has_no_business_among_the_settings():
    n = Tensor(4.0)
    for call in (lambda: np.fft.fft(np.ones(4), n), lambda: np.fft.fft(Tensor(np.ones(4)), n), lambda: np.fft.fft2(np.ones((2, 2)), (n, n)), lambda: np.fft.fftn(Tensor(np.ones(4)), axes=(n,))):
        raised(call)


def test_one_call_is_one_node():
    "Also over several axes: what is in between need not be kept."
    x = Tensor(np.ones((4, 4)))
    for fn in MANY: assert len(topological_order(fn(x))) == 2


def test_linear_so_the_second_derivative_is_that_of_what_comes_after():
    x = np.random.default_rng(0).standard_normal(5)
    np.testing.assert_allclose(hessian(lambda x: np.sum(np.abs(np.fft.fft(x)) ** 2))(x), 10 * np.eye(5), atol=1e-9)
    F = np.fft.rfft(np.eye(5), axis=0)
    power = np.abs(F @ x) ** 2
    H = hessian(lambda x: np.sum(np.log(np.abs(np.fft.rfft(x)) ** 2)))(x)
    slope = 2 * np.real(np.conj(F @ x)[:, None] * F)
    np.testing.assert_allclose(H, sum(2 * np.real(np.outer(f.conj(), f)) / p - np.outer(s, s) / p**2 for f, p, s in zip(F, power, slope)), atol=1e-9)


def test_to_any_order():
    def f(x): return np.sum(np.tanh(np.fft.irfft(np.fft.rfft(x, 6) ** 2, 5, norm="ortho")))
    check_grads(f, order=4, modes=["vjp"])(np.array([0.3, -0.2, 0.5]))


def test_convolution_by_multiplication_has_the_gradients_of_convolution():
    rng = np.random.default_rng(0)
    a, b, g = rng.standard_normal(5), rng.standard_normal(4), rng.standard_normal(8)
    ta, tb = Tensor(a), Tensor(b)
    y = np.fft.irfft(np.fft.rfft(ta, 8) * np.fft.rfft(tb, 8), 8)
    np.testing.assert_allclose(y.value, np.convolve(a, b), atol=1e-12)
    ga, gb = gradients(y, [ta, tb], g)
    np.testing.assert_allclose(ga, np.correlate(g, b, "valid"), atol=1e-12)
    np.testing.assert_allclose(gb, np.correlate(g, a, "valid"), atol=1e-12)


def test_infinite_adjoints_stay_infinite():
    x = Tensor(np.ones(4))
    with np.errstate(invalid="ignore"): got = gradients(np.fft.fftshift(x), x, np.array([np.inf, 1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(got, [2.0, 3.0, np.inf, 1.0])


def test_shifted_frequencies_are_constants():
    assert type(np.fft.fftshift(np.fft.fftfreq(4))) is np.ndarray
