"""The whole table: no rule and no entry without a case, every case under the same demands, and no NumPy function unclassified."""
import importlib
import inspect
import itertools
import pkgutil
from typing import Any, Callable, NamedTuple

import dask
import dask.array as da
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.testing.overrides import get_overridable_numpy_array_functions, get_overridable_numpy_ufuncs

import autodiffnb
from autodiffnb import Tensor, check_grads, gradients, topological_order
from autodiffnb import loss, reduction, shaping, transforms
from autodiffnb.softmax import log_softmax, logsumexp, softmax
from autodiffnb.tensor import constants, entries, label, refusals, rules

for module in pkgutil.iter_modules(autodiffnb.__path__): importlib.import_module(f"autodiffnb.{module.name}")

# NumPy 2.0 lists only the private twins of the functions that make arrays `like=` another.
MAKERS = {getattr(np, name) for name in "arange array asanyarray asarray ascontiguousarray asfortranarray empty eye frombuffer fromfile fromfunction fromiter fromstring full genfromtxt identity loadtxt ones require tri zeros".split()}
OVERRIDABLE = get_overridable_numpy_ufuncs() | get_overridable_numpy_array_functions() | MAKERS


class Case(NamedTuple):
    "A call of a function of the table on arrays of these shapes."
    call: Callable
    shapes: tuple
    low: float = -2.0      # numbers are spread evenly from here to `high`, in random order: no ties, none at 0
    high: float = 2.0
    complex: bool = True   # is it defined for complex numbers too?
    order: int = 2

    def arrays(self, dtype=np.float64, seed=0):
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        rng = np.random.default_rng(seed)
        numbers = rng.permutation(self.low + (self.high - self.low) * (np.arange(sum(sizes)) + 0.37) / max(sum(sizes), 1))
        if np.dtype(dtype).kind == "c": numbers = numbers + 1j * rng.permutation(0.2 + 0.1 * np.arange(sum(sizes)))
        return [frozen(part.reshape(shape).astype(dtype)) for part, shape in zip(np.split(numbers, np.cumsum(sizes)[:-1]), self.shapes)]


def frozen(x):
    x.setflags(write=False)
    return x


def several(call, *shape_lists, **settings): return [Case(call, tuple(shapes), **settings) for shapes in shape_lists]


def unary(fn, **settings): return several(fn, [()], [(0,)], [(2, 3)], [(2, 0)], **settings)


def binary(fn, **settings):
    return several(fn, [(), ()], [(3,), (3,)], [(2, 3), (3,)], [(2, 1), (1, 3)], [(), (2,)], [(2, 2), ()], [(0, 3), (3,)], [(0,), (1,)], [(1,), (2, 0)], **settings)


positive = dict(low=0.3)
real = dict(complex=False)
ODD, WHOLE = np.array([True, False, True]), np.array([2, 0, 2, 1])
SIXES = [[()], [(3,)], [(2, 3)], [(2, 0)], [(0,)]]
MATRICES = [[(2, 3)], [(2, 0)], [(2, 2, 3)]]
table: dict[Any, list[Case]] = {}

# ufuncs
for fn in (np.negative, np.positive, np.exp, np.expm1, np.sin, np.cos, np.tanh, np.square, np.conjugate, np.absolute): table[fn] = unary(fn)
for fn in (np.log, np.log1p, np.sqrt, np.reciprocal): table[fn] = unary(fn, **positive)
for fn in (np.add, np.subtract, np.multiply): table[fn] = binary(fn)
for fn in (np.divide, np.power): table[fn] = binary(fn, **positive)
for fn in (np.maximum, np.minimum): table[fn] = binary(fn, **real)
table[np.remainder] = binary(np.remainder, **positive, **real)
PAIRS = [[(3,), (3,)], [(2, 3), (3,)], [(3,), (3, 2)], [(2, 3), (3, 2)], [(2, 2, 3), (3, 2)], [(2, 3), (2, 3, 2)], [(2, 1, 2, 3), (3, 3, 2)], [(3,), (2, 3, 2)],
         [(2, 2, 3), (3,)], [(0, 3), (3, 2)], [(2, 0), (0, 3)], [(0, 2, 3), (3, 2)]]
