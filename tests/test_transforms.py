"""The contract of grad and its family: values, forms, dtypes, nesting, errors."""
import copy
import math
import pickle
import sys
import threading
import time
from collections import OrderedDict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from autodiffnb import Tensor, backward, cross_entropy, gradients, stop_gradient, tensor, topological_order, transforms
from autodiffnb.check import check_grads, push, tree_leaves
from autodiffnb.contraction import linear
from autodiffnb.shaping import getitem
from autodiffnb.tensor import defvjp, label, primitive, rules
from autodiffnb.transforms import defjvp, elementwise_grad, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp

from cases import table

rng = np.random.default_rng(0)
W = rng.standard_normal((4, 3))
network = lambda x: np.tanh(W @ x) * np.exp(-x @ x)


def same(got, expected):
    "Same kind, shape, dtype and values, part by part."
    a, b = tree_leaves(got), tree_leaves(expected)
    assert list(a) == list(b) and type(got) is type(expected)
    for x, y in zip(a.values(), b.values()):
        assert not isinstance(x, Tensor) and np.shape(x) == np.shape(y) and np.asarray(x).dtype == np.asarray(y).dtype
        assert np.allclose(x, y, rtol=1e-6, atol=0)


def differences(f, x, h=1e-5):
    "The Jacobian of f at x, an array with one axis."
    return np.stack([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(len(x))], axis=-1)


# --- values, forms and dtypes -------------------------------------------------------------------------------------

def test_signatures_of_the_contract():
    f = lambda x, y: x * x * y
    same(grad(f)(3.0, 2.0), 12.0)
    same(grad(f, 1)(3.0, 2.0), 9.0)
    same(grad(f, argnums=(1, 0))(3.0, 2.0), (9.0, 12.0))
    same(grad(f, argnums=[0])(3.0, 2.0), (12.0,))
    same(grad(f, argnums=-1)(3.0, 2.0), 9.0)
    same(value_and_grad(f)(3.0, 2.0), (18.0, 12.0))
    same(jvp(f, (3.0, 2.0), (1.0, 10.0)), (18.0, 102.0))
    same(hvp(f, (3.0, 2.0), (1.0, 10.0)), (64.0, 6.0))
    y, pullback = vjp(f, 3.0, 2.0)
    same((y, pullback(1.0), pullback(2.0)), (18.0, (12.0, 9.0), (24.0, 18.0)))
    same(hessian(f, (0, 1))(3.0, 2.0), ((4.0, 6.0), (6.0, 0.0)))


@pytest.mark.parametrize("x, expected", [(3, 6.0), (3.0, 6.0), (True, 2.0), (np.float32(3), np.float32(6)), (np.array(3.0), np.array(6.0)), (np.int64(3), np.float64(6)),
                                         (np.array([1, 2]), np.array([2.0, 4.0])), (np.array([1, 2], np.float32), np.array([2, 4], np.float32)),
                                         (np.array([1, 2], np.float16), np.array([2, 4], np.float16)), (np.zeros((0, 2)), np.zeros((0, 2)))])
def test_kinds_of_arguments(x, expected):
    got = grad(lambda x: np.sum(x * x))(x)
    assert not isinstance(got, Tensor) and np.shape(got) == np.shape(expected) and np.asarray(got).dtype == np.asarray(expected).dtype
    assert np.array_equal(got, expected)


def test_float32_is_kept_everywhere():
    x = np.array([1.0, 2.0, 3.0], np.float32)
    f = lambda x: np.tanh(x) * 2.0
    total = lambda x: np.sum(f(x))
    y, pullback = vjp(f, x)
    results = [y, pullback(np.ones(3))[0], *jvp(f, (x,), (np.ones(3),)), grad(total)(x), jacobian(f)(x), hessian(total)(x), hvp(total, (x,), (x,))[0], elementwise_grad(f)(x),
               jacobian(lambda x: np.ones((9, 1), np.float32) * x[:2])(x)]
    assert {r.dtype for r in results} == {np.dtype(np.float32)}


def test_dtype_of_a_jacobian_is_that_of_the_argument_by_rows_and_by_columns():
    for n in (1, 50): assert jacobian(lambda x: np.ones((n, 1)) * x)(np.ones(2, np.float32)).dtype == np.float32


Pair = namedtuple("Pair", "a b")


@dataclass(frozen=True)
class Layer:
    w: object
    b: object
    activation: object = np.tanh
    kind: str = "dense"
    def __call__(self, x): return self.activation(self.w * x + self.b)


def test_trees():
    params = OrderedDict(layer=Layer(np.ones(2), 0.5), pair=Pair([1.0, (2, None)], {"x": np.ones((2, 1), np.float32)}), empty=None, none=())
    def f(p, x):
        return np.sum(p["layer"](x) * 2.0) + p["pair"].a[0] * p["pair"].a[1][0] + np.sum(p["pair"].b["x"])
    g = grad(f)(params, 0.0)
    slope = 2 * (1 - np.tanh(0.5)**2)
    assert type(g) is OrderedDict and type(g["layer"]) is Layer and type(g["pair"]) is Pair and g["layer"].activation is np.tanh and g["layer"].kind == "dense"
    same((g["layer"].w, g["layer"].b, g["pair"], g["empty"], g["none"]),
         (np.zeros(2), 2 * slope, Pair([2.0, (1.0, None)], {"x": np.ones((2, 1), np.float32)}), None, ()))
    assert params["layer"].b == 0.5
    check_grads(grad(f))(params, 0.25)


def test_trees_through_every_operator():
    f = lambda p: {"y": p["a"] * p["b"], "z": [p["a"] * 2.0, 3]}
    at, v = {"a": np.array([1.0, 2.0]), "b": 3.0}, {"b": 1.0, "a": np.array([10.0, 20.0])}     # v's keys in another order
    y, tangent = jvp(f, (at,), (v,))
    same((y["y"], y["z"][0], tangent["y"], tangent["z"][0]), (np.array([3.0, 6.0]), np.array([2.0, 4.0]), np.array([31.0, 62.0]), np.array([20.0, 40.0])))
    assert y["z"][1] == 3 and tangent["z"][1] == 0
    J = jacobian(f)(at)
    same(J["y"], {"a": np.diag([3.0, 3.0]), "b": np.array([1.0, 2.0])})
    same(J["z"][1], {"a": np.zeros(2), "b": 0.0})
    total = lambda p: np.sum(p["a"] * p["a"] * p["b"])
    H = hessian(total)(at)
    same(H, {"a": {"a": np.diag([6.0, 6.0]), "b": np.array([2.0, 4.0])}, "b": {"a": np.array([2.0, 4.0]), "b": 0.0}})
    same(hvp(total, (at,), (v,)), ({"a": np.array([62.0, 124.0]), "b": 100.0},))
    same(vjp(f, at)[1]({"z": [np.zeros(2), 0], "y": [1, 1]}), ({"a": np.array([3.0, 3.0]), "b": 3.0},))


