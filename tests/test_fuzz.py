"""Programs drawn at random from NumPy's calls: their derivatives against differences, in both directions and to the second order, and compiled against the tape."""
import numpy as np
import pytest

from autodiffnb import Tensor, check_grads, compile, value_and_grad

ONE = [    # calls of one array, tame on all of the line
    np.sin, np.cos, np.tanh, np.arctan, np.arcsinh, np.square, np.sinc, np.negative, lambda x: np.exp(-np.abs(x)), lambda x: np.sqrt(1 + x**2), lambda x: np.log1p(x * x), lambda x: 1 / (2 + np.sin(x)),
    lambda x: 2 ** np.tanh(x), lambda x: (1 + x**2) ** 0.7, lambda x: np.arcsin(0.9 * np.tanh(x)), lambda x: np.clip(x, -0.61, 0.93), lambda x: np.where(x > 0.1, x, 0.5 * x * x), lambda x: np.nan_to_num(np.cbrt(3 + x)),
    np.sum, np.mean, np.std, np.max, np.median, lambda x: np.sum(x, axis=0), lambda x: np.mean(x, axis=-1, keepdims=True), lambda x: np.prod(x, axis=0), lambda x: np.min(x, axis=(0, -1)), lambda x: np.var(x, axis=-1, ddof=1),
    lambda x: np.cumsum(x, axis=0), lambda x: np.cumprod(x, axis=-1), lambda x: np.quantile(x, 0.3, axis=-1), lambda x: np.ptp(x, axis=0), lambda x: np.sum(x, axis=-1, where=np.arange(x.shape[-1]) != 1, initial=0.3),
    lambda x: x.T, lambda x: x[::-1], lambda x: x[0], lambda x: x[..., :1], lambda x: x[[0, -1, 0]], lambda x: np.reshape(x, -1), lambda x: np.expand_dims(x, 1), lambda x: np.pad(x, 1), lambda x: np.pad(x, 1, "reflect"),
    lambda x: np.roll(x, 1), lambda x: np.repeat(x, 2, axis=0), lambda x: np.tile(x, 2), np.triu, lambda x: np.sort(x, axis=-1), np.diff, lambda x: np.diagonal(x), lambda x: np.flip(x, -1), lambda x: np.take(x, [5, 0], mode="wrap"),
    lambda x: np.gradient(x, axis=0), lambda x: np.trapezoid(x, dx=0.5), lambda x: np.linalg.norm(x), lambda x: np.linalg.norm(x, axis=0),
    lambda x: np.linalg.inv(x.T @ x + 2 * np.eye(x.shape[1])), lambda x: np.linalg.slogdet(x.T @ x + np.eye(x.shape[1]))[1], lambda x: np.linalg.eigvalsh(x.T @ x)[-1:], lambda x: np.einsum("ij,kj->ik", x, x), lambda x: np.abs(np.fft.rfft(2 + x)),
]
TWO = [    # calls of two
    np.add, np.subtract, np.multiply, lambda x, y: x / (2 + y * y), np.maximum, np.minimum, np.logaddexp, np.hypot, lambda x, y: np.arctan2(x, 2 + y), lambda x, y: (1.1 + np.tanh(x)) ** np.sin(y),
    np.matmul, np.dot, np.inner, np.outer, np.kron, lambda x, y: np.tensordot(x, y, 1), lambda x, y: np.concatenate([x, y], axis=-1), lambda x, y: np.stack([x, y]), lambda x, y: np.where(x > y, x, y * y),
    lambda x, y: np.append(x, y), lambda x, y: np.linalg.solve(x.T @ x + np.eye(x.shape[1]), y.T), lambda x, y: np.convolve(x, y, "same"), lambda x, y: np.average(x, axis=-1, weights=2 + np.tanh(y)), np.linalg.cross,
]


class Program:
    "Some calls, each of one or two of the arguments and the results before it; what is drawn is what NumPy itself accepts."

    def __init__(self, seed, calls=7):
        rng = np.random.default_rng(seed)
        n, m = rng.integers(1, 4, 2)
        self.arguments, self.steps = (rng.normal(size=(n, m)), rng.normal(size=m), np.asarray(rng.normal())), []
        self.weights, values = rng.normal(size=calls), list(self.arguments)
        while len(self.steps) < calls:
            calls_of = (ONE, TWO)[int(rng.random() < 0.45)]
            fn, places = calls_of[rng.integers(len(calls_of))], [int(rng.integers(max(0, len(values) - 4), len(values))) for _ in range(1 + (calls_of is TWO))]
            try:
                with np.errstate(all="raise"): value = fn(*[values[k] for k in places])
            except (ValueError, IndexError, TypeError, AttributeError, FloatingPointError, ZeroDivisionError, np.linalg.LinAlgError): continue
            if isinstance(value, np.ndarray | np.generic) and 0 < value.size <= 40 and np.ndim(value) < 4 and np.isfinite(value).all():
                self.steps.append((fn, places))
                values.append(np.asarray(value))

    def __call__(self, *arguments):
        values, total = list(arguments), 0.0
        for (fn, places), weight in zip(self.steps, self.weights):
            values.append(fn(*[values[k] for k in places]))
            total = total + weight * np.mean(np.tanh(values[-1]))
        return total


@pytest.mark.parametrize("seed", range(50))
def test_derivatives(seed):
    f = Program(seed)
    np.testing.assert_allclose(f(*map(Tensor, f.arguments)).value, f(*f.arguments), rtol=1e-9, atol=1e-12)
    check_grads(f, order=2)(*f.arguments)


@pytest.mark.parametrize("seed", range(50, 80))
def test_compiled(seed):
    "The third call replays what the first two recorded."
    tape = value_and_grad(Program(seed), (0, 1, 2))
    compiled = compile(tape)
    for scale in (1.0, 1.0, 0.9, 1.1):
        arguments = [scale * x for x in Program(seed).arguments]
        (y, grads), (expected_y, expected) = compiled(*arguments), tape(*arguments)
        for got, want in zip((y, *grads), (expected_y, *expected), strict=True):
            assert np.asarray(got).tobytes() == np.asarray(want).tobytes() and np.shape(got) == np.shape(want)
