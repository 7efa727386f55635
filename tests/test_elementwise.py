"""Elementwise functions: values and derivatives at every pair of shapes, and at the points where a formula would say nan."""
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from autodiffnb import Tensor, check_grads, gradients

UNARY = {  # the derivative by hand, and where it is defined
    "negative": (lambda x: -np.ones_like(x), "all"), "positive": (np.ones_like, "all"), "exp": (np.exp, "all"), "expm1": (np.exp, "all"), "log": (lambda x: 1 / x, "positive"),
    "log1p": (lambda x: 1 / (1 + x), "positive"), "sin": (np.cos, "all"), "cos": (lambda x: -np.sin(x), "all"), "tanh": (lambda x: 1 / np.cosh(x) ** 2, "all"),
    "square": (lambda x: 2 * x, "all"), "sqrt": (lambda x: 0.5 / np.sqrt(x), "positive"), "reciprocal": (lambda x: -1 / x**2, "positive"), "absolute": (np.sign, "all"),
    "conjugate": (np.ones_like, "all"), "real": (np.ones_like, "all"),
}
BINARY = {
    "add": (lambda a, b: 1 + 0 * a * b, lambda a, b: 1 + 0 * a * b), "subtract": (lambda a, b: 1 + 0 * a * b, lambda a, b: -1 + 0 * a * b), "multiply": (lambda a, b: b + 0 * a, lambda a, b: a + 0 * b),
    "divide": (lambda a, b: 1 / b + 0 * a, lambda a, b: -a / b**2), "power": (lambda a, b: b * a ** (b - 1), lambda a, b: a**b * np.log(a)),
    "maximum": (lambda a, b: np.where(a > b, 1.0, 0.0), lambda a, b: np.where(b > a, 1.0, 0.0)), "minimum": (lambda a, b: np.where(a < b, 1.0, 0.0), lambda a, b: np.where(b < a, 1.0, 0.0)),
}
quick = settings(max_examples=20, deadline=None)


def distinct(shapes, low, high, seed):
    "Arrays of these shapes whose numbers all differ by enough for differences to meet no corner."
    sizes = [int(np.prod(s)) for s in shapes]
    numbers = np.random.default_rng(seed).permutation(low + (high - low) * (np.arange(sum(sizes)) + 0.37) / max(sum(sizes), 1))
    return [part.reshape(s) for part, s in zip(np.split(numbers, np.cumsum(sizes)[:-1]), shapes)]


def unbroadcast(g, shape):
    "The sum over repeats, by counting them: each place of the argument collects from where it was copied to."
    places = np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), g.shape)
    return np.bincount(places.ravel(), weights=g.ravel(), minlength=int(np.prod(shape))).reshape(shape) if g.size or np.prod(shape) else np.zeros(shape)


@pytest.mark.parametrize("name", UNARY)
@quick
@given(shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3), seed=st.integers(0, 99))
def test_one_argument(name, shape, seed):
    f, (derivative, domain) = getattr(np, name), UNARY[name]
    (x,) = distinct([shape], 0.3 if domain == "positive" else -2, 2, seed)
    g = np.random.default_rng(seed).standard_normal(shape)
    t = Tensor(x)
    y = f(t)
    np.testing.assert_array_equal(y.value, f(x))
    np.testing.assert_allclose(gradients(y, t, g), g * derivative(x), rtol=1e-12, atol=1e-14)
    check_grads(f, order=2)(x)


@pytest.mark.parametrize("name", BINARY)
@quick
@given(shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0), seed=st.integers(0, 99))
def test_two_arguments_of_shapes_that_broadcast(name, shapes, seed):
    f = getattr(np, name)
    a, b = distinct(shapes.input_shapes, 0.3, 2, seed)
    g = np.random.default_rng(seed).standard_normal(shapes.result_shape)
    s, t = Tensor(a), Tensor(b)
    y = f(s, t)
    np.testing.assert_array_equal(y.value, f(a, b))
    for got, x, derivative in zip(gradients(y, [s, t], g), (a, b), BINARY[name]):
        assert got.shape == x.shape
        np.testing.assert_allclose(got, unbroadcast(np.asarray(g * derivative(a, b)), x.shape), rtol=1e-11, atol=1e-12)
    check_grads(f, order=2)(a, b)


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("constant", [2, 1.5, np.float32(1.5), np.int64(2), np.array([1.0, 2.0, 3.0], np.float32)], ids=["int", "float", "float32", "int64", "ndarray"])
def test_one_side_constant(name, constant):
    f = getattr(np, name)
    for x in (np.array([0.5, 1.25, 2.5]), np.array([0.5, 1.25, 2.5], np.float32)):
        for call in (lambda t: f(t, constant), lambda t: f(constant, t)):
            assert gradients(call(Tensor(x)), (t := Tensor(x)), np.ones(3)).shape == t.shape
            check_grads(call, order=2)(x)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_ties_share_the_derivative(name):
    f = getattr(np, name)
    a, b = Tensor([1.0, 2.0, 3.0]), Tensor([1.0, 3.0, 2.0])
    ga, gb = gradients(f(a, b), [a, b], np.ones(3))
    np.testing.assert_array_equal(ga + gb, 1)
    assert ga[0] == gb[0] == 0.5
    relu = Tensor(np.array([-1.0, 0.0, 1.0]))
    np.testing.assert_array_equal(gradients(np.maximum(relu, 0), relu, np.ones(3)), [0, 0.5, 1])
    both = Tensor([1.0, -2.0])
    np.testing.assert_array_equal(gradients(f(both, both), both, np.ones(2)), [1, 1])