def test_keyword_arguments_are_handed_through():
    f = lambda x, power=2, shift=0.0: x**power + shift
    same(grad(f)(2.0, power=3, shift=1.0), 12.0)
    same(jacobian(f)(np.array([2.0]), power=3), np.array([[12.0]]))


def test_aux():
    g, aux = grad(lambda x: (x * x, {"y": x + 1, "n": 3, "s": "text"}), has_aux=True)(2.0)
    assert g == 4.0 and aux == {"y": 3.0, "n": 3, "s": "text"} and type(aux["y"]) is float
    same(value_and_grad(lambda x: (x * x, x), has_aux=True)(2.0), ((4.0, 2.0), 4.0))


# --- against independent routes -----------------------------------------------------------------------------------

@settings(deadline=None, max_examples=25)
@given(hnp.arrays(np.float64, 3, elements=st.floats(-1, 1)), st.integers(0, 2**32 - 1))
def test_products_are_those_of_the_jacobian(x, s):
    r = np.random.default_rng(s)
    u, v, J = r.standard_normal(4), r.standard_normal(3), differences(network, x)
    assert np.allclose(jacobian(network)(x), J, atol=1e-7)
    assert np.allclose(vjp(network, x)[1](u)[0], u @ J, atol=1e-7) and np.allclose(jvp(network, (x,), (v,))[1], J @ v, atol=1e-7)


@settings(deadline=None, max_examples=25)
@given(hnp.arrays(np.float64, 3, elements=st.floats(-1, 1)), hnp.arrays(np.float64, 3, elements=st.floats(-2, 2)))
def test_hessians(x, v):
    f = lambda x: np.sum(network(x)**2)
    H = differences(grad(f), x)
    assert np.allclose(hessian(f)(x), H, atol=1e-6) and np.allclose(hvp(f, (x,), (v,))[0], H @ v, atol=1e-6)
    assert np.allclose(jacobian(grad(f))(x), hessian(f)(x), atol=1e-12) and np.allclose(jvp(grad(f), (x,), (v,))[1], hvp(f, (x,), (v,))[0], atol=1e-10)


def test_shapes_of_jacobians():
    f = lambda x: np.sum(x, axis=0)[None] * np.ones((5, 1))
    assert jacobian(f)(np.ones((2, 3))).shape == (5, 3, 2, 3)
    assert hessian(f)(np.ones((2, 3))).shape == (5, 3, 2, 3, 2, 3)
    assert jacobian(lambda x: x)(np.zeros((0, 2))).shape == (0, 2, 0, 2)
    assert jacobian(lambda x: np.sum(x))(np.zeros(0)).shape == (0,)
    same(jacobian(lambda t: t * np.arange(5.0))(2.0), np.arange(5.0))             # by columns, from a number
    same(jacobian(lambda t: t * np.arange(2.0))(2.0), np.arange(2.0))             # by rows


def test_a_jacobian_calls_the_function_once():
    calls = []
    def f(x): calls.append(1); return np.tanh(x)
    jacobian(f)(np.ones(7))
    jacobian(lambda x: f(x) * np.ones((40, 1)))(np.ones(3))
    assert len(calls) == 2


def test_elementwise_grad():
    x = np.linspace(-2, 2, 7).reshape(7, 1)
    same(elementwise_grad(np.tanh)(x), 1 - np.tanh(x)**2)
    same(elementwise_grad(elementwise_grad(np.sin))(x), -np.sin(x))
    same(elementwise_grad(lambda x, y: x * y, (0, 1))(x, 2.0 * x), (2.0 * x, x))


# --- zeros ------------------------------------------------------------------------------------------------------

X = np.ones((2, 3), np.float32)


def test_no_dependence_is_zeros_and_no_error():
    c = np.array([1.0, 2.0])
    for f in (lambda x: 2.0, lambda x: 3, lambda x: np.float64(2), lambda x: np.array(2.0), lambda x: stop_gradient(np.sum(x)), lambda x: np.argmax(x)):
        same(grad(f)(X), np.zeros((2, 3), np.float32))
        same(hvp(f, (X,), (X,)), (np.zeros((2, 3), np.float32),))
        same(jacobian(f)(X), np.zeros((2, 3), np.float32))
        same(hessian(f)(X), np.zeros((2, 3, 2, 3), np.float32))
        assert grad(f)(1.5) == 0.0 and type(grad(f)(1.5)) is float
    same(jvp(lambda x: c, (X,), (X,)), (c, np.zeros(2)))
    same(vjp(lambda x: c, X)[1](c), (np.zeros((2, 3), np.float32),))
    same(jacobian(lambda x: c)(X), np.zeros((2, 2, 3), np.float32))
    same(elementwise_grad(lambda x: c)(X), np.zeros((2, 3), np.float32))
    same(grad(lambda x, y: np.sum(y), (0, 1))(X, c), (np.zeros((2, 3), np.float32), np.ones(2)))
    same(grad(grad(lambda x: 3.0 * x))(1.0), 0.0)
    same(hessian(lambda x: np.sum(x))(np.ones(2)), np.zeros((2, 2)))


# --- nesting ----------------------------------------------------------------------------------------------------

def test_the_two_nestings_of_the_contract():
    same(grad(lambda x: grad(lambda y: x * x * y)(1.0))(3.0), 6.0)
    same(grad(lambda x: x * grad(lambda y: x + y)(2.0))(1.0), 1.0)


def test_perturbations_are_not_confused():
    same(grad(lambda x: x * grad(lambda y: x * y)(x))(3.0), 6.0)
    same(grad(lambda x: x * grad(lambda y: x * y * y)(2.0))(1.0), 8.0)            # the inner y is spent: the result is plain
    same(grad(lambda x: grad(lambda y: y * y * x)(x) + grad(lambda y: y * x)(x))(2.0), 9.0)
    same(jvp(lambda x: x * jvp(lambda y: x * y, (x,), (1.0,))[1], (3.0,), (1.0,)), (9.0, 6.0))
    same(jvp(lambda x: x * grad(lambda y: x * y)(x), (3.0,), (1.0,))[1], 6.0)
    same(grad(lambda x: x * jvp(lambda y: x * y, (x,), (1.0,))[1])(3.0), 6.0)
    same(grad(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1])(3.0), 1.0)
    same(grad(lambda x: vjp(lambda y: x * y * y, x)[1](x)[0])(3.0), 3 * 2.0 * 9.0)     # 2 x^3
    same(grad(lambda x: np.sum(jacobian(lambda y: x * y * y)(np.array([1.0, 2.0]))))(3.0), 6.0)
    twice = lambda f: lambda x: f(f(x))
    same(grad(twice(lambda x: x * x * x))(2.0), 9.0 * 2**8)


