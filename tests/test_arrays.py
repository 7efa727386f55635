"""Tensors that hold other arrays: lazy ones, strict ones as on a GPU, sparse ones, named ones; each against NumPy."""
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import autodiffnb
import gpu_stand_in
from autodiffnb import Sparse, Tensor, cross_entropy, grad, gradients, hessian, hvp, jacobian, jvp, log_softmax, softmax, value_and_grad, vjp
from autodiffnb.arrays import scatter_block, scatter_lazily, scatter_on_device
from autodiffnb.shaping import scatter_add, scatter_numpy, scatters
from autodiffnb.tensor import constants, elsewhere
from gpu_stand_in import Device, to_device

from test_rules import Computed, adjoint_for, halves, lazily, name_of, outputs, pulled, table, whole

ROOT = Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(0)
X, W, b, LABELS = RNG.normal(size=(6, 4)), RNG.normal(size=(4, 3)), RNG.normal(size=3), np.array([0, 2, 1, 1, 0, 2])


def price(params, X, labels): return cross_entropy(X @ params["W"] + params["b"], labels)


def hidden(params, X, labels): return cross_entropy(np.maximum(X @ params["W1"] + params["b1"], 0) @ params["W"] + params["b"], labels)


SHALLOW, DEEP = dict(W=W, b=b), dict(W1=RNG.normal(size=(4, 4)), b1=RNG.normal(size=4), W=W, b=b)
MODELS = pytest.mark.parametrize("loss, params", [(price, SHALLOW), (hidden, DEEP)], ids=["softmax", "mlp"])


# --- lazy -------------------------------------------------------------------------------------------------------------

@MODELS
@pytest.mark.parametrize("lazy", [whole, halves])
def test_loss_and_gradients_are_computed_once_and_together(loss, params, lazy, lazily):
    value, grads = value_and_grad(loss)({k: lazy(p) for k, p in params.items()}, lazy(X), lazy(LABELS))
    assert isinstance(value, da.Array) and all(isinstance(g, da.Array) for g in grads.values())
    asked = []
    def scheduler(*args, **kwargs): return asked.append(1) or dask.get(*args, **kwargs)
    got, got_grads = dask.compute(value, grads, scheduler=scheduler)
    expected, expected_grads = value_and_grad(loss)(params, X, LABELS)
    assert asked == [1]
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    for k in params: np.testing.assert_allclose(got_grads[k], expected_grads[k], rtol=1e-12, atol=1e-15)


