"""Contractions: every form of axes and of einsum, against differences, against a relabelled einsum, and one order up."""
import itertools
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from autodiffnb import contraction, elementwise, reduction, shaping  # noqa: F401  (their rules are used by the recorded sweeps)
from autodiffnb.backward import gradients
from autodiffnb.check import check_grads
from autodiffnb.contraction import contraction_axes, einsum_way_back, explicit, linear, surviving, tensorcontract, ways_back
from autodiffnb.shaping import inverse_permutation
from autodiffnb.tensor import Tensor
from autodiffnb.transforms import jvp

DTYPES = [np.float32, np.float64, np.complex64, np.complex128]


def whole(rng, shape, dtype=np.float64):
    "Small whole numbers, for which sums and products are exact in every dtype."
    x = rng.integers(-4, 5, shape)
    return (x + 1j * rng.integers(-4, 5, shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def same(got, expected):
    assert isinstance(got, np.ndarray) or np.isscalar(got)
    assert np.shape(got) == np.shape(expected)
    assert np.asarray(got).dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(got, expected)


def adjoints(f, arrays, rng):
    "The result of `f`, an adjoint for it, and what the sweep makes of that for every array; nothing may be written to."
    tensors = [Tensor(x) for x in arrays]
    y = f(*tensors)
    assert isinstance(y, Tensor)
    g = whole(rng, y.shape, y.dtype)
    for x in (g, *arrays):
        if isinstance(x, np.ndarray): x.setflags(write=False)
    return y.value, g, gradients(y, tensors, g)


def transposed_equation(f, arrays, rng):
    "The equation that defines the adjoint of a linear operand: sum of g f(v) is the sum of adjoint times v, exactly."
    y, g, grads = adjoints(f, arrays, rng)
    same(y, np.asarray(f(*arrays)))
    for i, (x, grad) in enumerate(zip(arrays, grads)):
        assert grad.shape == x.shape and grad.dtype == x.dtype
        v = whole(rng, x.shape, x.dtype)
        np.testing.assert_array_equal(np.sum(g * f(*arrays[:i], v, *arrays[i + 1:])), np.sum(grad * v))


# --- tensordot ----------------------------------------------------------------------------------------------------

@st.composite
def contractions(draw, most=4):
    "Shapes of rank up to 4 and axes that pair some of them, in any order, some of them negative."
    A_ndim, B_ndim = draw(st.integers(0, most)), draw(st.integers(0, most))
    n = draw(st.integers(0, min(A_ndim, B_ndim)))
    A_axes = draw(st.permutations(range(A_ndim)))[:n]
    B_axes = draw(st.permutations(range(B_ndim)))[:n]
    length = st.integers(0, 3)
    A_shape, B_shape = [[draw(length) for _ in range(k)] for k in (A_ndim, B_ndim)]
    for a, b in zip(A_axes, B_axes): B_shape[b] = A_shape[a]
    signed = lambda axes, ndim: [k - ndim * draw(st.booleans()) for k in axes]
    return tuple(A_shape), tuple(B_shape), (signed(A_axes, A_ndim), signed(B_axes, B_ndim))


def relabelled(A, B, axes):
    "Letters for the operands and the result of `tensordot`, made without the code under test."
    A_axes, B_axes = [[k % x.ndim for k in side] for x, side in zip((A, B), axes)]
    a, b = list("abcd"[:A.ndim]), list("efgh"[:B.ndim])
    for i, j in zip(A_axes, B_axes): b[j] = a[i]
    c = [s for i, s in enumerate(a) if i not in A_axes] + [s for j, s in enumerate(b) if j not in B_axes]
    return "".join(a), "".join(b), "".join(c)


@given(contractions(), st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=300)
def test_tensordot_against_relabelled_einsum(case, A_dtype, B_dtype, seed):
    A_shape, B_shape, axes = case
    rng = np.random.default_rng(seed)
    A, B = whole(rng, A_shape, A_dtype), whole(rng, B_shape, B_dtype)
    y, Q, (gA, gB) = adjoints(lambda A, B: np.tensordot(A, B, axes), [A, B], rng)
    a, b, c = relabelled(A, B, axes)
    same(y, np.tensordot(A, B, axes))
    fit = lambda g, x: (g if np.iscomplexobj(x) else g.real).astype(x.dtype)
    same(gA, fit(np.einsum(f"{c},{b}->{a}", Q, B), A))
    same(gB, fit(np.einsum(f"{a},{c}->{b}", A, Q), B))


@pytest.mark.parametrize("rank", range(1, 5))
def test_tensordot_every_permutation_of_axes(rank):
    rng = np.random.default_rng(rank)
    shape = (2, 3, 4, 2)[:rank]
    for n in range(rank + 1):
        for A_axes, B_axes in itertools.product(itertools.combinations(range(rank), n), itertools.permutations(range(rank), n)):
            B_shape = [1] * rank
            for a, b in zip(A_axes, B_axes): B_shape[b] = shape[a]
            A, B = whole(rng, shape), whole(rng, B_shape)
            _, Q, (gA, gB) = adjoints(lambda A, B: tensorcontract(A, B, (A_axes, B_axes)), [A, B], rng)
            a, b, c = relabelled(A, B, (A_axes, B_axes))
            same(gA, np.einsum(f"{c},{b}->{a}", Q, B))
            same(gB, np.einsum(f"{a},{c}->{b}", A, Q))


@given(contractions(3), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=25)
def test_tensordot_against_differences_to_second_order(case, seed):
    A_shape, B_shape, axes = case
    rng = np.random.default_rng(seed)
    check_grads(lambda A, B: np.tensordot(A, B, axes), order=2)(rng.normal(size=A_shape), rng.normal(size=B_shape))


FORMS = [  # axes for shapes (2, 3, 4) and (3, 4, 5), and what they are as lists
    (0, ((), ())), (1, None), (np.int64(2), ((1, 2), (0, 1))), (2, ((1, 2), (0, 1))), (np.array(2), ((1, 2), (0, 1))),
    ((1, 0), ((1,), (0,))), ([-1, -2], ((2,), (1,))), (np.array([2, 1]), ((2,), (1,))), ((np.int64(1), [0]), ((1,), (0,))),
    (([2, 1], [1, 0]), ((2, 1), (1, 0))), (((-1, -2), (-2, -3)), ((2, 1), (1, 0))), (np.array([[1, 2], [0, 1]]), ((1, 2), (0, 1))),
    ((np.array([1]), (np.int32(0),)), ((1,), (0,))), ([[], []], ((), ())), ((range(1, 3), range(2)), ((1, 2), (0, 1))),
]


@pytest.mark.parametrize("axes, expected", FORMS, ids=repr)
def test_every_form_of_axes(axes, expected):
    A_shape, B_shape = (2, 3, 4), (4, 3, 5) if expected is None else (3, 4, 5)
    expected = expected or ((2,), (0,))
    rng = np.random.default_rng(0)
    A, B = whole(rng, A_shape), whole(rng, B_shape)
    y = np.tensordot(Tensor(A), B, axes)
    assert y.fn is np.tensordot and y.params == dict(axes=expected)
    assert all(type(k) is int for side in y.params["axes"] for k in side)
    same(y.value, np.tensordot(A, B, axes))
    transposed_equation(lambda A, B: np.tensordot(A, B, axes), [A, B], rng)


def test_default_axes_and_keyword():
    rng = np.random.default_rng(0)
    A, B = whole(rng, (2, 3, 4)), whole(rng, (3, 4, 5))
    same(np.tensordot(Tensor(A), B).value, np.tensordot(A, B))
    same(tensorcontract(A=Tensor(A), B=B, axes=2).value, np.tensordot(A, B))
    same(np.tensordot(A, b=Tensor(B), axes=([1, 2], [0, 1])).value, np.tensordot(A, B, 2))


def test_tensorcontract_of_plain_arrays_is_plain():
    rng = np.random.default_rng(0)
    A, B = whole(rng, (2, 3), np.float32), whole(rng, (3, 4), np.float32)
    same(tensorcontract(A, B, 1), A @ B)
    same(tensorcontract(A.tolist(), B.tolist(), 1), (A @ B).astype(float))
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 4\).*axes=\(0, 0\)"): tensorcontract(A, B, (0, 0))


def test_scalars_numbers_lists_and_an_operand_with_itself():
    x, three = Tensor([1.0, 2.0]), Tensor(3)
    same(gradients(np.tensordot(three, x, 0), [three, x], np.ones(2))[1], np.full(2, 3.0))
    assert gradients(np.tensordot(three, x, 0), three, [1.0, 10.0]) == 21.0
    same(np.tensordot(x, 2.0, 0).value, np.array([2.0, 4.0]))
    same(np.tensordot([[1, 2], [3, 4]], x, 1).value, np.array([5.0, 11.0]))
    same(gradients(np.tensordot(x, x, 1), x), np.array([2.0, 4.0]))
    same(gradients(np.tensordot(x, x, 0), x, [[1.0, 2.0], [3.0, 4.0]]), np.array([1 * 2 + 2 * 5 + 0.0, 5 * 1 + 8 * 2.0]))
    check_grads(lambda x: np.tensordot(x, np.tensordot(x, x, ([1], [0])), ([0, 1], [1, 0])))(np.arange(4.0).reshape(2, 2))


def test_the_published_example():
    A, B = Tensor(np.arange(60.0).reshape(3, 4, 5)), Tensor(np.arange(120.0).reshape(4, 5, 6))
    C = Tensor(np.arange(18).reshape(3, 6))
    L = np.tensordot(np.tensordot(A, B, ([1, 2], [0, 1])), C, ([0, 1], [0, 1]))
    L.backward()
    same(A.grad.ravel()[:5], np.array([55.0, 145, 235, 325, 415]))
    same(B.grad.ravel()[:6], np.array([600.0, 660, 720, 780, 840, 900]))


def test_the_worked_example_arrives_and_is_transposed_as_derived():
    A, B = ways_back(4, 4, ((0, 2), (2, 1)))
    assert A == (((2, 3), (0, 3)), (1, 3, 2, 0), (3, 0, 2, 1))
    assert B == (((1, 3), (0, 1)), (2, 1, 0, 3), (2, 1, 0, 3))


@given(st.permutations(range(6)))
def test_inverse_undoes_a_permutation(order):
    assert [order[k] for k in inverse_permutation(tuple(order))] == sorted(order)
    assert inverse_permutation(inverse_permutation(tuple(order))) == tuple(order)
    assert sorted(surviving(6, tuple(order[:3])) + tuple(order[:3])) == [*range(6)]


@pytest.mark.parametrize("axes, what", [
    (-1, "not negative"), (10**12, "A has 2 axes"), (3, "A has 2 axes, so there is no axis -3"), ((0, 2), "B has 2 axes, so there is no axis 2"),
    ((-3, 0), "A has 2 axes"), (([0, 1], [0]), "2 axes of A can't be paired with 1 of B"), (([1, -1], [0, 1]), "an axis of A is repeated"),
    (([0, 1], [-1, 1]), "an axis of B is repeated"), ((0, 0), "axis 0 of A has length 2, but its partner, axis 0 of B, has 3"),
    (1.0, "expected"), ("ij", "expected"), ((1,), "expected"), (([1], [0], [0]), "expected"), (None, "expected"), (([0.5], [0]), "expected")])
@pytest.mark.parametrize("which", [0, 1, None])
def test_bad_axes_name_both_shapes_and_the_axes(axes, what, which):
    operands = [np.ones((2, 3)), np.ones((3, 4))]
    if which is not None: operands[which] = Tensor(operands[which])
    f = tensorcontract if which is None else np.tensordot
    with pytest.raises(ValueError, match=re.escape(f"tensordot of shapes (2, 3) and (3, 4) with axes={axes!r}: ")) as error: f(*operands, axes)
    assert what in str(error.value)


# --- the other products -------------------------------------------------------------------------------------------

MATMUL = [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)), ((5, 2, 3), (3, 4)),
          ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)), ((5, 2, 3), (1, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)),
          ((6, 5, 2, 3), (3,)), ((6, 5, 2, 3), (3, 1)), ((3,), (6, 5, 3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((0, 2, 3), (3, 2)),
          ((1, 1), (1, 1)), ((2, 1), (4, 1, 3))]
DOT = [((), ()), ((), (2, 3)), ((2, 3), ()), ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (4, 3, 2)),
       ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((0, 3), (3, 2)), ((2, 0), (0, 3))]
