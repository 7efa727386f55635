"""Cases of linear algebra: stacks, matrices without rows, tall and wide ones, every option that takes another road."""
import numpy as np

from autodiffnb import linalg
from autodiffnb.linalg import dagger

from .base import on, real

table: dict = {}

SQUARES = [[(2, 2)], [(2, 3, 3)], [(0, 0)], [(0, 2, 2)]]
TALL, WIDE = [[(3, 2)], [(2, 4, 2)], [(3, 0)], [(0, 3, 2)]], [[(2, 3)], [(2, 1, 3)], [(0, 2)]]
small = dict(low=-0.7, high=0.9)


def shifted(fn, by=3.0, **params):
    "A call of `fn` on matrices that are far from singular."
    return lambda a: fn(a + np.eye(a.shape[-1], dtype=a.dtype) * by, **params)


table[np.linalg.inv] = on(np.linalg.inv, *SQUARES)
table[np.linalg.solve] = on(np.linalg.solve, [(2, 2), (2,)], [(2, 2), (2, 3)], [(3, 2, 2), (2,)], [(2, 2), (3, 2, 1)], [(2, 1, 2, 2), (3, 2, 2)], [(0, 0), (0,)], [(0, 0), (0, 2)],
                            [(2, 2), (2, 0)], [(0, 2, 2), (2, 1)])
table[np.linalg.det] = on(np.linalg.det, *SQUARES) + on(lambda a, b: np.linalg.det(a @ b), [(3, 2), (2, 3)], [(4, 2), (2, 4)], [(2, 2, 1), (2, 1, 2)])
table[np.linalg.slogdet] = on(np.linalg.slogdet, *SQUARES)
table[np.linalg.cholesky] = on(shifted(np.linalg.cholesky, upper=False), *SQUARES, **small) + on(shifted(np.linalg.cholesky, upper=True), *SQUARES, **small)
for fn in (np.linalg.eigh, np.linalg.eigvalsh): table[fn] = on(fn, *SQUARES) + on(lambda a, fn=fn: fn(a, "u"), *SQUARES[:2])
table[np.linalg.eig] = on(np.linalg.eig, *SQUARES) + on(lambda a: np.linalg.eig(a + dagger(a)), *SQUARES)
table[np.linalg.eigvals] = on(np.linalg.eigvals, *SQUARES)


def scaled(u, s, vh):
    "The matrix with other singular values, which does not depend on phases."
    k = s.shape[-1]
    return (u if u.shape[-1] == k else u[..., :k]) @ (s[..., :, None] ** 2 * (vh if vh.shape[-2] == k else vh[..., :k, :]))


def complement(u, s, vh):
    "The projectors on the columns that complete `u` and `vh`."
    k = s.shape[-1]
    return u[..., k:] @ dagger(u[..., k:]), dagger(vh[..., k:, :]) @ vh[..., k:, :]


# Dask fixes the signs in a way of its own, and takes no `hermitian`: what depends on signs is not for it.
table[np.linalg.svd] = on(lambda a: np.linalg.svd(a, False, hermitian=False), *TALL, *WIDE) + on(lambda a: np.linalg.svd(a, hermitian=False), *SQUARES, [(3, 2)], [(2, 3)], **real, order=1)
table[np.linalg.svd] += on(lambda a: complement(*np.linalg.svd(a, hermitian=False)), [(3, 2)], [(2, 1, 3)]) + on(lambda a: scaled(*np.linalg.svd(a, False)), *SQUARES, *TALL[:2], *WIDE[:2])
table[np.linalg.svd] += on(lambda a: np.linalg.svd(a, compute_uv=False), *TALL[:2], *WIDE[:2])
table[np.linalg.svd] += on(lambda a: np.linalg.svd(a, hermitian=True), *SQUARES) + on(lambda a: np.linalg.svd(a, compute_uv=False, hermitian=True), *SQUARES[:2])
table[np.linalg.svdvals] = on(np.linalg.svdvals, *TALL, *WIDE)
table[np.linalg.pinv] = on(np.linalg.pinv, *SQUARES, *TALL, *WIDE) + on(lambda a: np.linalg.pinv(a, hermitian=True), *SQUARES)
table[np.linalg.pinv] += on(lambda a: np.linalg.pinv(a, rcond=0.6), [(3, 2)], [(2, 2, 3)]) + on(lambda a: np.linalg.pinv(a, rtol=None), [(3, 2)])
table[np.linalg.lstsq] = on(lambda a, b: [y for k, y in enumerate(np.linalg.lstsq(a, b, None)) if k != 2], [(3, 2), (3,)], [(3, 2), (3, 2)], [(2, 2), (2, 1)], [(2, 3), (2, 1)], [(3, 2), (3, 0)])
table[np.linalg.lstsq] += on(lambda a, b: np.linalg.lstsq(a, b, 0.6)[0], [(3, 2), (3,)])
for mode in ("reduced", "complete", "r"): table.setdefault(np.linalg.qr, []).extend(on(lambda a, mode=mode: np.linalg.qr(a, mode), *SQUARES, *WIDE))
for mode in ("reduced", "r"): table[np.linalg.qr] += on(lambda a, mode=mode: np.linalg.qr(a, mode), *TALL)
table[np.linalg.qr] += on(lambda a: (lambda q, r: (q[..., :2], r, q[..., 2:] @ dagger(q[..., 2:])))(*np.linalg.qr(a, "complete")), [(3, 2)], [(2, 4, 2)])

