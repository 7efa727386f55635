"""scipy.special: how its rules get in, derivatives to higher order against thirty digits, tails, holes, and what is refused."""
import math
import subprocess
import sys

import numpy as np
import pytest

sc = pytest.importorskip("scipy.special")

import autodiffnb
from autodiffnb import Tensor, check_grads, grad, gradients, hessian, jacobian, topological_order
from autodiffnb import special
from autodiffnb.tensor import constants, entries, rules


def derivatives(f, x, order):
    "The first derivatives of `f` at the number `x`, from sweeps of sweeps."
    t = y = Tensor(np.asarray(x))
    y, found = f(t), []
    for _ in range(order):
        y = gradients(y, t, create_graph=True)
        found.append(float(getattr(y, "value", y)))
    return found


def run(code): return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)


# --- how they get in ---------------------------------------------------------------------------------------------------

def test_importing_the_package_does_not_import_scipy():
    done = run("import sys, autodiffnb; assert not [m for m in sys.modules if m.startswith('scipy')]; assert 'autodiffnb.special' not in sys.modules")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("first", ["sc.erf(t)", "sc.zeta(2.0, t)", "sc.lambertw(t)", "sc.airy(t)[0]", "sc.gammainc(2.0, t)", "sc.erf(t, dtype=np.float64)", "np.add(sc.expit(t), 1)"])
def test_rules_are_there_when_the_first_call_arrives(first):
    done = run(f"import autodiffnb, numpy as np, scipy.special as sc\nt = autodiffnb.Tensor([0.5])\ny = {first}\ng = autodiffnb.gradients(y, t, np.ones(1, y.dtype))\nassert g.shape == (1,) and g[0]")
    assert done.returncode == 0, done.stderr


def test_a_constant_may_come_first():
    done = run("import scipy.special as sc, autodiffnb, numpy as np\nassert type(sc.gammasgn(autodiffnb.Tensor([-0.5]))) is np.ndarray")
    assert done.returncode == 0, done.stderr


def test_a_function_without_rule_may_come_first():
    done = run("import scipy.special as sc, autodiffnb\nt = autodiffnb.Tensor([0.5])\nfor _ in range(2):\n    try: sc.mathieu_a(1, t)\n    except TypeError as e: assert 'scipy.special.mathieu_a has no rule' in str(e)\n    else: raise AssertionError\nsc.erf(t)")
    assert done.returncode == 0, done.stderr


def test_without_scipy_the_extra_is_named():
    done = run("import sys; sys.modules['scipy'] = sys.modules['scipy.special'] = None\nimport autodiffnb, numpy as np\nautodiffnb.gradients(np.exp(autodiffnb.Tensor(1.0)), autodiffnb.Tensor(1.0))\n"
               "try: import autodiffnb.special\nexcept ImportError as e: assert 'autodiffnb[special]' in str(e) and 'scipy' in str(e)\nelse: raise AssertionError")
    assert done.returncode == 0, done.stderr


def test_other_ufuncs_without_rule_are_refused_while_scipy_is_not_there():
    done = run("import sys, math, autodiffnb, numpy as np\nf = np.frompyfunc(math.exp, 1, 1)\ntry: f(autodiffnb.Tensor([1.0]))\nexcept TypeError as e: assert 'exp (vectorized) has no rule' in str(e)\n"
               "else: raise AssertionError\nassert 'autodiffnb.special' not in sys.modules")
    assert done.returncode == 0, done.stderr


def test_threads_may_be_first_together():
    code = """
import threading, autodiffnb, numpy as np, scipy.special as sc
errors, start = [], threading.Barrier(8)
def work(k):
    t = autodiffnb.Tensor([0.1 * k + 0.1])
    start.wait()
    try: autodiffnb.gradients((sc.erf, sc.gamma, sc.j0, sc.expit)[k % 4](t), t, np.ones(1))
    except Exception as e: errors.append(e)
threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
for t in threads: t.start()
for t in threads: t.join()
assert not errors, errors
"""
    done = run(code)
    assert done.returncode == 0, done.stderr