table[np.matmul] = several(np.matmul, *PAIRS)
if hasattr(np, "vecdot"): table[np.vecdot] = several(np.vecdot, [(3,), (3,)], [(2, 3), (3,)], [(2, 1, 3), (2, 3)], [(0,), (0,)], [(0, 3), (3,)])
if hasattr(np, "matvec"): table[np.matvec] = several(np.matvec, [(2, 3), (3,)], [(4, 2, 3), (3,)], [(2, 3), (4, 3)], [(0, 3), (3,)], [(2, 0), (0,)])
if hasattr(np, "vecmat"): table[np.vecmat] = several(np.vecmat, [(2,), (2, 3)], [(4, 2), (2, 3)], [(2,), (4, 2, 3)], [(0,), (0, 3)], [(2,), (2, 0)])
table[np.real], table[np.imag] = unary(np.real), unary(np.imag)

# reductions
for fn in (np.sum, np.mean, np.prod, np.nansum, np.nanprod, np.nanmean):
    table[fn] = several(fn, [()], [(3,)], [(2, 3)]) + several(lambda x, fn=fn: fn(x, axis=0, keepdims=True), [(2, 3)], [(2, 0)])
    table[fn] += several(lambda x, fn=fn: fn(x, axis=(0, -1)), [(2, 3, 2)])
for fn in (np.sum, np.prod, np.nansum, np.nanprod): table[fn] += several(fn, [(0,)])
for fn in (np.var, np.std, np.nanvar, np.nanstd):
    table[fn] = several(fn, [(3,)], [(2, 3)]) + several(lambda x, fn=fn: fn(x, axis=0, ddof=1, keepdims=True), [(3, 2)], [(3, 0)])
for fn in (np.var, np.nanvar): table[fn] += several(fn, [()])
for fn in (np.max, np.min, np.amax, np.amin, np.ptp):
    table[fn] = several(fn, [()], [(3,)], [(2, 3)], **real) + several(lambda x, fn=fn: fn(x, axis=-1, keepdims=True), [(2, 3)], [(0, 3)], **real)
    table[fn] += several(lambda x, fn=fn: fn(x, axis=0), [(2, 0)], **real)
for fn in (np.cumsum, np.cumprod): table[fn] = several(fn, [()], [(3,)], [(2, 3)], [(0,)]) + several(lambda x, fn=fn: fn(x, axis=-2), [(3, 2)], [(0, 2)], [(2, 0)])
table[np.average] = several(np.average, [(3,)], [(2, 3)]) + several(lambda x, w: np.average(x, axis=1, weights=w), [(2, 3), (3,)], [(2, 3), (2, 3)], **positive)

# shape
table[np.broadcast_to] = several(lambda x: np.broadcast_to(x, (2, 3)), [()], [(3,)], [(2, 1)], [(2, 3)]) + several(lambda x: np.broadcast_to(x, (0, 2)), [(2,)], [(1,)])
table[np.reshape] = several(lambda x: np.reshape(x, (3, -1)), [(2, 3)], [(6,)]) + several(lambda x: np.reshape(x, (2, 3), order="F"), [(3, 2)])
table[np.reshape] += several(lambda x: np.reshape(x, (1, 1)), [()]) + several(lambda x: np.reshape(x, ()), [(1, 1)]) + several(lambda x: np.reshape(x, (0, 5)), [(2, 0)])
table[np.transpose] = several(np.transpose, *SIXES) + several(lambda x: np.transpose(x, (2, 0, 1)), [(2, 3, 2)], [(2, 0, 2)])
for name, call in dict(swapaxes=lambda x: np.swapaxes(x, 0, -1), moveaxis=lambda x: np.moveaxis(x, 0, -1), rollaxis=lambda x: np.rollaxis(x, 1),
                       flip=lambda x: np.flip(x, 1), flipud=np.flipud, fliplr=np.fliplr, rot90=np.rot90, tril=np.tril, triu=np.triu,
                       squeeze=lambda x: np.squeeze(x[None], 0), matrix_transpose=np.matrix_transpose).items():
    table[getattr(np, name)] = several(call, *MATRICES)
