"""Cases of the chapters from the tensor to the transforms."""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import autodiffnb
from autodiffnb import contraction, loss, reduction, shaping, transforms
from autodiffnb.softmax import log_softmax, logsumexp, softmax

from .base import MATRICES, ODD, SIXES, WHOLE, Case, binary, on, positive, real, unary

table: dict = {}

# ufuncs
for fn in (np.negative, np.positive, np.exp, np.expm1, np.sin, np.cos, np.tanh, np.square, np.conjugate, np.absolute): table[fn] = unary(fn)
for fn in (np.log, np.log1p, np.sqrt, np.reciprocal): table[fn] = unary(fn, **positive)
for fn in (np.add, np.subtract, np.multiply): table[fn] = binary(fn)
for fn in (np.divide, np.power): table[fn] = binary(fn, **positive)
for fn in (np.maximum, np.minimum): table[fn] = binary(fn, **real)
table[np.remainder] = binary(np.remainder, **positive, **real)
PAIRS = [[(3,), (3,)], [(2, 3), (3,)], [(3,), (3, 2)], [(2, 3), (3, 2)], [(2, 2, 3), (3, 2)], [(2, 3), (2, 3, 2)], [(2, 1, 2, 3), (3, 3, 2)], [(3,), (2, 3, 2)],
         [(2, 2, 3), (3,)], [(0, 3), (3, 2)], [(2, 0), (0, 3)], [(0, 2, 3), (3, 2)]]
table[np.matmul] = on(np.matmul, *PAIRS)
if hasattr(np, "vecdot"): table[np.vecdot] = on(np.vecdot, [(3,), (3,)], [(2, 3), (3,)], [(2, 1, 3), (2, 3)], [(0,), (0,)], [(0, 3), (3,)])
if hasattr(np, "matvec"): table[np.matvec] = on(np.matvec, [(2, 3), (3,)], [(4, 2, 3), (3,)], [(2, 3), (4, 3)], [(0, 3), (3,)], [(2, 0), (0,)])
if hasattr(np, "vecmat"): table[np.vecmat] = on(np.vecmat, [(2,), (2, 3)], [(4, 2), (2, 3)], [(2,), (4, 2, 3)], [(0,), (0, 3)], [(2,), (2, 0)])
table[np.real], table[np.imag] = unary(np.real), unary(np.imag)

# reductions
for fn in (np.sum, np.mean, np.prod, np.nansum, np.nanprod, np.nanmean):
    table[fn] = on(fn, [()], [(3,)], [(2, 3)]) + on(lambda x, fn=fn: fn(x, axis=0, keepdims=True), [(2, 3)], [(2, 0)])
    table[fn] += on(lambda x, fn=fn: fn(x, axis=(0, -1)), [(2, 3, 2)])
for fn in (np.sum, np.prod, np.nansum, np.nanprod): table[fn] += on(fn, [(0,)])
for fn in (np.var, np.std, np.nanvar, np.nanstd):
    table[fn] = on(fn, [(3,)], [(2, 3)]) + on(lambda x, fn=fn: fn(x, axis=0, ddof=1, keepdims=True), [(3, 2)], [(3, 0)])
for fn in (np.var, np.nanvar): table[fn] += on(fn, [()])
for fn in (np.max, np.min, np.amax, np.amin, np.ptp):
    table[fn] = on(fn, [()], [(3,)], [(2, 3)], **real) + on(lambda x, fn=fn: fn(x, axis=-1, keepdims=True), [(2, 3)], [(0, 3)], **real)
    table[fn] += on(lambda x, fn=fn: fn(x, axis=0), [(2, 0)], **real)
for fn in (np.cumsum, np.cumprod): table[fn] = on(fn, [()], [(3,)], [(2, 3)], [(0,)]) + on(lambda x, fn=fn: fn(x, axis=-2), [(3, 2)], [(0, 2)], [(2, 0)])
table[np.average] = on(np.average, [(3,)], [(2, 3)]) + on(lambda x, w: np.average(x, axis=1, weights=w), [(2, 3), (3,)], [(2, 3), (2, 3)], **positive)