# --- any order, against thirty digits -----------------------------------------------------------------------------------

def reference():
    "Name, ours, the same in mpmath, where, and how exact."
    mp = pytest.importorskip("mpmath").mp
    mp.dps = 30
    normal = lambda x: mp.erfc(-x / mp.sqrt(2)) / 2
    return mp, {
        "erf": (sc.erf, mp.erf, [-2.0, 0.0, 0.7]), "erfc": (sc.erfc, mp.erfc, [-1.0, 3.0, 6.0]), "erfi": (sc.erfi, mp.erfi, [-1.0, 0.0, 2.0]),
        "erfcx": (sc.erfcx, lambda x: mp.exp(x * x) * mp.erfc(x), [-3.0, 0.0, 1.0, 5.0, 11.0, 40.0, 1e3]),
        "dawsn": (sc.dawsn, lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x), [-12.0, 0.0, 0.5, 3.0, 11.0, 50.0]),
        "ndtr": (sc.ndtr, normal, [-8.0, 0.3, 2.0]), "log_ndtr": (sc.log_ndtr, lambda x: mp.log(normal(x)), [-1e3, -30.0, -20.0, -0.5, 0.5, 8.0]),
        "erfinv": (sc.erfinv, mp.erfinv, [-0.9, 0.0, 0.5]), "expit": (sc.expit, lambda x: 1 / (1 + mp.exp(-x)), [-40.0, 0.0, 3.0]),
        "log_expit": (sc.log_expit, lambda x: -mp.log(1 + mp.exp(-x)), [-40.0, 0.0, 3.0]), "logit": (sc.logit, lambda x: mp.log(x / (1 - x)), [1e-6, 0.3, 0.9]),
        "gamma": (sc.gamma, mp.gamma, [0.3, 2.5, 10.0, -1.5]), "gammaln": (sc.gammaln, mp.loggamma, [0.3, 2.5, 100.0]),
        "rgamma": (sc.rgamma, mp.rgamma, [-3.0, -1.0, 0.0, 0.2, 0.9, 2.5, -2.5]), "psi": (sc.psi, mp.digamma, [0.3, 4.0, -1.5]),
        "polygamma": (lambda x: special.polygamma(2, x), lambda x: mp.polygamma(2, x), [0.4, 3.0]),
        "beta": (lambda x: sc.beta(x, 2.5), lambda x: mp.beta(x, 2.5), [0.4, 3.0]), "binom": (lambda k: sc.binom(5.5, k), lambda k: mp.binomial(5.5, k), [0.4, 3.3]),
        "gammainc": (lambda x: sc.gammainc(2.5, x), lambda x: mp.gammainc(2.5, 0, x, regularized=True), [0.1, 2.0, 20.0]),
        "gammainc of 300": (lambda x: sc.gammainc(300.0, x), lambda x: mp.gammainc(300, 0, x, regularized=True), [280.0, 310.0]),
        "gammaincc": (lambda x: sc.gammaincc(0.5, x), lambda x: mp.gammainc(0.5, x, mp.inf, regularized=True), [0.1, 2.0]),
        "betainc": (lambda x: sc.betainc(2.0, 3.0, x), lambda x: mp.betainc(2, 3, 0, x, regularized=True), [0.1, 0.7]),
        "betainc of halves": (lambda x: sc.betainc(0.5, 0.5, x), lambda x: mp.betainc(0.5, 0.5, 0, x, regularized=True), [0.1, 0.7]),
        "stdtr": (lambda t: sc.stdtr(3.0, t), lambda t: 0.5 + t * mp.gamma(2) / mp.sqrt(3 * mp.pi) / mp.gamma(1.5) * mp.hyp2f1(0.5, 2, 1.5, -t * t / 3), [-1.5, 0.0, 2.0]),
        "jv": (lambda x: sc.jv(1.5, x), lambda x: mp.besselj(1.5, x), [0.3, 5.0]), "j0": (sc.j0, lambda x: mp.besselj(0, x), [0.0, 3.0]), "j1": (sc.j1, lambda x: mp.besselj(1, x), [0.0, 3.0]),
        "yn": (lambda x: sc.yn(2, x), lambda x: mp.bessely(2, x), [0.7, 5.0]), "iv": (lambda x: sc.iv(2.0, x), lambda x: mp.besseli(2, x), [0.3, 5.0]), "i1": (sc.i1, lambda x: mp.besseli(1, x), [0.0, 3.0]),
        "kv": (lambda x: sc.kv(0.5, x), lambda x: mp.besselk(0.5, x), [0.3, 5.0]), "k1": (sc.k1, lambda x: mp.besselk(1, x), [0.3, 5.0]),
        "kve": (lambda x: sc.kve(1.0, x), lambda x: mp.exp(x) * mp.besselk(1, x), [0.3, 5.0]), "i0e": (sc.i0e, lambda x: mp.exp(-x) * mp.besseli(0, x), [0.3, 5.0]),
        "struve": (lambda x: sc.struve(1.0, x), lambda x: mp.struveh(1, x), [0.3, 5.0]), "modstruve": (lambda x: sc.modstruve(1.0, x), lambda x: mp.struvel(1, x), [0.3, 3.0]),
        "ber": (sc.ber, lambda x: mp.ber(0, x), [0.3, 3.0]), "kei": (sc.kei, lambda x: mp.kei(0, x), [0.3, 3.0]),
        "exprel": (sc.exprel, lambda x: mp.hyp1f1(1, 2, x), [-30.0, -1e-9, 0.0, 1e-12, 2.0]), "spence": (sc.spence, lambda x: mp.polylog(2, 1 - x), [0.3, 0.9, 1.7]),
        "ellipk": (sc.ellipk, mp.ellipk, [-2.0, 0.0, 1e-9, 0.5, 0.99]), "ellipe": (sc.ellipe, mp.ellipe, [-2.0, 0.0, 1e-9, 0.5, 0.99]), "ellipkm1": (sc.ellipkm1, lambda p: mp.ellipk(1 - p), [1e-9, 0.4, 1.0]),
        "ellipkinc": (lambda x: sc.ellipkinc(x, 0.4), lambda x: mp.ellipf(x, 0.4), [0.3, 1.2]), "ellipeinc": (lambda x: sc.ellipeinc(x, 0.4), lambda x: mp.ellipe(x, 0.4), [0.3, 1.2]),
        "zeta": (lambda q: sc.zeta(2.5, q), lambda q: mp.zeta(2.5, q), [0.3, 4.0]), "lambertw": (lambda x: np.real(sc.lambertw(x)), mp.lambertw, [0.0, 1e-9, 2.0]),
        "expi": (sc.expi, mp.ei, [0.4, 3.0]), "exp1": (sc.exp1, mp.e1, [0.4, 3.0]), "expn": (lambda x: sc.expn(2.0, x), lambda x: mp.expint(2, x), [0.4, 3.0]),
        "boxcox at 0": (lambda k: sc.boxcox(3.0, k), lambda k: mp.log(3) * mp.hyp1f1(1, 2, k * mp.log(3)), [-0.5, 0.0, 1e-12, 1.5]),
        "inv_boxcox at 0": (lambda k: sc.inv_boxcox(0.7, k), lambda k: mp.exp(mp.mpf(0.7) * mp.hyp2f1(1, 1, 2, -k * mp.mpf(0.7))), [0.0, 1e-12, 1.5]),
        "Si": (lambda x: sc.sici(x)[0], mp.si, [0.0, 1e-9, 4.0]), "Ci": (lambda x: sc.sici(x)[1], mp.ci, [0.4, 4.0]), "Shi": (lambda x: sc.shichi(x)[0], mp.shi, [0.0, 1.0]),
        "S": (lambda x: sc.fresnel(x)[0], mp.fresnels, [0.0, 1.3]), "Bip": (lambda x: sc.airy(x)[3], lambda x: mp.airybi(x, derivative=1), [-1.3, 0.0, 1.3]),
        "sn": (lambda u: sc.ellipj(u, 0.4)[0], lambda u: mp.ellipfun("sn", u, m=0.4), [0.0, 0.7]), "dn": (lambda u: sc.ellipj(u, 0.4)[2], lambda u: mp.ellipfun("dn", u, m=0.4), [0.0, 0.7]),
        "hyp2f1": (lambda x: sc.hyp2f1(0.5, 1.5, 2.5, x), lambda x: mp.hyp2f1(0.5, 1.5, 2.5, x), [-0.7, 0.0, 0.8]), "hyperu": (lambda x: sc.hyperu(1.5, 0.5, x), lambda x: mp.hyperu(1.5, 0.5, x), [0.4, 3.0]),
        "eval_jacobi": (lambda x: sc.eval_jacobi(4.0, 0.5, 1.5, x), lambda x: mp.jacobi(4, 0.5, 1.5, x), [-0.4, 0.9]), "eval_hermite": (lambda x: sc.eval_hermite(2, x), lambda x: mp.hermite(2, x), [0.4]),
        "pseudo_huber": (lambda d: sc.pseudo_huber(d, 1e-3), lambda d: d**2 * (mp.sqrt(1 + (mp.mpf(1e-3) / d) ** 2) - 1), [0.5, 2.0]),
    }