for name, call in dict(ravel=np.ravel, atleast_1d=np.atleast_1d, atleast_2d=np.atleast_2d, atleast_3d=np.atleast_3d, expand_dims=lambda x: np.expand_dims(x, 0),
                       copy=np.copy, tile=lambda x: np.tile(x, 2), repeat=lambda x: np.repeat(x, 2), roll=lambda x: np.roll(x, 1)).items():
    table[getattr(np, name)] = several(call, *SIXES)
table[np.full_like] = several(np.full_like, [(2, 3), ()], [(2, 3), (3,)], [(), ()], [(0, 3), (3,)])
table[np.atleast_1d] += several(lambda x, y: np.atleast_1d(x, y), [(), (2,)])
table[np.roll] += several(lambda x: np.roll(x, (1, 2), (0, 1)), [(2, 3)])
table[np.repeat] += several(lambda x: np.repeat(x, [1, 0, 2], axis=1), [(2, 3)])
table[np.resize] = several(lambda x: np.resize(x, (2, 2)), [(3,)], [(5,)], [()])
table[np.delete] = several(lambda x: np.delete(x, 1, axis=0), [(3,)], [(2, 3)], [(2, 0)])
table[np.diagonal] = several(np.diagonal, *MATRICES)
table[np.trace] = several(np.trace, *MATRICES) + several(lambda x: np.trace(x, 1), [(3, 3)])
table[np.diag] = several(np.diag, [(3,)], [(2, 3)], [(0,)]) + several(lambda x: np.diag(x, -1), [(2,)], [(3, 3)])
table[np.diagflat] = several(np.diagflat, [(3,)], [(2, 2)], [()], [(0,)])
table[sliding_window_view] = several(lambda x: sliding_window_view(x, 2), [(3,)], [(2,)])

# join and split
LISTS = [[(2,), (3,)], [(2, 3), (1, 3)], [(0, 3), (2, 3)], [(2,)]]
EQUALS = [[(), ()], [(3,), (3,)], [(2, 0), (2, 0)], [(2, 3), (2, 3)]]
table[np.concatenate] = several(lambda *xs: np.concatenate(xs), *LISTS) + several(lambda *xs: np.concatenate(xs, axis=None), [(2,), (2, 2), ()])
table[np.stack] = several(lambda *xs: np.stack(xs), *EQUALS) + several(lambda *xs: np.stack(xs, -1), *EQUALS)
for fn in (np.vstack, np.hstack, np.dstack): table[fn] = several(lambda *xs, fn=fn: fn(xs), *EQUALS)
table[np.column_stack] = several(lambda *xs: np.column_stack(xs), *EQUALS[1:])
table[np.append] = several(np.append, [(), ()], *LISTS[:3]) + several(lambda a, b: np.append(a, b, 0), LISTS[1])
table[np.broadcast_arrays] = several(np.broadcast_arrays, [(2, 1), (3,)], [(), (2,)], [(0,), (1,)])
table[np.split] = several(lambda x: np.split(x, [1]), [(3,)], [(2, 3)], [(2, 0)])
table[np.array_split] = several(lambda x: np.array_split(x, 2), [(3,)], [(3, 2)], [(0, 2)])
table[np.vsplit] = several(lambda x: np.vsplit(x, 2), [(2, 3)], [(2, 0)])
table[np.hsplit] = several(lambda x: np.hsplit(x, 2), [(4,)], [(3, 2)], [(0, 2)])
table[np.dsplit] = several(lambda x: np.dsplit(x, [1]), [(1, 2, 3)])

