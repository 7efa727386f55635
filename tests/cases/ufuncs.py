"Cases of the rest of the ufuncs, and of their running versions."
import numpy as np

from autodiffnb import stop_gradient, ufuncs

from .base import binary, on, positive, real, unary

table: dict = {}

for fn in (np.tan, np.sinh, np.cosh, np.arctan, np.arcsinh, np.exp2): table[fn] = unary(fn, low=-1.2, high=1.3)
for fn in (np.arcsin, np.arccos, np.arctanh): table[fn] = unary(fn, low=-0.8, high=0.9)
table[np.arccosh] = unary(np.arccosh, low=1.3, high=3.0)
for fn in (np.log2, np.log10): table[fn] = unary(fn, **positive)
table[np.cbrt] = unary(np.cbrt, **positive, **real) + on(np.cbrt, [(2,)], low=-2.0, high=-0.5, **real)
for fn in (np.deg2rad, np.radians, np.rad2deg, np.degrees, np.fabs): table[fn] = unary(fn, **real)
table[np.sign] = unary(lambda x: np.real(np.sign(x + 1j * x * x)))

table[np.float_power] = binary(lambda a, b: np.float_power(a, b).astype(a.dtype), **positive)
for fn in (np.hypot, np.arctan2, np.logaddexp, np.logaddexp2, np.copysign, np.fmax, np.fmin, np.nextafter): table[fn] = binary(fn, **real)
table[np.fmod] = binary(np.fmod, **positive, **real)
table[np.heaviside] = binary(np.heaviside, **real) + on(lambda h: np.heaviside(np.array([0.0, -1.0, 0.0], np.float32), h), [(3,)], [(2, 3)], **real)
table[np.ldexp] = binary(lambda x, n: np.ldexp(x, np.rint(stop_gradient(n)).astype(int)), **real)

table[np.modf] = table[ufuncs.fraction] = unary(lambda x: np.modf(x)[0], **real)
table[np.frexp] = unary(lambda x: np.frexp(x)[0], **real)
table[np.divmod] = binary(lambda a, b: np.divmod(a, b)[1], **positive, **real)

table[ufuncs.scan] = [case for fn in (np.logaddexp, np.hypot, np.maximum, np.fmin, np.arctan2, np.copysign)
                      for case in on(lambda x, fn=fn: fn.accumulate(x), [(1,)], [(5,)], [(4, 2)], [(0,)], [(2, 0)], **real)]
table[ufuncs.scan] += [case for fn in (np.divide, np.power, np.subtract) for case in on(lambda x, fn=fn: fn.accumulate(x, axis=-1), [(3,)], [(2, 3)], low=0.7, high=1.5)]
table[ufuncs.fold] = [case for fn in (np.logaddexp, np.logaddexp2, np.hypot, np.fmax, np.fmin)
                      for case in on(lambda x, fn=fn: fn.reduce(x), [(5,)], [(4, 2)], [(2, 0)], **real) + on(lambda x, fn=fn: fn.reduce(x, axis=(0, -1), keepdims=True), [(2, 3, 2)], **real)]
