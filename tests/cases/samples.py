"""Cases of the chapter on samples. Where NumPy widens float32, the call narrows it again: the derivative has to come back narrow."""
import numpy as np
from numpy.lib import scimath

from autodiffnb import samples
from autodiffnb.tensor import entries

from .base import MATRICES, SIXES, binary, on, positive, real, unary

table: dict = {}

X4 = np.array([0.0, 1.0, 2.5, 3.0])
EQUALS = [[(), ()], [(3,), (3,)], [(2, 0), (2, 0)], [(2, 3), (2, 3)]]


def narrow(y, x): return y.astype(np.result_type(y.dtype, np.complex64) if np.iscomplexobj(y) and not np.iscomplexobj(x) else x.dtype)


# differences, integrals, slopes
table[np.diff] = on(lambda x, p: np.diff(x, prepend=p), [(3,), ()], [(2, 3), ()], [(2, 3), (2, 1)], [(0,), ()]) + on(lambda x, p: np.diff(x, 2, 0, append=p), [(2, 3), (1, 3)], [(2, 0), ()])
table[np.ediff1d] = on(np.ediff1d, [(3,)], [(2, 3)], [(0,)], [(1,)]) + on(lambda x, a, b: np.ediff1d(x, a, b), [(3,), (2,), ()])
table[np.trapezoid] = on(np.trapezoid, [(3,)], [(2, 3)], [(0,)], [(2, 0)], [(3,), (3,)], [(2, 3), (3,)], [(2, 3), (2, 3)], [(1,), (1,)])
table[np.trapezoid] += on(lambda y: np.trapezoid(y, dx=0.5, axis=0), [(3, 2)]) + on(lambda y, x: np.trapezoid(y, x, axis=0), [(3, 2), (3,)])
table[np.gradient] = on(np.gradient, [(3,)], [(2, 3)], [(4,), ()], [(2, 3), (), ()], **positive) + on(lambda f: np.gradient(f, axis=-1, edge_order=2), [(3,)], [(2, 4)])
table[np.gradient] += on(lambda f, h: np.gradient(f, h, axis=1, edge_order=2), [(2, 4), ()], **positive) + on(lambda f: np.gradient(f, axis=1), [(0, 3)])
table[np.gradient] += on(lambda f, d: np.gradient(f, np.cumsum(d), edge_order=2), [(4,), (4,)], **positive) + on(lambda f, d: np.gradient(f, np.cumsum(d), axis=0), [(3, 2), (3,)], **positive)

# between samples
table[np.interp] = on(lambda x, fp: narrow(np.interp(x, X4, fp), x), [(3,), (4,)], [(), (4,)], [(2, 3), (4,)], [(0,), (4,)], low=0.1, high=2.9, **real)
table[np.interp] += on(lambda x, d, fp: narrow(np.interp(x, np.cumsum(d), fp), x), [(3,), (4,), (4,)], [(5,), (1,), (1,)], **positive, **real)
table[np.interp] += on(lambda x, fp: narrow(np.interp(x, X4, fp, left=-1.0, right=2.0), x), [(7,), (4,)], low=-1.0, high=4.0, **real)
table[np.interp] += on(lambda x, d, fp: narrow(np.interp(x, d, fp, period=2.5), x), [(3,), (4,), (4,)], low=-3.0, high=5.0, **real)

# filters
LISTS = [[(3,), (3,)], [(4,), (2,)], [(2,), (4,)], [(1,), (3,)], [(), (2,)]]
table[np.convolve] = [case for mode in ("full", "same", "valid") for case in on(lambda a, v, mode=mode: np.convolve(a, v, mode), *LISTS)]
table[np.correlate] = [case for mode in ("full", "same", "valid") for case in on(lambda a, v, mode=mode: np.correlate(a, v, mode), *LISTS[:-1])]
table[samples.convolved] = on(lambda a, v: samples.convolved(a, v, 1, 2), [(3,), (2,)], [(2,), (3,)])