# choose
table[np.where] = several(lambda a, b: np.where(ODD, a, b), [(3,), (3,)], [(2, 3), ()], [(), (3,)], [(2, 1), (3,)], [(0, 3), (3,)], [(), ()])
table[np.select] = several(lambda a, b: np.select([ODD, ~ODD], [a, b], 1.0), [(3,), (3,)], [(2, 3), ()], [(0, 3), (3,)])
table[np.take] = several(lambda x: np.take(x, WHOLE), [(3,)], [(2, 3)]) + several(lambda x: np.take(x, WHOLE, axis=-1), [(2, 3)], [(0, 3)])
table[np.take_along_axis] = several(lambda x: np.take_along_axis(x, np.array([[1, 1], [0, 2]]), -1), [(2, 3)])
table[np.compress] = several(lambda x: np.compress(ODD, x, axis=-1), [(3,)], [(2, 3)], [(0, 3)])
table[np.extract] = several(lambda x: np.extract(ODD, x), [(3,)], [(1, 3)])
table[np.sort] = several(np.sort, [(3,)], [(2, 3)], [(0,)], **real) + several(lambda x: np.sort(x, axis=None), [(2, 2)], **real)
table[np.partition] = several(lambda x: np.partition(x, 1), [(3,)], [(2, 3)], **real)
table[np.diff] = several(np.diff, [(3,)], [(2, 3)], [(1,)]) + several(lambda x: np.diff(x, 2, axis=0), [(4,)], [(3, 2)])
table[np.pad] = several(lambda x: np.pad(x, 1), [(3,)], [(2, 3)], [(0,)]) + several(lambda x: np.pad(x, 1, mode="reflect"), [(3,)], [(2, 3)])
table[np.clip] = several(lambda x: np.clip(x, -1.0, 1.0), *SIXES, **real) + several(np.clip, [(3,), (), (3,)], **real)
table[np.astype] = several(lambda x: np.astype(x, x.dtype), *SIXES) if hasattr(np, "astype") else []

# contractions
PAIRS = [[(2, 3), (3, 2)], [(3,), (3,)], [(2, 2, 3), (3,)], [(3,), (2, 3, 2)], [(0, 3), (3, 2)], [(2, 0), (0, 2)]]
SCALARS = [[(), ()], [(), (2,)], [(2, 2), ()]]
table[np.dot] = several(np.dot, *PAIRS, *SCALARS, [(2, 2, 3), (2, 3, 2)])
table[np.inner] = several(np.inner, [(2, 3), (2, 3)], [(3,), (3,)], [(2, 2, 3), (3,)], [(0, 3), (3,)], [(2, 0), (3, 0)], *SCALARS)
for fn in (np.outer, np.kron): table[fn] = several(fn, [(2,), (3,)], [(2, 2), (2,)], [(0,), (2,)], *SCALARS)
table[np.vdot] = several(np.vdot, [(3,), (3,)], [(2, 2), (2, 2)], [(0,), (0,)], [(), ()])
TENSORDOTS = several(lambda a, b: np.tensordot(a, b, 1), [(2, 3), (3, 2)], [(2, 0), (0, 2)]) + several(lambda a, b: np.tensordot(a, b, ([0, 2], [2, 1])), [(2, 1, 3, 2), (2, 3, 2)])
table[np.tensordot] = TENSORDOTS + several(lambda a, b: np.tensordot(a, b, 0), [(2,), (3,)], *SCALARS)
table[np.einsum] = several(lambda a, b: np.einsum("ij,jk", a, b), [(2, 3), (3, 2)], [(2, 0), (0, 2)]) + several(lambda a: np.einsum("ii->i", a), [(3, 3)])
table[np.einsum] += several(lambda a, b: np.einsum("i...,i...->...", a, b), [(2, 3), (2, 3)], [(2, 3), (2, 1)]) + several(lambda a: np.einsum("->", a), [()])
table[np.einsum] += several(lambda a: np.einsum("ij->", a), [(2, 3)], [(2, 0)]) + several(lambda a, b, c: np.einsum("i,i,j->j", a, b, c), [(2,), (2,), (3,)])
table[np.linalg.tensordot] = several(lambda a, b: np.linalg.tensordot(a, b, axes=1), [(2, 3), (3, 2)])
table[np.linalg.matmul] = several(np.linalg.matmul, [(2, 3), (3, 2)], [(2, 2, 3), (3, 2)])
table[np.linalg.outer] = several(np.linalg.outer, [(2,), (3,)], [(0,), (3,)])