INNER = [((), ()), ((), (2, 3)), ((2, 3), ()), ((3,), (3,)), ((2, 3), (3,)), ((3,), (4, 3)), ((5, 2, 3), (4, 3)), ((2, 0), (3, 0))]
OUTER = [((), ()), ((2,), (3,)), ((2, 3), (2, 2)), ((), (3,)), ((0,), (3,))]
KRON = [((), ()), ((2,), (3,)), ((2, 3), (2,)), ((2,), (2, 3)), ((2, 3), (4, 2)), ((2, 1, 2), (3, 2)), ((), (2,)), ((2, 0), (2, 1))]
MATVEC = [((2, 3), (3,)), ((5, 2, 3), (3,)), ((2, 3), (5, 3)), ((5, 2, 3), (1, 3)), ((0, 3), (3,))]
PRODUCTS = {np.matmul: MATMUL, np.dot: DOT, np.inner: INNER, np.outer: OUTER, np.kron: KRON,
            np.linalg.matmul: MATMUL[3:4], np.linalg.outer: OUTER[1:2], np.linalg.tensordot: [((2, 3, 4), (3, 4, 2))]}
if hasattr(np, "matvec"): PRODUCTS[np.matvec] = MATVEC
CASES = [(f, *shapes) for f, many in PRODUCTS.items() for shapes in many]
name_of = lambda x: getattr(x, "__name__", repr(x))