# polynomials
table[np.polyval] = on(np.polyval, [(3,), ()], [(4,), (3,)], [(3,), (2, 2)], [(1,), (2,)], [(0,), (2,)], [(3,), (0,)])
for fn in (np.polyadd, np.polysub, np.polymul): table[fn] = on(fn, [(3,), (3,)], [(2,), (4,)], [(4,), (1,)], [(), (2,)])
table[np.polydiv] = on(np.polydiv, [(4,), (2,)], [(3,), (3,)])
table[np.polyder] = on(lambda p: narrow(np.polyder(p), p), [(4,)], [(1,)]) + on(lambda p: narrow(np.polyder(p, 2), p), [(4,)])
table[np.polyint] = on(lambda p: narrow(np.polyint(p), p), [(3,)], [(0,)]) + on(lambda p, k: narrow(np.polyint(p, 2, k), p), [(3,), (2,)], [(3,), ()])
table[np.poly] = on(np.poly, [(3,)], [(1,)])
table[np.roots] = on(lambda d: np.roots(np.concatenate([d[:1], [-3.0, 0.5], d[1:]]).astype(d.dtype)), [(2,)], low=1.0, high=1.5, **real)
table[np.vander] = on(lambda x: narrow(np.vander(x), x), [(3,)], [(1,)], [(0,)]) + on(lambda x: narrow(np.vander(x, 4, increasing=True), x), [(2,)]) + on(lambda x: narrow(np.vander(x, 1), x), [(2,)])
table[np.polyfit] = on(lambda y: narrow(np.polyfit(X4, y, 2), y), [(4,)], [(4, 2)], **real) + on(lambda d, y, w: narrow(np.polyfit(np.cumsum(d), y, 1, w=w), y), [(4,), (4,), (4,)], **positive, **real)
table[np.polyfit] += on(lambda d, y: [narrow(z, y) for z in np.polyfit(np.cumsum(d), y, 1, cov=True)], [(4,), (4,)], **positive, **real)
for fn in (np.polynomial.polynomial.polyval2d, np.polynomial.polynomial.polygrid2d):
    if fn in entries: table[fn] = on(lambda x, y, c, fn=fn: narrow(fn(x, y, c), x), [(2,), (2,), (2, 3)], [(), (), (2, 2)], [(2,), (2,), (2, 2, 2)])

# functions with a hole, angles, and numbers that are not
table[np.sinc], table[np.i0] = unary(np.sinc), unary(np.i0, **real)
table[samples.sinc_derivative] = [case for n in (1, 2, 5) for case in on(lambda x, n=n: samples.sinc_derivative(x, n=n), [()], [(2, 3)], [(0,)])]
table[samples.i0_derivative] = [case for n in (1, 2) for case in on(lambda x, n=n: samples.i0_derivative(x, n=n), [()], [(2, 3)], [(0,)], **real)]
table[np.angle] = unary(np.angle) + on(lambda z: np.angle(z, deg=True), [(3,)])
table[np.unwrap] = on(np.unwrap, [(3,)], [(2, 3)], [(0,)], low=-9.0, high=9.0, **real) + on(lambda p: np.unwrap(p, axis=0, period=3.0), [(3, 2)], low=-9.0, high=9.0, **real)
table[np.nan_to_num] = unary(np.nan_to_num) + on(lambda x: np.nan_to_num(x, nan=1.0, posinf=2.0, neginf=3.0), [(3,)])
table[np.real_if_close] = unary(np.real_if_close)
for name in ("sqrt", "log", "log2", "log10"): table[getattr(scimath, name)] = unary(getattr(scimath, name), **positive)
for name in ("arccos", "arcsin", "arctanh"): table[getattr(scimath, name)] = unary(getattr(scimath, name), low=-0.9, high=0.9)
table[scimath.logn] = on(lambda n, x: scimath.logn(n + 1, x), [(), ()], [(3,), (2, 3)], [(0,), ()], **positive)
table[scimath.power] = on(scimath.power, [(), ()], [(3,), (2, 3)], [(0,), ()], **positive)