@MODELS
def test_hessian_vector_products_and_tangents_are_lazy(loss, params, lazily):
    lazy_params, v = {k: halves(p) for k, p in params.items()}, {k: np.cos(p) for k, p in params.items()}
    lazy_v = {k: halves(p) for k, p in v.items()}
    product, = hvp(lambda p: loss(p, halves(X), halves(LABELS)), (lazy_params,), (lazy_v,))
    expected, = hvp(lambda p: loss(p, X, LABELS), (params,), (v,))
    value, pushed = jvp(lambda p: loss(p, halves(X), halves(LABELS)), (lazy_params,), (lazy_v,))
    for k in params: np.testing.assert_allclose(product[k].compute(scheduler="synchronous"), expected[k], rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(pushed.compute(scheduler="synchronous"), jvp(lambda p: loss(p, X, LABELS), (params,), (v,))[1], rtol=1e-12)


def test_jacobian_and_hessian_are_lazy(lazily):
    f = lambda x: np.exp(x) * np.sum(x)
    x = np.array([1.0, 2.0, 0.5])
    for of in (jacobian(f), hessian(lambda x: np.sum(f(x)))): np.testing.assert_allclose(of(whole(x)).compute(scheduler="synchronous"), of(x), rtol=1e-12)


@pytest.mark.parametrize("f", [softmax, log_softmax, lambda x: np.std(x, 0), lambda x: np.median(x, 1), lambda x: x.at[1].set(0.0), lambda x: np.sum(x.at[[0, 2, 0], [1, 1, 1]].add(2.0)) * x],
                         ids=["softmax", "log_softmax", "std", "median", "set", "add"])
def test_common_calls_on_arrays_of_several_blocks(f, lazily):
    t, x = Tensor(halves(X)), Tensor(X)
    y, g = f(t), adjoint_for(f(x).value)
    np.testing.assert_allclose(gradients(y, t, halves(g)).compute(scheduler="synchronous"), gradients(f(x), x, g), rtol=1e-12, atol=1e-14)


def test_a_lazy_seed_and_zeros_of_what_is_not_reached(lazily):
    t, other = Tensor(whole(X)), Tensor(whole(b))
    y = t * 2
    gs = gradients(y, [t, other], whole(np.ones_like(X)))
    assert all(isinstance(g, da.Array) for g in gs) and gs[1].shape == b.shape
    assert repr(t) and t._repr_html_() and len(t) == 6


def test_float32_stays_float32_on_dask(lazily):
    value, grads = value_and_grad(hidden)({k: halves(p.astype(np.float32)) for k, p in DEEP.items()}, halves(X.astype(np.float32)), halves(LABELS))
    assert value.dtype == np.float32 and all(g.dtype == np.float32 for g in grads.values())
    value, grads = dask.compute(value, grads, scheduler="synchronous")
    assert value.dtype == np.float32 and all(g.dtype == np.float32 for g in grads.values())


@pytest.mark.parametrize("fn", [pytest.param(fn, id=name_of(fn)) for fn in elsewhere if "dask" in elsewhere[fn]])
def test_what_dask_would_compute_is_refused_or_has_another_form(fn, lazily):
    "Dask itself does compute it, if it has it at all: or the entry could go."
    x = RNG.normal(size=(3, 3)) + 3 * np.eye(3)
    calls = {getattr(np, "in1d", None): lambda t: np.in1d(t, t), np.kron: lambda t: np.kron(t, t), np.cross: lambda t: np.cross(t, t), np.linalg.cross: lambda t: np.linalg.cross(t, t), np.partition: lambda t: np.partition(t, 1),
             np.argpartition: lambda t: np.argpartition(t, 1), np.vander: lambda t: np.vander(t[0]), np.polyval: lambda t: np.polyval(t[0], t), np.polydiv: lambda t: np.polydiv(t[0], t[1]),
             np.polyfit: lambda t: np.polyfit(t[0], t[1], 1), np.poly: lambda t: np.poly(t[0]), np.roots: lambda t: np.roots(t[0]), np.convolve: lambda t: np.convolve(t[0], t[1]),
             np.correlate: lambda t: np.correlate(t[0], t[1]), np.geomspace: lambda t: np.geomspace(t[0], t[1]), np.trim_zeros: lambda t: np.trim_zeros(t[0]), np.array_equal: lambda t: np.array_equal(t, t),
             np.array_equiv: lambda t: np.array_equiv(t, t), np.digitize: lambda t: np.digitize(t[0], t[0]), np.lexsort: lambda t: np.lexsort((t[0], t[1])), np.may_share_memory: lambda t: np.may_share_memory(t, t),
             np.shares_memory: lambda t: np.shares_memory(t, t), np.einsum_path: lambda t: np.einsum_path("ij,jk", t, t), np.real_if_close: lambda t: np.real_if_close(t + 0j), np.lib.scimath.logn: lambda t: np.lib.scimath.logn(2, t), np.lib.scimath.power: lambda t: np.lib.scimath.power(t, 2), np.inner: lambda t: np.inner(t, t), np.arange: lambda t: np.arange(t[0, 0], 5.0, like=t)}
    call, forms = calls.get(fn, fn), (np.copy, np.inner, np.size, np.linalg.qr, np.linalg.inv, np.isrealobj, np.common_type, np.min_scalar_type, np.diag_indices_from)
    try: y = call(Tensor(whole(x)))
    except TypeError as error: assert f"{fn.__name__} of a Tensor: Dask" in str(error) and fn not in forms
    else:
        assert fn in forms
        if any(isinstance(z, Tensor) for z in outputs(y)): assert all(isinstance(z.value, da.Array) for z in outputs(y))
        else: np.testing.assert_equal(y, call(x))
    if fn in (np.linalg.cholesky, np.linalg.qr, np.linalg.inv, np.arange): return      # Dask has these, and does something else
    with pytest.raises(Computed), pytest.warns(): call(whole(x))


@pytest.mark.parametrize("fn", [pytest.param(fn, id=name_of(fn)) for fn in sorted(constants, key=name_of) if name_of(fn).startswith("np.")])
@pytest.mark.filterwarnings("ignore")
def test_what_has_no_derivative_is_not_computed_silently_either(fn, lazily):
    "However many arguments it takes; `Computed` is no Exception and passes through"
    x = RNG.normal(size=(3, 3))
    for args in ((x,), (x, x), (x, x, x), (x, 1), (x[0], x[1]), (x[0], 1), ((x[0], x[1]),)):
        tensors = [tuple(Tensor(whole(a)) for a in arg) if isinstance(arg, tuple) else arg if isinstance(arg, int) else Tensor(whole(arg)) for arg in args]
        with contextlib.suppress(Exception): fn(*tensors)


def test_what_depends_on_the_dtype_or_the_shape_alone_is_known_without_computing(lazily):
    for x in (X, X.astype(np.float32), X + 1j):
        t = Tensor(whole(x))
        assert np.isrealobj(t) == np.isrealobj(x) and np.common_type(t, Tensor(whole(X))) is np.common_type(x, X) and np.min_scalar_type(t) == np.min_scalar_type(x)
    with pytest.raises(ValueError): np.diag_indices_from(Tensor(whole(X)))


def test_lengths_that_depend_on_numbers_are_named(lazily):
    "Dask has nan for them, which is no equal of itself"
    chosen = whole(X)[whole(X)[:, 0] > 0]
    labels = whole(LABELS)[whole(X)[:, 0] > 0]
    for call in (lambda w: cross_entropy(chosen @ w, labels), lambda w: cross_entropy(chosen @ w, softmax(chosen @ W)), lambda w: np.mean((chosen @ w) ** 2), lambda w: np.sum(np.reshape(chosen @ w, -1)), lambda w: (chosen @ w)[1:]):
        with pytest.raises(ValueError, match=r"x.compute_chunk_sizes\(\) finds it out"): gradients(call(t := Tensor(W)), t)
    t = Tensor(W)
    with pytest.raises(ValueError, match=r"g: expected shape \(nan, 3\).*compute_chunk_sizes"): gradients(chosen @ t, t, whole(np.ones((2, 3))))


def test_fit_says_that_it_takes_no_lazy_images(lazily):
    with pytest.raises(TypeError, match="train: expected images in memory, got a lazy Dask array"): autodiffnb.fit(autodiffnb.SoftmaxRegression(4, 3), (whole(X), LABELS), epochs=1, progress=False)


def test_dask_still_returns_the_other_cholesky_factor():
    a = np.array([[4.0, 2.0], [2.0, 3.0]])
    np.testing.assert_allclose(np.linalg.cholesky(whole(a)).compute(), np.linalg.cholesky(a).T)
    with pytest.raises(TypeError, match="upper factor"): np.linalg.cholesky(Tensor(whole(a)))


def test_arange_beside_a_lazy_tensor_is_what_it_was(): assert np.arange(0, 6, 2, like=np.zeros(1)).tolist() == [0, 2, 4]


# --- scatter ----------------------------------------------------------------------------------------------------------

INDICES = [np.array([0, 2, 0]), np.array([[0, 1], [3, 3]]), (slice(None), np.array([1, 1])), (np.array([0, 3, 0]), np.array([2, 1, 2])), (np.array([1, 1]), slice(0, 2)),
           [3, 0, -1], (..., np.array([0, -1, 0])), (None, np.array([2, 2])), (np.array([[0], [3]]), np.array([[0, 2, 0]])), np.array([True, False, False, True]), 2, (1, slice(None, None, -1)), (0, np.array([1, 1])),
           np.array([], int), (slice(1, 3), None, np.array([2, 0, 2]))]


@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("chunk", ["16 B", "64 B", "128 MiB"])
def test_scatter_on_dask_is_numpys_in_blocks_of_any_size(index, chunk, lazily):
    shape = (4, 3)
    g = np.asarray(adjoint_for(np.zeros(shape)[index]))
    with dask.config.set({"array.chunk-size": chunk}): lazy = scatter_add(halves(g), index, shape)
    assert isinstance(lazy, da.Array) and lazy.shape == shape
    np.testing.assert_allclose(lazy.compute(scheduler="synchronous"), scatter_numpy(g, index, shape), rtol=1e-15)
    x, t = Tensor(np.zeros(shape)), Tensor(halves(np.zeros(shape)))
    try: y = t[index]
    except (NotImplementedError, IndexError, TypeError, ValueError): pytest.skip("Dask has no such index")
    np.testing.assert_allclose(gradients(y, t, halves(g)).compute(scheduler="synchronous"), gradients(x[index], x, g), rtol=1e-15)


def test_an_index_that_is_lazy_itself(lazily):
    places, g = np.array([0, 2, 0]), np.array([1.0, 2.0, 4.0])
    t = Tensor(whole(np.arange(4.0)))
    np.testing.assert_array_equal(gradients(t[whole(places)], t, whole(g)).compute(scheduler="synchronous"), [5, 0, 2, 0])
    mask = t[t.value > 1.0]
    np.testing.assert_array_equal(gradients(mask, t, mask.value).compute(scheduler="synchronous"), [0, 0, 2, 3])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_blocks_of_a_scatter_make_up_the_whole(data):
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    axis = data.draw(st.integers(0, len(shape) - 1))
    places = np.array(data.draw(st.lists(st.integers(-shape[axis], shape[axis] - 1), max_size=6)), int)
    index = (slice(None),) * axis + (places,)
    g = np.asarray(adjoint_for(np.zeros(shape)[index]))
    cut = tuple(data.draw(st.integers(0, n)) for n in shape)
    blocks = np.zeros(shape)
    for which in np.ndindex((2,) * len(shape)):
        low = tuple(c if w else 0 for w, c in zip(which, cut))
        high = tuple(n if w else c for w, c, n in zip(which, cut, shape))
        blocks[tuple(map(slice, low, high))] = scatter_block(g, index, shape, low, high)
    np.testing.assert_allclose(blocks, scatter_numpy(g, index, shape), rtol=1e-13)


def test_an_unknown_kind_is_told_what_to_file(monkeypatch):
    monkeypatch.delitem(scatters, "dask")
    t = Tensor(whole(X))
    with pytest.raises(TypeError, match=r"scatters\['dask'\] = f"): gradients(t[[1, 1]].sum(), t)


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_scatter_on_a_device_is_numpys(index):
    g = np.asarray(adjoint_for(np.zeros((4, 3))[index]))
    y = scatter_add(to_device(g), index, (4, 3))
    assert isinstance(y, Device)
    np.testing.assert_allclose(y.held, scatter_numpy(g, index, (4, 3)), rtol=1e-15)


@pytest.mark.exhaustive
@pytest.mark.parametrize("index", INDICES, ids=str)
@pytest.mark.parametrize("put_there, fetched", [(halves, lambda x: x.compute(scheduler="synchronous")), (to_device, Device.get)], ids=["dask", "device"])
def test_what_is_written_twice_lasts_as_in_numpy(index, put_there, fetched, lazily):
    "The last value stays, and the others get no adjoint; also where an array can't be written to"
    x = RNG.normal(size=(4, 3))
    v = np.asarray(adjoint_for(np.zeros_like(x)[index]))
    def of(x, v): return np.sum(np.exp(x.at[index].set(v)))
    for f, args in ((of, (x, v)), (lambda x: of(x, 2.0), (x,)), (lambda x: np.sum(x.at[index].max(0.0) ** 3), (x,)), (lambda x: np.sum(x.at[index].multiply(np.float64(3.0)) ** 2), (x,)), (lambda x: np.sum(x.at[index].add(1) ** 2), (x,))):
        expected, at = gradients(f(*(ts := [Tensor(a) for a in args])), ts), [Tensor(put_there(a)) for a in args]
        for got, g in zip(gradients(f(*at), at), expected, strict=True): np.testing.assert_allclose(fetched(got), g, rtol=1e-14)
    t, expected = Tensor(put_there(x)), x.copy()
    expected[index] = v
    np.testing.assert_array_equal(fetched(t.at[index].set(put_there(v)).value), expected)


def test_places_that_another_library_keeps_are_refused(lazily):
    for t, index in ((Tensor(whole(X)), whole(np.array([0, 2]))), (Tensor(to_device(X)), to_device(np.array([0, 2]))), (Tensor(whole(X)), whole(X > 0))):
        for write in (lambda: t.at[index].set(0.0), lambda: t.at[index].add(1.0)):
            with pytest.raises(TypeError, match="index: expected positions in NumPy arrays, got (dask.array.core.Array|cupy.Device); np.where"): write()


def test_nothing_imports_what_the_reader_has_not_imported():
    code = "import sys, autodiffnb; print([m for m in ('dask', 'cupy', 'sparse', 'scipy', 'xarray', 'pandas') if m in sys.modules])"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True).stdout.strip() == "[]"


