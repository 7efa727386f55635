"""The whole table: no rule and no entry without a case, every case under the same demands, and no NumPy function unclassified."""
import importlib
import inspect
import itertools
import pkgutil

import dask
import dask.array as da
import numpy as np
import pytest
from numpy.testing.overrides import get_overridable_numpy_array_functions, get_overridable_numpy_ufuncs

import autodiffnb
from autodiffnb import Tensor, check_grads, gradients, topological_order
from autodiffnb import linalg, loss, transforms
from autodiffnb.tensor import constants, entries, home, label, refusals, rules

from cases import not_lazy, table
from cases.base import frozen, on

try: import scipy.special
except ImportError: scipy = None
for module in pkgutil.iter_modules(autodiffnb.__path__):
    if scipy or module.name != "special": importlib.import_module(f"autodiffnb.{module.name}")

# NumPy 2.0 lists only the private twins of the functions that make arrays `like=` another.
MAKERS = {getattr(np, name) for name in "arange array asanyarray asarray ascontiguousarray asfortranarray empty eye frombuffer fromfile fromfunction fromiter fromstring full genfromtxt identity loadtxt ones require tri zeros".split()}
OTHERS = {fn for fn in [*vars(scipy.special).values(), *vars(autodiffnb.special).values()] if isinstance(fn, np.ufunc)} if scipy else set()
OVERRIDABLE = get_overridable_numpy_ufuncs() | get_overridable_numpy_array_functions() | MAKERS | OTHERS

# Marks in the graph that no reader can call; the tests of the transforms are their cases.
MARKS = (transforms.spent, transforms.bundle)


def name_of(fn):
    "`np.exp`, `np.linalg.outer`, `shaping.getitem`: short, and the same in every process."
    return f"{home(fn).removeprefix('autodiffnb.')}.{'excess' if fn is loss.excess else label(fn)}".removeprefix(".")


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
        assert fn.nin == 1 or any(len(set(case.shapes)) > 1 for case in table[fn]) or all(len(case.shapes) < fn.nin for case in table[fn])


@every_function
def test_value_is_numpys(fn):
    for case, dtype in itertools.product(table[fn], (np.float64, np.float32)):
        arrays = case.arrays(dtype)
        for got, expected in zip(outputs(case.call(*map(Tensor, arrays))), outputs(case.call(*arrays)), strict=True):
            assert got.shape == np.shape(expected) and got.dtype == np.asarray(expected).dtype, case
            np.testing.assert_allclose(got.value, expected, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps, err_msg=str(case))


@pytest.mark.exhaustive
@every_case
def test_first_and_second_derivative_both_ways(fn, case):
    check_grads(case.call, order=case.order)(*case.arrays())


@pytest.mark.exhaustive
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
            if dtype is np.float32: assert np.finfo(expected).dtype == np.float32, case
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

class Computed(BaseException):
    "No Exception, so that nothing on the way catches it."


@pytest.fixture
def lazily():
    "Computing a Dask array raises, in this thread, at the line that did it."
    def forbidden(*args, **kwargs): raise Computed("a Dask array was computed")
    with dask.config.set(scheduler=forbidden): yield


def whole(x): return da.from_array(x, chunks=-1)