NAMES = "erf erfc erfi erfcx dawsn ndtr log_ndtr erfinv expit log_expit logit gamma gammaln rgamma psi polygamma beta binom gammainc|gammainc of 300|gammaincc betainc|betainc of halves|stdtr jv j0 j1 yn iv i1 kv k1 kve i0e struve modstruve ber kei exprel spence ellipk ellipe ellipkm1 ellipkinc ellipeinc zeta lambertw expi exp1 expn|boxcox at 0|inv_boxcox at 0|Si Ci Shi S Bip sn dn hyp2f1 hyperu eval_jacobi eval_hermite pseudo_huber"
NAMES = [n for group in NAMES.split("|") for n in ([group] if " of " in group or " at " in group else group.split())]


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", NAMES)
def test_four_orders_against_thirty_digits(name):
    mp, table = reference()
    ours, theirs, points = table[name]
    for x in points:
        expected = [float(mp.diff(theirs, mp.mpf(x), n)) for n in range(1, 5)]
        got = derivatives(ours, x, 4)
        np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-13 * max(map(abs, expected)), err_msg=f"{name} at {x}")


def test_the_list_of_names_is_the_table(): assert sorted(NAMES) == sorted(reference()[1])


def test_order_five_of_a_composite():
    check_grads(lambda x: np.sum(sc.erf(x) * sc.expit(x) + sc.jv(1, x) * sc.gammaln(x + 2)), order=4, modes=["vjp"])(np.array([0.3, 0.8]))
    mp, _ = reference()
    got = derivatives(lambda x: sc.erf(sc.gamma(x)), 1.3, 5)
    np.testing.assert_allclose(got, [float(mp.diff(lambda x: mp.erf(mp.gamma(x)), 1.3, n)) for n in range(1, 6)], rtol=1e-9)