# functions of our own
LABELS = np.array([2, 0])
table[reduction.cast] = several(lambda x: reduction.cast(x, x.dtype), *SIXES)
table[shaping.join], table[shaping.pile] = [several(lambda *xs, f=f: f(*xs, axis=-1), *EQUALS[1:]) for f in (shaping.join, shaping.pile)]
table[shaping.getitem] = several(lambda x: x[1], [(3,)], [(2, 3)], [(2, 0)]) + several(lambda x: x[..., None], [()]) + several(lambda x: x[:, WHOLE], [(2, 3)], [(0, 3)])
table[shaping.getitem] += several(lambda x: x[ODD], [(3,)], [(3, 2)])
table[shaping.scatter_add] = several(lambda u: shaping.scatter_add(u, WHOLE, (3,)), [(4,)]) + several(lambda u: shaping.scatter_add(u, slice(1, 3), (4, 2)), [(2, 2)])
table[shaping.scatter_add] += several(lambda u: shaping.scatter_add(u, (), ()), [()]) + several(lambda u: shaping.scatter_add(u, slice(0, 0), (2,)), [(0,)])
table[shaping.replace] = several(lambda x, v: shaping.replace(x, WHOLE, v), [(3,), (4,)]) + several(lambda x, v: shaping.replace(x, slice(1, 3), v), [(4, 2), (2, 2)], [(3, 0), (2, 0)])
ROWS = [[(3,)], [(2, 3)], [(0, 3)], [(2, 2, 3)]]
for f in (softmax, log_softmax, logsumexp):
    table[f] = several(f, *ROWS, **real) + several(lambda z, f=f: f(z, axis=0), [(2, 3)], [(2, 0)], **real) + several(lambda z, f=f: f(z, axis=(0, -1)), [(2, 2, 3)], **real)
table[logsumexp] += several(lambda z: logsumexp(z, 0, keepdims=True), [(2, 3)], **real)
for reduced in ("mean", "sum", "none"):
    table.setdefault(loss.label_cross_entropy, []).extend(several(lambda z, r=reduced: autodiffnb.cross_entropy(z, LABELS, reduction=r), [(2, 3)], **real))
    table[loss.label_cross_entropy] += several(lambda z, r=reduced: autodiffnb.cross_entropy(z, LABELS[:0], reduction=r), [(0, 3)], **real)
    table[loss.label_cross_entropy] += several(lambda z, r=reduced: autodiffnb.cross_entropy(z, LABELS, axis=0, reduction=r), [(3, 2)], **real)
table[loss.excess] = several(lambda z: loss.excess(z, np.arange(3) == LABELS[:, None], -1, "mean"), [(2, 3)], **real)
table[transforms.identity] = several(transforms.identity, *SIXES)

# Marks in the graph that no reader can call; the tests of the transforms are their cases.
MARKS = (transforms.spent, transforms.bundle)


def name_of(fn):
    "`np.exp`, `np.linalg.outer`, `shaping.getitem`: short, and the same in every process."
    home = (getattr(fn, "__module__", None) or "numpy").removeprefix("autodiffnb.").replace("numpy", "np")
    return f"{home}.{'excess' if fn is loss.excess else label(fn)}"


def ours(fn):
    "Is `fn` part of the table as the package files it? Other tests file rules of functions of their own."
    return (getattr(fn, "__module__", None) or "numpy").startswith(("numpy", "autodiffnb"))


CASES = [pytest.param(fn, case, id=f"{name_of(fn)}-{k}") for fn, cases in table.items() for k, case in enumerate(cases)]
every_case = pytest.mark.parametrize("fn, case", CASES)
every_function = pytest.mark.parametrize("fn", [pytest.param(fn, id=name_of(fn)) for fn in table])


def outputs(y): return list(y) if isinstance(y, (list, tuple)) else [y]


def adjoint_for(y, seed=1):
    "A read-only adjoint of the shape and dtype of the array `y`."
    rng, y = np.random.default_rng(seed), np.asarray(y)
    return frozen((rng.standard_normal(y.shape) + (1j * rng.standard_normal(y.shape) if y.dtype.kind == "c" else 0)).astype(y.dtype))


def pulled(call, arrays):
    "The Tensors that `call` returns, and for each the adjoints of the arguments."
    tensors = [Tensor(x) for x in arrays]
    ys = outputs(call(*tensors))
    return ys, [gradients(y, tensors, adjoint_for(y.value)) for y in ys]


