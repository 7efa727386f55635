"""Cases of scipy.special; an empty table where SciPy is missing."""
import numpy as np

from .base import binary, on, real, unary

table: dict = {}
try: import scipy.special as sc
except ImportError: sc = None


def one(fn, low=-2.0, high=2.0, complex=False): table[fn] = unary(fn, low=low, high=high, complex=complex)


def two(fn, low=0.2, high=2.0, complex=False): table[fn] = binary(fn, low=low, high=high, complex=complex)


def like(x, number):
    "A number in the precision of `x`. (SciPy computes in double precision where a Python number stands beside float32.)"
    return np.finfo(x.dtype).dtype.type(number)


def narrow(call):
    "`call`, in complex numbers of the precision of its argument. (SciPy's own are of double precision if the argument is real.)"
    return lambda x, *args: call(x, *args).astype(np.result_type(x.dtype, np.complex64))


def last(fn, *first, low=-2.0, high=2.0, complex=False):
    "By the last argument, with each tuple of constants in front: numbers that broadcast."
    table[fn] = [c for constant in first for c in unary(lambda x, constant=constant: fn(*[like(x, c) for c in constant], x), low=low, high=high, complex=complex)]
    table[fn] += on(lambda x: fn(*[np.full(3, p, np.finfo(x.dtype).dtype) for p in first[0]], x), [()], [(2, 1)], [(1,)], [(0, 1)], low=low, high=high, complex=complex)


def results(fn, low=-2.0, high=2.0, complex=False, first=lambda x: (x,)):
    "By the first argument, for all results together and each alone."
    from autodiffnb.tensor import entries
    table[fn] = on(lambda x: fn(*first(x)), [()], [(3,)], [(0, 2)], low=low, high=high, complex=complex)
    for k, part in enumerate(entries[fn].parts):
        table[part] = on(lambda x, k=k: fn(*first(x))[k], [()], [(0,)], [(2, 3)], low=low, high=high, complex=complex)