def test_repeated_differentiation_grows_slowly():
    "One node more for each order, where the calculus has a closed form."
    for f in (sc.expit, sc.log_expit, sc.erf, sc.psi, sc.exprel, sc.ellipk):
        t = Tensor(np.array(0.3))
        y = f(t)
        for _ in range(10): y = gradients(y, t, create_graph=True)
        assert len(topological_order(y)) < 700, f
    mp, _ = reference()
    np.testing.assert_allclose(derivatives(sc.expit, 0.3, 10)[-1], float(mp.diff(lambda x: 1 / (1 + mp.exp(-x)), 0.3, 10)), rtol=1e-10)


# --- tails and holes ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("dtype, rtol", [(np.float64, 1e-11), (np.float32, 1e-4)])
def test_tails_keep_their_digits_in_their_own_precision(dtype, rtol):
    for f, far, expected in [
            (sc.erfcx, 1e3, -1 / (math.sqrt(math.pi) * 1e6) * (1 - 1.5e-6)), (sc.dawsn, -1e3, -0.5e-6 * (1 + 1.5e-6)), (sc.log_ndtr, -1e4, 1e4 * (1 + 1e-8)),
            (sc.log_ndtr, 50.0, 0.0), (sc.expit, 40.0, math.exp(-40)), (sc.expit, -40.0, math.exp(-40)), (sc.log_expit, 50.0, math.exp(-50)), (sc.log_expit, -1e4, 1.0)]:
        t = Tensor(np.array([far], dtype))
        for recorded in (False, True):
            got = gradients(f(t), t, np.ones(1, dtype), create_graph=recorded)
            assert got.dtype == dtype
            np.testing.assert_allclose(getattr(got, "value", got), [expected], rtol=rtol)


