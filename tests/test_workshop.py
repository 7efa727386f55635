"""The workshop: trees as vectors, recomputing, constants, solutions, and finding a nan."""
import gc
import sys
import threading
import tracemalloc
from collections import namedtuple
from dataclasses import dataclass

import numpy as np
import pytest

from autodiffnb import Tensor, check_grads, cross_entropy, defvjp, gradients, primitive, tensor
from autodiffnb.check import tree_leaves
from autodiffnb.transforms import grad, hessian, hvp, jacobian, jvp, value_and_grad
from autodiffnb.workshop import HOOKS, UNHOOKED, checkpoint, debug, find_nan, flatten, no_grad

rng = np.random.default_rng(10)


def same(got, expected):
    "Same kind, shape, dtype and values, part by part."
    a, b = tree_leaves(got), tree_leaves(expected)
    assert list(a) == list(b) and type(got) is type(expected)
    for x, y in zip(a.values(), b.values()):
        assert type(x) is type(y)
        if not isinstance(y, (str, type(None))): assert np.shape(x) == np.shape(y) and np.asarray(x).dtype == np.asarray(y).dtype and np.array_equal(x, y)


def peak(f, *args):
    "The most memory that `f(*args)` takes at any time, in bytes, above what there was."
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        f(*args)
        return tracemalloc.get_traced_memory()[1] - before
    finally: tracemalloc.stop()


def chain(x, n):
    for _ in range(n): x = np.sin(x)
    return x


# --- flatten ------------------------------------------------------------------------------------------------------

Pair = namedtuple("Pair", "a b")


@dataclass
class Layer:
    w: object
    b: object
    activation: object = np.tanh


def test_there_and_back_again():
    tree = {"layers": [Layer(np.arange(6.0).reshape(2, 3), np.ones(3, np.float32)), Layer(np.zeros((0, 2)), 2.5)], "pair": Pair(np.float64(7), None), "kind": "dense", "n": ()}
    vector, unflatten = flatten(tree)
    assert vector.shape == (11,) and vector.dtype == np.float64
    back = unflatten(vector)
    assert isinstance(back["layers"][0], Layer) and back["layers"][0].activation is np.tanh and back["kind"] == "dense" and back["n"] == ()
    same(back["layers"][0].w, tree["layers"][0].w)
    same(back["layers"][0].b, tree["layers"][0].b)
    same((back["layers"][1].w, back["layers"][1].b), (np.zeros((0, 2)), 2.5))
    assert back["pair"] == Pair(7.0, None) and type(back["layers"][1].b) is float


@pytest.mark.parametrize("tree, dtype", [([np.ones(2, np.float32), 1.0], np.float64), ([np.ones(2, np.float32), np.ones(1, np.float32)], np.float32), ([], np.float64),
                                         ([1, True], np.float64), ([np.ones(1, np.complex64), np.ones(1, np.float32)], np.complex64), ({"a": None}, np.float64)])
def test_the_vector_has_the_dtype_that_holds_all(tree, dtype):
    vector, unflatten = flatten(tree)
    assert vector.dtype == dtype and vector.ndim == 1
    back = unflatten(vector)
    assert type(back) is type(tree) and [np.asarray(x).dtype for x in tree_leaves(back).values()] == [np.asarray(float(x) if isinstance(x, int) else x).dtype for x in tree_leaves(tree).values()]


def test_unflatten_is_differentiated():
    tree = {"w": rng.standard_normal((2, 3)).astype(np.float32), "b": 0.5, "z": np.array([1.0 + 2.0j])}
    f = lambda p: np.sum(p["w"] * p["b"]) + np.real(np.sum(p["z"] * p["z"]))
    real = {k: tree[k] for k in "wb"}
    vector, unflatten = flatten(real)
    g = grad(lambda v: np.sum(unflatten(v)["w"] ** 2 * unflatten(v)["b"]))(vector)
    assert np.allclose(g, flatten(grad(lambda p: np.sum(p["w"] ** 2 * p["b"]))(real))[0], rtol=1e-6)
    assert grad(lambda v: np.sum(unflatten(v)["w"] * unflatten(v)["b"]))(vector.astype(np.float32)).dtype == np.float32
    vector, unflatten = flatten(tree)
    assert np.allclose(grad(lambda v: f(unflatten(v)))(vector)[-1], 2 * tree["z"])
    unflatten = flatten({"w": np.ones((2, 3)), "b": 0.5})[1]
    check_grads(lambda v: unflatten(v)["w"] ** 2 * unflatten(v)["b"])(rng.standard_normal(7))