@pytest.mark.parametrize("dtype", DTYPES, ids=name_of)
@pytest.mark.parametrize("f, A_shape, B_shape", CASES, ids=name_of)
def test_products_obey_the_equation_of_the_adjoint(f, A_shape, B_shape, dtype):
    rng = np.random.default_rng(0)
    transposed_equation(f, [whole(rng, A_shape, dtype), whole(rng, B_shape, dtype)], rng)


@pytest.mark.parametrize("f, A_shape, B_shape", CASES, ids=name_of)
def test_products_against_differences_to_second_order(f, A_shape, B_shape):
    rng = np.random.default_rng(1)
    check_grads(f, order=2)(rng.normal(size=A_shape), rng.normal(size=B_shape))


CONJUGATING = [(np.vdot, (), ()), (np.vdot, (3,), (3,)), (np.vdot, (2, 3), (3, 2)), (np.vdot, (0,), (0,)),
               *((np.vecdot, *s) for s in [((3,), (3,)), ((5, 3), (3,)), ((5, 1, 3), (4, 3)), ((2, 0), (0,))])]
if hasattr(np, "vecmat"): CONJUGATING += [(np.vecmat, *s) for s in [((2,), (2, 3)), ((5, 2), (2, 3)), ((2,), (5, 2, 3)), ((5, 2), (1, 2, 0))]]