@pytest.mark.parametrize("x", [-1e8, -1e3, -38.0, 0.0, 38.0, 100.0])
def test_log_ndtr_bends_the_same_way_everywhere(x):
    "The second derivative of a concave function: between -1 and 0, and finite."
    second = derivatives(sc.log_ndtr, x, 2)[1]
    assert -1 - 1e-12 <= second <= 0


def at(f, *xs):
    ts = [Tensor(x) for x in xs]
    return [float(g) for g in gradients(f(*ts), ts)]



def test_holes():
    assert at(sc.xlogy, 0.0, 0.0) == [0, 0] and at(sc.xlog1py, 0.0, -1.0) == [0, 0] and at(sc.rel_entr, 0.0, 0.0) == [0, 0]
    assert at(sc.kl_div, 0.0, 0.0) == [0, 1] and at(sc.entr, 0.0) == [0] and at(sc.cbrt, 0.0) == [0]
    assert at(sc.xlogy, 0.0, 2.0) == [math.log(2), 0] and at(sc.rel_entr, 0.0, 2.0) == [0, 0]
    assert at(sc.exprel, 0.0) == [0.5] and at(sc.spence, 1.0) == [-1] and np.isclose(at(sc.ellipk, 0.0), math.pi / 8) and np.isclose(at(sc.ellipe, 0.0), -math.pi / 8)
    assert at(lambda x: np.real(sc.lambertw(x)), 0.0) == [1] and at(sc.powm1, 0.0, 0.0) == [0, 0]
    assert at(lambda x: sc.gammainc(1.0, x), 0.0) == [1] and at(lambda x: sc.gammainc(2.0, x), 0.0) == [0] and at(lambda x: sc.betainc(1.0, 1.0, x), 1.0) == [1]
    np.testing.assert_allclose(derivatives(lambda x: sc.gammainc(2.0, x), 0.0, 4), [0, 1, -2, 3], atol=1e-14)
    np.testing.assert_allclose(derivatives(lambda x: sc.betainc(2.0, 3.0, x), 0.0, 4), [0, 12, -48, 72], rtol=1e-12)
    np.testing.assert_allclose([derivatives(sc.rgamma, float(-n), 1)[0] for n in range(6)], [(-1) ** n * math.factorial(n) for n in range(6)], rtol=1e-13)


def test_an_entropy_with_a_class_ruled_out_has_a_finite_gradient():
    logits = Tensor(np.array([0.0, 1.0, -np.inf]))
    p = np.exp(logits) / np.sum(np.exp(logits))
    got = gradients(np.sum(sc.entr(p)), logits)
    assert np.isfinite(got).all() and got[2] == 0
    np.testing.assert_allclose(got[:2], grad(lambda z: np.sum(sc.entr(np.exp(z) / np.sum(np.exp(z)))))(np.array([0.0, 1.0])), rtol=1e-12)


