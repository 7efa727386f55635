"""Cases of the chapter on statistics."""
import numpy as np

from autodiffnb import statistics

from .base import Case, on, positive, real

table: dict = {}
Q, METHODS = np.array([0.21, 0.68], np.float16), (*statistics.LINES, *statistics.RANKS, *statistics.HALFWAY)

# order statistics; arrays of q are float16, so that float32 stays float32
table[statistics.ranked] = on(lambda x: statistics.ranked(x, np.array([1, 0, 1])), [(3,)], **real) + on(lambda x: statistics.ranked(x, np.array([[2], [0]])), [(2, 3)], [(0, 3)], **real)
table[statistics.ranked] += on(lambda x: statistics.ranked(x, np.array([[2, 0]]), skip_nan=True), [(2, 3)], **real)
for fn in (np.median, np.nanmedian):
    table[fn] = on(fn, [()], [(3,)], [(2, 3)], [(2, 2)], **real) + on(lambda x, fn=fn: fn(x, axis=-1, keepdims=True), [(2, 3)], [(0, 3)], **real)
    table[fn] += on(lambda x, fn=fn: fn(x, axis=(0, -1)), [(2, 3, 2)], **real)
for fn, unit in ((np.quantile, 1), (np.nanquantile, 1), (np.percentile, 100), (np.nanpercentile, 100)):
    table[fn] = on(lambda x, fn=fn, q=0.3 * unit: fn(x, q), [()], [(3,)], [(2, 3)], **real)
    table[fn] += on(lambda x, fn=fn, q=0.3 * unit: fn(x, q, axis=(0, -1), keepdims=True), [(2, 3, 2)], **real)
    for method in METHODS: table[fn] += on(lambda x, fn=fn, q=0.3 * unit, method=method: fn(x, q, axis=-1, method=method), [(2, 4)], **real)
for fn, unit in ((np.quantile, 1), (np.percentile, 100)):    # Dask's nanquantile overlooks weights: see tests/test_statistics.py
    table[fn] += on(lambda x, fn=fn, q=0.3 * unit: fn(x, q, axis=0, method="inverted_cdf", weights=np.array([[1.0, 2.0], [2.0, 0.0], [0.5, 1.0]])), [(3, 2)], **real)
for fn in (np.quantile, np.nanquantile):
    table[fn] += on(lambda x, fn=fn: fn(x, Q.astype(x.dtype), axis=0), [(3, 2)], **real)
    table[fn] += [Case(lambda x, q, fn=fn: fn(x, 0.5 + 0.2 * q, axis=-1), ((2, 3), ()), **real), Case(lambda x, q, fn=fn: fn(x, 0.5 + 0.2 * q, method="hazen"), ((3,), (2,)), **real)]

# without nan
def dotted(x): return np.where(np.arange(x.shape[-1]) == 1, np.nan, x)
for fn in (np.nanmax, np.nanmin):
    table[fn] = on(fn, [()], [(3,)], [(2, 3)], **real) + on(lambda x, fn=fn: fn(x, axis=-1, keepdims=True), [(2, 3)], [(0, 3)], **real)
    table[fn] += on(lambda x, fn=fn: fn(dotted(x), axis=(0, -1)), [(2, 3, 2)], **real) + on(lambda x, fn=fn: fn(dotted(x), axis=0, initial=0.5), [(2, 3)], [(0, 3)], **real)
    table[fn] += on(lambda x, fn=fn: fn(x, axis=0, initial=-3.0, where=np.array([True, False, True])), [(2, 3)], **real)
for fn in (np.nancumsum, np.nancumprod):
    table[fn] = on(fn, [()], [(3,)], [(2, 3)], [(0,)]) + on(lambda x, fn=fn: fn(dotted(x), axis=-1), [(2, 3)], [(0, 2)])
for name in ("cumulative_sum", "cumulative_prod"):
    if not hasattr(np, name): continue
    fn = getattr(np, name)
    table[fn] = on(fn, [()], [(3,)], [(0,)]) + on(lambda x, fn=fn: fn(x, axis=-1, include_initial=True), [(2, 3)], [(2, 0)]) + on(lambda x, fn=fn: fn(x, axis=0), [(2, 3)])