def test_a_pullback_may_be_used_in_an_outer_derivative():
    y, pullback = vjp(lambda x: x * x * x, 2.0)
    assert type(y) is float
    same(grad(lambda g: pullback(g)[0] * g)(3.0), 2 * 12.0 * 3.0)
    same((pullback(1.0), pullback(1.0)), ((12.0,), (12.0,)))


def test_results_are_tensors_exactly_while_somebody_can_differentiate_them():
    w = Tensor(3.0)
    g = grad(lambda x: x * x * w)(2.0)
    assert isinstance(g, Tensor) and gradients(g, w) == 4.0
    g = grad(lambda x: x * x * x)(w)
    assert isinstance(g, Tensor) and gradients(g, w) == 18.0
    value, g = value_and_grad(lambda x: x * x)(w)
    assert isinstance(value, Tensor) and gradients(value, w) == 6.0
    assert not isinstance(grad(lambda x: x * x * stop_gradient(w))(2.0), Tensor)
    assert not isinstance(grad(lambda x: x * grad(lambda y: x * y * y)(2.0))(1.0), Tensor)
    y, tangent = jvp(lambda x: x * w, (2.0,), (1.0,))
    assert gradients(y, w) == 2.0 and gradients(tangent, w) == 1.0
    kept = []
    def f(x): kept.append(grad(lambda y: y * y * x)(2.0)); return kept[-1] * 1.0
    grad(f)(1.0)
    assert isinstance(kept[0], Tensor)
    assert not isinstance(grad(lambda z: z * z * kept[0].value)(1.0), Tensor)


def test_what_a_finished_call_left_behind_is_a_constant():
    kept = []
    grad(lambda x: (kept.append(x), x * x)[1])(2.0)
    assert gradients(kept[0] * kept[0], kept[0]) == 4.0
    with pytest.raises(ZeroDivisionError): grad(lambda x: (kept.append(x), 1 / 0)[1])(2.0)
    assert kept[1].fn is not None


@pytest.mark.parametrize("f, x, derivative", [(np.exp, 0.5, lambda n, x: np.exp(x)), (np.sin, 0.5, lambda n, x: np.sin(x + n * np.pi / 2)),
                                              (lambda x: x**10, 1.5, lambda n, x: np.prod(np.arange(10.0, 10 - n, -1)) * x**(10 - n))])
def test_tenth_order(f, x, derivative):
    for n in range(11):
        assert np.isclose(f(x), derivative(n, x), rtol=1e-9)
        f = grad(f)


def test_tenth_order_of_tanh_written_out():
    def tanh(x): e = np.exp(-2.0 * x); return (1.0 - e) / (1.0 + e)
    P = np.polynomial.Polynomial([0, 1])
    for _ in range(10): P, tanh = P.deriv() * np.polynomial.Polynomial([1, 0, -1]), grad(tanh)
    before, expected = Tensor(0.0).order, P(np.tanh(0.5))
    assert np.isclose(tanh(0.5), expected, rtol=1e-9)
    assert Tensor(0.0).order - before < 1_000_000     # Tensors made: a few seconds' worth at the most


def test_an_inner_derivative_in_a_long_outer_history_looks_at_its_own_part_only(monkeypatch):
    def descend(x, steps):
        for _ in range(steps): x = x - 0.001 * grad(lambda y: y * y)(x)
        return x
    looks = []
    for module in (tensor, backward, transforms):        # every look at a node asks for its type
        monkeypatch.setattr(module, "isinstance", lambda *a: looks.append(1) or isinstance(*a), raising=False)
    counts = []
    for steps in (50, 500):
        looks.clear()
        assert np.isclose(grad(lambda x: descend(x, steps))(1.0), 0.998**steps)
        counts.append(len(looks))
    assert counts[1] < 11 * counts[0]                 # 100 if each step looked through the whole history


def test_higher_orders_of_arrays_by_check_grads():
    x, v = rng.standard_normal(3), rng.standard_normal(3)
    f = lambda x: np.sum(network(x)**2)
    check_grads(grad(f))(x)
    check_grads(lambda x, v: jvp(network, (x,), (v,)))(x, v)
    check_grads(lambda x, u: vjp(network, x)[1](u)[0])(x, rng.standard_normal(4))
    check_grads(lambda x, v: hvp(f, (x,), (v,))[0], order=1)(x, v)
    check_grads(jacobian(network), order=1)(x)


# --- forwards -----------------------------------------------------------------------------------------------------

@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
@pytest.mark.parametrize("fn", [pytest.param(fn, id=label(fn)) for fn in table])
def test_jvp_of_every_rule_is_that_of_the_transposed_sweep(fn, dtype):
    rng = np.random.default_rng(3)
    for case in table[fn]:
        if dtype is np.complex128 and not case.complex: continue
        xs = case.arrays(dtype)
        vs = [(rng.standard_normal(x.shape) + (1j * rng.standard_normal(x.shape) if dtype is np.complex128 else 0) * np.ones(x.shape)).astype(dtype) for x in xs]
        call = lambda *args: list(y) if isinstance(y := case.call(*args), (list, tuple)) else [y]
        inputs, tolerance = [Tensor(x) for x in xs], dict(rtol=1e-4, atol=1e-4) if dtype is np.float32 else dict(rtol=1e-8, atol=1e-9)
        for x in vs: x.setflags(write=False)
        values, tangents = jvp(call, tuple(xs), tuple(vs))
        expected = push(ys := call(*inputs), inputs, vs)
        for y, value, got, tangent in zip(ys, values, tangents, expected, strict=True):
            assert np.shape(got) == y.shape and got.dtype == y.dtype and np.array_equal(value, y.value, equal_nan=True)
            np.testing.assert_allclose(got, tangent, **tolerance, err_msg=str(case))


def test_jvp_calls_no_rule_for_a_linear_function(monkeypatch):
    "A tangent through a product is a product, and nothing is contracted with ones."
    def refuse(*args, **params): raise AssertionError("a vjp was called")
    for fn in (np.matmul, np.sum, np.reshape, np.add, getitem):
        monkeypatch.setitem(rules, fn, tensor.Rule((refuse, refuse), rules[fn].broadcasts))
    X, W = rng.standard_normal((5, 3)), rng.standard_normal((3, 2))
    same(jvp(lambda W: np.sum((X @ W + 1.0).reshape(2, 5)[1]), (W,), (np.ones((3, 2)),))[1], np.sum((X @ np.ones((3, 2))).reshape(2, 5)[1]))