@pytest.mark.parametrize("f, A_shape, B_shape", CONJUGATING, ids=name_of)
@pytest.mark.parametrize("imaginary", [False, True])
def test_conjugating_products_against_differences(f, A_shape, B_shape, imaginary):
    rng = np.random.default_rng(2)
    draw = lambda shape: rng.normal(size=shape) + 1j * rng.normal(size=shape) * imaginary if imaginary else rng.normal(size=shape)
    check_grads(f, order=2)(draw(A_shape), draw(B_shape))


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_matmul_of_any_stacks(data):
    batch = data.draw(st.lists(st.integers(1, 3), max_size=2))
    def side(core):
        own = [n if data.draw(st.booleans()) else 1 for n in batch]
        return (*own[data.draw(st.integers(0, len(own))):], *core)
    m, n, p = (data.draw(st.integers(0, 3)) for _ in "mnp")
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    transposed_equation(np.matmul, [whole(rng, side((m, n))), whole(rng, side((n, p)))], rng)


@pytest.mark.parametrize("f", [np.dot, np.inner, np.outer, np.vdot, np.kron], ids=name_of)
def test_lists_numbers_keywords_and_out(f):
    x, a = np.array([1.0, 2.0]), [4.0, 5.0]
    for other in (a, 2, 2.0):
        if f is np.vdot and other is not a: continue
        for order in (1, 2): check_grads(lambda x: f(x, other), order=order)(x)
        check_grads(lambda x: f(other, x))(x)
        same(np.asarray(f(Tensor(x), other).value), np.asarray(f(x, other)))
    if f is not np.vdot: check_grads(lambda s: f(s, x))(3.0)
    check_grads(lambda s: f(s, 2))(3.0)
    if f not in (np.inner, np.vdot): same(f(a=Tensor(x), b=x).value, f(x, x))
    if f in (np.dot, np.outer):
        with pytest.raises(TypeError, match="out="): f(Tensor(x), x, out=np.zeros(()))


def test_operators_and_mixtures():
    rng = np.random.default_rng(0)
    A, B = whole(rng, (2, 3)), whole(rng, (3, 4))
    for y in (Tensor(A) @ Tensor(B), A @ Tensor(B), Tensor(A) @ B, Tensor(A) @ B.tolist(), Tensor(A).dot(B), np.dot(A, Tensor(B))):
        assert isinstance(y, Tensor)
        same(y.value, A @ B)
    with pytest.raises(ValueError): Tensor(A) @ np.ones((2, 2))


def test_float32_stays_float32():
    rng = np.random.default_rng(0)
    for f, A_shape, B_shape in CASES + CONJUGATING:
        y, g, grads = adjoints(f, [whole(rng, s, np.float32) for s in (A_shape, B_shape)], rng)
        assert np.asarray(y).dtype == np.float32 and all(x.dtype == np.float32 for x in grads), f