def fill():
    from autodiffnb import special
    for fn in (sc.erf, sc.erfc, sc.erfi, sc.erfcx, sc.dawsn, sc.ndtr): one(fn, complex=True)
    for fn in (sc.itstruve0, sc.itmodstruve0, sc.expit, sc.log_expit, sc.exprel, sc.cosm1, sc.exp10, sc.exp2, sc.j0, sc.j1, sc.i0, sc.i1,
               sc.ber, sc.bei, sc.berp, sc.beip): one(fn)
    for fn in (sc.sindg, sc.cosdg, sc.ndtri_exp): one(fn, low=-9.0, high=-0.5)
    for fn in (sc.tandg, sc.cotdg): one(fn, low=20.0, high=60.0)
    for fn in (sc.i0e, sc.i1e, sc.k0, sc.k1, sc.y0, sc.y1, sc.ker, sc.kei, sc.kerp, sc.keip, sc.k0e, sc.k1e, sc.entr, sc.cbrt, sc.gammaln): one(fn, low=0.4)
    for fn in (sc.expi, sc.exp1, sc.psi, sc.wrightomega): one(fn, low=0.4, complex=fn is not sc.psi)
    for fn in (sc.gamma, sc.loggamma): one(fn, low=0.4)
    for fn in (sc.logit, sc.ndtri, sc.erfcinv, sc.ellipk, sc.ellipkm1, sc.ellipe): one(fn, low=0.1, high=0.9)
    one(sc.rgamma, low=-3.0)
    one(sc.erfinv, low=-0.8, high=0.8)
    one(sc.log_ndtr, low=-4.0, complex=True)
    one(sc.spence, low=0.2, complex=True)
    for fn in (sc.expm1, sc.log1p): one(fn, low=-0.5, complex=True)
    table[sc.wofz] = unary(narrow(sc.wofz)) + on(lambda x: sc.wofz(x + 1j), [(3,)])
    table[special.lambertw] = unary(narrow(sc.lambertw), low=0.0, high=2.0) + on(narrow(lambda x: sc.lambertw(x, -1)), [(3,)], low=-0.3, high=-0.1)
    table[special.lambertw] += on(narrow(lambda x: sc.lambertw(x, [[0], [1]])), [(3,)], [()])

    for fn in (sc.beta, sc.betaln, sc.poch, sc.owens_t, sc.rel_entr, sc.kl_div, sc.boxcox, sc.boxcox1p, sc.inv_boxcox, sc.inv_boxcox1p, sc.powm1): two(fn)
    for fn in (sc.xlogy, sc.xlog1py): two(fn, complex=True)
    table[sc.binom] = on(lambda k: sc.binom(4.5, k), [()], [(3,)], [(0,)], [(1,)], low=0.3, **real) + on(lambda n, k: sc.binom(n + 3, k), [(), ()], [(2, 1), (3,)], low=0.3, **real)
    table[sc.huber] = binary(sc.huber, low=0.2, **real) + on(lambda r: sc.huber(1.0, r), [(5,)], **real)
    table[sc.pseudo_huber] = binary(sc.pseudo_huber, low=0.2, **real) + on(lambda r: sc.pseudo_huber(1.0, r), [(5,)], **real)
    for fn in (sc.ellipkinc, sc.ellipeinc): table[fn] = on(lambda x, fn=fn: fn(x, like(x, 0.5)), [()], [(3,)], [(0, 2)], [(2, 1)], **real) + on(lambda x, fn=fn: fn(x, np.array([0.1, 0.7], x.dtype)), [(2, 1)], **real)
    table[sc.radian] = on(sc.radian, [(), (), ()], [(2, 1), (3,), ()], [(0, 1), (1,), (3,)], **real)
    table[sc.voigt_profile] = on(sc.voigt_profile, [(), (), ()], [(2, 1), (3,), ()], [(0, 1), (1,), (3,)], low=0.3, **real)

    last(special.zeta, (2.0,), (3.5,), low=0.3)
    for fn in (sc.gammainc, sc.gammaincc, sc.chdtr, sc.chdtrc): last(fn, (2.5,), (1.0,), (3.0,), low=0.3)
    for fn in (sc.gammaincinv, sc.gammainccinv): last(fn, (2.5,), (1.0,), low=0.2, high=0.8)
    for fn in (sc.betainc, sc.betaincc): last(fn, (2.5, 1.5), (1.0, 1.0), (0.5, 0.5), low=0.1, high=0.9)
    for fn in (sc.betaincinv, sc.betainccinv): last(fn, (2.5, 1.5), (1.0, 3.0), low=0.2, high=0.8)
    for fn in (sc.pdtr, sc.pdtrc): last(fn, (2.0,), (0.0,), low=0.3)
    last(sc.chdtri, (3.0,), low=0.2, high=0.8)
    for fn in (sc.fdtr, sc.fdtrc): last(fn, (3.0, 5.0), (2.0, 2.0), low=0.3)
    last(sc.fdtri, (3.0, 5.0), low=0.2, high=0.8)
    last(sc.pdtri, (2.0,), low=0.2, high=0.8)
    for fn in (sc.bdtr, sc.bdtrc, sc.bdtri):                # of a whole number of trials; that is in double precision only
        table[fn] = [c for k, n in ((2.0, 5), (0.0, 1), (1.0, 3)) for c in unary(lambda p, fn=fn, k=k, n=n: fn(k, n, p).astype(p.dtype), low=0.2, high=0.8, **real)]
        table[fn] += on(lambda p, fn=fn: fn(np.array([0.0, 1.0]), 3, p).astype(p.dtype), [()], [(2, 1)], [(0, 1)], low=0.2, high=0.8, **real)
    for fn in (sc.nbdtr, sc.nbdtrc): last(fn, (2.0, 5.0), (0.0, 1.0), low=0.1, high=0.9)
    last(sc.nbdtri, (2.0, 5.0), low=0.2, high=0.8)
    for fn in (sc.gdtr, sc.gdtrc): table[fn] = on(lambda a, x, fn=fn: fn(a, like(x, 2.5), x), [(), ()], [(2, 1), (3,)], [(0, 1), (1,)], [(3,), (3,)], low=0.3, **real)
    last(sc.stdtr, (3.0,), (0.5,))
    last(sc.stdtrit, (3.0,), low=0.2, high=0.8)
    for fn in (sc.jv, sc.yv, sc.iv, sc.kv, sc.jve, sc.yve, sc.ive, sc.kve): last(fn, (1.0,), (0.5,), low=0.5, high=3.0, complex=True)
    for fn in (sc.hankel1, sc.hankel2, sc.hankel1e, sc.hankel2e): last(fn, (1.0,), (0.5,), low=0.5, high=3.0, complex=True)
    for fn in (sc.yn, sc.kn): last(fn, (2.0,), (0.0,), low=0.5, high=3.0)
    for fn in (sc.struve, sc.modstruve): last(fn, (1.0,), (0.0,), (0.5,), low=0.3)
    last(sc.expn, (3.0,), (1.0,), (0.0,), low=0.4)
    last(sc.hyp0f1, (1.5,), complex=True)
    last(sc.hyp1f1, (1.5, 2.5), complex=bool(sc.hyp1f1(1.5, 2.5, 0.2j).imag))       # SciPy 1.13 says 1 for this number
    last(sc.hyp2f1, (0.5, 1.5, 2.0), low=-0.7, high=0.7, complex=True)
    last(sc.hyperu, (1.5, 0.5), low=0.4)
    for fn in (sc.eval_legendre, sc.eval_sh_legendre, sc.eval_chebyt, sc.eval_chebyu, sc.eval_sh_chebyt, sc.eval_sh_chebyu, sc.eval_chebyc, sc.eval_chebys, sc.eval_laguerre):
        last(fn, (3.0,), (0.0,), (1.0,), low=-0.9, high=0.9, complex=True)
    for fn in (sc.eval_gegenbauer, sc.eval_genlaguerre): last(fn, (3.0, 0.5), (0.0, 0.5), low=-0.9, high=0.9, complex=True)
    last(sc.eval_sh_jacobi, (3.0, 2.5, 1.5), (0.0, 2.5, 1.5), low=0.1, high=0.9, complex=True)
    last(sc.gdtrix, (1.5, 2.5), low=0.2, high=0.8)
    table[sc.agm] = binary(sc.agm, low=0.3, **real) + on(lambda a: sc.agm(a, a), [(3,)], low=0.3, **real)
    last(sc.eval_jacobi, (3.0, 0.5, 1.5), (0.0, 0.5, 1.5), low=-0.9, high=0.9, complex=True)
    for fn in (sc.eval_hermite, sc.eval_hermitenorm):       # in double precision only
        table[fn] = [c for n in (0, 1, 3) for c in unary(lambda x, fn=fn, n=n: fn(n, x).astype(x.dtype), **real)]
        table[fn] += on(lambda x, fn=fn: fn(np.arange(3), x).astype(x.dtype), [()], [(2, 1)], [(0, 1)], **real)

    for fn in (sc.airy, sc.fresnel): results(fn, complex=True)
    results(sc.shichi, low=0.4)
    results(sc.sici, low=0.4)
    results(sc.itj0y0, low=0.4)
    results(sc.itairy)
    results(sc.kelvin, low=0.4)
    results(sc.iti0k0, low=0.4)
    results(sc.ellipj, first=lambda x: (x, like(x, 0.4)))
    table[special.logistic_slope] = [c for n in (1, 2, 4) for c in unary(lambda x, n=n: special.logistic_slope(x, n), **real)]
    table[special.monomial] = on(lambda p, q, x, c: special.monomial(p, q, x / 3, c), [(), (), (), ()], [(2, 1), (), (3,), (1, 1)], [(3,), (3,), (3,), (3,)], [(0, 1), (1,), (2,), ()], low=0.3, **real)
    table[special.monomial] += on(lambda x: special.monomial(like(x, 2), like(x, 1), x, like(x, 0.5)), [(3,)], low=0.2, high=0.8, **real)


if sc is not None: fill()