def test_hvp_of_a_linear_model_multiplies_with_the_data_three_times():
    X, t, W, V = rng.standard_normal((6, 4)), rng.integers(0, 3, 6), rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
    products = []
    class Counted(np.ndarray):
        def __array_ufunc__(self, ufunc, how, *inputs, **params):
            if any(isinstance(x, Tensor) for x in inputs): return NotImplemented
            if ufunc is np.matmul: products.append(ufunc)
            return getattr(ufunc, how)(*[np.asarray(x) if isinstance(x, Counted) else x for x in inputs], **params)
    counted, f = X.view(Counted), lambda X: lambda W: cross_entropy(np.matmul(X, W), t)
    got, = hvp(f(counted), (W,), (V,))
    assert len(products) == 3
    assert np.allclose(got, (grad(f(X))(W + 1e-5 * V) - grad(f(X))(W - 1e-5 * V)) / 2e-5, atol=1e-8)


def test_defjvp_is_used_by_jvp_and_its_transpose_is_the_vjp():
    calls = []
    @primitive
    def scaled(x, y): return np.sin(x) * y
    defjvp(scaled, lambda v, out, x, y: calls.append("x") or v * np.cos(x) * y, lambda v, out, x, y: calls.append("y") or np.sin(x) * v)
    x, y, v = rng.standard_normal((2, 3)), rng.standard_normal(3), rng.standard_normal((2, 3))
    same(jvp(lambda x: scaled(x, y), (x,), (v,))[1], v * np.cos(x) * y)
    assert calls == ["x"]                                   # y stands still
    calls.clear()
    same(grad(lambda x: np.sum(scaled(x, 2.0)))(x), 2.0 * np.cos(x))
    assert calls == ["x"]
    check_grads(lambda x: scaled(x, 2.0), order=3)(x)
    check_grads(lambda y: scaled(0.5, y))(y)
    same(grad(grad(grad(lambda x: scaled(x, 1.0))))(0.5), -math.cos(0.5))


def test_defjvp_beside_a_defvjp_leaves_the_vjp_alone():
    @primitive
    def f(x): return x * x
    defvjp(f, lambda g, y, x: 2.0 * g * x)
    defjvp(f, lambda v, y, x: 100.0 * v)
    same((grad(f)(3.0), jvp(f, (3.0,), (1.0,))), (6.0, (9.0, 100.0)))


def test_defjvp_of_several_and_of_constant_arguments():
    @primitive
    def weighted(*xs, weights): return sum(w * x for w, x in zip(weights, xs))
    defjvp(weighted, each=lambda i, v, y, *xs, weights: weights[i] * v)
    f = lambda x, y, z: weighted(x, y, z, weights=(1.0, 10.0, 100.0))
    same((jvp(f, (1.0, 1.0, 1.0), (1.0, 2.0, 3.0))[1], grad(f, (0, 2))(1.0, 1.0, 1.0)), (321.0, (1.0, 100.0)))
    @primitive
    def half(x, mode): return x * mode
    defjvp(half, lambda v, y, x, mode: v * mode, None)
    same((jvp(half, (3.0, 0.5), (1.0, 7.0))[1], grad(half, (0, 1))(3.0, 0.5)), (0.5, (0.5, 0.0)))


def test_an_error_in_a_tangent_names_the_call():
    @primitive
    def broken(x): return x * 2.0
    defjvp(broken, lambda v, y, x: v @ v)
    with pytest.raises(ValueError) as error: jvp(broken, (np.float64(2.0),), (1.0,))
    assert error.value.__notes__ == ["while pushing a tangent through broken(float64[])"]
    few = primitive(lambda x, y: x * y)
    few.__name__ = "few"
    defjvp(few, lambda v, out, x, y: v * y)
    with pytest.raises(TypeError, match="few: defjvp was given 1 jvps, none for argument 1"): jvp(few, (1.0, 2.0), (1.0, 1.0))
    with pytest.raises(TypeError, match=r"defjvp\(add\): expected 2 jvps"): defjvp(np.add, None)
    with pytest.raises(TypeError, match="expected a jvp for each argument"): defjvp(few)
    with pytest.raises(TypeError, match="fn: expected a function"): defjvp("few", None)


def test_a_long_chain_is_pushed_without_recursion():
    def f(x):
        y = x
        for _ in range(50_000): y = y + x
        return y
    same((jvp(f, (2.0,), (1.0,))[1], hvp(f, (2.0,), (1.0,))[0]), (50_001.0, 0.0))


def test_tangents_are_dropped_after_their_last_use():
    import tracemalloc
    def f(x):
        for _ in range(60): x = x * 0.5
        return np.sum(x)
    x = np.ones(50_000)
    tracemalloc.start()
    try:
        peaks = []
        for g in (lambda: f(Tensor(x)), lambda: jvp(f, (x,), (x,))):
            tracemalloc.reset_peak(); before = tracemalloc.get_traced_memory()[0]
            g(); peaks.append(tracemalloc.get_traced_memory()[1] - before)
    finally: tracemalloc.stop()
    assert peaks[1] < peaks[0] + 6 * x.nbytes


# --- batches ------------------------------------------------------------------------------------------------------

@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("fn", [pytest.param(fn, id=label(fn)) for fn in table])
@pytest.mark.filterwarnings("ignore:All-NaN slice")
def test_every_rule_gives_the_same_on_batches(fn, dtype):
    "Whether a rule takes batches or is called one by one, rows and columns are those of one direction at a time."
    for case in table[fn]:
        if dtype is np.complex128 and not case.complex: continue
        xs = case.arrays(dtype)
        trace = transforms.Trace(lambda *args: list(y) if isinstance(y := case.call(*args), (list, tuple)) else [y], tuple(xs), tuple(range(len(xs))), {})
        for y in trace.result:
            ways = [(transforms.sweeper([y], trace.inputs, trace.first), y.value), *((transforms.pusher([y], [t], trace.first), t.value) for t in trace.inputs)]
            for way, x in ways:
                if not np.shape(x) or 0 in np.shape(x): continue
                for got, expected in zip(transforms.for_all_units(way, x), transforms.for_all_units(way, x, most=1), strict=True):
                    assert got.shape == expected.shape and got.dtype == expected.dtype, case
                    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10, err_msg=str(case))


def batches_taken(monkeypatch):
    "How many members each batch of units had that was sent on its way; and a way that was not taken raises."
    sizes, original = [], transforms.units
    monkeypatch.setattr(transforms, "units", lambda x, begin, end: sizes.append(end - begin) or original(x, begin, end))
    def single(x, k): raise AssertionError("one by one")
    monkeypatch.setattr(transforms, "unit", single)
    return sizes