def test_a_constant_costs_nothing():
    A, B = Tensor(np.ones((2, 3))), np.ones((3, 4))
    calls = []
    class Watched(np.ndarray):
        def __array_function__(self, fn, types, args, kwargs):
            calls.append(fn)
            return super().__array_function__(fn, types, args, kwargs)
    gradients(np.tensordot(A, B.view(Watched), 1), A, np.ones((2, 4)))
    assert calls.count(np.tensordot) == 2        # forward, and for A; none for B


@pytest.mark.parametrize("A_shape, B_shape, wanted", [((200, 2, 30), (30, 40), 1), ((30, 40), (200, 40, 2), 0)])
def test_the_adjoint_of_a_single_matrix_never_has_a_stack(A_shape, B_shape, wanted):
    tensors = [Tensor(np.ones(s)) for s in (A_shape, B_shape)]
    y = tensors[0] @ tensors[1]
    g = np.ones(y.shape)
    tracemalloc.start()
    try: gradients(y, tensors[wanted], g)
    finally: peak = tracemalloc.get_traced_memory()[1]; tracemalloc.stop()
    assert peak < 200 * 30 * 40 * 8 / 2      # half of what a stack of adjoints would take


# --- einsum -------------------------------------------------------------------------------------------------------

EINSUM = [  # subscripts and shapes
    ("ij,jk->ik", (2, 3), (3, 4)), ("ij,jk", (2, 3), (3, 4)), ("ba", (2, 3)), ("ij->ji", (2, 3)), (" i j , j k -> i k ", (2, 3), (3, 4)),
    ("ii", (3, 3)), ("ii->i", (3, 3)), ("iij->j", (3, 3, 2)), ("iij->ij", (3, 3, 2)), ("iii->", (2, 2, 2)), ("ijij->", (2, 3, 2, 3)), ("ijij->ij", (2, 3, 2, 3)),
    ("ii,i->", (3, 3), (3,)), ("iij,jkk->ik", (2, 2, 3), (3, 4, 4)), ("ii,jj->ij", (2, 2), (3, 3)),
    ("i->", (3,)), ("ij->j", (2, 3)), ("ij,k->", (2, 3), (4,)), ("ij,jk->k", (2, 3), (3, 4)), ("i,j->", (2,), (3,)),
    ("i,j", (2,), (3,)), (",->", (), ()), (",ij->ij", (), (2, 3)), ("->", ()), ("", ()), ("i,i->i", (3,), (3,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 2)), ("i,ij,j->", (2,), (2, 3), (3,)), ("ab,bc,cd,da->", (2, 3), (3, 2), (2, 4), (4, 2)), ("ij,ij,ij->i", (2, 3), (2, 3), (2, 3)),
    ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 4)), ("...ij,...jk->...ik", (5, 2, 3), (3, 4)), ("...ij,...jk->...ik", (1, 2, 3), (5, 3, 4)),
    ("...ij,...jk", (2, 1, 2, 3), (5, 3, 4)), ("...,...->...", (2, 1), (1, 3)), ("...", (2, 3)), ("i...->...", (2, 3)), ("i...->...i", (2, 3, 4)),
    ("...i->...", (2, 3)), ("i...i->...", (2, 3, 2)), ("...,i->i...", (2, 3), (4,)), ("i...,i->...", (2,), (2,)), ("ij...,jk...->ik...", (2, 3, 1), (3, 2, 4)),
    ("i,i->", (1,), (3,)), ("i,i->", (3,), (1,)), ("i,i->i", (1,), (3,)), ("i,i,i->", (1,), (1,), (3,)), ("ij,ij->ij", (1, 3), (2, 1)), ("ij,ij->", (1, 3), (2, 1)),
    ("ii,i->i", (1, 1), (3,)), ("ab,ab,ab->a", (1, 3), (2, 3), (2, 1)),
    ("ij->ji", (2, 0)), ("ij,jk->ik", (2, 0), (0, 3)), ("ii->i", (0, 0)), ("i->", (0,)), ("i,i->i", (0,), (1,)),
    ("zA,Ab->zb", (2, 3), (3, 4)), ("BA", (2, 3)), ("aA", (2, 3)),
]


@pytest.mark.parametrize("optimize", [False, True, "greedy", "optimal"])
@pytest.mark.parametrize("case", EINSUM, ids=str)
def test_einsum_obeys_the_equation_of_the_adjoint(case, optimize):
    rng = np.random.default_rng(0)
    subscripts, *shapes = case
    for dtype in DTYPES:
        transposed_equation(lambda *x: np.einsum(subscripts, *x, optimize=optimize), [whole(rng, s, dtype) for s in shapes], rng)