def test_no_rule_and_no_entry_without_a_case():
    missing = [name_of(fn) for fn in [*rules, *entries] if ours(fn) and not table.get(fn) and fn not in MARKS]
    assert not missing, f"no case in tests/test_rules.py for {', '.join(missing)}"
    assert not [name_of(fn) for fn in table if fn not in rules and fn not in entries], "cases for functions that are in no table"


@every_function
def test_the_cases_of_a_function_go_through_its_rule_or_entry(fn, monkeypatch):
    called = []
    if fn in entries: monkeypatch.setitem(entries, fn, lambda *args, entry=entries[fn], **params: called.append(fn) or entry(*args, **params))
    for case in table[fn]:
        called.clear()
        ys = outputs(case.call(*map(Tensor, case.arrays())))
        assert all(isinstance(y, Tensor) for y in ys)
        recorded = {t.fn for y in ys for t in topological_order(y)}
        assert fn in recorded or called, f"{case} does not call {name_of(fn)}"
    if fn in rules: assert fn in recorded or fn not in OVERRIDABLE or fn in entries


@every_function
def test_cases_meet_every_kind_of_shape(fn):
    "Size 0 for whatever takes it, 0-d for ufuncs without axes of their own, and broadcasting for those of two arguments."
    shapes = [s for case in table[fn] for s in case.shapes]
    if isinstance(fn, np.ufunc):
        assert any(0 in s for s in shapes)
        assert fn.signature or () in shapes
        assert fn.nin == 1 or any(a != b for a, b in (case.shapes for case in table[fn]))


@every_function
def test_value_is_numpys(fn):
    for case, dtype in itertools.product(table[fn], (np.float64, np.float32)):
        arrays = case.arrays(dtype)
        for got, expected in zip(outputs(case.call(*map(Tensor, arrays))), outputs(case.call(*arrays)), strict=True):
            assert got.shape == np.shape(expected) and got.dtype == np.asarray(expected).dtype, case
            np.testing.assert_allclose(got.value, expected, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps, err_msg=str(case))


@every_case
def test_first_and_second_derivative_both_ways(fn, case):
    check_grads(case.call, order=case.order)(*case.arrays())


@pytest.mark.parametrize("fn, case", [p for p in CASES if p.values[1].complex and all(np.prod(shape) <= 6 for shape in p.values[1].shapes)])
def test_complex_derivative(fn, case):
    check_grads(case.call, order=1)(*case.arrays(np.complex128))


@every_function
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.longdouble, np.complex64])
def test_dtype_and_shape_stay_and_nothing_is_written(fn, dtype):
    checked = 0
    for case in table[fn]:
        if np.dtype(dtype).kind == "c" and not case.complex: continue
        arrays = case.arrays(dtype)
        before = [x.copy() for x in arrays]
        try: plain = [np.asarray(y).dtype for y in outputs(case.call(*arrays))]
        except TypeError: continue                   # NumPy's own does not take this dtype
        ys, grads = pulled(case.call, arrays)        # arguments and adjoints are read-only: to write would raise
        for y, expected, adjoints in zip(ys, plain, grads):
            assert y.dtype == expected, case
            if dtype is np.float32: assert expected == np.float32, case
            for x, adjoint in zip(arrays, adjoints):
                assert isinstance(adjoint, (np.ndarray, np.generic)), case
                assert adjoint.dtype == x.dtype and adjoint.shape == x.shape, case
        for x, copy in zip(arrays, before): np.testing.assert_array_equal(x, copy)
        checked += 1
    assert checked or dtype is not np.float32
    if not checked: pytest.skip(f"{name_of(fn)} is not for {np.dtype(dtype)}")


@every_function
def test_recorded_sweep_gives_the_same_numbers_in_the_same_dtype(fn):
    for case in table[fn]:
        tensors = [Tensor(x) for x in case.arrays(np.float32)]
        for y in outputs(case.call(*tensors)):
            g = adjoint_for(y.value)
            for t, plain, recorded in zip(tensors, gradients(y, tensors, g), gradients(y, tensors, g, create_graph=True)):
                recorded = recorded.value if isinstance(recorded, Tensor) else recorded      # zeros, for an argument that `y` does not depend on
                assert recorded.shape == t.shape and recorded.dtype == t.dtype, case
                np.testing.assert_allclose(recorded, plain, rtol=1e-4, atol=1e-5, err_msg=str(case))