def test_the_usual_models_go_in_batches(monkeypatch):
    X, t, W = rng.standard_normal((6, 4)), rng.integers(0, 3, 6), rng.standard_normal((4, 3))
    M, x = rng.standard_normal((5, 5)), rng.standard_normal(5)
    loss = lambda p: cross_entropy(np.tanh(X @ p["W"] + p["b"]), t) + np.sum(p["W"].reshape(2, 6).T[1:, ::2] ** 2)
    cases = [(lambda x: np.tanh(M @ x), x), (grad(loss), {"W": W, "b": np.zeros(3)}), (lambda x: x[[1, 1, 3]] * x[2:], x), (lambda x: np.einsum("i,ij,kj->k", x, M, M), x),
             (lambda x: np.concatenate([x, np.stack([x, x * x]).mean(axis=0)]), x), (lambda x: np.outer(x, x) / np.sum(x * x), x), (lambda x: np.where(x > 0, np.exp(x), x), x),
             (lambda x: np.ones((9, 1)) * (M @ x[:, None]).T, x)]
    expected = [jacobian(f)(at) for f, at in cases]
    sizes = batches_taken(monkeypatch)
    for (f, at), J in zip(cases, expected): same(jacobian(f)(at), J)
    assert len(sizes) >= len(cases)


def test_a_batch_is_no_larger_than_the_cache(monkeypatch):
    sizes = batches_taken(monkeypatch)
    n = transforms.BATCH // 64
    assert np.array_equal(jacobian(lambda x: x[:100] * 2.0)(np.ones(n)), 2 * np.eye(100, n))
    assert set(sizes) == {64, 36}


def test_large_arrays_tensors_and_other_arrays_go_one_by_one(monkeypatch):
    def batch(x, begin, end): raise AssertionError("a batch")
    monkeypatch.setattr(transforms, "units", batch)
    x = np.ones(transforms.BATCH)
    assert jacobian(lambda x: x[:2] * 2.0)(x).sum() == 4.0
    w = Tensor(2.0)
    J = jacobian(lambda x: x * x * w)(np.ones(3))
    assert np.array_equal(gradients(J, w, np.eye(3)), 6.0)
    same(grad(lambda w: np.sum(jacobian(lambda x: x * x * w)(np.ones(3))))(2.0), 6.0)


def test_a_rule_that_fails_on_batches_is_called_one_by_one_and_a_wrong_one_speaks_for_itself():
    @primitive
    def odd(x): return x * 2.0
    defvjp(odd, lambda g, y, x: np.asarray(g) * 2.0)                  # would take a batch for an array
    same(jacobian(lambda x: odd(x))(np.ones(3)), 2 * np.eye(3))
    @primitive
    def branches(x): return x * 2.0
    defvjp(branches, lambda g, y, x: g * 2.0 if np.sum(g) > -1 else g * 0.0)
    same(jacobian(lambda x: branches(x))(np.ones(3)), 2 * np.eye(3))
    @primitive
    def wrong(x): return x * 2.0
    defvjp(wrong, lambda g, y, x: g[0, 0])
    with pytest.raises(IndexError, match="array") as error: jacobian(lambda x: wrong(x))(np.ones(3))
    assert "while differentiating wrong(float64[3])" in error.value.__notes__[0]


def test_a_batch_computes_what_its_members_do():
    B, a = transforms.Batch, rng.standard_normal((4, 2, 3))
    calls = [np.exp, lambda x: x.T @ x, lambda x: x @ np.ones((3, 2)), lambda x: np.ones((5, 2)) @ x, lambda x: x @ np.ones(3), lambda x: np.ones(2) @ x, lambda x: np.ones((7, 1, 3)) * x, lambda x: x.sum(),
             lambda x: x.sum(axis=0), lambda x: np.mean(x, axis=(0, 1), keepdims=True), lambda x: np.cumsum(x, axis=0), lambda x: np.flip(x, 1), lambda x: x[1], lambda x: x[..., None], lambda x: x[:, [2, 0]], lambda x: x[x[:, 0] > -9],
             lambda x: np.reshape(x, 6), lambda x: np.reshape(x, (3, 2), order="F"), lambda x: x.reshape(3, 2), lambda x: np.swapaxes(x, 0, 1), lambda x: np.broadcast_to(x, (5, 2, 3)), lambda x: np.expand_dims(x, 1), lambda x: np.expand_dims(x, (0, 2)),
             lambda x: np.tensordot(x, np.ones((3, 4)), 1), lambda x: np.tensordot(np.ones((4, 2)), x, 1), lambda x: np.tensordot(x, x, 2), lambda x: np.einsum("ij,kj->ik", x, np.ones((4, 3))), lambda x: np.where(x > 0, x, 0.0), lambda x: np.where([True, False, True], x, 1.0),
             lambda x: np.concatenate([x, np.ones((1, 3))]), lambda x: np.stack([np.ones((2, 3)), x], axis=-1), lambda x: np.linalg.norm(x), lambda x: np.sort(x, axis=0), lambda x: np.add.reduce(x, axis=1), lambda x: np.real(x) - x.real, lambda x: -x / 2 + 3,
             lambda x: x.astype(np.float32), lambda x: np.inner(x, np.ones((4, 3))), lambda x: np.matmul(np.ones((5, 4, 2)), x), lambda x: np.vecdot(x, x) if hasattr(np, "vecdot") else x]
    for k, call in enumerate(calls):
        got = call(B(a))
        np.testing.assert_allclose(got.value, np.stack([call(x) for x in a]), rtol=1e-12, err_msg=str(k))
        assert got.shape == got.value.shape[1:] and got.dtype == call(a[0]).dtype
    for refused in (np.asarray, bool, float, lambda x: np.add.at(np.zeros(3), [0, 0, 0], x), lambda x: np.copyto(np.zeros((2, 3)), x), np.linalg.svd, np.frexp):
        with pytest.raises(TypeError): refused(B(a))


# --- higher order -------------------------------------------------------------------------------------------------

def taylor_quotient(a, b):
    "The Taylor coefficients of a quotient, from those of both sides."
    out = []
    for n in range(len(a)): out.append((a[n] - sum(out[k] * b[n - k] for k in range(n))) / b[0])
    return out


def taylor_exp(a):
    out = [math.exp(a[0])]
    for n in range(1, len(a)): out.append(sum(k * a[k] * out[n - k] for k in range(1, n + 1)) / n)
    return out


def taylor_log(a):
    out = [math.log(a[0])]
    for n in range(1, len(a)): out.append((a[n] - sum(k * out[k] * a[n - k] for k in range(1, n)) / n) / a[0])
    return out


def taylor_product(a, b): return [sum(a[k] * b[n - k] for k in range(n + 1)) for n in range(len(a))]


def taylor_sin_cos(a):
    s, c = [math.sin(a[0])], [math.cos(a[0])]
    for n in range(1, len(a)):
        s.append(sum(k * a[k] * c[n - k] for k in range(1, n + 1)) / n)
        c.append(-sum(k * a[k] * s[n - k] for k in range(1, n + 1)) / n)
    return s, c