@pytest.mark.parametrize("case", EINSUM, ids=str)
def test_einsum_against_differences_to_second_order(case):
    rng = np.random.default_rng(1)
    subscripts, *shapes = case
    check_grads(lambda *x: np.einsum(subscripts, *x), order=2)(*[rng.normal(size=s) for s in shapes])


@st.composite
def subscripts(draw):
    "One to three operands of rank up to 4, letters repeated within and among them, an output or none."
    letters = draw(st.lists(st.sampled_from("abCd"), min_size=1, unique=True))
    length = {c: draw(st.integers(0, 3)) for c in letters}
    terms = draw(st.lists(st.text(st.sampled_from(letters), max_size=4), min_size=1, max_size=3))
    used = sorted(set("".join(terms)))
    output = "->" + "".join(draw(st.permutations(used))[:draw(st.integers(0, len(used)))]) if draw(st.booleans()) else ""
    shapes = []
    for t in terms:
        one = {c for c in t if draw(st.integers(0, 4)) == 0}
        shapes.append(tuple(1 if c in one else length[c] for c in t))
    return ",".join(terms) + output, shapes


@given(subscripts(), st.sampled_from(DTYPES), st.integers(0, 1000))
@settings(deadline=None, max_examples=300)
def test_any_einsum(case, dtype, seed):
    rng = np.random.default_rng(seed)
    transposed_equation(lambda *x: np.einsum(case[0], *x), [whole(rng, s, dtype) for s in case[1]], rng)


SUBLISTS = [
    (lambda A, B: np.einsum(A, [0, 1], B, [1, 2], [0, 2]), (2, 3), (3, 4)), (lambda A, B: np.einsum(A, [0, 1], B, [1, 2]), (2, 3), (3, 4)),
    (lambda A, B: np.einsum(A, [Ellipsis, 1], B, [1, 2], [Ellipsis, 2]), (2, 5, 3), (3, 4)), (lambda A: np.einsum(A, [0, 0]), (3, 3)),
    (lambda A: np.einsum(A, [7, 3]), (2, 3)), (lambda A: np.einsum(A, [30, 2]), (2, 3)), (lambda A: np.einsum(A, (0, np.int64(1)), []), (2, 3)),
    (lambda A: np.einsum(A, []), ()), (lambda A, B: np.einsum(A, range(2), B, range(1, 3), (0, 2), optimize=True), (2, 3), (3, 4))]


@pytest.mark.parametrize("f, shapes", [(f, s) for f, *s in SUBLISTS], ids=range(len(SUBLISTS)))
def test_einsum_with_lists_of_axis_numbers(f, shapes):
    transposed_equation(f, [whole(np.random.default_rng(0), s) for s in shapes], np.random.default_rng(0))


def test_einsum_with_a_path_and_with_plain_operands():
    rng = np.random.default_rng(0)
    arrays = [whole(rng, s) for s in [(2, 3), (3, 4), (4, 2)]]
    path, _ = np.einsum_path("ij,jk,kl->il", *map(Tensor, arrays))
    assert path == np.einsum_path("ij,jk,kl->il", *arrays)[0]
    transposed_equation(lambda *x: np.einsum("ij,jk,kl->il", *x, optimize=path), arrays, rng)
    y = np.einsum("ij,jk->ik", arrays[0].tolist(), Tensor(arrays[1]))
    same(y.value, arrays[0] @ arrays[1])
    assert y.fn is np.einsum
    x = Tensor(np.arange(3.0))
    same(gradients(np.einsum("i,->i", x, 2.0), x, np.ones(3)), np.full(3, 2.0))
    n = Tensor(3)
    assert gradients(np.einsum("i,->i", x, n), n, np.ones(3)) == 3.0
    T = Tensor(arrays[0])
    same(gradients(np.einsum("ij,ij->", T, T), T), 2 * arrays[0])


@pytest.mark.parametrize("call, what", [
    (("ij,jk", (2, 3), (4, 5)), "einsum 'ij,jk' of shapes (2, 3), (4, 5): the index 'j' has length 4 in operand 1"),
    (("ii", (2, 3)), "'ii' of shapes (2, 3): the index 'i' has length 3 in operand 0"), (("ii", (1, 3)), "the index 'i'"),
    (("...i,...i", (2, 3), (4, 3)), "of shapes (2, 3), (4, 3)"),
    (("ij", (2, 3), (2, 3)), "subscripts for 1, but the number of operands is 2"), (("ij,jk,k", (2, 3), (3, 4)), "subscripts for 3, but the number of operands is 2"), (("ijk", (2, 3)), "operand 0 has 2 axes, but subscripts 'ijk'"),
    (("i", (2, 3)), "operand 0 has 2 axes"), (("...ijk", (2, 3)), "operand 0 has 2 axes"), (("ij->ik", (2, 3)), "'k', which no operand has"), (("ij->ii", (2, 3)), "repeated in the output"),
    (("i..j", (2, 3)), "at most one '...'"), (("i...j...", (2, 3)), "at most one '...'"), (("i1", (2, 3)), "expected letters"), (("ij->i->j", (2, 3)), "expected letters"),
    (("i...->i", (2, 3)), "the output needs '...'"),
])
def test_bad_einsum_is_a_clear_error(call, what):
    with pytest.raises(ValueError, match=re.escape(what)): np.einsum(call[0], *[Tensor(np.ones(s)) for s in call[1:]])