# --- rules on a lazy array: nothing may be computed until the reader asks ---------------------------------------------

@pytest.fixture
def lazily():
    "Computing a Dask array is an error."
    def forbidden(*args, **kwargs): raise AssertionError("a Dask array was computed")
    with dask.config.set(scheduler=forbidden): yield


def lazy(x): return da.from_array(x, chunks=-1)


def plainly_lazy(call, arrays):
    "Does Dask itself do this call, without a Tensor, and lazily?"
    try: return all(isinstance(y, da.Array) and not np.isnan(y.size) for y in outputs(call(*map(lazy, arrays))))
    except Exception: return False


# Their way back adds numbers at an array of positions, for which Dask has no function: an error says what would add it.
SCATTERED = {np.tile, np.repeat, np.rot90, np.roll, np.delete, np.resize, np.diagonal, np.trace, np.diag, np.diagflat, np.take, np.compress, np.pad,
             sliding_window_view, shaping.getitem}


@every_function
@pytest.mark.filterwarnings("ignore:The `numpy:FutureWarning")
def test_dask_goes_through_lazily(fn, lazily):
    cases = [case for case in table[fn] if all(map(np.size, [*case.arrays(), *outputs(case.call(*case.arrays()))])) and plainly_lazy(case.call, case.arrays())]
    if not cases: pytest.skip(f"Dask has no lazy {name_of(fn)} of its own")
    told = []
    for case in cases:
        arrays = case.arrays()
        tensors = [Tensor(lazy(x)) for x in arrays]
        ys, grads = pulled(case.call, arrays)
        try: results = [(y, gradients(y, tensors, lazy(adjoint_for(expected.value)))) for y, expected in zip(outputs(case.call(*tensors)), ys)]
        except TypeError as error:
            if fn not in SCATTERED or "scatters[Array]" not in str(error): raise
            told.append(case)
            continue
        for (y, got), adjoints in zip(results, grads):
            assert isinstance(y.value, da.Array) and all(isinstance(g, da.Array) for g in got)
            with dask.config.set(scheduler="synchronous"):
                for g, adjoint in zip(got, adjoints): np.testing.assert_allclose(g.compute(), adjoint, rtol=1e-12, atol=1e-12)
    assert (fn in SCATTERED) == bool(told), f"{name_of(fn)} goes through Dask now, or has come to need a scatter: bring SCATTERED up to date"


# --- every function that NumPy lets us override -------------------------------------------------------------------

def kind_of(fn):
    "rule, entry, constant or refused."
    return "entry" if fn in entries else "rule" if fn in rules else "constant" if fn in constants else "refused"


def is_public(fn):
    "Is it what a reader gets under its name? NumPy also counts private twins, such as the one that `np.eye(2, like=x)` calls."
    if isinstance(fn, np.ufunc): return getattr(np, fn.__name__, None) is fn
    home = importlib.import_module(fn.__module__)
    return getattr(home, fn.__name__, None) is fn