def test_flatten_is_differentiated_and_keeps_weak_numbers_weak():
    check_grads(lambda w, b: flatten({"w": w, "b": [b, None]})[0] ** 3)(rng.standard_normal((2, 2)), 2.0)
    like = {"w": np.ones(2, np.float32), "scale": 2.0}
    _, unflatten = flatten(like)
    seen = []
    def f(v):
        p = unflatten(v)
        seen.append((type(p["scale"].value), (p["w"] * p["scale"]).dtype))
        return np.sum(p["w"] * p["scale"])
    grad(f)(np.ones(3, np.float32))
    assert seen == [(float, np.float32)]


def test_hessians_of_a_vectorised_tree():
    start = {"w": np.array([1.0, 2.0]), "b": 3.0}
    v, unflatten = flatten(start)
    f = lambda v: (lambda p: np.sum(p["w"] ** 2) * p["b"])(unflatten(v))
    assert np.allclose(hessian(f)(v), [[6, 0, 2], [0, 6, 4], [2, 4, 0]])


@pytest.mark.parametrize("method", ["L-BFGS-B", "BFGS", "CG", "TNC"])
def test_scipy_takes_value_and_grad(method):
    optimize = pytest.importorskip("scipy.optimize")
    X, t = rng.standard_normal((40, 3)), rng.integers(0, 3, 40)
    loss = lambda p: cross_entropy(X @ p["W"] + p["b"], t) + 0.1 * np.sum(p["W"] ** 2) + 0.1 * np.sum(p["b"] ** 2)
    v, unflatten = flatten({"W": np.zeros((3, 3)), "b": np.zeros(3)})
    result = optimize.minimize(value_and_grad(lambda v: loss(unflatten(v))), v, jac=True, method=method)
    assert all(np.abs(g).max() < 1e-4 for g in grad(loss)(unflatten(result.x)).values())


def test_scipy_takes_hvp():
    optimize = pytest.importorskip("scipy.optimize")
    f = lambda v: 100.0 * (v[1] - v[0] ** 2) ** 2 + (1.0 - v[0]) ** 2
    result = optimize.minimize(value_and_grad(f), np.array([-1.2, 1.0]), jac=True, method="Newton-CG", hessp=lambda v, p: hvp(f, (v,), (p,))[0])
    assert np.allclose(result.x, 1.0, atol=1e-3)


def test_flatten_errors():
    with pytest.raises(ValueError, match=r"vector: expected shape \(3,\), got \(2,\)"): flatten([np.ones(3)])[1](np.ones(2))
    with pytest.raises(TypeError, match=r"tree\['a'\].*got set"): flatten({"a": {1.0}})


# --- checkpoint -----------------------------------------------------------------------------------------------------

network = lambda x, w: np.tanh(w @ x) * np.exp(-x @ x)


def test_a_checkpoint_changes_no_derivative():
    x, w, f = rng.standard_normal(3), rng.standard_normal((3, 3)), checkpoint(network)
    same(f(x, w), network(x, w))                                     # plain arrays: the plain function
    total = lambda f: lambda x, w: np.sum(f(x, w) ** 2)
    for argnums in (0, 1, (0, 1)): same(grad(total(f), argnums)(x, w), grad(total(network), argnums)(x, w))
    v = rng.standard_normal(3)
    assert np.allclose(jvp(f, (x, w), (v, w))[1], jvp(network, (x, w), (v, w))[1], rtol=1e-14)
    assert np.allclose(jvp(lambda x: f(x, w), (x,), (v,))[1], jvp(lambda x: network(x, w), (x,), (v,))[1], rtol=1e-14)
    assert np.allclose(jacobian(f)(x, w), jacobian(network)(x, w), rtol=1e-14)
    assert np.allclose(hessian(total(f))(x, w), hessian(total(network))(x, w), rtol=1e-12)
    assert np.allclose(hvp(lambda x: total(f)(x, w), (x,), (v,))[0], hvp(lambda x: total(network)(x, w), (x,), (v,))[0], rtol=1e-12)
    check_grads(f, order=2)(x, w)