def test_bad_sublists_and_keywords_are_clear_errors():
    x = Tensor(np.ones((2, 3)))
    for bad in ([0, 77], [0, -1], 3):
        with pytest.raises(ValueError, match="from 0 to 51"): np.einsum(x, bad)
    with pytest.raises(ValueError, match="expected subscripts and operands"): np.einsum(x)
    with pytest.raises(TypeError, match="out="): np.einsum("ij", x, out=np.ones((2, 3)))
    with pytest.raises(TypeError, match="dtype="): np.einsum("ij", x, dtype=np.float32)


def test_einsum_calls_are_recorded_in_one_form():
    x = Tensor(np.ones((2, 3, 3)))
    assert [np.einsum(*c).args[0] for c in [("...ij->...", x), (x, [Ellipsis, 0, 1], [Ellipsis]), ("aij->a", x)]] == ["Aij->A", "CAB->C", "aij->a"]
    assert explicit("ba") == (["ba"], "ab")
    assert einsum_way_back("ij,jk->ik", ((2, 3), (3, 4)), 0).contract == "ik,jk->ij"


# --- a product and a bias -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", [((4, 3), (3, 2), (2,)), ((4, 3), (3, 2), (4, 1)), ((3,), (3, 2), (2,)), ((4, 3), (3,), (4,)), ((5, 4, 3), (3, 2), (4, 2)), ((4, 3), (5, 3, 2), ()), ((5, 4, 3), (5, 3, 2), (5, 1, 1))], ids=str)
def test_linear_is_a_product_and_a_sum(shapes, dtype):
    rng = np.random.default_rng(0)
    x, W, b = [Tensor(whole(rng, shape, dtype)) for shape in shapes]
    one, two = linear(x, W, b), x @ W + b
    G = whole(rng, two.shape, dtype)
    np.testing.assert_array_equal(one.value, two.value)
    for got, expected in zip(gradients(one, [x, W, b], G), gradients(two, [x, W, b], G)): same(got, expected)


def test_linear_keeps_no_product():
    x, W, b = np.ones((500, 3), np.float32), Tensor(np.ones((3, 100), np.float32)), Tensor(np.zeros(100, np.float32))
    def held(f):
        tracemalloc.start()
        try:
            y = f()
            return tracemalloc.get_traced_memory()[0] / y.value.nbytes
        finally: tracemalloc.stop()
    assert held(lambda: linear(x, W, b)) < 1.1 and held(lambda: x @ W + b) > 1.9


@pytest.mark.parametrize("call, error, words", [
    (lambda W: linear(np.ones((2, 3)), W, np.ones((5, 2, 4))), ValueError, r"linear of shapes .*b: expected a shape that broadcasts to \(2, 4\), that of x @ W; got \(5, 2, 4\)"),
    (lambda W: linear(np.ones((1, 3)), W, np.ones((2, 4))), ValueError, r"b: expected a shape that broadcasts to \(1, 4\), that of x @ W; got \(2, 4\)"),
    (lambda W: linear(np.ones((1, 3)), W, np.ones((0, 4))), ValueError, r"b: expected a shape that broadcasts to \(1, 4\), that of x @ W; got \(0, 4\)"),
    (lambda W: linear(np.ones((2, 3)), W, np.ones(3)), ValueError, r"linear of shapes \(2, 3\) and \(3, 4\) and \(3,\)"),
    (lambda W: linear(np.ones((2, 4)), W, 0.0), ValueError, r"linear of shapes \(2, 4\) and \(3, 4\)"),
    (lambda W: linear(2.0, W, 0.0), ValueError, r"linear of shapes? \(3, 4\)"),
    (lambda W: linear(np.ma.ones((2, 3)), W, 0.0), TypeError, "MaskedArray: its arithmetic"),
    (lambda W: linear(np.ones((2, 3)), W, np.ma.ones(4)), TypeError, "MaskedArray: its arithmetic"),
    (lambda W: linear("x", W, 0.0), (TypeError, ValueError), "linear")])