KINDS = {kind: sorted((fn for fn in OVERRIDABLE if is_public(fn) and kind_of(fn) == kind), key=name_of) for kind in ("rule", "entry", "constant", "refused")}
PAIR = np.array([1.0, 2.0])
RECORDS = np.array([(1.0, 2.0)], dtype=[("a", float), ("b", float)])
# Calls in which the array is not the first argument, or the others can't be two numbers.
SPELLED = {
    "apply_along_axis": lambda t: np.apply_along_axis(np.sum, 0, t), "apply_over_axes": lambda t: np.apply_over_axes(np.sum, t, [0]),
    "apply_along_fields": lambda t: np.lib.recfunctions.apply_along_fields(np.sum, t), "join_by": lambda t: np.lib.recfunctions.join_by("a", t, RECORDS),
    "rec_join": lambda t: np.lib.recfunctions.rec_join("a", t, RECORDS), "save": lambda t: np.save("unused", t), "savez": lambda t: np.savez("unused", t),
    "savez_compressed": lambda t: np.savez_compressed("unused", t), "savetxt": lambda t: np.savetxt("unused", t), "piecewise": lambda t: np.piecewise(t, [PAIR > 1], [0.0, 1.0]),
    "fromiter": lambda t: np.fromiter(PAIR, float, like=t), "fromstring": lambda t: np.fromstring("1 2", sep=" ", like=t), "frombuffer": lambda t: np.frombuffer(b"12345678", like=t),
    "fromfile": lambda t: np.fromfile("unused", like=t), "genfromtxt": lambda t: np.genfromtxt("unused", like=t), "loadtxt": lambda t: np.loadtxt("unused", like=t),
    "fromfunction": lambda t: np.fromfunction(lambda i: i, (2,), like=t), "require": lambda t: np.require(PAIR, like=t), "array": lambda t: np.array(PAIR, like=t),
    "asarray": lambda t: np.asarray(PAIR, like=t), "asanyarray": lambda t: np.asanyarray(PAIR, like=t), "ascontiguousarray": lambda t: np.ascontiguousarray(PAIR, like=t),
    "asfortranarray": lambda t: np.asfortranarray(PAIR, like=t), "argpartition": lambda t: np.argpartition(t, 1), "einsum_path": lambda t: np.einsum_path("i,i", t, PAIR),
    **{name: lambda t, name=name: getattr(np, name)(2, like=t) for name in ("arange", "zeros", "ones", "empty", "eye", "identity", "tri")}, "full": lambda t: np.full(2, 3.0, like=t),
}


def called_with(fn, t):
    "`fn` with a Tensor where it takes an array, and two numbers for whatever else it can't do without."
    if fn.__name__ in SPELLED: return SPELLED[fn.__name__](t)
    if isinstance(fn, np.ufunc): return fn(t, *[PAIR] * (fn.nin - 1))
    try: inspect.signature(fn)
    except ValueError: pytest.skip(f"this NumPy does not tell the signature of {name_of(fn)}")
    required = [p for p in inspect.signature(fn).parameters.values() if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return fn(t, *[PAIR] * (len(required) - 1))


def test_the_tables_do_not_contradict_each_other():
    assert not constants & rules.keys() and not constants & entries.keys() and not refusals.keys() & (constants | rules.keys() | entries.keys())
    assert constants <= OVERRIDABLE and refusals.keys() <= OVERRIDABLE
    assert {fn for fn in rules if ours(fn) and not isinstance(fn, autodiffnb.primitive)} <= OVERRIDABLE
    assert entries.keys() <= OVERRIDABLE
    assert all(len(functions) > 20 for functions in KINDS.values())


@pytest.mark.parametrize("fn", KINDS["refused"], ids=name_of)
def test_what_has_no_rule_is_refused_by_name(fn):
    "Nothing is lost in silence: a function in no table never returns, and its error says which function it was."
    with pytest.raises(TypeError, match=rf"np\.\S*{label(fn)}\b.*(has no rule|of a Tensor)"): called_with(fn, Tensor(PAIR))


@pytest.mark.parametrize("fn", KINDS["constant"], ids=name_of)
def test_a_function_without_derivative_gives_plain_values(fn):
    got, expected = called_with(fn, Tensor(PAIR)), called_with(fn, PAIR)
    assert not any(isinstance(y, Tensor) for y in outputs(got))
    if fn.__name__.startswith("empty"): assert got.shape == expected.shape and got.dtype == expected.dtype
    elif fn in (np.result_type, np.einsum_path): assert repr(got) == repr(expected)
    else:
        for y, other in zip(outputs(got), outputs(expected), strict=True): np.testing.assert_array_equal(y, other)


@pytest.mark.parametrize("fn", [fn for fn in KINDS["constant"] if isinstance(fn, np.ufunc)], ids=name_of)
def test_a_constant_ufunc_takes_its_keywords(fn):
    got = fn(*[Tensor(PAIR)] * fn.nin, casting="same_kind")
    assert type(got) is np.ndarray
    np.testing.assert_array_equal(got, fn(*[PAIR] * fn.nin))


def test_the_spelled_calls_are_of_functions_that_are_walked():
    assert SPELLED.keys() <= {fn.__name__ for functions in KINDS.values() for fn in functions}