# shape
table[np.broadcast_to] = on(lambda x: np.broadcast_to(x, (2, 3)), [()], [(3,)], [(2, 1)], [(2, 3)]) + on(lambda x: np.broadcast_to(x, (0, 2)), [(2,)], [(1,)])
table[np.reshape] = on(lambda x: np.reshape(x, (3, -1)), [(2, 3)], [(6,)]) + on(lambda x: np.reshape(x, (2, 3), order="F"), [(3, 2)])
table[np.reshape] += on(lambda x: np.reshape(x, (1, 1)), [()]) + on(lambda x: np.reshape(x, ()), [(1, 1)]) + on(lambda x: np.reshape(x, (0, 5)), [(2, 0)])
table[np.transpose] = on(np.transpose, *SIXES) + on(lambda x: np.transpose(x, (2, 0, 1)), [(2, 3, 2)], [(2, 0, 2)])
for name, call in dict(swapaxes=lambda x: np.swapaxes(x, 0, -1), moveaxis=lambda x: np.moveaxis(x, 0, -1), rollaxis=lambda x: np.rollaxis(x, 1),
                       flip=lambda x: np.flip(x, 1), flipud=np.flipud, fliplr=np.fliplr, rot90=np.rot90, tril=np.tril, triu=np.triu,
                       squeeze=lambda x: np.squeeze(x[None], 0), matrix_transpose=np.matrix_transpose).items():
    table[getattr(np, name)] = on(call, *MATRICES)
for name, call in dict(ravel=np.ravel, atleast_1d=np.atleast_1d, atleast_2d=np.atleast_2d, atleast_3d=np.atleast_3d, expand_dims=lambda x: np.expand_dims(x, 0),
                       copy=np.copy, tile=lambda x: np.tile(x, 2), repeat=lambda x: np.repeat(x, 2), roll=lambda x: np.roll(x, 1)).items():
    table[getattr(np, name)] = on(call, *SIXES)
table[np.full_like] = on(np.full_like, [(2, 3), ()], [(2, 3), (3,)], [(), ()], [(0, 3), (3,)])
table[np.atleast_1d] += on(lambda x, y: np.atleast_1d(x, y), [(), (2,)])
table[np.roll] += on(lambda x: np.roll(x, (1, 2), (0, 1)), [(2, 3)])
table[np.repeat] += on(lambda x: np.repeat(x, [1, 0, 2], axis=1), [(2, 3)])
table[np.resize] = on(lambda x: np.resize(x, (2, 2)), [(3,)], [(5,)], [()])
table[np.delete] = on(lambda x: np.delete(x, 1, axis=0), [(3,)], [(2, 3)], [(2, 0)])
table[np.diagonal] = on(np.diagonal, *MATRICES)
table[np.trace] = on(np.trace, *MATRICES) + on(lambda x: np.trace(x, 1), [(3, 3)])
table[np.diag] = on(np.diag, [(3,)], [(2, 3)], [(0,)]) + on(lambda x: np.diag(x, -1), [(2,)], [(3, 3)])
table[np.diagflat] = on(np.diagflat, [(3,)], [(2, 2)], [()], [(0,)])
table[sliding_window_view] = on(lambda x: sliding_window_view(x, 2), [(3,)], [(2,)])

# join and split
LISTS = [[(2,), (3,)], [(2, 3), (1, 3)], [(0, 3), (2, 3)], [(2,)]]
EQUALS = [[(), ()], [(3,), (3,)], [(2, 0), (2, 0)], [(2, 3), (2, 3)]]
table[np.concatenate] = on(lambda *xs: np.concatenate(xs), *LISTS) + on(lambda *xs: np.concatenate(xs, axis=None), [(2,), (2, 2), ()])
table[np.stack] = on(lambda *xs: np.stack(xs), *EQUALS) + on(lambda *xs: np.stack(xs, -1), *EQUALS)
for fn in (np.vstack, np.hstack, np.dstack): table[fn] = on(lambda *xs, fn=fn: fn(xs), *EQUALS)
table[np.column_stack] = on(lambda *xs: np.column_stack(xs), *EQUALS[1:])
table[np.append] = on(np.append, [(), ()], *LISTS[:3]) + on(lambda a, b: np.append(a, b, 0), LISTS[1])
table[np.broadcast_arrays] = on(np.broadcast_arrays, [(2, 1), (3,)], [(), (2,)], [(0,), (1,)])
table[np.split] = on(lambda x: np.split(x, [1]), [(3,)], [(2, 3)], [(2, 0)])
table[np.array_split] = on(lambda x: np.array_split(x, 2), [(3,)], [(3, 2)], [(0, 2)])
table[np.vsplit] = on(lambda x: np.vsplit(x, 2), [(2, 3)], [(2, 0)])
table[np.hsplit] = on(lambda x: np.hsplit(x, 2), [(4,)], [(3, 2)], [(0, 2)])
table[np.dsplit] = on(lambda x: np.dsplit(x, [1]), [(1, 2, 3)])