def test_what_linear_refuses(call, error, words):
    with pytest.raises(error, match=words): call(Tensor(np.ones((3, 4))))


def test_linear_takes_lists_numbers_and_sparse_matrices():
    sp = pytest.importorskip("scipy.sparse")
    W, x = Tensor(np.arange(6.0).reshape(3, 2)), np.array([[1.0, 0, 2], [0, 3, 0]])
    expected = gradients(linear(x, W, 1.0), W, np.ones((2, 2)))
    for same_x in (x.tolist(), sp.csr_matrix(x), sp.csr_array(x)):
        y = linear(same_x, W, 1.0)
        np.testing.assert_array_equal(y.value, x @ W.value + 1)
        np.testing.assert_array_equal(gradients(y, W, np.ones((2, 2))), expected)
        np.testing.assert_array_equal(jvp(lambda W: linear(same_x, W, 1.0), (W.value,), (W.value,))[1], x @ W.value)
    t = Tensor([[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(gradients(linear(t, [[1], [2], [3]], [0.5]), t, np.ones((1, 1))), [[1, 2, 3]])
    assert isinstance(linear(x, W.value, 1.0), np.ndarray) and linear(np.ones((2, 3), np.float32), Tensor(np.ones((3, 2), np.float32)), 1.0).dtype == np.float32


# --- other arrays -------------------------------------------------------------------------------------------------

def test_dask_stays_lazy_and_agrees():
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(0)
    A, B = whole(rng, (4, 3, 2)), whole(rng, (2, 3, 5))
    calls = {
        "tensordot": (lambda a, b: np.tensordot(a, b, ([1, 2], [1, 0])), A, B), "no axes": (lambda a, b: np.tensordot(a, b, 0), A[0], B[0]),
        "matmul": (np.matmul, A[..., 0], B[0]), "matmul of stacks": (np.matmul, A.swapaxes(1, 2), B[:1]), "matmul, a stack and a matrix": (np.matmul, A.swapaxes(1, 2), B[0]), "dot": (np.dot, A[..., 0], B[0]),
        "einsum": (lambda a, b: np.einsum("ijk,kjl->il", a, b), A, B), "einsum with deltas": (lambda a, b: np.einsum("iij,jk->i", a, b), A[:3], B[:, 0]),
        "tensorcontract": (lambda a, b: tensorcontract(a, b, ([1, 2], [1, 0])), A, B), "outer": (np.outer, A[0, 0], B[0, 0]), "linear": (linear, A[..., 0], B[0], B[0, 0])}
    for name, (f, *arrays) in calls.items():
        y, g, expected = adjoints(f, arrays, rng)
        lazy = [Tensor(da.from_array(x, chunks=2)) for x in arrays]
        z = f(*lazy)
        grads = gradients(z, lazy, da.from_array(g, chunks=2))
        assert all(isinstance(x, da.Array) for x in (z.value, *grads)), name
        for got, want in zip((z.value, *grads), (y, *expected)):
            assert got.shape == want.shape and got.dtype == want.dtype, name
            np.testing.assert_array_equal(got.compute(), want, err_msg=name)


def test_second_order_on_dask():
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(0)
    arrays = [whole(rng, (4, 3, 2)), whole(rng, (2, 3, 5))]
    def second(*arrays):
        a, b = map(Tensor, arrays)
        c = np.tensordot(a, b, ([1, 2], [1, 0]))
        first = gradients(np.einsum("ij,ij->", c, c), a, create_graph=True)
        return gradients(np.tensordot(first, first, 3), [a, b])
    lazy = second(*[da.from_array(x, chunks=2) for x in arrays])
    assert all(isinstance(x, da.Array) for x in lazy)
    for got, expected in zip(lazy, second(*arrays)): same(got.compute(), expected)


@pytest.mark.parametrize("n, p, c", [(2000, 80, 4), (2000, 64, 4), (30, 80, 4), (2000, 80, 80)])
def test_both_ways_to_a_narrow_product_agree(n, p, c):
    A, B, Q = (np.random.default_rng(k).normal(size=shape) for k, shape in enumerate([(n, p), (p, c), (n, c)]))
    A, B = Tensor(A), Tensor(B)
    adjoint = gradients(A @ B, B, Q)
    np.testing.assert_allclose(adjoint, A.value.T @ Q, rtol=1e-12, atol=1e-10)
    assert adjoint.flags.f_contiguous == (n * p * c > 1_000_000 and p > 16 * c)