def test_mixed_derivatives_of_a_density():
    "By x, then by the parameter: where the power is zero too."
    for a in (1.0, 2.5):
        t = [Tensor(a), Tensor(0.7)]
        f = lambda a, x: special.gamma_density(a, x)
        by_x = gradients(f(*t), t[1], create_graph=True)
        h = 1e-5
        expected = (derivatives(lambda x: f(a + h, x), 0.7, 1)[0] - derivatives(lambda x: f(a - h, x), 0.7, 1)[0]) / (2 * h)
        np.testing.assert_allclose(gradients(by_x, t[0]), expected, rtol=1e-7)


# --- values that rules rest on -----------------------------------------------------------------------------------------

def test_ours_are_scipys():
    x = np.array([0.4, 3.0, 11.0])
    for n in range(5): np.testing.assert_allclose(special.polygamma(n, x), sc.polygamma(n, x), rtol=1e-13)
    for d in range(1, 5): np.testing.assert_allclose(special.multigammaln(x + 2, d), sc.multigammaln(x + 2, d), rtol=1e-13)
    check_grads(lambda x: special.multigammaln(x, 3))(x + 2)
    for wrong in (-1, 1.5):
        with pytest.raises((ValueError, TypeError)): special.polygamma(wrong, x)
    with pytest.raises(ValueError, match="d: expected at least 1, got 0"): special.multigammaln(x, 0)


def test_scaled_bessel_functions_of_complex_numbers():
    "Their factors are not analytic, so the real and the imaginary part count apart."
    for fn in (sc.jve, sc.yve, sc.ive):
        for z in (1.0 + 0.7j, -0.5 + 1.2j, 2.0 - 0.3j): check_grads(lambda z: fn(1.5, z), order=1)(np.array([z]))


def test_integer_orders_and_degrees_and_their_arrays():
    x = np.array([0.3, 0.8])
    for n in (0, 1, 3, np.int64(2), np.array([[0], [2]])):
        for fn in (sc.jv, sc.yn, sc.kn, sc.iv, sc.expn, sc.eval_legendre, sc.eval_chebyt, sc.eval_hermite, sc.eval_hermitenorm, sc.eval_laguerre): check_grads(lambda x: fn(n, x), order=3, modes=["vjp"])(x)


def test_minutes_and_seconds_of_an_angle():
    "Too small for differences to tell apart."
    np.testing.assert_allclose(at(sc.radian, 10.0, 20.0, 30.0), [math.pi / 180, math.pi / 180 / 60, math.pi / 180 / 3600], rtol=1e-14)


def test_python_numbers_stay_python_numbers():
    t = Tensor(0.5)
    y = sc.erf(t)
    assert type(y.value) is float and type(gradients(y, t)) is float
    assert (sc.erf(t) * np.float32(1)).dtype == np.float32


@pytest.mark.parametrize("f", [sc.expit, sc.log_expit, lambda x: sc.eval_hermite(4, x), lambda x: sc.eval_hermitenorm(4, x)], ids="expit log_expit hermite hermitenorm".split())
def test_whole_parameters_stay_whole_beside_python_numbers(f):
    def five(x):
        found, g = [], f
        for _ in range(5): found.append(float((g := grad(g))(x)))
        return found
    np.testing.assert_allclose(five(0.3), five(np.array(0.3)), rtol=1e-13)


def test_jacobian_and_hessian():
    x = np.array([0.3, 0.8])
    np.testing.assert_allclose(jacobian(sc.erf)(x), np.diag(2 / np.sqrt(np.pi) * np.exp(-x * x)), rtol=1e-14)
    np.testing.assert_allclose(hessian(lambda x: np.sum(sc.gammaln(x)))(x), np.diag(sc.polygamma(1, x)), rtol=1e-13)


# --- what is refused ---------------------------------------------------------------------------------------------------