# --- as strict as a GPU -----------------------------------------------------------------------------------------------

@pytest.fixture(autouse=True)
def counted_anew():
    gpu_stand_in.waits.clear()
    gpu_stand_in.sent.clear()


def put(tree): return {k: to_device(np.asarray(v, np.float32)) for k, v in tree.items()}


@MODELS
def test_a_training_step_never_waits_for_the_device(loss, params):
    on_device, data = put(params), (to_device(X.astype(np.float32)), to_device(LABELS))
    plain = {k: p.astype(np.float32) for k, p in params.items()}
    for _ in range(3):
        value, grads = value_and_grad(loss)(on_device, *data)
        on_device = {k: p - 0.1 * grads[k] for k, p in on_device.items()}
        expected, grads = value_and_grad(loss)(plain, X.astype(np.float32), LABELS)
        plain = {k: p - np.float32(0.1) * grads[k] for k, p in plain.items()}
    assert not gpu_stand_in.waits and not gpu_stand_in.sent
    assert isinstance(value, Device) and value.shape == () and value.dtype == np.float32
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)
    for k in params:
        assert on_device[k].dtype == np.float32
        np.testing.assert_allclose(on_device[k].get(), plain[k], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", [lambda p: autodiffnb.SGD(p, 0.1), lambda p: autodiffnb.SGD(p, 0.1, momentum=0.9), lambda p: autodiffnb.Adam(p, 0.1)], ids=["sgd", "momentum", "adam"])
def test_the_optimisers_step_on_the_device(make):
    params, plain = {k: Tensor(x) for k, x in put(DEEP).items()}, {k: Tensor(x.astype(np.float32)) for k, x in DEEP.items()}
    for p, X_, labels in ((params, to_device(X.astype(np.float32)), to_device(LABELS)), (plain, X.astype(np.float32), LABELS)):
        optimizer = make(p)
        for _ in range(3): optimizer.step(gradients(hidden(p, X_, labels), p))
    assert not gpu_stand_in.waits
    for k in DEEP: np.testing.assert_allclose(params[k].value.get(), plain[k].value, rtol=1e-4, atol=1e-5)


@MODELS
def test_second_derivatives_on_the_device(loss, params):
    v = {k: np.cos(p) for k, p in params.items()}
    product, = hvp(lambda p: loss(p, to_device(X.astype(np.float32)), to_device(LABELS)), (put(params),), (put(v),))
    expected, = hvp(lambda p: loss(p, X, LABELS), (params,), (v,))
    assert not gpu_stand_in.waits
    for k in params: np.testing.assert_allclose(product[k].get(), expected[k], rtol=1e-3, atol=1e-5)


def test_the_stand_in_is_as_strict_as_it_says():
    d = to_device(X)
    for mixed in (lambda: d + X, lambda: X + d, lambda: np.where(X > 0, d, 0), lambda: np.concatenate([d, X]), lambda: d.dot(W), lambda: d @ W, lambda: np.tensordot(d, W, 1)):
        with pytest.raises(TypeError): mixed()
    with pytest.raises(TypeError, match="Implicit conversion"): np.asarray(d)
    with pytest.raises(TypeError, match="initial"): np.max(d, initial=0.0)
    with pytest.raises(TypeError): np.linalg.svdvals(d)
    with pytest.raises(NotImplementedError): np.maximum.reduce(d)
    with pytest.raises(AttributeError): d.tensordot
    for y in (np.sum(d), d.sum(), d[0, 0], np.mean(d), np.float32(2) * d[1, 1]): assert isinstance(y, Device) and y.shape == ()
    assert not gpu_stand_in.waits
    for look in (lambda: float(d[0, 0]), lambda: bool(d[0, 0] > 0), lambda: d.get(), lambda: d[d > 0], lambda: np.nonzero(d), lambda: repr(d), lambda: d.sum().item()):
        before = len(gpu_stand_in.waits)
        look()
        assert len(gpu_stand_in.waits) > before


def test_the_lists_of_names_are_those_of_cupy():
    cupy = pytest.importorskip("cupy")
    names = gpu_stand_in.NAMES
    if cupy.__version__ != names["version"]: pytest.skip(f"the lists are of CuPy {names['version']}")
    assert all(hasattr(cupy, n) for n in names["ufuncs"]) and all(hasattr(cupy.ndarray, n) for n in names["methods"])
    assert names["at"] == sorted(n for n in names["ufuncs"] if getattr(getattr(cupy, n), "_scatter_op", None) is not None)


# Functions with a case that does not run on the stand-in: CuPy lacks them or a keyword (an error says so), or they would need a host array.
NOT_ON_DEVICE: set = set("""
    _lambertw _zeta airy_Ai airy_Aip airy_Bi airy_Bip convolution.windows fresnel_C fresnel_S itairy_Ai itairy_Ain itairy_Bi itairy_Bin iti0k0_I iti0k0_K
    itj0y0_J itj0y0_Y kelvin_Be kelvin_Bep kelvin_Ke kelvin_Kep loss.cross_entropy loss.excess np.arange np.choose np.cov np.geomspace np.heaviside
    np.histogram np.histogram_bin_edges np.histogramdd np.interp np.linalg.cholesky np.linalg.lstsq np.linalg.lstsq_residuals np.linalg.lstsq_solution
    np.linalg.pinv np.linalg.svd np.linalg.svdvals np.linalg.vecdot np.linspace np.logspace np.matvec np.nancumprod np.nancumsum np.nanmax np.nanmedian
    np.nanmin np.nanpercentile np.nanquantile np.percentile np.piecewise np.poly np.polyder np.polyfit np.polyint np.polynomial.polynomial.polygrid2d
    np.polynomial.polynomial.polyval2d np.quantile np.roots np.select np.trim_zeros np.vecdot np.vecmat np.where scipy.special.agm scipy.special.airy
    scipy.special.bdtr scipy.special.bdtrc scipy.special.bdtri scipy.special.bei scipy.special.beip scipy.special.ber scipy.special.berp
    scipy.special.beta scipy.special.betainc scipy.special.betaincc scipy.special.betainccinv scipy.special.betaincinv scipy.special.betaln
    scipy.special.binom scipy.special.boxcox scipy.special.boxcox1p scipy.special.chdtr scipy.special.chdtrc scipy.special.chdtri scipy.special.dawsn
    scipy.special.ellipe scipy.special.ellipeinc scipy.special.ellipk scipy.special.ellipkinc scipy.special.ellipkm1 scipy.special.erfi
    scipy.special.eval_chebyc scipy.special.eval_chebys scipy.special.eval_chebyt scipy.special.eval_chebyu scipy.special.eval_gegenbauer
    scipy.special.eval_genlaguerre scipy.special.eval_hermite scipy.special.eval_hermitenorm scipy.special.eval_jacobi scipy.special.eval_laguerre
    scipy.special.eval_legendre scipy.special.eval_sh_chebyt scipy.special.eval_sh_chebyu scipy.special.eval_sh_jacobi scipy.special.eval_sh_legendre
    scipy.special.expn scipy.special.exprel scipy.special.fdtr scipy.special.fdtrc scipy.special.fdtri scipy.special.fresnel scipy.special.gamma
    scipy.special.gammainc scipy.special.gammaincc scipy.special.gammainccinv scipy.special.gammaincinv scipy.special.gammaln scipy.special.gdtrix
    scipy.special.hankel1 scipy.special.hankel1e scipy.special.hankel2 scipy.special.hankel2e scipy.special.hyp0f1 scipy.special.hyp1f1
    scipy.special.hyp2f1 scipy.special.hyperu scipy.special.i0 scipy.special.i0e scipy.special.i1 scipy.special.i1e scipy.special.inv_boxcox
    scipy.special.inv_boxcox1p scipy.special.itairy scipy.special.iti0k0 scipy.special.itj0y0 scipy.special.itmodstruve0 scipy.special.itstruve0
    scipy.special.iv scipy.special.ive scipy.special.j0 scipy.special.j1 scipy.special.jv scipy.special.jve scipy.special.k0 scipy.special.k0e
    scipy.special.k1 scipy.special.k1e scipy.special.kei scipy.special.keip scipy.special.kelvin scipy.special.ker scipy.special.kerp scipy.special.kn
    scipy.special.kv scipy.special.kve scipy.special.loggamma scipy.special.modstruve scipy.special.nbdtr scipy.special.nbdtrc scipy.special.nbdtri
    scipy.special.ndtri_exp scipy.special.owens_t scipy.special.pdtr scipy.special.pdtrc scipy.special.pdtri scipy.special.poch scipy.special.powm1
    scipy.special.psi scipy.special.rgamma scipy.special.shichi scipy.special.sici scipy.special.spence scipy.special.stdtr scipy.special.stdtrit
    scipy.special.struve scipy.special.voigt_profile scipy.special.wofz scipy.special.wrightomega scipy.special.y0 scipy.special.y1 scipy.special.yn
    scipy.special.yv scipy.special.yve shichi_Shi sici_Si ufuncs.fold ufuncs.scan workshop.python_number
""".split())
# Those that must look at numbers, and so wait for the device.
WAITING: set = set("""
    np.lib.scimath.arccos np.lib.scimath.arcsin np.lib.scimath.arctanh np.lib.scimath.log np.lib.scimath.log10 np.lib.scimath.log2 np.lib.scimath.logn
    np.lib.scimath.power np.lib.scimath.sqrt np.linalg.cond np.nanquantile np.polydiv np.polymul np.quantile shaping.getitem workshop.python_number
""".split())


def on_device(case, fn):
    "The adjoints of the arguments on the device, for each result of the case."
    arrays = case.arrays(np.float32)
    tensors, expected = [Tensor(to_device(x)) for x in arrays], outputs(case.call(*arrays))
    ys = outputs(case.call(*tensors))
    assert all(isinstance(y.value, Device) for y in ys), case
    got = [gradients(y, tensors, to_device(adjoint_for(y0))) for y, y0 in zip(ys, expected)]
    for y, y0 in zip(ys, expected):
        for x in gradients(y, tensors, to_device(adjoint_for(y0)), create_graph=True):
            if isinstance(x, Tensor): gradients(x, tensors, x.value)
    return got


@pytest.mark.exhaustive
@pytest.mark.parametrize("fn", [pytest.param(fn, id=name_of(fn)) for fn in table])
@pytest.mark.filterwarnings("ignore")
def test_every_rule_on_the_stand_in(fn):
    told, waited, done = [], False, 0
    for case in table[fn]:
        gpu_stand_in.waits.clear()
        try: results = on_device(case, fn)
        except (TypeError, NotImplementedError, AttributeError) as error:
            told.append(f"{type(error).__name__}: {error}")
            continue
        waited |= bool(gpu_stand_in.waits)
        for got, expected in zip(results, pulled(case.call, case.arrays(np.float32))[1], strict=True):
            for g, adjoint in zip(got, expected):
                assert isinstance(g, Device) and g.shape == adjoint.shape and g.dtype == adjoint.dtype, case
                np.testing.assert_allclose(g.held, adjoint, rtol=1e-4, atol=1e-5, err_msg=str(case))
        done += 1
    assert bool(told) == (name_of(fn) in NOT_ON_DEVICE), told or "it runs now: bring NOT_ON_DEVICE up to date"
    assert waited == (name_of(fn) in WAITING), "bring WAITING up to date"
    if not done: pytest.skip(told[0][:300])


# --- the benchmark for a GPU, as far as it can be tried without one ---------------------------------------------------

def benchmark(name):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def without_waiting():
    before = len(gpu_stand_in.waits)
    yield
    assert len(gpu_stand_in.waits) == before, "the host waited for the device"


def to_host(x): return x.get() if isinstance(x, Device) else np.asarray(x)


def test_the_gpu_benchmark_runs_on_the_stand_in():
    gpu = benchmark("gpu")
    report = gpu.report_on(to_device, to_host, gpu.host_clock, without_waiting, sizes=(6, 5, 4, 3), batch=16, steps=2, rounds=2)
    assert report["ratio"] is None and report["seconds_of_a_step"].keys() == {"autodiffnb"} and report["waits_in_a_step"] == 0
    assert all(difference < 1e-5 for difference in report["differences"]["autodiffnb"].values())
    assert json.dumps(report)


def test_the_gpu_benchmark_notices_a_step_that_waits():
    gpu = benchmark("gpu")
    layers, step = gpu.ours(to_device, (6, 3), 4)
    with pytest.raises(AssertionError, match="waited"), without_waiting(): float(step(layers)[0])


def test_the_gpu_benchmark_descends_and_compares():
    gpu = benchmark("gpu")
    layers, step = gpu.ours(np.asarray, (6, 5, 3), 32)
    first = float(step(layers)[0])
    assert float(step(gpu.repeat(step, layers, 30))[0]) < first
    wrong = [[(g * 1.5 for g in layer) for layer in step(layers)[1]]][0]
    expected = gpu.on_host((6, 5, 3), 32)
    assert gpu.compared((first, [list(layer) for layer in wrong]), expected, np.asarray)["gradients"] > 0.4
    seconds, ratio = gpu.turns({"a": lambda: None, "b": lambda: None}, lambda block: block() or 2.0, 3, ("a", "b"))
    assert seconds == {"a": 2.0, "b": 2.0} and ratio == 1.0


def test_pytorchs_step_of_the_gpu_benchmark_is_the_same(monkeypatch):
    "PyTorch on the host stands for PyTorch on a GPU."
    torch, gpu = pytest.importorskip("torch"), benchmark("gpu")
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self.clone())
    report = gpu.report_on(np.asarray, np.asarray, gpu.host_clock, contextlib.nullcontext, (6, 5, 3), 16, 1, 1, torch)
    assert max(report["differences"]["torch"].values()) < 1e-5 and report["ratio"] > 0