def test_to_the_fifth_order_and_nested():
    f, g = lambda x: np.exp(np.sin(x)) * x, checkpoint(lambda x: checkpoint(np.exp)(checkpoint(np.sin)(x)) * x)
    for _ in range(5):
        f, g = grad(f), grad(g)
        assert np.isclose(f(0.7), g(0.7), rtol=1e-12)
    check_grads(checkpoint(lambda x: checkpoint(np.tanh)(x) * x), order=4)(np.array([0.5, -1.0]))


def test_trees_go_in_and_come_out():
    @checkpoint
    def f(p, count, *, scale=1.0):
        "Two of them."
        return {"y": p["w"] * scale, "n": count, "more": (p["b"] * p["b"], None, "text", np.array([1, 2]))}
    assert f.__name__ == "f" and f.__doc__ == "Two of them."
    out = f({"w": Tensor([1.0, 2.0]), "b": Tensor(3.0)}, 4, scale=Tensor(2.0))
    assert out["n"] == 4 and out["more"][1:3] == (None, "text") and np.array_equal(out["more"][3], [1, 2])
    assert np.array_equal(out["y"].value, [2.0, 4.0]) and out["more"][0].value == 9.0
    g = grad(lambda p, s: np.sum(f(p, 4, scale=s)["y"]) + f(p, 4)["more"][0], (0, 1))({"w": np.array([1.0, 2.0]), "b": 3.0}, 2.0)
    same(g, ({"w": np.array([2.0, 2.0]), "b": 6.0}, 3.0))


def test_what_is_not_reached_has_zeros():
    f = checkpoint(lambda x, y: (x * 2.0, y * 3.0))
    same(grad(lambda x, y: f(x, y)[0], (0, 1))(1.0, 1.0), (2.0, 0.0))
    same(grad(lambda x, y: np.sum(f(x, y)[1]), (0, 1))(np.ones(2), np.ones((1, 2), np.float32)), (np.zeros(2), np.full((1, 2), 3.0, np.float32)))
    same(grad(lambda x: checkpoint(lambda x: 2.0)(x) * x)(3.0), 2.0)
    same(hessian(lambda x: np.sum(f(x, x)[0] * f(x, x)[1]))(np.ones(2)), np.diag([12.0, 12.0]))


def test_one_recomputation_for_one_sweep_however_many_go_in_and_out():
    calls = []
    def f(x, y, z): calls.append(1); return x * y, y * z, z * x
    grad(lambda x, y, z: sum(checkpoint(f)(x, y, z)), (0, 1, 2))(1.0, 2.0, 3.0)
    assert len(calls) == 2


