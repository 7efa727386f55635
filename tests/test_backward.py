"""The sweep: long chains, shared nodes, memory, threads, what it calls and what it leaves alone."""
import gc
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from autodiffnb import Tensor, check_grads, defvjp, grad, gradients, primitive, stop_gradient
from autodiffnb.backward import conform, path_between, sum_to, sweep
from autodiffnb.tensor import rules

A = np.array([1.5, 2.0, 0.5])


@pytest.fixture
def counted(monkeypatch):
    "How often the vjp of each argument of a function was called: `counted(np.multiply)` is a list, one number per argument."
    def count(fn):
        calls, old = [0] * len(rules[fn].vjps), rules[fn]
        def counting(i, vjp):
            def called(*args, **params):
                calls[i] += 1
                return vjp(*args, **params)
            return called
        monkeypatch.setitem(rules, fn, type(old)(tuple(counting(i, v) for i, v in enumerate(old.vjps)), old.broadcasts))
        return calls
    return count


# --- depth and sharing --------------------------------------------------------------------------------------------------

def test_a_chain_of_a_million_operations():
    x = y = Tensor(1.0)
    for _ in range(1_000_000): y = y + 1
    assert y.value == 1_000_001 and gradients(y, x) == 1.0
    del y                                        # and to drop it is no recursion in the garbage collector either
    assert gradients(x * x, x) == 2.0


def test_a_chain_of_arrays():
    x = y = Tensor(A)
    for _ in range(20_000): y = np.tanh(y) if _ % 2 else y * 1.01
    y.sum().backward()
    assert x.grad.shape == (3,) and np.isfinite(x.grad).all()


def test_shared_nodes():
    a = Tensor(3.0)
    b = a + a
    c = b + b
    c.backward()
    assert a.grad == 4
    y = a
    for _ in range(60): y = y + y                # 2**60 paths, 61 Tensors
    assert gradients(y, a) == 2.0**60


def test_the_same_tensor_in_both_slots(counted):
    calls = counted(np.multiply)
    x = Tensor(A)
    np.testing.assert_array_equal(gradients((x * x).sum(), x), 2 * A)
    assert calls == [1, 1]


def test_twice_gives_the_same():
    x, w = Tensor(A), Tensor(A[::-1].copy())
    y = (np.exp(x * w) + x / w).sum()
    y.backward()
    first = x.grad.copy(), w.grad.copy()
    y.backward()
    np.testing.assert_array_equal(x.grad, first[0])
    np.testing.assert_array_equal(w.grad, first[1])
    np.testing.assert_array_equal(gradients(y, x), first[0])


def test_each_node_is_visited_once(counted):
    calls = counted(np.exp)
    x = Tensor(A)
    e = np.exp(x)
    (e * e + e).sum().backward()
    assert calls == [1]


# --- backward -----------------------------------------------------------------------------------------------------------

def test_backward_sets_and_never_accumulates():
    x = Tensor(2.0)
    (x * 3).backward()
    (x * 5).backward()
    assert x.grad == 5


def test_backward_sets_leaves_only_and_keep_sets_every_node():
    x, w = Tensor(2.0), Tensor(3.0)
    a = x * w
    y = a + x
    assert y.backward() is None
    assert (x.grad, w.grad, a.grad, y.grad) == (4, 2, None, None)
    y.backward(keep=True)
    assert (x.grad, w.grad, a.grad, y.grad) == (4, 2, 1, 1)