POWERS = [(0.0, 0), (0.0, 1), (0.0, 2), (0.0, 3), (0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (-1.5, 2), (-1.5, 3), (-1.5, 0), (-1.5, -2), (-1.5, 1.0), (2.0, 0), (2.0, -1), (2.0, 0.5)]


@pytest.mark.parametrize("a, b", POWERS)
@pytest.mark.parametrize("kind", [float, np.float64, lambda v: np.array([v])], ids=["float", "float64", "array"])
def test_powers_at_zero_and_of_negative_numbers(a, b, kind):
    expected = [a**b, *(b * a ** (b - 1) if b else 0.0,), *(b * (b - 1) * a ** (b - 2) if b not in (0, 1) else 0.0,)]
    x = Tensor(kind(a))
    y = x**b
    first = gradients(y if y.shape == () else y.sum(), x, create_graph=True)
    second = gradients(first if first.shape == () else first.sum(), x)
    for got, value in zip((y.value, first.value, second), expected): np.testing.assert_allclose(np.ravel(got), value, rtol=1e-12)


def test_exponents():
    with np.errstate(all="raise"):
        b = Tensor([1.0, 2.0, 0.5])
        np.testing.assert_array_equal(gradients((np.zeros(3) ** b).sum(), b), 0)          # 0^b is 0 for every b > 0
        np.testing.assert_allclose(gradients((2.0 ** b).sum(), b), np.log(2) * 2**b.value)
        np.testing.assert_allclose(gradients((2 ** b).sum(), b), np.log(2) * 2**b.value)


@pytest.mark.parametrize("exponent", [True, False, np.bool_(True), np.bool_(False), np.array([True, False]), np.array([2, 0]), np.array([2, 0], np.uint8), np.array([-1, 3], np.int8)])
def test_exponents_of_every_dtype(exponent):
    x = Tensor([1.5, -2.5])
    plain = np.asarray(exponent).astype(float)
    np.testing.assert_allclose(gradients((x**exponent).sum(), x), plain * x.value ** (plain - 1), rtol=1e-12)


def test_square_root_and_absolute_value_at_zero():
    x = Tensor([0.0, 4.0])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(gradients(np.sqrt(x).sum(), x), [0, 0.25])
        np.testing.assert_array_equal(gradients(abs(x).sum(), x), [0, 1])
        z = Tensor(np.array([0, 3 + 4j]))
        np.testing.assert_allclose(gradients(abs(z).sum(), z), [0, 0.6 - 0.8j])
        norm = lambda v: np.sqrt((v * v).sum())
        zero = Tensor(np.zeros(3))
        np.testing.assert_array_equal(gradients(norm(zero), zero), 0)


def test_large_arguments_stay_finite_where_the_derivative_is():
    x = Tensor(np.array([-1e4, 1e4]))
    np.testing.assert_array_equal(gradients(np.tanh(x).sum(), x), 0)
    np.testing.assert_array_equal(gradients(np.log1p(Tensor([1e300])), (t := Tensor([1e300])), np.ones(1)), 0)
    assert gradients(np.log1p(t), t, np.ones(1)) == 1e-300


@pytest.mark.parametrize("f", [np.exp, np.sin, np.tanh, np.square, np.sqrt, np.log, np.reciprocal, lambda z: z * z / (1 + z), lambda z: z ** 3, lambda z: z ** (0.5 + 1j), abs, np.conjugate,
                               lambda z: np.real(z) * np.imag(z), lambda z: z.real + 1j * z.imag])
def test_complex(f): check_grads(f, order=2)(np.array([0.5 + 1j, -1.2 + 0.4j, 2.0 - 0.3j]))


def test_real_beside_complex():
    check_grads(lambda x, z: np.real(x * z) + np.imag(z / x), order=2)(np.array([0.5, 1.5]), np.array([1 + 1j, 2 - 1j]))
    x = Tensor(np.array([0.5, 1.5], np.float32))
    assert gradients((x * (1 + 2j)).sum(), x).dtype == np.float32


def test_adjoint_of_broadcasting_by_the_defining_equation():
    "The sum of g times what x is repeated to is the sum of x times its adjoint, for integers exactly."
    rng = np.random.default_rng(0)
    for shape in ((), (1,), (4,), (3, 1), (1, 4), (3, 4), (2, 1, 1), (1, 1, 1, 4)):
        x, other = rng.integers(-9, 9, shape).astype(float), np.zeros((2, 3, 4))
        t = Tensor(x)
        y = t + other
        g = rng.integers(-9, 9, y.shape).astype(float)
        assert (g * (x + other)).sum() == (gradients(y, t, g) * x).sum()
