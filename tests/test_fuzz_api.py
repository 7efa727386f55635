"""The public API with malformed input: a documented error or the right answer. Never another error, never a wrong answer, never a crash.

A call that is in order gets one or two of its arguments replaced by something else. What then comes back is compared with NumPy, or with the definition written out.
The examples are the same each time; the variable AUTODIFFNB_FUZZ asks for so many times as many, other ones each time: AUTODIFFNB_FUZZ=50 pytest tests/test_fuzz_api.py.
`make test-long` asks for 25 times as many.
"""
import collections
import datetime
import decimal
import fractions
import inspect
import io
import os
import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, note, settings, strategies as st

import autodiffnb as ad
from autodiffnb import Tensor, backward, check, tensor, transforms
from autodiffnb.data import decode_idx
from autodiffnb.tensor import raw

TIMES = int(os.environ.get("AUTODIFFNB_FUZZ", 0))
EXAMPLES = settings(max_examples=40 * max(TIMES, 1), derandomize=not TIMES, database=None, deadline=None, suppress_health_check=list(HealthCheck))
DOCUMENTED = (TypeError, ValueError, IndexError, FloatingPointError, OSError, OverflowError)    # OverflowError is NumPy's for an integer that fits into none of its own; AxisError and LinAlgError are ValueErrors, Diverged is a FloatingPointError
Pair = collections.namedtuple("Pair", "a b")


# ---------------------------------------------------------------- what is put in place of an argument

class Nested(list):
    "A list of lists of lists, that can be printed."
    def __repr__(self): return "Nested(...)"


def circular():
    x = Nested([1.0])
    x.append(x)
    return x


def deep(depth, x=1.0):
    for _ in range(depth): x = [x]
    return Nested([x])


NUMBERS = [None, True, False, 0, 1, -1, 2, 3, 7, -3, 10**30, -10**30, 0.0, -0.0, 0.5, -1.5, 1e308, 1e-320, np.nan, np.inf, -np.inf, 1 + 2j, complex(np.nan, np.inf), np.float16(1.5), np.float32(-2.5), np.float64(2.0), np.longdouble(0.5),
           np.int8(-3), np.uint64(2**63), np.bool(True), np.complex64(1j), fractions.Fraction(1, 3), decimal.Decimal("0.1")]
THINGS = ["", "a", "ij,jk->ik", "ij->", "...i,i", "mean", "none", "\0", "é∑", b"", b"\0\0\x08\x01", bytearray(3), object(), object, int, np.sum, np.exp, np.float32, np.dtype("f4"), len, lambda x: x, lambda *x: None, ..., slice(1, None, -1), range(3), {1, 2},
          frozenset(), {}, {"a": 1.0}, {1: 2, "b": None}, [], (), [[1.0, 2.0], [3.0]], [[]], [None], ["a", 1], Pair(1.0, 2.0), datetime.date(2000, 1, 1), np.datetime64("2000-01-01"), np.timedelta64(3, "s"), io.BytesIO(b"abc"),
          np.random.default_rng(0), np.random.RandomState(0), SimpleNamespace(shape=(2, 3)), SimpleNamespace(params={}), Tensor, Tensor(1.0), Tensor([1.0, 2.0], "x"), [Tensor(1.0), 2.0],
          (0, 1), [0, 2], [2, 1], (0, 0), (-1,), ((0,), (1,)), [[0, 2], [2, 1]], ([1], [0, 1]), (2, 3), (3, 0), (-2, 3), (10**30,), ("a",), (None, None), {"params": 3}, os.devnull, "/nonexistent/file", 1.5]
DTYPES = ["f4", "f8", "f2", "g", "c8", "c16", "i1", "i8", "u1", "u8", "?", ">f8", "O", "U3", "M8[D]", "f4,i4"]
SHAPES = [(), (0,), (1,), (2,), (3,), (4,), (2, 3), (3, 2), (3, 3), (4, 3), (0, 3), (3, 0), (1, 1), (2, 1, 3), (2, 3, 4), (1,) * 33]


@st.composite
def arrays(draw, dtypes=tuple(DTYPES), shapes=tuple(SHAPES)):
    "Small arrays of every dtype and layout, some with numbers that are none."
    dtype, shape = np.dtype(draw(st.sampled_from(dtypes))), draw(st.sampled_from(shapes))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    values = rng.normal(0, draw(st.sampled_from([1, 1, 1e-3, 100])), shape)
    if dtype.kind in "iu?": values = rng.integers(0, 4, shape) - (dtype.kind == "i") * draw(st.sampled_from([0, 1]))
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"): x = np.array(values).astype(dtype) if dtype.names is None and dtype.kind != "M" else np.zeros(shape, dtype)
    if dtype.kind in "fc" and x.size and draw(st.integers(0, 4)) == 0: x[(0,) * x.ndim] = draw(st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 60000.0]))
    kind = draw(st.sampled_from(["plain"] * 5 + ["fortran", "reversed", "read-only", "masked", "matrix", "tensor", "list", "recorded"]))
    if kind == "fortran": return np.asfortranarray(x)
    if kind == "reversed": return x[::-1] if x.ndim else x
    if kind == "masked": return np.ma.masked_array(x, mask=False)
    if kind == "matrix" and x.ndim == 2: return np.asmatrix(x)
    if kind == "list": return x.tolist()
    if kind in ("tensor", "recorded") and dtype.kind in "fciub": return Tensor(x) * 1 if kind == "recorded" else Tensor(x)
    if kind == "read-only": x.flags.writeable = False
    return x


real_arrays = arrays(("f8", "f8", "f4", "i8", "c16"), ((), (1,), (2,), (3,), (2, 3), (3, 2), (0, 3), (2, 3, 4)))
junk = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(THINGS), arrays(), arrays(), st.builds(circular), st.sampled_from([30, 100, 3000]).map(deep), st.lists(st.sampled_from(NUMBERS), max_size=4),
                 st.lists(real_arrays, max_size=3), st.tuples(real_arrays, real_arrays), st.dictionaries(st.sampled_from(["a", "W", "b", 0]), real_arrays, max_size=3))
short = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(THINGS), st.integers(-4, 4), st.tuples(st.integers(-4, 4), st.integers(-4, 4)), st.lists(st.integers(-4, 4), max_size=3))


# ---------------------------------------------------------------- what is right

def plain(x): return raw(x) if not isinstance(x, Tensor) else x.value


def equal(a, b, tol=0.0):
    "The same numbers in the same shape, nan equal, whatever the container."
    if isinstance(b, (list, tuple)) and not isinstance(a, (np.ndarray, Tensor)): return isinstance(a, (list, tuple)) and len(a) == len(b) and all(equal(x, y, tol) for x, y in zip(a, b))
    a, b = np.asarray(plain(a)), np.asarray(plain(b))
    if a.shape != b.shape: return False
    if a.dtype.kind not in "fciub" or b.dtype.kind not in "fciub": return a.dtype == b.dtype and bool(np.all(a == b))
    if a.dtype == b.dtype == bool: return bool((a == b).all())
    narrow = max([np.finfo(x.dtype).eps for x in (a, b) if x.dtype.kind in "fc"], default=0.0)
    with np.errstate(all="ignore"): return bool(np.all((a == b) | (np.iscomplexobj(b) & ~np.isfinite(a) & ~np.isfinite(b)) | (np.isnan(a) & np.isnan(b)) | (abs(a - b) <= tol * narrow * np.maximum(abs(a), abs(b)) + tol * narrow)))


def floating(x):
    "The array of numbers that a leaf made of `x` holds."
    x = float(x) if type(x) is int else np.asarray(plain(x))
    return np.asarray(x, np.float64) if np.asarray(x).dtype.kind in "biu" else np.asarray(x)


UNJUDGED = object()


def judged(call, args, truth, documented=()):
    "What is wrong with `call(*args)`: None, or a sentence."
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        try: result = call(*args)
        except (*DOCUMENTED, *documented) as error: return None if str(error).strip() else f"an error without a message: {error!r}"
        except RecursionError as error:
            if "getting the repr" in str(error): return None    # NumPy prints it in a message, and Python can't
            return f"RecursionError: {error}"
        except Exception as error:
            where = inspect.getinnerframes(error.__traceback__)[-1]
            return f"{type(error).__name__}: {error} [{os.path.basename(where.filename)}:{where.function}]"
        try: right = truth(result, *args)
        except Exception as error: return f"gave {result!r:.200}, where the definition raises {type(error).__name__}: {error}"
        return None if right is UNJUDGED or right else f"gave {result!r:.300}"


# ---------------------------------------------------------------- calls in order, and what they should give

x3, X23, X34, labels2 = np.array([0.5, -1.0, 2.0]), np.arange(6.0).reshape(2, 3) / 4, np.arange(12.0).reshape(3, 4) / 6, np.array([0, 2])


def squares(x, y): return np.sum(x * x) + np.sum(y)


def tree_like(a, b):
    "The same containers, and at each leaf the same shape."
    a, b = check.tree_leaves(a), check.tree_leaves(b)
    return a.keys() == b.keys() and all(np.shape(plain(a[k])) == np.shape(plain(b[k])) for k in a)


def numeric(*xs): return all(np.asarray(plain(x)).dtype.kind in "fciub" and np.isfinite(np.asarray(plain(x), complex)).all() for x in xs)


def true_softmax(z, axis):
    z = floating(z)
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def true_logsumexp(y, z, axis, keepdims=False):
    z = floating(z)
    m = z.max(axis=axis, keepdims=True)
    m = np.where(np.isfinite(m), m, 0)
    s = np.log(np.exp(z - m).sum(axis=axis, keepdims=True)) + m
    return equal(y, s if keepdims else s.squeeze(axis=axis), 64)


def true_nll(y, l, t, axis, reduction, before=None):
    l, t = floating(l), np.asarray(plain(t))
    if before: l = before(l, axis)
    if t.dtype.kind == "f" and t.shape == l.shape:
        assert (t >= 0).all() and np.allclose(t.sum(axis=axis), 1, atol=1e-3)
        prices = -np.where((t == 0) & np.isinf(l), 0, t * l).sum(axis=axis)
    else:
        assert t.dtype.kind in "iu"
        moved = np.moveaxis(l, axis, -1)
        assert moved.shape[:-1] == t.shape and (t >= 0).all() and (t < moved.shape[-1]).all()
        prices = -np.array([moved[i][t[i]] for i in np.ndindex(t.shape)]).reshape(t.shape)
    total = prices if reduction == "none" else prices.sum() / (prices.size or 1 if reduction == "mean" else 1)
    return equal(y, total, 256)


def true_log_softmax(z, axis):
    z = z - z.max(axis=axis, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=axis, keepdims=True))


def true_accuracy(y, z, t, axis):
    z, t = np.moveaxis(floating(z), axis, -1), np.asarray(plain(t))
    assert z.shape[:-1] == t.shape and t.dtype.kind in "iu" and (t >= 0).all() and (t < z.shape[-1]).all()
    right = [not np.isnan(z[i]).any() and z[i].argmax() == t[i] for i in np.ndindex(t.shape)]
    return equal(y, np.mean(right) if right else np.nan, 4)


def true_squares(grads, x, y, scale=lambda k: 1.0):
    "The gradients by hand: 2x, and ones (by a Python number the size of what it is)."
    return all(tree_like(g, a) for g, a in zip(grads, (x, y))) and (not numeric(x) or equal(grads[0], 2 * floating(x), 4)) and (not numeric(y) or equal(grads[1], np.ones_like(floating(y)), 4))


def true_tensor(t, value, name): return equal(t.value, floating(value)) and t.name is name and t.grad is None


def true_item(t, x, index): return equal(t, np.asarray(plain(x))[plain(index)])


def changed(how):
    "`x.at[index].how(v)` by NumPy's unbuffered methods."
    def truth(t, x, index, v):
        y, v = floating(x).copy(), floating(v)
        assert v.dtype.kind in "fciub" and not (v.dtype.kind == "c" and y.dtype.kind != "c")
        if how == "set": y[plain(index)] = v
        else: getattr(np, how).at(y, plain(index), v.astype(y.dtype))
        return equal(t, y, 4)
    return lambda x, index, v: getattr(Tensor(x).at[index], {"maximum": "max", "minimum": "min"}.get(how, how))(v), truth