for fn in (np.nanmedian, np.nanquantile):
    table[fn] += on(lambda x, fn=fn: fn(dotted(x), *([0.4] if fn is np.nanquantile else []), axis=1), [(2, 3)], [(2, 4)], **real)

# weights, covariance; NumPy's covariance of float32 is float64 unless told otherwise
table[np.average] = on(lambda x, w: np.average(x, axis=(2, 0), weights=w, returned=True), [(2, 3, 2), (2, 2)], **positive) + on(lambda x, w: np.average(x, weights=w, keepdims=True), [(2, 3), (2, 3)], **positive)
table[np.cov] = on(lambda x: np.cov(x, dtype=x.dtype), [(3,)], [(2, 3)]) + on(lambda x: np.cov(x, rowvar=False, ddof=0, dtype=x.dtype), [(4, 2)])
table[np.cov] += on(lambda x, y: np.cov(x, y, bias=True, dtype=x.dtype), [(3,), (3,)], [(2, 3), (3,)])
table[np.cov] += on(lambda x, a: np.cov(x, aweights=a, dtype=x.dtype).astype(x.dtype), [(2, 4), (4,)], low=0.3, complex=False)
table[np.cov] += on(lambda x: np.cov(x, fweights=np.array([1, 2, 0, 1]), dtype=x.dtype).astype(x.dtype), [(2, 4)])
table[np.corrcoef] = on(lambda x: np.corrcoef(x, dtype=x.dtype), [(2, 4)], [(3, 3)]) + on(lambda x: np.corrcoef(x, rowvar=False, dtype=x.dtype), [(4, 2)])
table[np.corrcoef] += on(lambda x, y: np.corrcoef(x, y, dtype=x.dtype), [(4,), (4,)])
table[statistics.within_one] = on(lambda x: statistics.within_one(x), [()], [(2, 3)], [(0,)], low=-0.9, high=0.9)

# counts; NumPy's bincount and histogramdd are float64 always
AT, HERE = np.array([0, 2, 2, 5]), np.array([0.1, 0.6, 0.4, 0.9])
table[np.bincount] = on(lambda w: np.bincount(AT, weights=w).astype(w.dtype), [(4,)], **real) + on(lambda w: np.bincount(AT[:0], weights=w, minlength=2).astype(w.dtype), [(0,)], **real)
table[np.histogram] = on(lambda w: np.histogram(HERE.astype(w.dtype), 3, weights=w)[0], [(4,)], **real) + on(lambda w: np.histogram(HERE, [0.0, 0.5, 0.8], weights=w)[0], [(4,)])
table[np.histogram] += on(lambda w: np.histogram(HERE, 3, range=(0.2, 1), weights=w, density=True)[0].astype(w.dtype), [(4,)], **positive, **real)
table[np.histogram] += on(lambda x: np.histogram(x, 3)[1], [(4,)], [(2, 3)], **real) + on(lambda x: np.histogram(x, 3, density=True)[0].astype(x.dtype), [(5,)], **real)
table[np.histogram_bin_edges] = on(lambda x: np.histogram_bin_edges(x, 3), [(4,)], [(2, 3)], **real) + on(lambda x: np.histogram_bin_edges(x, "sturges"), [(4,)], **real)
PLACES = np.stack([HERE, HERE[::-1]], axis=1)
table[np.histogramdd] = on(lambda w: np.histogramdd(PLACES, (2, 3), weights=w)[0].astype(w.dtype), [(4,)], **real)
table[np.histogramdd] += on(lambda w: np.histogramdd(PLACES, 2, range=[(0, 1), (0.2, 0.8)], weights=w, density=True)[0].astype(w.dtype), [(4,)], **positive, **real)
table[np.histogram2d] = on(lambda w: np.histogram2d(HERE, HERE[::-1], 2, weights=w)[0].astype(w.dtype), [(4,)], **real)
table[np.histogram2d] += on(lambda w: np.histogram2d(HERE, HERE[::-1], [0.0, 0.5, 1.0], weights=w)[0].astype(w.dtype), [(4,)], **real)