PARAMETERS = [(sc.jv, "v", (1.5,)), (sc.kv, "v", (1.5,)), (sc.gammainc, "a", (2.0,)), (sc.betainc, "a", (2.0, 3.0)), (sc.hyp2f1, "a", (0.5, 1.5, 2.0)),
              (sc.zeta, "x", (2.0,)), (sc.eval_legendre, "n", (2.0,)), (sc.stdtr, "df", (3.0,)), (sc.pdtr, "k", (2.0,)), (sc.chdtr, "v", (2.0,))]


@pytest.mark.parametrize("fn, name, values", PARAMETERS, ids=lambda p: getattr(p, "__name__", None))
def test_parameters_without_derivative_are_refused_when_asked_for(fn, name, values):
    first, x = Tensor(values[0]), Tensor(0.3)
    y = fn(first, *values[1:], x)
    np.testing.assert_allclose(gradients(y, x), gradients(fn(*values, x), x))
    with pytest.raises(TypeError, match=rf"scipy\.special\.{fn.__name__} can't be differentiated by its argument {name}; pass {name}\.value"): gradients(y, first)


def test_riemanns_zeta_is_refused_and_hurwitzs_is_not():
    t = Tensor([2.5])
    with pytest.raises(TypeError, match="Riemann's zeta; pass x.value"): sc.zeta(t)
    with pytest.raises(TypeError, match="zetac of a Tensor.*Riemann's zeta"): sc.zetac(t)
    np.testing.assert_allclose(gradients(sc.zeta(2.0, t), t, np.ones(1)), -2 * sc.zeta(3.0, 2.5))


def test_the_second_argument_is_refused_too():
    for fn, u in ((sc.ellipkinc, 0.3), (sc.ellipeinc, 0.3)):
        m = Tensor(0.4)
        with pytest.raises(TypeError, match="argument m; pass m.value"): gradients(fn(u, m), m)
    m = Tensor(0.4)
    with pytest.raises(TypeError, match="argument m"): gradients(sc.ellipj(0.3, m)[0], m)


def test_psi_of_complex_numbers_has_no_derivative_in_scipy():
    t = Tensor(1.0 + 1j)
    np.testing.assert_allclose(gradients(sc.loggamma(t), t, 1 + 0j), sc.psi(1 + 1j))
    with pytest.raises(TypeError, match="polygamma of complex numbers"): gradients(sc.psi(t), t, 1 + 0j)


def test_every_ufunc_has_a_rule_or_is_refused_by_name():
    "None of them returns a plain value in silence, or fails in a way of its own."
    served = 0
    for name, fn in vars(sc).items():
        if not isinstance(fn, np.ufunc): continue
        if fn in rules or fn in entries: served += 1
        elif fn in constants: assert type(fn(Tensor([-0.5]))) is np.ndarray
        else:
            with pytest.raises(TypeError, match=rf"(scipy\.special|np)\.{fn.__name__} (has no rule|of a Tensor)"): fn(*[Tensor([0.5])] * fn.nin)
    assert served > 130


@pytest.mark.parametrize("call", [sc.logsumexp, sc.softmax, sc.log_softmax, lambda t: sc.polygamma(1, t), lambda t: sc.multigammaln(t, 2), lambda t: sc.spherical_jn(1, t), lambda t: sc.comb(t, 2)],
                         ids="logsumexp softmax log_softmax polygamma multigammaln spherical_jn comb".split())
def test_what_is_no_ufunc_raises_and_loses_nothing(call):
    with pytest.raises(TypeError, match="would lose where this Tensor came from|has no rule"): call(Tensor([3.0, 4.0]))


@pytest.mark.parametrize("name", ["logsumexp", "softmax", "log_softmax", "polygamma", "multigammaln"])
def test_the_error_names_ours_where_there_is_one(name):
    with pytest.raises(TypeError, match=rf"in scipy's {name}\)\. Write the same with .*{name}") as caught: getattr(sc, name)(*[2] * (name == "polygamma"), Tensor([3.0, 4.0]), *[2] * (name == "multigammaln"))
    assert "np.stack" not in str(caught.value)
    assert callable(getattr(autodiffnb, name, None) or getattr(special, name))