COMPOSITES = {                                                    # the function, and its Taylor coefficients by recurrences
    "logistic": (lambda x: 1.0 / (1.0 + np.exp(-x)), lambda x: taylor_quotient([1.0] + [0.0] * 5, [1.0 + e if n == 0 else e for n, e in enumerate(taylor_exp([-c for c in x]))])),
    "exp of sin": (lambda x: np.exp(np.sin(x)), lambda x: taylor_exp(taylor_sin_cos(x)[0])),
    "x log(1 + x^2)": (lambda x: x * np.log(1.0 + x * x), lambda x: taylor_product(x, taylor_log([1.0 + c if n == 0 else c for n, c in enumerate(taylor_product(x, x))]))),
    "power of itself": (lambda x: x ** x, lambda x: taylor_exp(taylor_product(x, taylor_log(x)))),
    "tan by sin over cos": (lambda x: np.sin(x) / np.cos(x), lambda x: taylor_quotient(*taylor_sin_cos(x))),
    "root of cosh": (lambda x: np.sqrt((np.exp(x) + np.exp(-x)) / 2.0),
                     lambda x: taylor_exp([c / 2 for c in taylor_log([(a + b) / 2 for a, b in zip(taylor_exp(x), taylor_exp([-c for c in x]))])])),
    "sum of a softmax product": (lambda x: np.sum(np.exp(x * np.array([1.0, 2.0])) / np.sum(np.exp(x * np.array([1.0, 2.0]))) * np.array([3.0, -1.0])),
                                 lambda x: [3.0 * (n == 0) - 4.0 * c for n, c in enumerate(taylor_quotient([1.0] + [0.0] * 5, [1.0 + e if n == 0 else e for n, e in enumerate(taylor_exp([-c for c in x]))]))]),
}


@pytest.mark.parametrize("mode", ["grad", "jvp", "in turns"])
@pytest.mark.parametrize("name", COMPOSITES)
def test_fifth_order_of_composite_functions(name, mode):
    f, taylor = COMPOSITES[name]
    at = 0.7
    coefficients = taylor([at, 1.0, 0.0, 0.0, 0.0, 0.0])
    steps = {"grad": [grad], "jvp": [slope], "in turns": [grad, slope]}[mode]
    for n in range(6):
        assert np.isclose(f(at), coefficients[n] * math.factorial(n), rtol=1e-8), n
        f = steps[n % len(steps)](f)


def slope(f): return lambda x: jvp(f, (x,), (1.0,))[1]


def test_fifth_order_of_an_array_function():
    x, A = rng.standard_normal(3), rng.standard_normal((3, 3))
    f = lambda x: np.exp(np.sin(A @ x) @ x)
    directions = rng.standard_normal((5, 3))
    by_jvp, by_grad = f, f
    for v in directions:
        by_jvp = (lambda f, v: lambda x: jvp(f, (x,), (v,))[1])(by_jvp, v)
        by_grad = (lambda f, v: lambda x: grad(f)(x) @ v)(by_grad, v)
    assert np.isclose(by_jvp(x), by_grad(x), rtol=1e-9)
    h = 1e-5
    lower = f
    for v in directions[:4]: lower = (lambda f, v: lambda x: jvp(f, (x,), (v,))[1])(lower, v)
    assert np.isclose(by_jvp(x), (lower(x + h * directions[4]) - lower(x - h * directions[4])) / (2 * h), rtol=1e-5)


def test_the_tenth_order_of_tanh_is_quick():
    f = np.tanh
    for _ in range(10): f = grad(f)
    before = Tensor(0.0).order
    f(0.5)
    assert Tensor(0.0).order - before < 2_000
    assert min((lambda start: (f(0.5), time.perf_counter() - start)[1])(time.perf_counter()) for _ in range(5)) < 0.1


@pytest.mark.parametrize("f, limit", [(np.tanh, 2_500), (lambda x: np.exp(np.sin(x)), 1_200)])
def test_the_tenth_slope_does_not_blow_up_either(f, limit):
    tenth = f
    for _ in range(10): tenth = slope(tenth)
    before = Tensor(0.0).order
    got = tenth(0.5)
    assert Tensor(0.0).order - before < limit
    by_grad = f
    for _ in range(10): by_grad = grad(by_grad)
    assert np.isclose(got, by_grad(0.5), rtol=1e-8)


def test_equal_calls_are_shared_only_if_they_are_interchangeable():
    interchangeable = lambda a, b: transforms.same_call(a) == transforms.same_call(b)
    assert interchangeable((1.5, "C", None, (0, 1)), (1.5, "C", None, (0, 1))) and interchangeable({"axis": (0,)}, {"axis": (0,)})
    for a, b in ((0.0, -0.0), (1, True), (1.0, 1), ((1,), (True,)), ((1,), [1]), (np.ones(2), np.ones(2)), (np.float32(1), np.float64(1)), ({"axis": 0}, {"ddof": 0})):
        assert not interchangeable(a, b)
    index = lambda x: np.sum(x[np.array([0, 1])] ** 3) + np.sum(x[np.array([1, 2])] ** 3)
    x = np.array([1.0, 2.0, 3.0])
    assert np.allclose(hessian(index)(x), np.diag(6 * x * [1, 2, 1]))
    twice = lambda a, b: np.sum(np.sin(a) * np.sin(b))
    t = Tensor(x)
    for k, expected in enumerate((np.cos(x) * np.sin(x),) * 2): assert np.allclose(grad(twice, k)(t, t).value, expected)
    assert np.allclose(grad(lambda t: np.sum(grad(twice, 0)(t, t)))(x), np.cos(2 * x))
    reshaped = lambda x: np.sum(x.reshape(3, 1) * x.reshape(1, 3)) + np.sum(x[np.array([True, False, True])])
    assert np.allclose(hessian(reshaped)(x), 2 * np.ones((3, 3)))


def test_a_shared_graph_keeps_what_a_pullback_needs():
    kept = []
    def f(x):
        y, pullback = vjp(lambda a, b: a * b, x, x)
        kept.append(pullback)
        return grad(lambda z: z * z * y)(x)
    same(grad(f)(3.0), 6.0 * 9.0)                                    # 2 x y with y = x^2
    assert [float(np.asarray(stop_gradient(g))) for g in kept[0](1.0)] == [3.0, 3.0]


def test_nested_gradients_in_eight_threads():
    f = grad(lambda x: grad(lambda y: np.tanh(x * y) * y)(x) * x)
    points = np.linspace(-1, 1, 400)
    expected, right, gate = [f(x) for x in points], [], threading.Barrier(8)
    def work(): gate.wait(); right.append(sum(f(x) == e for x, e in zip(points, expected)))
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for t in threads: t.start()
        for t in threads: t.join()
    finally: sys.setswitchinterval(before)
    assert right == [400] * 8                                        # 3,200 of 3,200