def test_the_sparse_benchmark():
    report = benchmark("sparse_products").measured(rows=300, columns=200, density=0.01, rounds=2)
    assert report["agree"] and report["numbers"] == 600 and report["ratio_to_two_products"] > 0
    stored = json.loads((ROOT / "benchmarks" / "results" / "sparse.json").read_text())
    assert stored["agree"] and stored.keys() == report.keys() and stored["peak_bytes_of_a_step"] < stored["bytes_of_the_matrix"]


# --- sparse -----------------------------------------------------------------------------------------------------------

scipy_sparse = pytest.importorskip("scipy.sparse")
DENSE = np.where(RNG.random((6, 4)) < 0.4, RNG.normal(size=(6, 4)), 0.0)
MATRICES = [getattr(scipy_sparse, f"{format}_{kind}") for kind in ("array", "matrix") for format in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")]
WITHOUT_ROWS = {scipy_sparse.coo_array, scipy_sparse.coo_matrix, scipy_sparse.bsr_array, scipy_sparse.bsr_matrix, scipy_sparse.dia_array, scipy_sparse.dia_matrix}
PRODUCTS = {
    "S @ w": (lambda S, w: S @ w, (4,)), "S @ W": (lambda S, w: S @ w, (4, 3)), "S @ stack": (lambda S, w: S @ w, (2, 4, 3)), "w @ S": (lambda S, w: w @ S, (6,)),
    "W @ S": (lambda S, w: w @ S, (3, 6)), "stack @ S": (lambda S, w: w @ S, (2, 3, 6)), "S.T @ W": (lambda S, w: S.T @ w, (6, 2)), "np.matmul": (np.matmul, (4, 2)), "np.dot": (np.dot, (4, 3)),
    "np.dot of a vector": (np.dot, (4,)), "np.dot from the left": (lambda S, w: np.dot(w, S), (2, 6)), "tensordot": (lambda S, w: np.tensordot(S, w, 1), (4, 2, 3)), "tensordot 0 0": (lambda S, w: np.tensordot(S, w, ((0,), (0,))), (6, 3)),
    "tensordot 1 2": (lambda S, w: np.tensordot(S, w, ((1,), (2,))), (2, 3, 4)), "tensordot from the left": (lambda S, w: np.tensordot(w, S, ((0,), (1,))), (4, 2)), "rows": (lambda S, w: S[1:4] @ w, (4, 2)),
    "wide": (lambda S, w: S @ w, (4, 1)), "no columns": (lambda S, w: S @ w, (4, 0)), "no rows": (lambda S, w: S[:0] @ w, (4, 3)), "rows again": (lambda S, w: S[[0, 0, 5]] @ w, (4,)),
    "S.mT @ w": (lambda S, w: S.mT @ w, (6,)), "np.transpose": (lambda S, w: np.transpose(S, (-1, 0)) @ w, (6,)), "the same order": (lambda S, w: np.transpose(S, (0, 1)) @ w, (4,)),
    "np.permute_dims": (lambda S, w: np.permute_dims(S, (1, 0)) @ w, (6, 2)), "np.matrix_transpose": (lambda S, w: np.matrix_transpose(S) @ w, (6, 2)), "np.swapaxes": (lambda S, w: np.swapaxes(S, 0, -1) @ w, (6,)),
    "swapped with itself": (lambda S, w: np.swapaxes(S, 1, -1) @ w, (4,)),
}


@pytest.mark.parametrize("kind", MATRICES, ids=lambda k: k.__name__)
@pytest.mark.parametrize("call, shape", PRODUCTS.values(), ids=PRODUCTS)
def test_products_with_a_sparse_matrix_are_those_with_a_dense_one(kind, call, shape, monkeypatch):
    for name in ("toarray", "todense"): monkeypatch.setattr(kind, name, lambda self: pytest.fail("it was made dense"))
    S, w = Sparse(kind(DENSE)), RNG.normal(size=shape)
    t, d = Tensor(w), Tensor(w)
    try: y, expected = call(S, t), call(DENSE, d)
    except TypeError as error:
        assert kind in WITHOUT_ROWS and f"rows: SciPy takes none of a {kind.__name__}; Sparse(X.tocsr()) has rows" in str(error)
        return
    assert type(y.value) is np.ndarray
    g = adjoint_for(expected.value)
    np.testing.assert_allclose(y.value, expected.value, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(gradients(y, t, g), gradients(expected, d, g), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(call(S, w), call(DENSE, w), rtol=1e-13, atol=1e-14)


def test_regression_on_a_sparse_matrix_with_second_derivatives_and_minibatches():
    S = Sparse(scipy_sparse.csr_array(DENSE))
    for rows in (slice(None), slice(2, 5), np.array([0, 3, 5])):
        value, grads = value_and_grad(price)(SHALLOW, S[rows], LABELS[rows])
        expected, expected_grads = value_and_grad(price)(SHALLOW, DENSE[rows], LABELS[rows])
        np.testing.assert_allclose(value, expected, rtol=1e-14)
        for k in SHALLOW: np.testing.assert_allclose(grads[k], expected_grads[k], rtol=1e-13, atol=1e-15)
    v = {k: np.cos(p) for k, p in SHALLOW.items()}
    got, expected = [hvp(lambda p: price(p, data, LABELS), (SHALLOW,), (v,))[0] for data in (S, DENSE)]
    for k in v: np.testing.assert_allclose(got[k], expected[k], rtol=1e-12, atol=1e-14)
    model = autodiffnb.SoftmaxRegression(4, 3)
    np.testing.assert_allclose(model(S).value, model(DENSE).value, rtol=1e-5, atol=1e-6)


def test_rows_of_a_sparse_matrix_are_whole_numbers():
    S = Sparse(scipy_sparse.csr_array(DENSE))
    for rows in (np.array([1.7]), np.array([1.0, 0.0]), [0.0], (slice(None), np.array([0.5]))):
        with pytest.raises(TypeError, match="rows: expected a slice, or an array of whole numbers or booleans"): S[rows]
    assert S[[1, 2]].shape == S[1:3].shape == (2, S.shape[1]) and S[[]].shape == (0, S.shape[1])


def test_one_row_of_a_coo_array_keeps_its_axis():
    for shape in ((1, 4), (4, 1), (1, 1)):
        S, v, u = Sparse(scipy_sparse.coo_array(np.ones(shape))), np.arange(1.0, shape[1] + 1), np.arange(1.0, shape[0] + 1)
        np.testing.assert_array_equal((S @ Tensor(v)).value, np.ones(shape) @ v)
        np.testing.assert_array_equal((Tensor(u) @ S).value, u @ np.ones(shape))
        np.testing.assert_array_equal(gradients((S @ (t := Tensor(v))).sum(), t), np.full(shape[1], shape[0]))


def test_what_is_not_for_a_sparse_matrix_says_so():
    S = Sparse(scipy_sparse.csr_array(np.eye(3)))
    np.testing.assert_array_equal(S @ [1.0, 2.0, 3.0], [1, 2, 3])
    with pytest.raises(TypeError, match="two Sparse have no product"): S @ scipy_sparse.csr_array(np.eye(3))
    with pytest.raises(TypeError, match="np.reduce of a Sparse"): np.add.reduce(S)
    with pytest.raises(ValueError, match="B has 0 axes"): S @ Tensor(2.0)
    with pytest.raises(ValueError, match="axes"): np.transpose(S, (0, 0))
    with pytest.raises(ValueError, match="axis"): np.swapaxes(S, 0, 5)
    for call in (lambda t: S @ t, lambda t: t @ S):
        with pytest.raises(TypeError, match="a Sparse times a lazy array"): call(Tensor(da.ones(3, chunks=2)))


def test_float32_stays_float32_with_a_sparse_matrix():
    S, t = Sparse(scipy_sparse.csr_array(DENSE.astype(np.float32))), Tensor(W.astype(np.float32))
    assert (S @ t).dtype == gradients((S @ t).sum(), t).dtype == np.float32 == S.dtype


def test_what_dask_does_otherwise_is_refused_or_put_right():
    wide, small = da.from_array(np.arange(15.0).reshape(3, 5), chunks=((2, 1), 5)), da.from_array(2 * np.eye(3, dtype=np.float32), chunks=3)
    with pytest.raises(TypeError, match="one block of rows"): np.linalg.qr(Tensor(wide))
    Q, R = np.linalg.qr(Tensor(wide.rechunk(5)))
    np.testing.assert_allclose((Q @ R).value.compute(), wide.compute(), atol=1e-12)
    assert np.linalg.inv(Tensor(small)).value.dtype == np.linalg.inv(Tensor(small)).value.compute().dtype == np.float32
    with dask.config.set(scheduler=lambda *args, **params: pytest.fail("computed")):
        with pytest.raises(TypeError, match="q= is a lazy array"): np.quantile(Tensor(np.arange(4.0)), da.ones(1, chunks=1) / 2)
        with pytest.raises(TypeError, match="np.real_if_close of a Tensor: Dask"): np.real_if_close(Tensor(wide + 0j))
        assert np.real_if_close(Tensor(wide)).shape == (3, 5)
    unknown = Tensor(wide[:, 0][wide[:, 0] > 1])
    with pytest.raises(TypeError, match="compute_chunk_sizes"): len(unknown)
    with pytest.raises(ValueError, match="compute_chunk_sizes"): np.einsum("i,i", unknown, np.ones(2))


@pytest.mark.parametrize("kind", MATRICES, ids=lambda k: k.__name__)
def test_a_sparse_matrix_as_it_is_works_or_raises_and_is_never_wrong(kind):
    raw, t = kind(DENSE), Tensor(W)
    for call in (np.matmul, np.dot, lambda X, w: np.tensordot(X, w, 1), lambda X, w: autodiffnb.tensorcontract(X, w, 1)):
        np.testing.assert_allclose(call(raw, t).value, DENSE @ W, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(gradients(call(raw, t), t, np.ones((6, 3))), DENSE.T @ np.ones((6, 3)), rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose((Tensor(W.T) @ kind(DENSE.T)).value, (DENSE @ W).T, rtol=1e-13, atol=1e-14)
    with pytest.raises(TypeError, match=r"Sparse\(X\) @ t"): raw @ t
    with pytest.raises(TypeError, match="products only"): t[:, 0] * raw
    with pytest.raises(TypeError, match="products only"): np.add(raw, t[:, 0])
    with pytest.raises(TypeError, match=r"autodiffnb.Sparse\(x\) @ t"): Tensor(raw)
    with pytest.raises(TypeError, match="np.sum of a Sparse"): np.sum(Sparse(raw))
    with pytest.raises(TypeError, match="np.reshape of a Sparse"): autodiffnb.CNN(image=(2, 2, 1), layers=[autodiffnb.convolution.Layer(1, 1)]).predict(kind(np.eye(4)))


def test_what_is_compiled_may_reach_a_sparse_matrix():
    "It is not compiled then, and gives what it would"
    S, other = Sparse(scipy_sparse.csr_array(DENSE)), scipy_sparse.csc_array(DENSE)
    for call in (lambda w: S @ w, lambda w: w.T @ S.T, lambda w: np.tensordot(S, w, 1), lambda w: np.matmul(other, w)):
        f = value_and_grad(lambda w: np.sum(np.tanh(call(w)) ** 2))
        compiled = autodiffnb.compile(f)
        for k in range(4):
            got, expected = compiled(k * W), f(k * W)
            assert got[0] == expected[0] and np.array_equal(got[1], expected[1])


@pytest.mark.parametrize("rows", [2, np.int64(2), (slice(None), 1), (1, 2)], ids=str)
def test_a_single_row_is_refused_in_every_format(rows):
    for kind in MATRICES:
        with pytest.raises(TypeError, match="rows: expected a slice, or an array"): Sparse(kind(DENSE))[rows]


def test_a_sparse_matrix_is_no_leaf():
    S = Sparse(scipy_sparse.csr_array(DENSE))
    for call in (lambda: Tensor(S), lambda: grad(lambda S: np.sum(S @ W))(S), lambda: value_and_grad(price, argnums=1)(SHALLOW, S, LABELS)):
        with pytest.raises(TypeError, match="got a Sparse, whose adjoint would be dense"): call()


def test_errors_of_sparse():
    S = Sparse(scipy_sparse.csr_array(DENSE))
    for dense in (DENSE, Tensor(DENSE)):
        with pytest.raises(TypeError, match="expected a sparse matrix of two axes, got (ndarray|Tensor)"): Sparse(dense)
    assert repr(S) == f"<Sparse float64 of shape (6, 4), {np.count_nonzero(DENSE)} numbers>" and len(S) == 6 and S.size == 24 and Sparse(S).matrix is S.matrix
    with pytest.raises(TypeError, match="two axes.*shape \\(3,\\)"): Sparse(b)
    with pytest.raises(TypeError, match="two axes.*list"): Sparse([1, 2])
    with pytest.raises(TypeError, match="dense"): np.asarray(S)
    with pytest.raises(TypeError, match="two Sparse"): np.matmul(S, S.T)
    with pytest.raises(TypeError, match="one axis"): np.tensordot(S, Tensor(DENSE), 2)
    with pytest.raises(TypeError, match="multiply of a Sparse"): S * Tensor(DENSE)
    with pytest.raises(ValueError): S @ Tensor(b)


def in_a_process(code):
    "What `code` prints, in a Python of its own: `sparse` brings numba, which takes seconds to import."
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()


@pytest.mark.skipif(not importlib.util.find_spec("sparse"), reason="sparse is not installed")
def test_arrays_of_the_library_sparse():
    assert in_a_process("""
import numpy as np, sparse, autodiffnb
from autodiffnb import Sparse, Tensor, gradients, tensorcontract
D = np.where(np.random.default_rng(0).random((6, 4)) < 0.4, 1.5, 0.0); W = np.arange(12.0).reshape(4, 3)
for X in (sparse.COO.from_numpy(D), sparse.GCXS.from_numpy(D)):
    t = Tensor(W)
    for y in (Sparse(X) @ t, tensorcontract(X, t, 1)): print(np.allclose(y.value, D @ W) and np.allclose(gradients(y, t, np.ones((6, 3))), D.T @ np.ones((6, 3))))
    for wrong in (lambda: Tensor(X), lambda: np.add(t[:, 0], X), lambda: X @ t, lambda: np.tensordot(X, t, 1)):
        try: wrong()
        except Exception: print("raises")
""") == ["True", "True", "raises", "raises", "raises", "raises"] * 2


# --- masked, named ----------------------------------------------------------------------------------------------------

def test_masked_arrays_and_matrices_are_refused_wherever_they_arrive():
    t = Tensor(b)
    for x, match in ((np.ma.masked_less(b, 0), "filled"), (np.matrix(np.eye(3)), "np.asarray")):
        for call in (lambda: Tensor(x), lambda: t * x, lambda: np.add(x, t), lambda: np.dot(x, t), lambda: np.tensordot(x, t, 1), lambda: t @ x):
            with pytest.raises(TypeError, match=match): call()


NAMED = {
    "w * X": lambda xr, X, w: w * X, "X * w": lambda xr, X, w: X * w, "sum": lambda xr, X, w: (X * w).sum("feature"), "mean": lambda xr, X, w: (X * w ** 2).mean("row"), "std": lambda xr, X, w: (X * w).std("feature"),
    "max": lambda xr, X, w: (X * w).max("feature"), "exp": lambda xr, X, w: np.exp(w), "isel": lambda xr, X, w: w.isel(feature=[2, 0]), "sel": lambda xr, X, w: w.sel(feature="b"), "dot": lambda xr, X, w: xr.dot(X, w, dim="feature"),
    "X @ w": lambda xr, X, w: X @ w, "transpose": lambda xr, X, w: (X * w).transpose("feature", "row"), "where": lambda xr, X, w: w.where(X > 0, 0.0), "concat": lambda xr, X, w: xr.concat([w, w * 2], "k"),
    "cumsum": lambda xr, X, w: w.cumsum("feature"), "alignment": lambda xr, X, w: X.isel(feature=[2, 1, 0]) * w, "median": lambda xr, X, w: (X * w).median("feature"), "groupby": lambda xr, X, w: (X * w).groupby("feature").sum(),
    "broadcast": lambda xr, X, w: xr.broadcast(X, w)[1], "diff": lambda xr, X, w: w.diff("feature"), "shift": lambda xr, X, w: w.shift(feature=1, fill_value=0.0), "clip": lambda xr, X, w: w.clip(0, 1),
}


@pytest.mark.parametrize("call", NAMED.values(), ids=NAMED)
@pytest.mark.filterwarnings("ignore")
def test_a_tensor_inside_an_xarray(call):
    xr = pytest.importorskip("xarray", exc_type=ImportError)
    X_ = xr.DataArray(X[:, :3], dims=("row", "feature"), coords={"feature": list("abc")})
    def of(w):
        y = call(xr, X_, xr.DataArray(w, dims="feature", coords={"feature": list("abc")})).data
        return np.sum(y * np.cos(np.arange(y.size)).reshape(y.shape))
    autodiffnb.check_grads(of, order=2)(b)


def test_an_xarray_or_a_pandas_table_as_a_leaf_is_refused_with_advice():
    xr = pytest.importorskip("xarray", exc_type=ImportError)
    named = xr.DataArray(b, dims="feature")
    for call in (lambda: Tensor(named), lambda: Tensor(b) * named, lambda: grad(lambda w: (w * w).sum())(named)):
        with pytest.raises(TypeError, match=r"xr.DataArray\(Tensor\(x.data\)"): call()
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    for table in (pd.Series(b), pd.DataFrame(X)):
        with pytest.raises(TypeError, match="to_numpy"): Tensor(table)
        with pytest.raises(TypeError, match="to_numpy"): Tensor(b) * table


MADE = {np.arange: (3,), np.zeros: (3,), np.ones: ((2, 3),), np.empty: (3,), np.full: (3, 2.0), np.tri: (3,)}    # da.eye does not take what np.eye(like=) hands it

@pytest.mark.parametrize("fn", MADE, ids=lambda f: f.__name__)
def test_what_is_made_like_a_tensor_is_of_its_kind(fn):
    lazy, host = (fn(*MADE[fn], like=Tensor(x)) for x in (da.ones(3), np.ones(3)))
    assert isinstance(lazy, da.Array) and type(host) is np.ndarray and lazy.shape == host.shape and lazy.dtype == host.dtype
    if fn is not np.empty: np.testing.assert_array_equal(lazy.compute(), host)


def test_full_like_a_lazy_tensor_keeps_the_history_of_its_number():
    t = Tensor(2.0)
    assert gradients(np.sum(np.full((3,), t, like=Tensor(da.ones(3)))), t) == 3.0