def true_batches(found, x, t, batch_size, rng, drop_last):
    n, size = len(x), int(batch_size)
    lengths = [len(a) for a, _ in found]
    assert size >= 1 and len(t) == n and all(k == size for k in lengths[:-1]) and sum(lengths) == (n - n % size if drop_last else n)
    if rng is None: return equal(np.concatenate([np.asarray(a) for a, _ in found]), np.asarray(plain(x))[:sum(lengths)])
    return all(len(a) == len(b) for a, b in found)


def true_optimizer(kind):
    def truth(values, params, grads, lr, more):
        assert 0 < float(lr) < np.inf
        g = {k: np.asarray(plain(v), dtype=float) for k, v in grads.items()}
        assert g.keys() == params.keys() and not any(np.iscomplexobj(plain(v)) for v in grads.values())
        return all(equal(values[k], p - float(lr) * g[k], 1e4) for k, p in ((k, floating(v)) for k, v in params.items())) if kind is ad.SGD else all(np.shape(values[k]) == np.shape(params[k]) for k in params)
    def call(params, grads, lr, more):
        leaves = {k: v if isinstance(v, Tensor) else Tensor(v) for k, v in params.items()} if isinstance(params, dict) else params
        optimizer = kind(leaves, lr, more) if more is not None else kind(leaves, lr)
        optimizer.step(grads)
        return {k: p.value for k, p in leaves.items()}
    return call, truth


def fitted(model, images, labels, epochs, batch_size, shuffle):
    model = ad.SoftmaxRegression(3, 4) if model == "linear" else ad.MLP((3, 5, 4)) if model == "network" else model
    return model, ad.fit(model, (images, labels), epochs=epochs, batch_size=batch_size, shuffle=shuffle, progress=False, optimizer=ad.SGD(model.params, lr=0.1) if hasattr(model, "params") else None)


def true_fit(result, model, images, labels, epochs, batch_size, shuffle):
    trained, history = result
    loss, right = ad.evaluate(trained, (images, labels))
    return len(history) == epochs and np.isfinite(loss) and 0 <= right <= 1 and all(np.isfinite(p.value).all() for p in trained.params.values())


def roundtrip(tree):
    vector, unflatten = ad.flatten(tree)
    return vector, unflatten(vector)


def true_roundtrip(result, tree):
    vector, again = result
    a, b = check.tree_leaves(tree), check.tree_leaves(again)
    return np.ndim(plain(vector)) == 1 and a.keys() == b.keys() and all(a[k] is b[k] or equal(floating(a[k]), b[k]) for k in a)


def thrice(f, x, y):
    compiled = ad.compile(f)
    return [compiled(x, y) for _ in range(3)]


def saved_and_loaded(path, model, history):
    ad.save(path, model, None, history)
    return ad.load(path)