def test_backward_of_a_leaf_and_of_an_array():
    x = Tensor(2.0)
    x.backward()
    assert x.grad == 1
    v = Tensor(A)
    (v * v).backward(g=np.array([1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(v.grad, 2 * A * [1, 0, 2])
    (v * v).backward(g=[1, 0, 2])
    np.testing.assert_array_equal(v.grad, 2 * A * [1, 0, 2])


@pytest.mark.parametrize("g, error, message", [
    (None, ValueError, r"g: expected an adjoint of shape \(3,\).*not a scalar"), (1.0, ValueError, r"g: expected shape \(3,\).*got \(\)"),
    (np.ones(2), ValueError, r"g: expected shape \(3,\).*got \(2,\)"), (np.ones((1, 3)), ValueError, r"got \(1, 3\)"), (Tensor(A), TypeError, r"g: expected an array, got a Tensor")])
def test_errors_of_g(g, error, message):
    x = Tensor(A)
    for call in (lambda: (x * x).backward(g), lambda: gradients(x * x, x, g)):
        with pytest.raises(error, match=message): call()
    assert x.grad is None


def test_g_takes_the_dtype_of_the_output_and_is_not_written():
    x = Tensor(A.astype(np.float32))
    g = np.arange(3)
    g.setflags(write=False)
    grad_ = gradients(x * x, x, g)
    assert grad_.dtype == np.float32 and grad_.flags.writeable
    np.testing.assert_array_equal(grad_, 2 * x.value * g)


# --- gradients ----------------------------------------------------------------------------------------------------------

def test_inputs_may_be_a_tensor_a_list_a_tuple_or_a_dict():
    x, w = Tensor(2.0), Tensor(A)
    y = (x * w).sum()
    assert gradients(y, x) == A.sum()
    for kind in (list, tuple):
        got = gradients(y, kind([x, w]))
        assert type(got) is kind and got[0] == A.sum() and got[1].tolist() == [2, 2, 2]
    got = gradients(y, {"x": x, "w": w})
    assert list(got) == ["x", "w"] and got["x"] == A.sum()
    assert gradients(y, []) == [] and gradients(y, {}) == {}
    twice = gradients(y, [w, w])
    np.testing.assert_array_equal(*twice)
    twice[0][0] = 100
    assert twice[1][0] == 2


def test_inputs_that_are_no_tensors_are_named():
    x = Tensor(A)
    with pytest.raises(TypeError, match="inputs: expected Tensors, got ndarray at position 1"): gradients(x.sum(), [x, A])


def test_touches_no_grad():
    x = Tensor(A)
    gradients((x * x).sum(), x)
    assert x.grad is None


@pytest.mark.parametrize("value", [2.0, 1 + 2j, np.float32(2), A, A.astype(np.float16), np.ones((2, 0)), np.array(1 + 1j)])
@pytest.mark.parametrize("output", [Tensor(1.0), 3.0, np.float64(2), Tensor(2.0) * 3])
def test_no_dependence_is_zeros(value, output):
    x = Tensor(value)
    for create_graph in (False, True):
        got = gradients(output, x, create_graph=create_graph)
        assert type(got) is type(x.value) if isinstance(x.value, (float, complex)) and not isinstance(x.value, np.generic) else np.asarray(got).dtype == x.dtype
        assert np.shape(got) == x.shape and not np.any(got)


def test_an_input_may_be_an_inner_node():
    x = Tensor(A)
    a = x * x
    y = (np.exp(a) + a * x).sum()
    np.testing.assert_allclose(gradients(y, a), np.exp(A * A) + A)
    ga, gx = gradients(y, [a, x])
    np.testing.assert_allclose(gx, np.exp(A * A) * 2 * A + 3 * A * A)


def test_only_what_lies_between_is_visited(counted):
    calls = counted(np.exp)
    x, w = Tensor(A), Tensor(A)
    y = (np.exp(x) * w).sum()
    gradients(y, w)
    assert calls == [0]
    gradients(y, x)
    assert calls == [1]
    assert path_between([w], y)[0] is w and path_between([Tensor(1.0)], y) == []


def test_constants_cost_nothing(counted):
    multiply, matmul = counted(np.multiply), counted(np.matmul)
    X, W = np.ones((4, 3)), Tensor(np.ones((3, 2)))
    y = ((X @ W) * 2.0).sum()
    assert gradients(y, W).shape == (3, 2)
    assert matmul == [0, 1] and multiply == [1, 0]
    x = Tensor(A)
    gradients((stop_gradient(x) * x).sum(), x)
    assert multiply == [1, 1]


def test_a_tensor_that_is_not_asked_for_costs_nothing(counted):
    matmul = counted(np.matmul)
    X, W = Tensor(np.ones((4, 3))), Tensor(np.ones((3, 2)))
    gradients((X @ W).sum(), W)
    assert matmul == [0, 1]


# --- whose memory is it? -------------------------------------------------------------------------------------------------

COMPOSITES = {
    "add": lambda x, w: x + w, "subtract": lambda x, w: x - w, "multiply": lambda x, w: x * w, "shared": lambda x, w: x + x, "positive": lambda x, w: +x + w, "transpose": lambda x, w: x.T + w.T,
    "reshape": lambda x, w: x.reshape(-1) + w.reshape(-1), "sum": lambda x, w: x.sum() + w.sum(), "mean": lambda x, w: x.mean(0) + w.mean(0), "broadcast": lambda x, w: np.broadcast_to(x, (2, 2, 2)) + w,
    "concatenate": lambda x, w: np.concatenate([x, w]), "stack": lambda x, w: np.stack([x, w]), "index": lambda x, w: x[0] + w[1], "copy": lambda x, w: np.copy(x) + w, "where": lambda x, w: np.where(True, x, w),
    "real": lambda x, w: np.real(x) + w, "swap": lambda x, w: np.swapaxes(x, 0, 1) + w, "flip": lambda x, w: np.flip(x) + w, "identity": lambda x, w: x, "matmul": lambda x, w: x @ w,
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_results_own_their_memory(name):
    f = COMPOSITES[name]
    values = np.arange(4.0).reshape(2, 2) + 1, np.arange(4.0).reshape(2, 2) - 9
    x, w = map(Tensor, values)
    y = f(x, w)
    g = np.random.default_rng(0).standard_normal(y.shape)
    kept = [v.copy() for v in (*values, g, np.asarray(y.value))]
    expected = [v.copy() for v in gradients(y, [x, w], g)]
    gx, gw = gradients(y, [x, w], g)
    for mine, other in ((gx, gw), (gw, gx)):
        before = other.copy()
        assert mine.flags.writeable
        mine[...] = 1e9
        np.testing.assert_array_equal(other, before)
        mine[...] = 0
        if mine is gx: gx, gw = gradients(y, [x, w], g)
    for v, before in zip((*values, g, np.asarray(y.value)), kept): np.testing.assert_array_equal(v, before)
    for got, before in zip(gradients(y, [x, w], g), expected): np.testing.assert_array_equal(got, before)


def test_gradients_of_backward_own_their_memory_too():
    x, w = Tensor(A.copy()), Tensor(A.copy())
    y = x + w
    y.backward(g=np.ones(3), keep=True)
    x.grad[0] = 100
    assert w.grad[0] == 1 and y.grad[0] == 1


# --- higher orders -------------------------------------------------------------------------------------------------------

FIVE = {
    "exp": (lambda x: np.exp(x), lambda n, x: np.exp(x)), "cube": (lambda x: x * x * x, lambda n, x: [3 * x * x, 6 * x, 6.0, 0.0, 0.0][n - 1]),
    "power": (lambda x: x ** 4, lambda n, x: [4 * x**3, 12 * x**2, 24 * x, 24.0, 0.0][n - 1]), "sine": (lambda x: np.sin(x), lambda n, x: np.sin(x + n * np.pi / 2)),
    "reciprocal": (lambda x: 1 / x, lambda n, x: (-1.0) ** n * [1, 2, 6, 24, 120][n - 1] / x ** (n + 1)), "log": (lambda x: np.log(x), lambda n, x: (-1.0) ** (n + 1) * [1, 1, 2, 6, 24][n - 1] / x**n),
    "composite": (lambda x: np.exp(np.sin(x) * 0 + 2 * x) / 2, lambda n, x: 2.0 ** (n - 1) * np.exp(2 * x)),
}


@pytest.mark.parametrize("name", FIVE)
@pytest.mark.parametrize("make", [float, np.float64, lambda v: np.array([v, v / 2])], ids=["float", "float64", "array"])
def test_five_orders(name, make):
    f, derivative = FIVE[name]
    x = Tensor(make(0.7))
    y = f(x)
    for n in range(1, 6):
        y = gradients(y if y.shape == () else y.sum(), x, create_graph=True)
        if not isinstance(y, Tensor): y = Tensor(y)
        np.testing.assert_allclose(y.value, np.broadcast_to(derivative(n, np.asarray(x.value)), x.shape), rtol=1e-10, atol=1e-10)


def test_second_derivatives_of_a_composite():
    check_grads(lambda x, w: np.tanh(x @ w) * np.sqrt((w * w).sum(0)) + np.maximum(x.sum(1, keepdims=True), 0.1) / (1 + np.exp(-x @ w)), order=2)(np.random.default_rng(0).normal(size=(3, 4)), np.random.default_rng(1).normal(size=(4, 2)))


def test_a_recorded_sweep_gives_tensors_with_a_history_and_the_same_numbers():
    x = Tensor(A)
    y = (np.exp(x) * x).sum()
    plain, recorded = gradients(y, x), gradients(y, x, create_graph=True)
    assert type(plain) is np.ndarray and isinstance(recorded, Tensor) and recorded.fn is not None
    np.testing.assert_array_equal(plain, recorded.value)
    g = Tensor(np.array(2.0))
    np.testing.assert_allclose(gradients(gradients(y, x, g, create_graph=True).sum(), g), plain.sum())


def test_higher_orders_leave_no_grad_behind():
    x = Tensor(A)
    gradients(gradients((x ** 3).sum(), x, create_graph=True).sum(), x)
    assert x.grad is None


# --- garbage ------------------------------------------------------------------------------------------------------------

def work(x):
    y = (np.exp(x) * x + np.sqrt(x * x + 1) @ x).sum()
    y.backward(keep=True)
    first = gradients(y, x, create_graph=True)
    second = gradients(first.sum(), x)
    gradients(y, {"x": x})
    return y


def test_reference_counting_alone_frees_the_graph():
    gc.collect()
    gc.disable()
    try:
        x = Tensor(A)
        y = work(x)
        y.backward()
        nodes = [weakref.ref(t) for t in (y, *y.args)]
        assert all(r() is not None for r in nodes)
        del y
        assert all(r() is None for r in nodes)
        x.grad = None
        leaf = weakref.ref(x)
        del x
        assert leaf() is None
        assert gc.collect() == 0
    finally: gc.enable()


def test_an_error_in_a_rule_says_where_and_leaves_no_garbage():
    broken = primitive(lambda v: v * 2)
    broken.__name__ = "broken"
    defvjp(broken, lambda g, y, v: np.ones((7, 7)))
    try:
        x = Tensor(A, "x")
        with pytest.raises(ValueError, match=r"a vjp returned shape \(7, 7\) for an argument of shape \(3,\)") as caught: gradients(broken(x).sum(), x)
        assert "while differentiating broken(x) with respect to its argument 0" in caught.value.__notes__
    finally: rules.pop(broken)


def test_adjoints_are_dropped_as_they_are_consumed():
    "A chain of n arrays holds n values, but never more than a few adjoints."
    n, x = 200, Tensor(np.ones(50_000))
    y = x
    for _ in range(n): y = y * 1.0001
    y = y.sum()
    gradients(y, x)
    tracemalloc.start()
    gradients(y, x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * x.value.nbytes, f"{peak / x.value.nbytes:.1f} arrays at once"


# --- threads ------------------------------------------------------------------------------------------------------------

def test_threads_do_not_meet():
    shared = Tensor(np.linspace(0.5, 1.5, 20))          # read by all, `.grad` by none
    errors = []
    def run(k):
        try:
            for step in range(15):
                c = 1 + k + step / 10
                inner = lambda x: grad(lambda y: np.sin(c * y) * x)(x)          # c x cos(c x)
                got, x = grad(inner)(0.3), 0.3
                np.testing.assert_allclose(got, c * np.cos(c * x) - c * c * x * np.sin(c * x), rtol=1e-12)
                np.testing.assert_allclose(gradients((np.exp(shared * c)).sum(), shared), c * np.exp(shared.value * c), rtol=1e-12)
                w = Tensor(float(c))
                (w * w * w).backward()
                np.testing.assert_allclose(w.grad, 3 * c * c, rtol=1e-14)
        except BaseException as error: errors.append(error)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=run, args=(k,)) for k in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    finally: sys.setswitchinterval(interval)
    assert not errors, errors[0]


# --- broadcasting back --------------------------------------------------------------------------------------------------

@st.composite
def broadcastable(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    smaller = [1 if draw(st.booleans()) else n for n in shape][draw(st.integers(0, len(shape))):]
    return tuple(shape), tuple(smaller)


@given(broadcastable())
@settings(max_examples=150, deadline=None)
def test_sum_to_is_the_transpose_of_broadcasting(shapes):
    shape, smaller = shapes
    rng = np.random.default_rng(0)
    g, x = rng.integers(-5, 5, shape).astype(float), rng.integers(-5, 5, smaller).astype(float)
    back = sum_to(g, smaller)
    assert back.shape == smaller
    assert (g * np.broadcast_to(x, shape)).sum() == (back * x).sum()


@pytest.mark.parametrize("given_, shape", [((3,), (2,)), ((3,), (1, 3)), ((2, 3), (3, 2)), ((), (3,)), ((2,), (2, 2)), ((0,), (2,)), ((3,), (0,))])
def test_sum_to_refuses_what_broadcasting_cannot_have_made(given_, shape):
    with pytest.raises(ValueError, match="a vjp returned shape"): sum_to(np.ones(given_), shape)


@pytest.mark.parametrize("argument", [2.0, 1j, np.float32(1), np.ones(3, np.float16), np.ones(3, np.complex64), np.ones((1, 3)), np.array(1.0)])
@pytest.mark.parametrize("adjoint", [np.ones((2, 3)), np.ones((2, 3), np.complex128), np.ones((2, 3), np.float32)])
def test_conform_gives_shape_dtype_and_realness(argument, adjoint):
    got = conform(adjoint, argument)
    assert np.shape(got) == np.shape(argument)
    assert type(got) is type(argument) if type(argument) in (float, complex) else np.asarray(got).dtype == argument.dtype
    assert np.sum(got) == 6


@pytest.mark.parametrize("n", [3, 10**30])
def test_a_whole_number_beside_a_python_number_stays_whole_where_its_powers_fit(n):
    seen = []
    power = primitive(lambda x, n: x * 2.0)
    defvjp(power, lambda g, y, x, n: seen.append(n) or g * n)
    assert gradients(power(x := Tensor(1.5), n), x) == float(n)
    assert isinstance(seen[0], np.integer if n == 3 else np.floating)


def test_sweep_returns_what_was_asked_for_only():
    x, w = Tensor(A), Tensor(2.0)
    y = (x * w).sum()
    adjoints = sweep(path_between([x, w], y), 1.0, [w])
    assert adjoints.keys() == {w} and adjoints[w] == A.sum()


# --- rules that are missing or incomplete -----------------------------------------------------------------------------

def test_a_missing_rule_a_missing_vjp_and_a_missing_return_are_named():
    x = Tensor([1.0, 2.0])
    bare = primitive(lambda a: a * 2)
    bare.__name__ = "doubled"
    with pytest.raises(TypeError, match="doubled has no rule"): gradients(bare(x), x, [1.0, 1.0])
    half = primitive(lambda a, b: a * b)
    half.__name__ = "product"
    defvjp(half, lambda g, y, a, b: g * b)
    assert gradients(half(x, 3.0), x, [1.0, 1.0]).tolist() == [3.0, 3.0]
    with pytest.raises(TypeError, match="product: defvjp was given 1 vjps, none for argument 1"): gradients(half(x, x), x, [1.0, 1.0])
    lost = primitive(lambda a: a * 2)
    defvjp(lost, lambda g, y, a: None)
    with pytest.raises(TypeError, match="returned None"): gradients(lost(x), x, [1.0, 1.0])