def test_memory_grows_with_the_root_of_the_length():
    x = np.linspace(0.0, 1.0, 20_000)
    def parted(x, n, k):
        for _ in range(n // k): x = checkpoint(chain)(x, k)
        return np.sum(x)
    n = 256
    whole = peak(grad(lambda x: np.sum(chain(x, n))), x)
    roots = peak(grad(lambda x: parted(x, n, 16)), x)
    assert whole > n * x.nbytes and roots < (2 * 16 + 8) * x.nbytes
    def halves(x, n): return chain(x, n) if n <= 2 else checkpoint(halves)(checkpoint(halves)(x, n // 2), n // 2)
    assert np.array_equal(grad(lambda x: np.sum(halves(x, n)))(x), grad(lambda x: np.sum(chain(x, n)))(x))
    assert peak(grad(lambda x: np.sum(halves(x, n))), x) < 30 * x.nbytes          # the logarithm of it, by segments in segments


def test_memory_of_the_second_order_too():
    x, v, n = np.linspace(0.0, 1.0, 20_000), np.ones(20_000), 64
    def parted(x):
        for _ in range(8): x = checkpoint(chain)(x, 8)
        return np.sum(x)
    whole = lambda x: np.sum(chain(x, n))
    assert np.allclose(hvp(parted, (x,), (v,))[0], hvp(whole, (x,), (v,))[0])
    assert peak(hvp, parted, (x,), (v,)) < peak(hvp, whole, (x,), (v,)) / 2


def test_checkpoint_errors():
    w = Tensor(2.0)
    with pytest.raises(TypeError, match="checkpoint: f uses a Tensor that is not one of its arguments"): checkpoint(lambda x: x * w)(Tensor(3.0))
    with pytest.raises(TypeError, match="checkpoint: f: expected a function, got float"): checkpoint(3.0)
    assert grad(lambda x: checkpoint(lambda x: x * w.value)(x))(3.0) == 2.0


# --- no_grad ------------------------------------------------------------------------------------------------------

def test_nothing_is_recorded():
    made = []
    def f(p, k=None): made.append((type(p["w"]), type(k))); return {"y": p["w"] * k, "text": "t"}
    out = no_grad(f)({"w": Tensor([1.0])}, k=Tensor(2.0))
    assert made == [(np.ndarray, float)] and type(out["y"]) is np.ndarray and out["y"] == [2.0] and out["text"] == "t"
    w = Tensor(3.0)
    assert no_grad(lambda x: x * w)(2.0) == 6.0                      # a Tensor from elsewhere comes out as a value
    assert grad(lambda x: x * no_grad(lambda x: x * x)(x))(3.0) == 9.0
    @no_grad
    def g(x): return x
    assert g.__name__ == "g" and g(w) == 3.0
    with pytest.raises(TypeError, match="no_grad: f: expected a function"): no_grad(w)


# --- the first nan ------------------------------------------------------------------------------------------------

def test_find_nan():
    x = Tensor([1.0, -1.0], name="x")
    with np.errstate(all="ignore"): y = np.sum(np.sqrt(x) * 2.0) + 1.0
    assert find_nan(y).fn is np.sqrt and find_nan(np.sum(x)) is None
    bad = Tensor([np.nan])
    assert find_nan(bad * 2.0) is bad
    with np.errstate(all="ignore"): assert find_nan(np.exp(Tensor(1000.0)) * 0.0).fn is np.exp      # the infinity, not the nan that comes of it
    with pytest.raises(TypeError, match="output: expected a Tensor, got ndarray"): find_nan(np.ones(2))


def here(): return sys._getframe(1).f_lineno


def test_debug_names_the_call_and_the_line_forwards():
    def f(x):
        y = x - 1.0
        line.append(here() + 1)
        return np.sum(np.log(y))
    line = []
    with np.errstate(all="ignore"), debug(), pytest.raises(FloatingPointError) as error: grad(f)(np.array([2.0, 0.5]))
    message = str(error.value)
    assert "log(float64[2]) made the first nan or inf, 1 of 2 numbers" in message and "return np.sum(np.log(y))" in message
    assert f"line {line[0]} of {__file__}, in f" in message


def test_debug_names_the_call_and_the_line_backwards():
    def f(x):
        root = np.sum(x * x) ** 0.5
        return root
    with np.errstate(all="ignore"), debug(), pytest.raises(FloatingPointError) as error: grad(f)(np.zeros(2))
    message = str(error.value)
    assert "derivative of power(float64[], 0.5) with respect to its argument 0" in message and "root = " in message and __file__ in message
    with np.errstate(all="ignore"), debug(), pytest.raises(FloatingPointError, match="power|multiply|divide"): grad(grad(f))(0.0)


def test_debug_lets_pass_what_came_from_outside_and_infinities_if_told():
    with np.errstate(all="ignore"):
        with debug(): assert np.isnan((Tensor(np.nan) * 2.0).value) and np.isinf((np.inf + Tensor(1.0)).value)
        with debug(infinite=False):
            assert np.isinf(np.log(Tensor(0.0)).value)
            with pytest.raises(FloatingPointError, match="nan or inf"): np.log(Tensor(-1.0))
        with debug(), pytest.raises(FloatingPointError): np.log(Tensor(0.0))


def test_debug_adds_the_line_to_an_error_of_a_rule():
    broken = primitive(lambda x: x * 2.0)
    broken.__name__ = "broken"
    defvjp(broken, lambda g, y, x: g @ np.ones((7, 7)))
    with debug() as debugger:
        y = broken(Tensor(np.ones(3)))
        assert debugger.line(y).source == "y = broken(Tensor(np.ones(3)))" and debugger.line(y).function == "test_debug_adds_the_line_to_an_error_of_a_rule"
        with pytest.raises(ValueError) as error: gradients(y, y.args[0], np.ones(3))
    assert "while differentiating broken(float64[3])" in error.value.__notes__[0] and "y = broken(Tensor(np.ones(3)))" in error.value.__notes__[1]
    with pytest.raises(ValueError) as error: gradients(y, y.args[0], np.ones(3))
    assert "autodiffnb.debug()" in error.value.__notes__[1] and debugger.line(Tensor(1.0)) is None


def test_debug_through_checkpoints():
    with np.errstate(all="ignore"), debug(), pytest.raises(FloatingPointError, match="log"): grad(lambda x: checkpoint(lambda x: np.log(x) * 2.0)(x))(-1.0)
    with debug(): assert grad(lambda x: checkpoint(lambda x: np.log(x) * 2.0)(x))(2.0) == 1.0


def test_the_switch_leaves_nothing_behind():
    assert all(getattr(*place) is f for place, f in UNHOOKED.items()) and all(UNHOOKED[place] is not f for place, f in HOOKS.items())
    with debug():
        with debug(infinite=False): assert tensor.node is HOOKS[tensor, "node"]
        assert tensor.node is HOOKS[tensor, "node"]
    with pytest.raises(ZeroDivisionError), debug(): 1 / 0
    assert all(getattr(*place) is f for place, f in UNHOOKED.items())


def test_other_threads_are_not_stopped():
    results, inside, leave = [], threading.Event(), threading.Event()
    def other():
        inside.wait()
        with np.errstate(all="ignore"): results.append(grad(lambda x: np.log(x))(0.0))
        leave.set()
    thread = threading.Thread(target=other)
    thread.start()
    with debug():
        inside.set()
        assert leave.wait(10)
    thread.join()
    assert results == [np.inf]


# --- memory -------------------------------------------------------------------------------------------------------

def test_the_memory_of_a_sweep_does_not_grow_with_what_is_consumed():
    x = np.linspace(0.0, 1.0, 20_000)
    above = []
    for n in (10, 200):
        t = Tensor(x)
        loss = np.sum(chain(t, n))
        above.append(peak(gradients, loss, t))
    assert above[1] < above[0] + x.nbytes and above[1] < 6 * x.nbytes


def test_what_a_gradient_takes_is_given_back():
    x = np.linspace(0.0, 1.0, 20_000)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for f in (grad(lambda x: np.sum(chain(x, 20))), lambda x: hvp(lambda x: np.sum(chain(x, 20)), (x,), (x,)), grad(lambda x: np.sum(checkpoint(chain)(x, 20)))): f(x)
        assert tracemalloc.get_traced_memory()[0] - before < x.nbytes
    finally:
        tracemalloc.stop()
        gc.enable()


def test_debug_finds_a_tangent():
    def f(x):
        y = x * x
        return y ** 0.5
    with np.errstate(all="ignore"), debug(), pytest.raises(FloatingPointError) as error: jvp(f, (np.zeros(2),), (np.ones(2),))
    assert "tangent of power(float64[2], 0.5)" in str(error.value) and "return y ** 0.5" in str(error.value)