# choose
table[np.where] = on(lambda a, b: np.where(ODD, a, b), [(3,), (3,)], [(2, 3), ()], [(), (3,)], [(2, 1), (3,)], [(0, 3), (3,)], [(), ()])
table[np.select] = on(lambda a, b: np.select([ODD, ~ODD], [a, b], 1.0), [(3,), (3,)], [(2, 3), ()], [(0, 3), (3,)])
table[np.take] = on(lambda x: np.take(x, WHOLE), [(3,)], [(2, 3)]) + on(lambda x: np.take(x, WHOLE, axis=-1), [(2, 3)], [(0, 3)])
table[np.take_along_axis] = on(lambda x: np.take_along_axis(x, np.array([[1, 1], [0, 2]]), -1), [(2, 3)])
table[np.compress] = on(lambda x: np.compress(ODD, x, axis=-1), [(3,)], [(2, 3)], [(0, 3)])
table[np.extract] = on(lambda x: np.extract(ODD, x), [(3,)], [(1, 3)])
table[np.sort] = on(np.sort, [(3,)], [(2, 3)], [(0,)], **real) + on(lambda x: np.sort(x, axis=None), [(2, 2)], **real)
table[np.partition] = on(lambda x: np.partition(x, 1), [(3,)], [(2, 3)], **real)
table[np.diff] = on(np.diff, [(3,)], [(2, 3)], [(1,)]) + on(lambda x: np.diff(x, 2, axis=0), [(4,)], [(3, 2)])
table[np.pad] = on(lambda x: np.pad(x, 1), [(3,)], [(2, 3)], [(0,)]) + on(lambda x: np.pad(x, 1, mode="reflect"), [(3,)], [(2, 3)])
table[np.clip] = on(lambda x: np.clip(x, -1.0, 1.0), *SIXES, **real) + on(np.clip, [(3,), (), (3,)], **real)
table[np.astype] = on(lambda x: np.astype(x, x.dtype), *SIXES) if hasattr(np, "astype") else []

# contractions
PAIRS = [[(2, 3), (3, 2)], [(3,), (3,)], [(2, 2, 3), (3,)], [(3,), (2, 3, 2)], [(0, 3), (3, 2)], [(2, 0), (0, 2)]]
SCALARS = [[(), ()], [(), (2,)], [(2, 2), ()]]
table[np.dot] = on(np.dot, *PAIRS, *SCALARS, [(2, 2, 3), (2, 3, 2)])
table[np.inner] = on(np.inner, [(2, 3), (2, 3)], [(3,), (3,)], [(2, 2, 3), (3,)], [(0, 3), (3,)], [(2, 0), (3, 0)], *SCALARS)
for fn in (np.outer, np.kron): table[fn] = on(fn, [(2,), (3,)], [(2, 2), (2,)], [(0,), (2,)], *SCALARS)
table[np.vdot] = on(np.vdot, [(3,), (3,)], [(2, 2), (2, 2)], [(0,), (0,)], [(), ()])
TENSORDOTS = on(lambda a, b: np.tensordot(a, b, 1), [(2, 3), (3, 2)], [(2, 0), (0, 2)]) + on(lambda a, b: np.tensordot(a, b, ([0, 2], [2, 1])), [(2, 1, 3, 2), (2, 3, 2)])
table[np.tensordot] = TENSORDOTS + on(lambda a, b: np.tensordot(a, b, 0), [(2,), (3,)], *SCALARS)
table[np.einsum] = on(lambda a, b: np.einsum("ij,jk", a, b), [(2, 3), (3, 2)], [(2, 0), (0, 2)]) + on(lambda a: np.einsum("ii->i", a), [(3, 3)])
table[np.einsum] += on(lambda a, b: np.einsum("i...,i...->...", a, b), [(2, 3), (2, 3)], [(2, 3), (2, 1)]) + on(lambda a: np.einsum("->", a), [()])
table[np.einsum] += on(lambda a: np.einsum("ij->", a), [(2, 3)], [(2, 0)]) + on(lambda a, b, c: np.einsum("i,i,j->j", a, b, c), [(2,), (2,), (3,)])
table[contraction.linear] = on(contraction.linear, [(2, 3), (3, 2), (2,)], [(3,), (3, 2), (2,)], [(2, 2, 3), (3, 2), (1, 2)], [(2, 3), (2, 3, 2), ()], [(2, 3), (3,), (2,)], [(0, 3), (3, 2), (2,)], [(2, 0), (0, 2), (2, 1)])
table[np.linalg.tensordot] = on(lambda a, b: np.linalg.tensordot(a, b, axes=1), [(2, 3), (3, 2)])
table[np.linalg.matmul] = on(np.linalg.matmul, [(2, 3), (3, 2)], [(2, 2, 3), (3, 2)])
table[np.linalg.outer] = on(np.linalg.outer, [(2,), (3,)], [(0,), (3,)])