# products and ends
table[np.cross] = on(np.cross, [(3,), (3,)], [(2, 3), (3,)], [(2, 1, 3), (2, 3)], [(0, 3), (3,)]) + on(lambda a, b: np.cross(a, b, axis=0), [(3, 2), (3, 2)])
table[np.cross] += on(lambda a, b: np.cross(a, b, axisa=0, axisb=1, axisc=0), [(3, 2), (2, 3)])
table[np.linalg.cross] = on(np.linalg.cross, [(3,), (3,)], [(2, 3), (3,)]) + on(lambda a, b: np.linalg.cross(a, b, axis=0), [(3, 2), (3, 2)])
ENDS = [[(), ()], [(2,), ()], [(2, 1), (3,)], [(0,), ()]]
table[np.linspace] = on(lambda a, b: np.linspace(a, b, 4), *ENDS) + on(lambda a, b: np.linspace(a, b, 3, endpoint=False, axis=-1), *ENDS) + on(lambda a, b: np.linspace(a, b, 5, retstep=True), [(), ()])
table[np.linspace] += on(lambda a, b: np.linspace(a, b, 1), [(), ()]) + on(lambda a, b: np.linspace(a, b, 0), [(), ()])
table[np.logspace] = on(lambda a, b: np.logspace(a, b, 4), *ENDS, low=-0.5, high=0.5) + on(lambda a, b, c: np.logspace(a, b, 3, base=c), [(), (), ()], [(), (), (2,)], **positive)
table[np.geomspace] = on(lambda a, b: narrow(np.geomspace(a, b, 4), a), *ENDS, **positive) + on(lambda a, b: narrow(np.geomspace(-a, -b, 3, endpoint=False, axis=-1), a), *ENDS, **positive)

# assembling
table[np.meshgrid] = on(np.meshgrid, [(2,), (3,)], [(), (2,)], [(2,)], [(2,), (0,)], [(1,), (2,), (3,)])
table[np.meshgrid] += on(lambda a, b: np.meshgrid(a, b, indexing="ij", sparse=True), [(2,), (3,)])
table[np.ix_] = on(np.ix_, [(2,), (3,)], [(2,)], [(0,), (2,)])
table[np.block] = on(lambda a, b: np.block([[a, b], [b, a]]), *EQUALS) + on(np.block, *SIXES) + on(lambda a, b: np.block([a, b]), [(2,), (3,)], [(2, 2), (2, 3)])
table[np.insert] = on(lambda x, v: np.insert(x, 1, v), [(3,), ()], [(2, 3), (2,)]) + on(lambda x, v: np.insert(x, [0, 2], v, axis=1), [(2, 3), (2, 2)], [(2, 3), (2,)], [(2, 3), (2, 1)], [(0, 3), ()])
table[np.insert] += on(lambda x, v: np.insert(x, 1, v, axis=0), [(2, 3), (3,)], [(2, 3), ()], [(2, 3), (2, 3)])
table[np.choose] = on(lambda a, b: np.choose([0, 1, 1], [a, b]), [(3,), (3,)], [(2, 3), ()], [(), ()]) + on(lambda x: np.choose([[3, -1]], x, mode="wrap"), [(3,)], [(2, 2)])
table[np.piecewise] = on(lambda x: np.piecewise(x, [np.asarray(x.real > 0)], [np.square, lambda y: 3 * y]), *SIXES) + on(lambda x: np.piecewise(x, [np.asarray(x.real > 1), np.asarray(x.real < -1)], [np.sqrt, 5.0, lambda y: -y]), [(3,)], [(2, 3)])
if hasattr(np, "unstack"): table[np.unstack] = on(np.unstack, [(3,)], [(5, 2)], [(2, 0)]) + on(lambda x: np.unstack(x, axis=-1), [(2, 3)])
table[np.apply_along_axis] = [case for axis in (0, 1) for f in (np.sum, np.diff, np.diag) for case in on(lambda x, axis=axis, f=f: np.apply_along_axis(f, axis, x), [(2, 3)], [(2, 3, 2)])]
table[np.apply_over_axes] = on(lambda x: np.apply_over_axes(np.sum, x, [0, -1]), *MATRICES) + on(lambda x: np.apply_over_axes(np.cumsum, x, 0), [(2, 3)])
table[np.trim_zeros] = on(lambda x: np.trim_zeros(np.concatenate([np.zeros(1, x.dtype), x, np.zeros(2, x.dtype)])), [(3,)], [(1,)])
table[np.sort_complex] = on(lambda x: narrow(np.real(np.sort_complex(x)), x.real), [(3,)], [(2, 3)], [(0,)])

# makers
for fn in (np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require): table[fn] = on(lambda x, fn=fn: fn(x, like=x), *SIXES)
table[np.array] += on(lambda x: np.array(x, x.dtype, ndmin=2, like=x), *SIXES)
table[np.arange] = on(lambda a, b: np.arange(a, 9, b, like=a).astype(a.dtype), [(), ()], low=1.0, high=3.0, **real)
table[np.full] = on(lambda x: np.full((2, 3), x, like=x), [()], [(3,)], [(2, 1)])
table[np.fromiter] = on(lambda x: np.fromiter(list(x), x.dtype, like=x), [(3,)])