# --- complex ----------------------------------------------------------------------------------------------------

def test_complex_convention():
    z = 1.0 + 2.0j
    assert np.isclose(grad(lambda z: z * z * z)(z), 3 * z * z)
    assert np.isclose(grad(lambda z: np.real(z * np.conj(z)))(z), 2 * np.conj(z))
    assert np.isclose(grad(lambda z: np.imag(z))(z), -1j)
    assert np.isclose(jvp(lambda z: np.conj(z) * z * z, (z,), (1j,))[1], np.conj(1j) * z * z + np.conj(z) * 2 * z * 1j)
    w = np.array([1 + 1j, 2 - 1j], np.complex64)
    assert grad(lambda w: np.real(np.sum(w * w)))(w).dtype == np.complex64
    assert np.allclose(hvp(lambda w: np.real(np.sum(w * w * w)), (w,), (np.array([1j, 1]),))[0], 6 * w * np.array([1j, 1]))


def test_complex_jacobians():
    x, c = np.array([0.5, 1.0]), np.array([1 + 1j, 2j])
    assert np.allclose(jacobian(lambda x: np.exp(c * x))(x), np.diag(c * np.exp(c * x)))           # real to complex: by columns
    assert np.allclose(jacobian(lambda z: z * z)(c), np.diag(2 * c))                                # holomorphic
    assert np.allclose(jacobian(lambda z: np.real(z * np.conj(z)) * np.ones((9, 1)))(c)[0], np.diag(2 * np.conj(c)))    # to real: by rows
    with pytest.raises(TypeError, match="complex128.*jvp or jacobian"): grad(lambda x: np.sum(c * x))(x)
    with pytest.raises(TypeError, match="complex128"): elementwise_grad(lambda x: c * x)(x)


# --- the caller's arrays ------------------------------------------------------------------------------------------

def test_results_belong_to_the_caller():
    a, b = grad(lambda a, b: np.sum(a + b), (0, 1))(np.ones(3), np.ones(3))
    a += 5
    assert np.array_equal(b, np.ones(3))
    g = np.ones(3)
    _, pullback = vjp(lambda x: x, np.ones(3))
    out = pullback(g)[0]
    out += 5
    assert np.array_equal(g, np.ones(3)) and np.array_equal(pullback(g)[0], np.ones(3))


def test_nothing_is_written_to():
    x = np.ones(3); x.flags.writeable = False
    f = lambda x: np.sum(np.tanh(x) * x)
    grad(f)(x), hessian(f)(x), hvp(f, (x,), (x,)), jvp(f, (x,), (x,))


def test_no_garbage_is_left_for_the_collector():
    import gc
    gc.collect(); gc.disable()
    try:
        for _ in range(3): hvp(lambda x: np.sum(network(x)), (np.ones(3),), (np.ones(3),)), jacobian(network)(np.ones(3))
        assert not [o for o in gc.get_objects() if isinstance(o, Tensor) and o.fn is not None and o.fn.__name__ in ("identity", "bundle", "spent")]
    finally: gc.enable()


def test_threads():
    f = grad(grad(lambda x: np.sum(network(x)**2 * x[0]) if np.ndim(x) else np.tanh(x) * x))
    xs = np.linspace(-1, 1, 200)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool: together = list(pool.map(f, xs))
    finally: sys.setswitchinterval(before)
    assert together == [f(x) for x in xs]


# --- errors -----------------------------------------------------------------------------------------------------

f = lambda x, y: x * y


@pytest.mark.parametrize("call, kind, message", [
    (lambda: grad(lambda x: x * 2)(np.ones((2, 3))), ValueError, r"scalar.*shape \(2, 3\)"),
    (lambda: grad(lambda x: np.ones(4))(1.0), ValueError, r"scalar.*shape \(4,\)"),
    (lambda: grad(lambda x: (x, x))(1.0), TypeError, "scalar.*tuple.*has_aux"),
    (lambda: grad(lambda x: None)(1.0), TypeError, "scalar.*NoneType"),
    (lambda: grad(lambda x: x, has_aux=True)(1.0), TypeError, "pair.*has_aux"),
    (lambda: grad(3.0), TypeError, "f: expected a function, got float"),
    (lambda: grad(f)(x=1.0, y=2.0), ValueError, "argnums.*0 positional.*got 0"),
    (lambda: grad(f, 2)(1.0, 2.0), ValueError, "argnums.*got 2"),
    (lambda: grad(f, (0, -2))(1.0, 2.0), ValueError, "argnums.*once"),
    (lambda: grad(f, "a")(1.0, 2.0), TypeError, "argnums: expected.*'a'"),
    (lambda: grad(None), TypeError, "^grad: f: expected a function"), (lambda: value_and_grad(None), TypeError, "^value_and_grad: f: expected"),
    (lambda: grad(f, 1.5)(1.0, 2.0), TypeError, "argnums: expected.*1.5"),
    (lambda: grad(f)({"w": [{1.0}]}, 2.0), TypeError, r"argument 0\['w'\]\[0\].*got set"),
    (lambda: grad(f)(np.array(["a"]), 2.0), TypeError, "argument 0.*dtype"),
    (lambda: vjp(f, 1.0, 2.0)[1](np.ones(2)), ValueError, r"g: expected shape \(\), got \(2,\)"),
    (lambda: vjp(lambda x: {"a": x}, 1.0)[1]({"b": 1.0}), ValueError, r"g: expected.*\['a'\].*\['b'\]"),
    (lambda: vjp(f, 1.0, 2.0)[1](1j), TypeError, "g: expected real.*complex"),
    (lambda: vjp(lambda x: {x}, 1.0), TypeError, "result of f.*got set"),
    (lambda: jvp(f, 1.0, 2.0), TypeError, "primals.*tuple.*got float"),
    (lambda: jvp(f, (1.0, 2.0), (1.0,)), ValueError, "tangents.*2 primals, got 1"),
    (lambda: jvp(f, (1.0, {"a": 2.0}), (1.0, {"a": np.ones(3)})), ValueError, r"tangents\[1\]\['a'\]: expected shape \(\), got \(3,\)"),
    (lambda: jvp(f, (1.0, 2.0), (1.0, "up")), TypeError, r"tangents\[1\].*got str"),
    (lambda: hvp(f, (1.0, 2.0), (1.0, np.ones(2))), ValueError, r"tangents\[1\]: expected shape"),
    (lambda: hvp(lambda x: x, (np.ones(2),), (np.ones(2),)), ValueError, r"scalar.*shape \(2,\)"),
])
def test_errors_name_what_was_expected_and_what_came(call, kind, message):
    with pytest.raises(kind, match=message): call()