# norms
table[np.linalg.norm] = on(np.linalg.norm, [()], [(3,)], [(2, 3)], [(2, 0)], [(2, 1, 2)]) + on(lambda x: np.linalg.norm(x, "fro", (0, -1), True), [(2, 3, 2)])
for order in (None, 1, 2, 3, 4, 2.5, 1.5, -1, np.inf, -np.inf):
    table[np.linalg.norm] += on(lambda x, order=order: np.linalg.norm(x, order, axis=0, keepdims=True), [(3,)], [(2, 3)]) + on(lambda x, order=order: np.linalg.norm(x, order), [(3,)])
for order in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
    table[np.linalg.norm] += on(lambda x, order=order: np.linalg.norm(x, order, (2, 0)), [(2, 2, 3)]) + on(lambda x, order=order: np.linalg.norm(x, order, keepdims=True), [(2, 3)])
    table.setdefault(np.linalg.cond, []).extend(on(lambda x, order=order: np.linalg.cond(x * x * x, order), [(2, 2)], [(2, 3, 3)]))
table[np.linalg.matrix_norm] = on(np.linalg.matrix_norm, [(2, 3)], [(2, 0, 3)], [(2, 2, 2)]) + on(lambda x: np.linalg.matrix_norm(x, ord="nuc", keepdims=True), [(2, 2, 3)])
table[np.linalg.vector_norm] = on(np.linalg.vector_norm, [()], [(3,)], [(2, 3)], [(0, 3)]) + on(lambda x: np.linalg.vector_norm(x, axis=(0, -1), ord=3, keepdims=True), [(2, 3, 2)])
table[np.linalg.vector_norm] += on(lambda x: np.linalg.vector_norm(x, axis=1, ord=1), [(2, 3)])

# compositions
table[np.linalg.matrix_power] = [c for n in (-3, -1, 1, 2, 3, 6) for c in on(lambda a, n=n: np.linalg.matrix_power(a, n), [(2, 2)], [(2, 2, 2)], [(0, 0)], low=-1, high=1.5)]
table[np.linalg.multi_dot] = on(lambda *a: np.linalg.multi_dot(a), [(2, 3), (3, 1)], [(3,), (3, 2), (2, 1)], [(2, 1), (1, 3), (3,)], [(2,), (2, 3), (3, 1), (1,)], [(0, 2), (2, 2), (2, 1)], **small)
table[np.linalg.tensorinv] = on(np.linalg.tensorinv, [(2, 1, 2)], [(2, 2, 4)]) + on(lambda a: np.linalg.tensorinv(a, ind=1), [(4, 2, 2)])
table[np.linalg.tensorsolve] = on(np.linalg.tensorsolve, [(2, 2), (2,)], [(2, 2, 4), (2, 2)]) + on(lambda a, b: np.linalg.tensorsolve(a, b, axes=(0, 2)), [(2, 4, 2), (4,)])
table[np.linalg.trace] = on(lambda x: np.linalg.trace(x, offset=1), [(2, 3)], [(2, 3, 3)], [(2, 0, 2)])
table[np.linalg.diagonal] = on(lambda x: np.linalg.diagonal(x, offset=-1), [(2, 3)], [(2, 3, 3)], [(2, 0, 2)])
table[np.linalg.matrix_transpose] = on(np.linalg.matrix_transpose, [(2, 3)], [(2, 2, 3)], [(2, 0)])
table[np.linalg.vecdot] = on(np.linalg.vecdot, [(3,), (3,)], [(2, 3), (3,)], [(0,), (0,)]) + on(lambda a, b: np.linalg.vecdot(a, b, axis=0), [(3, 2), (3, 2)])

# the results of calls that have several
for whole, calls in ((linalg.slogdet, table[np.linalg.slogdet]), (linalg.eigh, table[np.linalg.eigh]), (linalg.eig, on(np.linalg.eig, [(2, 3, 3)])),
                     (linalg.svd, table[np.linalg.svd][:2]), (linalg.qr, on(np.linalg.qr, [(3, 2)], [(2, 3)])),
                     (linalg.lstsq, on(lambda a, b: np.linalg.lstsq(a, b, None)[:2], [(3, 2), (3,)]))):
    for k, part in enumerate(whole.parts):
        if whole is linalg.lstsq: calls = on(lambda a, b, k=k: np.linalg.lstsq(a, b, None)[k], [(3, 2), (3, 1)])
        if (whole, k) != (linalg.lstsq, 2): table[part] = [c._replace(call=lambda *a, call=c.call, k=k, n=len(whole.parts): call(*a)[k]) for c in calls] if whole is not linalg.lstsq else calls