ALSO = {"check_grads": (AssertionError,), "History.__getitem__": (KeyError,)}    # what these say that they raise
CASES = {
    "Tensor": (Tensor, [(X23, "x"), (2.0, None)], true_tensor),
    "Tensor.__getitem__": (lambda x, index: Tensor(x)[index], [(X34, (0, slice(1, None))), (X34, [1, 1]), (x3, 1)], true_item),
    **{f"Tensor.at.{how}": (*changed(how)[:1], [(X34, (slice(None), 1), 2.0), (x3, [0, 0], np.ones(2)), (x3, 1, 1.0)], changed(how)[1]) for how in ("set", "add", "multiply", "maximum", "minimum")},
    "at": (lambda x, index, v: ad.at(x)[index].set(v), [(X34, (slice(None), 1), 2.0), (x3, [0, 0], np.ones(2)), ([1, 2], 0, Tensor(0.5))], changed("set")[1]),
    "Tensor.backward": (lambda x, g, keep: [t := Tensor(x), (t * t).backward(g, keep), t.grad][-1], [(2.0, None, False), (X23, np.ones((2, 3)), True)],
                        lambda grad, x, g, keep: equal(grad, 2 * floating(x) * (1 if g is None else plain(g)), 8)),
    "Tensor.reshape": (lambda x, shape: Tensor(x).reshape(shape), [(X34, (4, 3)), (X34, -1)], lambda t, x, shape: UNJUDGED if isinstance(shape, (bool, dict)) else equal(t, floating(x).reshape(shape))),
    "Tensor.transpose": (lambda x, axes: Tensor(x).transpose(axes), [(X34, (1, 0))], lambda t, x, axes: UNJUDGED if isinstance(axes, (bool, dict)) else equal(t, floating(x).transpose(axes))),
    "Tensor.astype": (lambda x, dtype: Tensor(x).astype(dtype), [(X34, np.float32)], lambda t, x, dtype: equal(t, floating(x).astype(dtype)) and (np.dtype(dtype) == t.dtype or np.dtype(dtype).kind in "SUV")),
    "Tensor.item": (lambda x: Tensor(x).item(), [(2.0,), (np.ones((1, 1)),)], lambda t, x: equal(t, floating(x).item())),
    "Tensor.__repr__": (lambda x: [repr(Tensor(x)), Tensor(x)._repr_html_(), f"{Tensor(x):.3f}"], [(2.0,)], lambda t, x: all(isinstance(s, str) for s in t)),
    "gradients": (lambda x, g, create: [t := Tensor(x), ad.gradients(t * t, [t], g, create)[0]][-1], [(2.0, None, False), (X23, np.ones((2, 3)), True)],
                  lambda grad, x, g, create: equal(grad, 2 * floating(x) * (1 if g is None else plain(g)), 8)),
    "gradients of anything": (ad.gradients, [(Tensor(2.0), [Tensor(1.0)])], lambda grads, output, inputs: tree_like(grads, inputs)),
    "stop_gradient": (ad.stop_gradient, [(X23,)], lambda y, x: y is (x.value if isinstance(x, Tensor) else x)),
    "ancestors": (lambda t: (ad.ancestors(t), ad.topological_order(t)), [(Tensor(1.0) * 2,)], lambda found, t: found[1][-1] is t and found[0] == found[1][:-1]),
    "check_grads": (lambda x, y, argnums, order: ad.check_grads(squares, argnums, order)(x, y), [(x3, X23, None, 1), (2.0, 1.0, 0, 2)], lambda y, *args: y is None),
    "tensorcontract": (ad.tensorcontract, [(X23, X34, 1), (np.ones((2, 3, 4)), np.ones((4, 3)), ([1, 2], [1, 0])), (X23, X34, ((1,), (0,)))], lambda C, A, B, axes: equal(C, np.tensordot(floating(A), floating(B), plain(axes)), 64)),
    "tensorcontract of a Tensor": (lambda A, B, axes: ad.tensorcontract(Tensor(A), B, axes), [(X23, X34, 1), (X34, X34, 2)], lambda C, A, B, axes: equal(C, np.tensordot(floating(A), floating(B), plain(axes)), 64)),
    "linear": (ad.linear, [(X23, X34, np.ones(4)), (x3, X34, 1.0), (np.ones((2, 2, 3)), X34, np.ones((2, 1)))], lambda y, x, W, b: equal(y, floating(x) @ floating(W) + floating(b), 64)),
    "linear of Tensors": (lambda x, W, b: ad.linear(x, Tensor(W), Tensor(b)), [(X23, X34, np.ones(4)), ([[1, 2, 3]], X34, 1.0)], lambda y, x, W, b: equal(y, floating(x) @ floating(W) + floating(b), 64)),
    "np.einsum": (lambda what, A, B: np.einsum(what, Tensor(A), B), [("ij,jk->ik", X23, X34), ("ij,ij", X23, X23)], lambda C, what, A, B: equal(C, np.einsum(what, floating(A), floating(B)), 64)),
    "softmax": (ad.softmax, [(X23, -1)], lambda y, z, axis: equal(y, true_softmax(z, axis), 16)),
    "softmax of a Tensor": (lambda z, axis: ad.softmax(Tensor(z), axis), [(X23, -1)], lambda y, z, axis: equal(y, true_softmax(z, axis), 16)),
    "log_softmax": (ad.log_softmax, [(X23, -1)], lambda y, z, axis: equal(y, true_log_softmax(floating(z), axis), 64)),
    "logsumexp": (ad.logsumexp, [(X23, -1, False)], true_logsumexp),
    "cross_entropy": (ad.cross_entropy, [(X23, labels2, -1, "mean"), (X23, labels2, 1, "none"), (X23, np.full((2, 3), 1 / 3), -1, "sum")], partial(true_nll, before=true_log_softmax)),
    "cross_entropy of a Tensor": (lambda z, *args: ad.cross_entropy(Tensor(z), *args), [(X23, labels2, -1, "mean"), (X23, labels2, 1, "none")], partial(true_nll, before=true_log_softmax)),
    "nll": (ad.nll, [(-X23, labels2, -1, "mean"), (-X23, np.full((2, 3), 1 / 3), -1, "sum")], true_nll),
    "accuracy": (ad.accuracy, [(X23, labels2, -1)], true_accuracy),
    "grad": (lambda x, y: ad.grad(squares, (0, 1))(x, y), [(x3, X23), (2.0, 1.0)], true_squares),
    "grad of anything": (lambda f, argnums, x: ad.grad(f, argnums)(x), [(lambda x: np.sum(x * x), 0, x3)], lambda g, f, argnums, x: UNJUDGED),
    "value_and_grad": (lambda x, y: ad.value_and_grad(squares, (0, 1))(x, y), [(x3, X23), (2.0, 1.0)], lambda r, x, y: true_squares(r[1], x, y) and (not numeric(x, y) or equal(r[0], squares(floating(x), floating(y)), 64))),
    "grad of a tree": (lambda tree: ad.grad(lambda tree: sum(np.sum(x * x) for x in check.tree_leaves(tree).values()))(tree), [({"a": x3, "b": [1.0, X23]},)], lambda g, tree: tree_like(g, tree)),
    "vjp": (lambda x, y, g: ad.vjp(lambda x, y: x * y, x, y)[1](g), [(x3, 2 * x3, x3), (X23, 2.0, X23)], lambda gs, x, y, g: tree_like(gs, (x, y))),
    "jvp": (lambda x, v: ad.jvp(lambda x: np.sum(x * x), (x,), (v,)), [(x3, x3), (2.0, 1.0)], lambda r, x, v: equal(r[1], np.sum(2 * floating(x) * floating(v)), 256) if numeric(x, v) else UNJUDGED),
    "jvp of anything": (lambda primals, tangents: ad.jvp(lambda *xs: xs[0] * 2.0, primals, tangents), [((x3,), (x3,))], lambda r, primals, tangents: equal(r[1], 2 * floating(tangents[0]), 8)),
    "hvp": (lambda x, v: ad.hvp(lambda x: np.sum(x * x * x), [x], [v])[0], [(x3, x3), (2.0, 1.0)], lambda r, x, v: equal(r, 6 * floating(x) * floating(v), 64) if numeric(x, v) else UNJUDGED),
    "jacobian": (lambda x, argnums: ad.jacobian(lambda x: x * x, argnums)(x), [(x3, 0), (2.0, (0,))],
                 lambda J, x, argnums: J == () if np.iterable(argnums) and not len(argnums) else equal(J if np.ndim(argnums) == 0 else J[0], (np.diag(2 * floating(x).ravel()).reshape(2 * floating(x).shape)), 8) if numeric(x) else UNJUDGED),
    "hessian": (lambda x: ad.hessian(lambda x: np.sum(x * x * x))(x), [(x3,), (2.0,)], lambda H, x: equal(H, np.diag(6 * floating(x).ravel()).reshape(2 * floating(x).shape), 8) if numeric(x) else UNJUDGED),
    "elementwise_grad": (lambda x, argnums: ad.elementwise_grad(lambda x: x * x, argnums)(x), [(x3, 0), (2.0, 0)], lambda g, x, argnums: g == () if np.iterable(argnums) and not len(argnums) else equal(g if np.ndim(argnums) == 0 else g[0], 2 * floating(x), 8) if numeric(x) else UNJUDGED),
    "checkpoint": (lambda f, x: ad.checkpoint(f)(x), [(np.sin, x3), (lambda x: {"a": x * 2}, Tensor(x3))], lambda y, f, x: check.tree_leaves(y).keys() == check.tree_leaves(f(check.tree_map(ad.stop_gradient, x))).keys()),
    "no_grad": (lambda f, x: ad.no_grad(f)(x), [(np.sin, x3), (lambda x: {"a": x * 2}, Tensor(x3))], lambda y, f, x: not any(isinstance(leaf, Tensor) for leaf in check.tree_leaves(y).values())),
    "flatten": (roundtrip, [({"a": x3, "b": [1.0, X23], "c": "name"},), (x3,)], true_roundtrip),
    "unflatten": (lambda vector: ad.flatten({"a": x3, "b": 1.0})[1](vector), [(np.arange(4.0),)], lambda tree, vector: equal(tree["a"], np.asarray(plain(vector))[:3].real) and np.ndim(plain(tree["b"])) == 0),
    "find_nan": (ad.find_nan, [(Tensor(1.0) * 2,), (Tensor(np.nan) * 2,)], lambda t, output: t is None or not np.isfinite(t.value).all()),
    "debug": (lambda x, infinite: [e := ad.debug(infinite), e.__enter__(), e.__exit__(None, None, None), np.sum(Tensor(x))][-1], [(x3, True)], lambda t, x, infinite: equal(t, np.sum(floating(x)), 64)),
    "compile": (thrice, [(squares, x3, X23), (ad.grad(squares), x3, X23), (lambda x, y: {"a": x + 1.0, "b": y}, x3, 2.0)], lambda ys, f, x, y: all(equal(list(check.tree_leaves(a).values()), list(check.tree_leaves(f(x, y)).values())) for a in ys)),
    "derivation": (lambda what, shapes, names: str(ad.derivation(what, shapes, names)), [(([0, 2], [2, 1]), None, None), ("ij,jk->ik", [(2, 3), (3, 4)], ["A", "B"]), (np.exp, None, None)], lambda text, *args: isinstance(text, str)),
    "draw": (lambda t, limit, names, adjoints: ad.draw(t, limit, names, adjoints).svg, [(Tensor(1.0, "x") * 2, 40, None, None), (Tensor([1.0, 2.0]) * 2, 2, {"a": 1}, [1.0, 1.0])], lambda svg, *args: svg.startswith("<svg")),
    "replay": (lambda t, g, limit, names: ad.replay(t, g, limit, names).html, [(Tensor(1.0, "x") * 2, None, 20, None)], lambda html, *args: isinstance(html, str)),
    "decode_idx": (decode_idx, [(b"\0\0\x08\x01\0\0\0\x02ab", "name")], lambda a, data, name: a.tolist() == list(bytes(data)[8:]) if bytes(data)[2] == 8 else UNJUDGED),
    "fashion_mnist": (lambda path: ad.fashion_mnist(path), [("/nonexistent",)], lambda data, path: len(data.train_images) == 60_000),
    "minibatches": (lambda x, t, batch_size, rng, drop_last: list(ad.minibatches(x, t, batch_size=batch_size, rng=rng, drop_last=drop_last)), [(X34, np.arange(3), 2, None, False), (X34, np.arange(3), 2, 0, True)], true_batches),
    "SoftmaxRegression": (lambda *args: ad.SoftmaxRegression(*args).logits(np.ones((2, 3))), [(3, 4, 0.01, 0, np.float32)], lambda z, features, classes, scale, seed, dtype: z.shape == (2, classes) and np.isfinite(z).all() and scale >= 0 and z.dtype.kind == "f"),
    "MLP": (lambda sizes, seed, dtype: ad.MLP(sizes, seed, dtype).logits(np.ones((2, 3))), [((3, 5, 4), 0, np.float32), ([3, 2], 1, np.float64)], lambda z, sizes, seed, dtype: z.shape == (2, sizes[-1]) and z.dtype.kind == "f"),
    "Model": (lambda X: (ad.MLP((3, 5, 4), dtype=float).predict(X), ad.MLP((3, 5, 4), dtype=float)(X)), [(X34[:, :3],)], lambda r, X: len(r[0]) == len(r[1].value) == len(plain(X)) and (0 <= r[0]).all() and (r[0] < 4).all()),
    "SGD": (true_optimizer(ad.SGD)[0], [({"W": X23, "b": x3}, {"W": X23, "b": x3}, 0.1, None), ({"W": X23}, {"W": X23}, 0.1, 0.9)], true_optimizer(ad.SGD)[1]),
    "Adam": (true_optimizer(ad.Adam)[0], [({"W": X23, "b": x3}, {"W": X23, "b": x3}, 0.1, None), ({"W": X23}, {"W": X23}, 0.1, (0.9, 0.99))], true_optimizer(ad.Adam)[1]),
    "evaluate": (lambda X, t, batch_size: ad.evaluate(ad.SoftmaxRegression(3, 4, dtype=float), (X, t), batch_size), [(X34[:, :3], np.array([0, 1, 3]), 2)], lambda r, X, t, batch_size: (np.isfinite(r[0]) or not np.isfinite(plain(X)).all()) and (np.isnan(r[1]) or 0 <= r[1] <= 1)),
    "evaluate anything": (ad.evaluate, [(ad.SoftmaxRegression(3, 4), (X34[:, :3], np.array([0, 1, 3])), 2)], lambda r, *args: len(r) == 2),
    "fit": (fitted, [("linear", X34[:, :3], np.array([0, 1, 3]), 2, 2, 0), ("network", X34[:, :3].astype("f4"), np.array([0, 1, 3]), 1, 32, None)], true_fit),
    "fit with anything": (lambda name, value: ad.fit(ad.SoftmaxRegression(3, 4), **dict(train=(X34[:, :3], np.array([0, 1, 3])), epochs=1, progress=False) | {name: value}),
                          [(name, None) for name in ("validation", "optimizer", "loss", "shuffle", "history", "checkpoint", "compile", "progress", "callbacks", "train")], lambda history, name, value: len(history) <= 1),
    "History": (lambda rows, config: ad.History(rows, config).to_csv(), [([{"epoch": 1, "loss": 0.5}], None)], lambda text, rows, config: len(text.splitlines()) == len(rows) + 1 or not len(rows)),
    "History.from_dict": (lambda columns: ad.History.from_dict(columns).to_dict(), [({"epoch": [1, 2], "loss": [0.5, 0.25]},)], lambda d, columns: not d or {k: list(v) for k, v in columns.items()}.keys() == d.keys()),
    "History.__getitem__": (lambda which: ad.History([{"epoch": 1, "loss": 0.5}])[which], [(0,), ("loss",)], lambda found, which: UNJUDGED),
    "load": (ad.load, [("/nonexistent/file",)], lambda found, path: False),
    "RMSProp": (true_optimizer(ad.RMSProp)[0], [({"W": X23, "b": x3}, {"W": X23, "b": x3}, 0.1, None), ({"W": X23}, {"W": X23}, 0.1, 0.9)], true_optimizer(ad.RMSProp)[1]),
    "AdamW": (true_optimizer(ad.AdamW)[0], [({"W": X23, "b": x3}, {"W": X23, "b": x3}, 0.1, None)], true_optimizer(ad.AdamW)[1]),
    "Cosine": (lambda steps, end: [ad.Cosine(steps, end)(k) for k in range(4)], [(3, 0.1)], lambda found, steps, end: found[0] == 1 and all(np.isfinite(found))),
    "Staircase": (lambda every, factor: [ad.Staircase(every, factor)(k) for k in range(4)], [(2, 0.5)], lambda found, every, factor: equal(found, [factor ** (k // every) for k in range(4)], 4)),
    "Warmup": (lambda steps: [ad.Warmup(steps)(k) for k in range(4)], [(3,)], lambda found, steps: equal(found, [min((k + 1) / steps, 1) for k in range(4)], 4)),
    "clip_by_norm": (ad.clip_by_norm, [({"W": X23, "b": x3}, 1.0), ({"W": X23}, 100.0)], lambda found, grads, limit: tree_like(found, grads) and not ad.global_norm(found) > float(limit) * (1 + 1e-3)),
    "global_norm": (ad.global_norm, [({"W": X23, "b": x3},)], lambda norm, grads: equal(norm, np.sqrt(sum((abs(floating(g).astype(complex)) ** 2).sum() for g in grads.values())), 1e4) or not np.isfinite(norm)),
    "split_rows": (lambda x, t, shards: ad.split_rows(x, t, shards=shards), [(X34, np.arange(3), 2)], lambda found, x, t, shards: len(found) <= shards and equal(np.concatenate([np.asarray(plain(a)) for a, _ in found]), np.asarray(plain(x)))),
    "conv": (ad.conv, [(np.ones((2, 5, 4, 1)), np.ones((3, 2, 1, 2)), 1, "valid", 1), (np.ones((1, 6, 2)), np.ones((3, 2, 4)), 2, "same", 1)], lambda y, x, w, stride, padding, dilation: np.ndim(plain(y)) == np.ndim(plain(x)) and np.shape(plain(y))[-1] == np.shape(plain(w))[-1]),
    "conv_transpose": (ad.conv_transpose, [(np.ones((2, 5, 4, 2)), np.ones((3, 2, 1, 2)), 1, 0, 1)], lambda y, x, w, stride, padding, dilation: np.ndim(plain(y)) == np.ndim(plain(x)) and np.shape(plain(y))[-1] == np.shape(plain(w))[-2]),
    "max_pool": (ad.max_pool, [(np.ones((2, 4, 4, 1)), 2, None)], lambda y, x, size, stride: np.ndim(plain(y)) == np.ndim(plain(x)) and np.all(plain(y) <= np.max(plain(x)))),
    "average_pool": (ad.average_pool, [(np.ones((2, 4, 4, 1)), 2, None)], lambda y, x, size, stride: np.ndim(plain(y)) == np.ndim(plain(x))),
    "dropout": (ad.dropout, [(X34, 0.5, 0)], lambda y, x, rate, rng: np.shape(plain(y)) == np.shape(plain(x))),
    "relu": (ad.relu, [(X34,)], lambda y, x: equal(y, np.maximum(floating(x), 0), 2)),
    "gelu": (ad.gelu, [(X34,)], lambda y, x: np.shape(plain(y)) == np.shape(plain(x))),
    "layer_norm": (ad.layer_norm, [(X34, np.ones(4), np.zeros(4), -1)], lambda y, x, scale, shift, axis: np.ndim(plain(y)) >= np.ndim(plain(x))),
    "batch_norm": (ad.batch_norm, [(X34, np.ones(4), np.zeros(4), None)], lambda y, x, scale, shift, statistics: np.ndim(plain(y)) >= np.ndim(plain(x))),
    "CNN": (lambda layers, image, classes, seed: ad.CNN(layers, image, classes, seed).logits(np.ones((2, 36))), [([(2, 3)], (6, 6, 1), 3, 0), ([(2, 3, 1, 2)], (6, 6, 1), 3, 0)], lambda z, layers, image, classes, seed: z.shape == (2, classes)),
    "Transformer": (lambda vocabulary, context, first, width, heads, seed: ad.Transformer(vocabulary, context, first, width, heads, 8, 1, seed).logits(np.zeros((2, 4), int)), [(5, 4, 0, 6, 2, 0)], lambda z, vocabulary, *more: z.shape[0] == 2 and z.shape[-1] == vocabulary),
    "save": (lambda path, model, history: ad.save(os.path.join(path, "none", "c.npz") if isinstance(path, str) else path, model, None, history), [("/nonexistent", ad.MLP((2, 3)), None)], lambda found, *args: False),
}

try:
    from autodiffnb.sklearn import MLPClassifier, SoftmaxClassifier, to_onnx
except ImportError: MLPClassifier = None


def answers(classifier, X):
    "What a fitted classifier says, after a check that all that it says agrees."
    p, found = classifier.predict_proba(X), classifier.predict(X)
    assert p.shape == (len(found), len(classifier.classes_)) and np.isfinite(p).all() and np.allclose(p.sum(axis=1), 1, atol=1e-4) and (classifier.classes_[p.argmax(axis=1)] == found).all()
    return found


def true_answers(found, name, X, y, value):
    with np.errstate(all="ignore"): return found is None or set(found.tolist()) <= set(np.asarray(y).ravel().tolist())


def fitted_classifier(kind, name, X, y, value):
    classifier = kind(**{"max_iter": 3} | ({name: value} if name else {}))
    return answers(classifier.fit(X, y), X)


if MLPClassifier:
    small = X34[:, :3] - 1
    for kind in (SoftmaxClassifier, MLPClassifier):
        CASES[f"{kind.__name__}.fit"] = (partial(fitted_classifier, kind), [(None, small, np.array([0, 1, 0]), None), (None, small, ["a", "b", "b"], None)], true_answers)
        CASES[f"{kind.__name__}(...)"] = (lambda name, value, kind=kind: fitted_classifier(kind, name, small, [0, 1, 1], value), [(name, value) for name, value in kind().get_params().items() if name not in ("max_iter", "verbose", "hidden_layer_sizes")], lambda found, name, value: set(found) <= {0, 1})
        CASES[f"{kind.__name__}.from_params"] = (lambda params, classes, X, kind=kind: answers(kind.from_params(params, classes), X),
                                                 [(dict(W=np.ones((3, 2)), b=np.zeros(2)) if kind is SoftmaxClassifier else dict(W1=np.ones((3, 4)), b1=np.ones(4), W2=np.ones((4, 2)), b2=np.zeros(2)), [0, 1], small)], lambda found, *args: len(found) == len(args[2]))
        CASES[f"{kind.__name__}.load"] = (kind.load, [("/nonexistent/file",)], lambda found, path: False)
    CASES["SoftmaxClassifier.fit with weights"] = (lambda X, y, w: answers(SoftmaxClassifier(max_iter=3).fit(X, y, w), X), [(small, [0, 1, 0], [1.0, 2.0, 3.0])], lambda found, X, y, w: len(found) == len(X))
    CASES["MLPClassifier.partial_fit"] = (lambda X, y, classes: answers(MLPClassifier(4).partial_fit(X, y, classes), X), [(small, [0, 1, 0], [0, 1])], lambda found, X, y, classes: len(found) == len(X))
    CASES["to_onnx"] = (to_onnx, [(ad.MLP((3, 2)),)], lambda made, model: True)


ELSEWHERE = {"data_parallel", "defvjp", "defjvp", "primitive", "topological_order", "Sparse", "check_answer"}    # what runs other people's code as it is given, or is in a case of another name


def test_every_public_name_has_a_case(): assert {name for name in ad.__all__ if name not in {case.split()[0].split(".")[0] for case in CASES} | ELSEWHERE} == set()


@st.composite
def spoiled(draw, goods):
    "The arguments of a call that is in order, one or two of them replaced."
    args = list(draw(st.sampled_from(goods)))
    for k in draw(st.lists(st.integers(0, len(args) - 1), min_size=1, max_size=2, unique=True)):
        simple = not isinstance(args[k], (np.ndarray, Tensor, dict))
        args[k] = draw(st.one_of(junk, short, st.sampled_from(goods).map(lambda good: good[k])) if simple else st.one_of(junk, real_arrays, real_arrays))
    return args


@pytest.fixture(autouse=True)
def nothing_is_left():
    "The tables, the hooks and NumPy's error state are afterwards what they were."
    tables = [tensor.rules, tensor.entries, tensor.constants, transforms.tangents]
    before, errors, record = [t.copy() for t in tables], np.geterr(), tensor.record
    yield
    assert all(set(old) <= set(new) for old, new in zip(before, tables)), "chapters may join, as scipy.special's does when somebody imports that"
    assert np.geterr() == errors and tensor.record is record and backward.sweep is transforms.sweep


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", CASES)
@EXAMPLES
@given(data=st.data())
def test_a_documented_error_or_the_right_answer(name, data):
    call, goods, truth = CASES[name]
    args = data.draw(spoiled(goods))
    complaint = judged(call, args, truth, ALSO.get(name, ()))
    if complaint: note(complaint)
    assert complaint is None


@pytest.mark.parametrize("name", CASES)
def test_the_calls_in_order_are_in_order(name):
    "or there would be nothing to spoil"
    call, goods, truth = CASES[name]
    for args in goods:
        if name.rpartition(".")[2] in ("fashion_mnist", "load", "save") or name == "fit with anything" and args[0] in ("loss", "callbacks", "train"): continue
        with warnings.catch_warnings(action="ignore"): assert truth(call(*args), *args)


# ---------------------------------------------------------------- NumPy's functions, of a Tensor, with settings that may be anything

FUNCTIONS = sorted({f for table in (tensor.rules, tensor.entries, tensor.constants) for f in table if tensor.home(f).startswith("np")}, key=lambda f: (tensor.home(f), f.__name__))
KEYWORDS = {"axis": short, "axes": short, "keepdims": st.sampled_from([True, False, None, 2, "a"]), "dtype": st.sampled_from([None, np.float32, complex, int, "a", 3]), "n": short, "k": short, "s": short, "ddof": short, "offset": short, "axis1": short, "axis2": short,
            "shape": short, "shift": short, "repeats": short, "reps": short, "q": short, "order": st.sampled_from(["C", "F", "A", None, 3]), "mode": st.sampled_from(["wrap", "clip", "raise", "reflect", "edge", "full", None, 3]), "where": st.sampled_from([True, False, None]),
            "initial": short, "full_matrices": st.sampled_from([True, False]), "indices": short, "weights": real_arrays, "a_min": short, "a_max": short, "method": st.sampled_from(["linear", "nearest", "zzz", None]), "norm": st.sampled_from([None, "ortho", "forward", "x"]), "ord": short}


@st.composite
def numpy_calls(draw):
    "A function, arguments of which at least one is an array, and keywords that it has, or has not."
    fn = draw(st.sampled_from(FUNCTIONS))
    count = fn.nin if isinstance(fn, np.ufunc) else draw(st.integers(1, 3))
    args = [draw(real_arrays)] + [draw(st.one_of(real_arrays, short, short, junk)) for _ in range(count - 1)]
    try: known = [name for name in inspect.signature(fn).parameters if name in KEYWORDS] if not isinstance(fn, np.ufunc) else ["where", "dtype"]
    except (TypeError, ValueError): known = ["axis"]
    names = draw(st.lists(st.sampled_from(known or ["axis"]), max_size=2, unique=True))
    return fn, args, {name: draw(KEYWORDS[name]) for name in names}


def numpy_complaint(fn, args, keywords):
    "What is wrong with `fn` of Tensors beside `fn` of arrays: None, or a sentence."
    values, leaf = [raw(a) for a in args], floating(args[0])
    if leaf.dtype.kind not in "fc" or isinstance(leaf, np.matrix | np.ma.MaskedArray): return None
    if fn is np.copy or isinstance(fn, np.ufunc) and keywords.get("where", True) is not True: return None    # a layout is of no matter to a Tensor; what isn't computed may be anything
    x = Tensor(leaf)
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        try: y = fn(x, *args[1:], **keywords)
        except DOCUMENTED: return None
        except Exception as error: y = error
        try: expected = fn(leaf, *values[1:], **keywords)
        except Exception as error:
            if isinstance(y, Exception): return None if type(error) is type(y) else f"{type(y).__name__}: {y}, where NumPy has {type(error).__name__}: {error}"
            return f"gave {y!r:.200}, where NumPy raises {type(error).__name__}: {error}"
        if isinstance(y, Exception): return f"{type(y).__name__}: {y}, where NumPy gives {expected!r:.100}"
        if fn in (np.empty_like, np.empty): return None
        if not equal(y, expected, 64): return f"gave {y!r:.200}, where NumPy gives {expected!r:.200}"
        outputs = [t for t in (y if isinstance(y, (tuple, list)) else [y]) if isinstance(t, Tensor)]
        for t in outputs:
            try: g = ad.gradients(t, [x], np.ones_like(t.value))[0]
            except DOCUMENTED: continue
            except Exception as error: return f"the way back: {type(error).__name__}: {error}"
            if np.shape(g) != x.shape or np.asarray(g).dtype != x.dtype: return f"the way back: {np.asarray(g).dtype} of shape {np.shape(g)} for {x.dtype} of shape {x.shape}"
    return None


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.3.0", reason="older versions of NumPy refuse other malformed input than the one that ours was held to")
@pytest.mark.parametrize("part", range(8))
@settings(EXAMPLES, max_examples=3 * EXAMPLES.max_examples)
@given(call=numpy_calls())
def test_numpys_functions(part, call):
    complaint = numpy_complaint(*call)
    if complaint: note(complaint)
    assert complaint is None


# ---------------------------------------------------------------- what the run has found, each as small as it can be

FOUND = {
    "a type is no array": (lambda: Tensor(np.float32), TypeError, "value: expected real or complex numbers"),
    "nor are its labels": (lambda: ad.nll(-X23, np.float32), TypeError, "labels"),
    "a dtype is none either": (lambda: ad.nll(np.dtype("f4"), labels2), (TypeError, ValueError), "labels|logits|axis|value"),
    "a graph begins at a Tensor": (lambda: ad.ancestors(3), TypeError, "output: expected a Tensor, got int"),
    "None is no number": (lambda: Tensor(x3).at[0].set(None), TypeError, "v: expected numbers, got object"),
    "nor is it one in a vector": (lambda: ad.flatten({"a": 1.0})[1]([None]), TypeError, "vector: expected numbers, got object"),
    "a list may contain itself": (lambda: ad.grad(lambda x: 1.0)(circular()), ValueError, "expected containers in at most 200 levels"),
    "also as a tangent": (lambda: ad.jvp(lambda x: x, [circular()], [circular()]), ValueError, "expected containers in at most 200 levels"),
    "also when compiled": (lambda: ad.compile(lambda x: 1.0)(circular()), ValueError, "expected arguments and results in containers of at most 200 levels"),
    "a list of another class has a shape": (lambda: ad.gradients(Tensor(1.0) * 2, [Tensor(1.0)], Nested([1.0, 2.0])), ValueError, r"g: expected shape \(\), that of the output; got \(2,\)"),
    "a type is no adjoint": (lambda: ad.gradients(Tensor(1.0) * 2, [Tensor(1.0)], np.float32), TypeError, "g: expected numbers"),
    "probabilities of no class": (lambda: ad.nll([], []), ValueError, "labels: expected probabilities of at least one class"),
    "an order that takes forever": (lambda: ad.check_grads(np.sin, order=50), ValueError, "order: expected at most 10"),
    "gradients have names": (lambda: ad.SGD({"w": Tensor(1.0)}).step([1.0]), TypeError, "grads: expected a dict of arrays by name, got list"),
    "columns have names": (lambda: ad.History.from_dict([1]), TypeError, "columns: expected a dict of lists by name, got list"),
    "a model has parameters": (lambda: ad.save(os.devnull, 3), TypeError, "model: expected one with `params`"),
    "its history is a History": (lambda: ad.save(os.devnull, ad.MLP((2, 3)), None, [1]), TypeError, "history: expected History, got list"),
    "weights are no whole numbers": (lambda: ad.MLP((2, 3), dtype=int), TypeError, "dtype: expected real floating-point numbers, got int64"),
    "classes are": (lambda: ad.SoftmaxRegression(3, 2.5), TypeError, "classes: expected whole numbers"),
    "NumPy crashes at this seed": (lambda: ad.MLP((2, 3), seed=np.asmatrix(x3)), TypeError, "seed: expected a whole number"),
    "and at this scatter": (lambda: Tensor(np.ones((1,) * 33)).at[[]].add(1.0), ValueError, "at most 32 axes"),
}


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found(what):
    call, kind, message = FOUND[what]
    with pytest.raises(kind, match=message): call()


def test_lists_of_other_classes_are_arrays_too():
    x = Tensor([1.0, 2.0])
    for y in (np.fmin(x, Pair(3.0, 4.0), where=True), x * Pair(1.0, 1.0), np.add(Nested([0.0, 0.0]), x)): np.testing.assert_array_equal(ad.gradients(y.sum(), x), [1.0, 1.0])