# --- what is handed through ---------------------------------------------------------------------------------------

def test_aux_through_every_operator():
    f = lambda x: (x * x, {"twice": 2.0 * x, "text": "t", "n": 3})
    x, extra = np.array([1.0, 2.0]), {"twice": np.array([2.0, 4.0]), "text": "t", "n": 3}
    J, aux = jacobian(f, has_aux=True)(x)
    same(J, np.diag([2.0, 4.0])), same(aux["twice"], extra["twice"])
    assert aux["text"] == "t" and aux["n"] == 3
    H, aux = hessian(lambda x: (np.sum(x * x * x), x + 1.0), has_aux=True)(x)
    same((H, aux), (np.diag([6.0, 12.0]), x + 1.0))
    y, tangent, aux = jvp(f, (x,), (x,), has_aux=True)
    same((y, tangent, aux["twice"]), (x * x, 2 * x * x, 2 * x))
    y, pullback, aux = vjp(f, x, has_aux=True)
    same((y, pullback(np.ones(2)), aux["twice"]), (x * x, (2 * x,), 2 * x))
    same(grad(lambda x: (lambda g, aux: np.sum(g) * np.sum(aux["w"]))(*grad(lambda z: (np.sum(z * z * x), {"w": x}), has_aux=True)(np.ones(2))))(3.0), 4 * 2 * 3.0)
    for call in (lambda: jacobian(np.sin, has_aux=True)(1.0), lambda: vjp(np.sin, 1.0, has_aux=True), lambda: jvp(np.sin, (1.0,), (1.0,), has_aux=True)):
        with pytest.raises(TypeError, match=r"expected a pair \(result, aux\)"): call()


def test_check_grads_finds_a_wrong_jvp():
    right, wrong = primitive(lambda x: x * x), primitive(lambda x: x * x)
    for f in (right, wrong): defvjp(f, lambda g, y, x: 2.0 * g * x)
    defjvp(right, lambda v, y, x: 2.0 * v * x)
    defjvp(wrong, lambda v, y, x: 3.0 * v * x)
    check_grads(right)(np.array([1.0, 2.0]))
    with pytest.raises(AssertionError, match="argument 0, tangent of output 0 by push_forwards"): check_grads(wrong)(np.array([1.0, 2.0]))
    check_grads(wrong, modes="vjp", order=1)(np.array([1.0, 2.0]))
    recorded_only = primitive(lambda x: x * x)
    defvjp(recorded_only, lambda g, y, x: 2.0 * g * x)
    defjvp(recorded_only, lambda v, y, x: v * (3.0 if isinstance(x, Tensor) else 2.0) * x)
    with pytest.raises(AssertionError, match="by push_forwards"): check_grads(recorded_only, order=1)(np.array([1.0, 2.0]))


def test_a_tensor_that_the_function_makes_itself_is_a_constant():
    "Constants in Tensors, as they are often written, leave the results plain; or a loop of steps would grow a graph."
    weights, x = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 2.0])
    plain, wrapped = lambda x: np.sum((weights * x) ** 2), lambda x: np.sum((Tensor(weights) * x) ** 2)
    for operator in (grad, value_and_grad, jacobian, hessian, elementwise_grad): same(operator(wrapped)(x), operator(plain)(x))
    same(hvp(wrapped, (x,), (weights,)), hvp(plain, (x,), (weights,)))
    same(jvp(wrapped, (x,), (weights,)), jvp(plain, (x,), (weights,)))
    same(vjp(wrapped, x)[1](2.0), vjp(plain, x)[1](2.0))
    same(grad(lambda x: (wrapped(x), Tensor(weights) * x), has_aux=True)(x), grad(lambda x: (plain(x), weights * x), has_aux=True)(x))
    steps = x
    for _ in range(3): steps = steps - 0.1 * grad(wrapped)(steps)
    assert type(steps) is np.ndarray


def test_a_tensor_made_in_an_outer_function_is_no_constant_of_an_inner_one():
    def outer(x):
        made = Tensor(2.0)
        inner = grad(lambda y: y * y * made * x)(1.0)         # 2 * made * x
        assert isinstance(inner, Tensor)
        return inner * gradients(inner, made)                 # 2 * made * x * 2 * x.value
    def swept(x):
        made = Tensor(2.0)
        return gradients(made * made * x, made, create_graph=True) * x    # 2 * made * x * x
    assert grad(outer)(3.0) == 24.0 * 2 / 2 and grad(swept)(3.0) == 24.0
    same(grad(grad(swept))(3.0), 8.0)


def test_what_is_given_by_keyword_is_not_differentiated():
    assert grad(lambda x, y=1.0: x * y)(2.0, y=3.0) == 3.0
    for operator in (grad, jacobian, hessian, elementwise_grad):
        with pytest.raises(ValueError, match="the 0 positional arguments, got 0; .* by position, not by keyword"): operator(lambda x: x * x)(x=2.0)


@pytest.mark.parametrize("f", [lambda x: np.sum(x ** 2), lambda x: np.sum(x), lambda x: x.sum()])
def test_a_list_where_an_array_was_meant_is_noted(f):
    for x in ([1.0, 2.0], [[1, 2], [3, 4]]):
        with pytest.raises((TypeError, AttributeError)) as caught: grad(f)(x)
        assert caught.value.__notes__ == ["argument 0 is a list, so f was called with a list of Tensors; pass np.array(...) of it for an array"]
    with pytest.raises((TypeError, AttributeError)) as caught: grad(f)({"w": [1.0, 2.0]})
    assert not getattr(caught.value, "__notes__", [])
    same(grad(lambda x: x[0] * x[1])([2.0, 3.0]), [3.0, 2.0])


def test_a_copied_primitive_takes_its_jvp_along():
    @primitive
    def straight(x): return np.sign(x)
    defvjp(straight, lambda g, y, x: g)
    defjvp(straight, lambda v, y, x: 0 * v)
    twin = copy.deepcopy(straight)
    assert twin is not straight and jvp(twin, (2.0,), (1.0,)) == jvp(straight, (2.0,), (1.0,)) == (1.0, 0.0) and grad(twin)(2.0) == 1.0


def test_an_array_from_another_process_has_the_same_bits():
    "Its dtype is another object."
    rng = np.random.default_rng(0)
    X, t = rng.normal(size=(64, 10)), rng.integers(0, 10, 64)
    f = lambda b: jvp(grad(lambda b: cross_entropy(linear(X, np.eye(10), b), t)), (b,), (np.arange(10.0),))[1]
    b = np.zeros(10)
    np.testing.assert_array_equal(f(b), f(pickle.loads(pickle.dumps(b, 5))))