def halves(x): return da.from_array(x, chunks=tuple((n + 1) // 2 for n in x.shape))


def on_lazy(case, lazy, deep):
    "The lazy adjoints of the arguments, for each result of the case, and the results; if `deep`, tangents and second derivatives are made too, and left alone."
    arrays = case.arrays()
    tensors, expected = [Tensor(lazy(x)) for x in arrays], outputs(case.call(*arrays))
    ys = outputs(case.call(*tensors))
    assert all(isinstance(y.value, da.Array) for y in ys), case
    seeds = [lazy(adjoint_for(y)) for y in expected]
    got = [gradients(y, tensors, g) for y, g in zip(ys, seeds)]
    for y, g in zip(ys, seeds) if deep else ():
        for x in gradients(y, tensors, g, create_graph=True): assert isinstance(x, da.Array) or gradients(x, tensors, x.value)
    if deep: assert all(isinstance(v, da.Array) for v in transforms.push_forwards(ys, tensors, [t.value for t in tensors])), case
    return got, ys


# Functions that have a case which Dask does not do lazily, in one block. An error says so, from Dask or from us, and nothing is computed.
NOT_LAZY = not_lazy | set("""
    airy_Ai airy_Aip airy_Bi airy_Bip ellipj_cn ellipj_dn ellipj_ph ellipj_sn fresnel_C fresnel_S itairy_Ai itairy_Ain itairy_Bi itairy_Bin iti0k0_I
    iti0k0_K itj0y0_J itj0y0_Y kelvin_Be kelvin_Bep kelvin_Ke kelvin_Kep np.arange np.convolve np.correlate np.cross np.dot np.fft.fft np.fft.fft2
    np.fft.fftn np.fft.ifft np.fft.ifft2 np.fft.ifftn np.fft.ihfft np.fft.irfft2 np.fft.irfftn np.fft.rfft np.fft.rfft2 np.fft.rfftn np.geomspace
    np.histogram np.histogram_bin_edges np.interp np.kron np.lib.scimath.arccos np.lib.scimath.arcsin np.lib.scimath.arctanh np.lib.scimath.log
    np.lib.scimath.log10 np.lib.scimath.log2 np.lib.scimath.logn np.lib.scimath.power np.lib.scimath.sqrt np.linalg.cholesky np.linalg.cond
    np.linalg.cross np.linalg.det np.linalg.eig np.linalg.eig_eigenvalues np.linalg.eig_eigenvectors np.linalg.eigh np.linalg.eigh_eigenvalues
    np.linalg.eigh_eigenvectors np.linalg.eigvals np.linalg.eigvalsh np.linalg.inv np.linalg.lstsq np.linalg.lstsq_residuals
    np.linalg.lstsq_singular_values np.linalg.lstsq_solution np.linalg.matrix_norm np.linalg.matrix_power np.linalg.norm np.linalg.pinv np.linalg.qr
    np.linalg.slogdet np.linalg.slogdet_logabsdet np.linalg.slogdet_sign np.linalg.solve np.linalg.svd np.linalg.svd_S np.linalg.svd_U np.linalg.svd_Vh
    np.linalg.svdvals np.nan_to_num np.partition np.poly np.polydiv np.polyfit np.polymul np.polyval np.reshape np.roots np.sort np.sort_complex
    np.trim_zeros np.unwrap np.vander scipy.special.airy scipy.special.ellipj scipy.special.fresnel scipy.special.itairy scipy.special.iti0k0
    scipy.special.itj0y0 scipy.special.kelvin scipy.special.shichi scipy.special.sici shichi_Chi shichi_Shi sici_Ci sici_Si ufuncs.fold ufuncs.scan
    workshop.python_number
""".split())
# Cases that compute before they call anything of ours, and a step of np.convolve, which is refused.
SIGNS = {np.linalg.svd, *linalg.svd.parts}
COMPUTING = {"np.piecewise", "samples.convolved"}


@pytest.mark.exhaustive
@every_function
@pytest.mark.parametrize("lazy", [whole, halves])
@pytest.mark.filterwarnings("ignore")
def test_nothing_is_computed_silently(fn, lazy, lazily):
    if name_of(fn) in COMPUTING: pytest.skip("the call itself computes")
    told, done = [], 0
    for case in table[fn]:
        arrays = case.arrays()
        if not all(map(np.size, [*arrays, *outputs(case.call(*arrays))])): continue      # Dask's own calls fail on some arrays of size 0
        try: results = on_lazy(case, lazy, deep=lazy is whole)
        except Exception as error:
            told.append(f"{type(error).__name__}: {error}")
            continue
        with dask.config.set(scheduler="synchronous"):
            results, values = results
            for y, got, expected, adjoints in zip(values, results, *pulled(case.call, arrays), strict=True):
                if fn in SIGNS and not np.allclose(y.value.compute(), expected.value): break      # other signs of singular vectors, which are as good
                for g, adjoint in zip(got, adjoints): np.testing.assert_allclose(g.compute(), adjoint, rtol=1e-12, atol=1e-12, err_msg=str(case))
        done += 1
    if lazy is whole: assert bool(told) == (name_of(fn) in NOT_LAZY), told or f"{name_of(fn)} is lazy now: bring NOT_LAZY up to date"
    if not done: pytest.skip(told[0][:300] if told else "only arrays of size 0")


@pytest.mark.filterwarnings("ignore")
def test_the_lazy_fixture_notices_a_computation(lazily):
    with pytest.raises(Computed): np.sort(whole(np.arange(3.0)))
    with pytest.raises(Computed): bool(whole(np.arange(3.0)).sum() > 1)


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
    **{name: lambda t, name=name: getattr(np, name)(np.stack([t, t])) for name in ("diag_indices_from", "tril_indices_from", "triu_indices_from")},
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