# functions of our own
LABELS = np.array([2, 0])
table[reduction.cast] = on(lambda x: reduction.cast(x, x.dtype), *SIXES)
table[shaping.join], table[shaping.pile] = [on(lambda *xs, f=f: f(*xs, axis=-1), *EQUALS[1:]) for f in (shaping.join, shaping.pile)]
table[shaping.getitem] = on(lambda x: x[1], [(3,)], [(2, 3)], [(2, 0)]) + on(lambda x: x[..., None], [()]) + on(lambda x: x[:, WHOLE], [(2, 3)], [(0, 3)])
table[shaping.getitem] += on(lambda x: x[ODD], [(3,)], [(3, 2)])
table[shaping.scatter_add] = on(lambda u: shaping.scatter_add(u, WHOLE, (3,)), [(4,)]) + on(lambda u: shaping.scatter_add(u, slice(1, 3), (4, 2)), [(2, 2)])
table[shaping.scatter_add] += on(lambda u: shaping.scatter_add(u, (), ()), [()]) + on(lambda u: shaping.scatter_add(u, slice(0, 0), (2,)), [(0,)])
table[shaping.replace] = on(lambda x, v: shaping.replace(x, WHOLE, v), [(3,), (4,)]) + on(lambda x, v: shaping.replace(x, slice(1, 3), v), [(4, 2), (2, 2)], [(3, 0), (2, 0)])
ROWS = [[(3,)], [(2, 3)], [(0, 3)], [(2, 2, 3)]]
for f in (softmax, log_softmax, logsumexp):
    table[f] = on(f, *ROWS, **real) + on(lambda z, f=f: f(z, axis=0), [(2, 3)], [(2, 0)], **real) + on(lambda z, f=f: f(z, axis=(0, -1)), [(2, 2, 3)], **real)
table[logsumexp] += on(lambda z: logsumexp(z, 0, keepdims=True), [(2, 3)], **real)
for reduced in ("mean", "sum", "none"):
    table.setdefault(loss.label_cross_entropy, []).extend(on(lambda z, r=reduced: autodiffnb.cross_entropy(z, LABELS, reduction=r), [(2, 3)], **real))
    table[loss.label_cross_entropy] += on(lambda z, r=reduced: autodiffnb.cross_entropy(z, LABELS[:0], reduction=r), [(0, 3)], **real)
    table[loss.label_cross_entropy] += on(lambda z, r=reduced: autodiffnb.cross_entropy(z, LABELS, axis=0, reduction=r), [(3, 2)], **real)
table[loss.excess] = on(lambda z: loss.excess(z, np.arange(3) == LABELS[:, None], -1, "mean"), [(2, 3)], **real)
table[transforms.identity] = on(transforms.identity, *SIXES)
