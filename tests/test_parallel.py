"""Shards: the whole batch to rounding, the same bits from everybody, and no worker's death, silence or error that goes unnoticed."""
import contextlib, json, os, pickle, signal, subprocess, sys, threading, time
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import autodiffnb as ad
from autodiffnb.parallel import Job, Total, joined, rows, slots
from autodiffnb.training import MLP, SoftmaxRegression, fit

rng = np.random.default_rng(0)
X, LABELS = rng.normal(size=(403, 20)).astype(np.float32), rng.integers(0, 5, 403)
PARAMS = dict(W=0.1 * rng.normal(size=(20, 5)).astype(np.float32), b=np.zeros(5, np.float32))

def loss(p, X, t): return ad.cross_entropy(X @ p["W"] + p["b"], t)
def raising(p, X, t):
    if 7 in X[:, 0]: raise ArithmeticError("the seven")
    return loss(p, X, t)
def count(p, X): return X.sum()

price = ad.value_and_grad(loss)

def bits(tree): return pickle.dumps([np.asarray(x).tobytes() for x in ad.check.tree_leaves(tree).values()])

def trained(step, shards, steps=15, after=lambda k: None):
    "Every loss of a plain descent, and the bits of the weights at its end"
    p, losses = dict(PARAMS), []
    for k in range(steps):
        value, grads = step(p, shards)
        p = {name: x - np.float32(0.5) * grads[name] for name, x in p.items()}
        losses.append(float(value))
        after(k)
    return losses, bits(p)


# ---- the sum

@given(st.lists(st.tuples(st.integers(0, 9), st.floats(-1e3, 1e3)), min_size=1, max_size=40), st.randoms(), st.integers(1, 6))
@settings(deadline=None)
def test_neither_order_nor_who_has_what_changes_a_bit(parts, random, workers):
    parts = [None if n == 0 else (n, v) for n, v in parts]
    alone = Total(len(parts))
    for i, part in enumerate(parts): alone.put(0, i, part)
    owner, order = [random.randrange(workers) for _ in parts], random.sample(range(len(parts)), len(parts))
    totals = [Total(len(parts)) for _ in range(workers)]
    for i in order: totals[owner[i]].put(0, i, parts[i])
    asked = Total(len(parts))
    for total in random.sample(totals, workers):
        for node, part in total.parts.items(): asked.put(*node, part)
    assert asked.parts == alone.parts and len(alone.parts) == 1
    [whole] = alone.parts.values()
    if not any(parts): assert whole is None
    else:
        n, v = np.array([part for part in parts if part]).T
        assert whole[0] == n.sum() and np.isclose(whole[1], (n * v).sum() / n.sum(), rtol=1e-12, atol=1e-9)


def test_a_tree_keeps_its_form_dtypes_and_settings():
    part = joined((1, dict(w=np.ones(2, np.float32), f=np.tanh, none=None, x=[2.0])), (3, dict(w=np.zeros(2, np.float32), f=np.tanh, none=None, x=[6.0])))
    assert part[0] == 4 and part[1]["w"].dtype == np.float32 and part[1]["w"].tolist() == [0.25, 0.25] and part[1]["x"] == [5.0]
    assert part[1]["f"] is np.tanh and part[1]["none"] is None
    assert joined((None, 2), (None, 3)) == (None, 5)


@given(st.integers(1, 50), st.lists(st.integers(1, 4), min_size=1, max_size=6))
def test_slots_are_neighbours_in_proportion_to_threads(n, threads):
    at = slots(n, dict(enumerate(threads)))
    assert at == sorted(at) and all(abs(at.count(k) - n * t / sum(threads)) < t + 1 for k, t in enumerate(threads))


# ---- here and in pools

@pytest.mark.parametrize("shards", [1, 2, 3, 8, 13])
def test_it_is_the_whole_batch_to_rounding(shards):
    value, grads = ad.data_parallel(price)(PARAMS, ad.split_rows(X, LABELS, shards=shards))
    whole_value, whole = price(PARAMS, X, LABELS)
    assert np.isclose(value, whole_value, rtol=1e-6) and grads["W"].dtype == np.float32
    assert all(np.abs(grads[name] - whole[name]).max() < 1e-6 for name in whole)
    if shards == 1: assert bits((value, grads)) == bits((whole_value, whole))


@pytest.mark.parametrize("f", [price, ad.compile(price)], ids=["tape", "compiled"])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_give_the_same_bits(f, workers):
    shards = ad.split_rows(X, LABELS, shards=7)
    with ThreadPoolExecutor(workers) as pool: assert trained(ad.data_parallel(f, pool), shards) == trained(ad.data_parallel(price), shards)


def test_a_step_inside_its_own_pool_does_not_wait_for_itself():
    shards = ad.split_rows(X, LABELS, shards=3)
    with ThreadPoolExecutor(1) as pool:
        step = ad.data_parallel(price, pool)
        future = pool.submit(step, PARAMS, shards)
        try: assert bits(future.result(timeout=60)) == bits(ad.data_parallel(price)(PARAMS, shards))
        finally: pool.shutdown(wait=False, cancel_futures=True)     # or the task would be waited for at the end


@pytest.mark.parametrize("fork", ["spawn"])
def test_processes_too(fork):
    pytest.importorskip("cloudpickle")
    import multiprocessing
    shards = ad.split_rows(X, LABELS, shards=3)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(fork)) as pool:
        step = ad.data_parallel(price, pool)
        assert bits(step(PARAMS, shards)) == bits(ad.data_parallel(price)(PARAMS, shards))
        with pytest.raises(ArithmeticError) as e: ad.data_parallel(ad.value_and_grad(raising), pool)(PARAMS, [(X, LABELS), (np.full((1, 20), 7.0), LABELS[:1])])
        assert e.value.__notes__[0] == "in shard 1 of 2" and "raising" in str(e.value.__cause__)


def test_strided_and_unaligned_arrays_give_the_bits_of_their_copies():
    raw = np.empty(X.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(X.dtype).reshape(X.shape)
    unaligned[...] = X
    strided = np.repeat(X, 2, axis=1)[:, ::2]
    assert not unaligned.flags.aligned and not strided.flags.c_contiguous
    for x in (unaligned, strided): assert bits(ad.data_parallel(price)(PARAMS, [(x, LABELS)])) == bits(price(PARAMS, X, LABELS))


def test_sums_weights_and_other_functions():
    shards = ad.split_rows(X, shards=4)
    assert np.isclose(ad.data_parallel(count, weight=None)(None, shards), X.sum(dtype=np.float64), rtol=1e-4)
    own = ad.data_parallel(lambda p, x, w: np.sum(x[:, 0] * w) / w.sum(), weight=lambda x, w: float(w.sum()))
    w = rng.random(403)
    assert np.isclose(own(None, ad.split_rows(X, w, shards=5)), np.sum(X[:, 0] * w) / w.sum())
    v = {name: np.ones_like(p) for name, p in PARAMS.items()}
    assert ad.data_parallel(price, weight=lambda X, t: np.float64(len(t)))(PARAMS, shards_of_both := ad.split_rows(X, LABELS, shards=3))[1]["W"].dtype == np.float32
    assert bits(ad.data_parallel(price, weight=lambda X, t: np.int64(len(t)))(PARAMS, shards_of_both)) == bits(ad.data_parallel(price)(PARAMS, shards_of_both))
    hvp = lambda pv, X, t: ad.hvp(lambda p: loss(p, X, t), (pv[0],), (pv[1],))
    assert np.allclose(ad.data_parallel(hvp)((PARAMS, v), ad.split_rows(X, LABELS, shards=3))[0]["W"], hvp((PARAMS, v), X, LABELS)[0]["W"], atol=1e-6)


def test_aux_is_averaged_too():
    f = ad.value_and_grad(lambda p, X, t: (loss(p, X, t), ad.accuracy(X @ np.asarray(PARAMS["W"]), t)), has_aux=True)
    (_, right), _ = ad.data_parallel(f)(PARAMS, ad.split_rows(X, LABELS, shards=6))
    assert np.isclose(right, ad.accuracy(X @ PARAMS["W"], LABELS))


def test_futures_and_empty_shards():
    future = Future()
    future.set_result((X[:100], LABELS[:100]))
    inside = Future()
    inside.set_result(LABELS[100:])
    got = ad.data_parallel(price)(PARAMS, [future, (X[:0], LABELS[:0]), (X[100:], inside)])
    assert np.isclose(got[0], price(PARAMS, X, LABELS)[0], rtol=1e-6)


class Pair(Exception):
    "Can be sent, but not made again: `pickle` calls it with one argument"
    def __init__(self, a, b): super().__init__(a)

def reordered(p, x): return dict(a=x.mean(), b=10 * x.mean()) if len(x) > 2 else dict(b=10 * x.mean(), a=x.mean())
def row_by_row(p, x): return x.mean(), x
def lock(p, x): return threading.Lock()

@pytest.mark.parametrize("cut", [1, 2, 5])
def test_results_are_joined_by_name_and_must_have_the_same_form(cut):
    x = np.arange(10.0)
    pieces = [(x[:cut],), (x[cut:],)]
    assert ad.data_parallel(reordered)(None, pieces) == pytest.approx(dict(a=4.5, b=45.0))
    if cut != 5:     # with rows alike nobody can know
        with pytest.raises(ValueError, match=rf"same form for all shards.* result\[1\] is \({cut},\) for some and \({10 - cut},\) for others"): ad.data_parallel(row_by_row)(None, pieces)
    with pytest.raises(ValueError, match=r"result\['1'\] is \(\) for some and missing for others"): ad.data_parallel(lambda p, x: {str(x[0] > 0 or 1): 1.0})(None, [(x[:0] + 1, ), (x[:1],), (x[1:],)])


def test_small_integers_as_weights_do_not_overflow():
    pieces = [(np.full(1, v),) for v in (1.0, 2.0, 6.0)]
    assert ad.data_parallel(lambda p, x: x[0], weight=lambda x: np.uint8(200))(None, pieces) == pytest.approx(3.0)
    assert ad.data_parallel(lambda p, x: x[0], weight=lambda x: np.array(2.0))(None, pieces) == pytest.approx(3.0)


@pytest.mark.parametrize("n", [None, np.ones(3), "3", np.nan, np.inf, -1, np.float32(-1)], ids=str)
def test_a_weight_that_is_none_is_refused(n):
    with pytest.raises(ValueError, match="weight: expected a number of 0 or more for each shard, got"): ad.data_parallel(count, weight=lambda x: n)(None, [(X,), (X,)])


@pytest.mark.parametrize("x", [[1.0, 2.0], np.float64(3.0), 3.0], ids=str)
def test_arrays_without_rows_need_a_weight(x):
    with pytest.raises(TypeError, match="shards: expected arrays with rows, got .*`weight`"): ad.data_parallel(lambda p, x: np.mean(x))(None, [(x,)])
    assert ad.data_parallel(lambda p, x: np.mean(x), weight=lambda x: 1)(None, [(x,)]) == np.mean(x)


def test_iterators():
    step = ad.data_parallel(lambda p, x, k: x.mean() * k)
    shards = iter([(X[:3],), (X[3:],)])
    assert np.isclose(step(None, shards, (k for k in (2.0, 2.0))), 2 * X.mean(dtype=float), rtol=1e-5)
    with pytest.raises(ValueError, match="shards: expected at least one, got none .an iterator"): step(None, shards, [1])
    with pytest.raises(TypeError, match="each: expected a list with a value for each shard, got int"): step(None, [(X,)], 3)


def test_a_future_that_failed_says_which_shard():
    future = Future()
    future.set_exception(OSError("no such file"))
    with pytest.raises(OSError, match="no such file") as e: ad.data_parallel(price)(PARAMS, [(X, LABELS), future])
    assert e.value.__notes__ == ["while shard 1 was brought here"]


def test_delayed_shards_are_in_memory_one_at_a_time():
    dask, alive, most = pytest.importorskip("dask"), [0], [0]
    class Counted(np.ndarray):
        def __del__(self): alive[0] -= self.base is None
    def load(i):
        alive[0] += 1
        return (np.full((4, 2), float(i)).view(Counted).copy(),)
    def mean(p, x):
        most[0] = max(most[0], alive[0])
        return float(x.mean())
    with ThreadPoolExecutor(2) as pool:
        for executor, limit in ((None, 1), (pool, 4)):
            most[0] = 0
            assert ad.data_parallel(mean, executor)(None, [dask.delayed(load)(i) for i in range(20)]) == 9.5 and 1 <= most[0] <= limit
    with pytest.raises(ZeroDivisionError) as e: ad.data_parallel(mean)(None, [dask.delayed(lambda: 1 / 0)()])
    assert e.value.__notes__ == ["in shard 0 of 1"]
    with pytest.raises(TypeError, match="at position 0 came int"): ad.data_parallel(mean)(None, [dask.delayed(lambda: 1)()])


def test_delayed_shards_and_a_mixture():
    dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
    alone, x, t = ad.data_parallel(price)(PARAMS, [made(i) for i in range(4)]), da.from_array(X), LABELS
    assert bits(ad.data_parallel(price)(PARAMS, [dask.delayed(made)(i) for i in range(4)])) == bits(alone)
    assert bits(ad.data_parallel(price)(PARAMS, [tuple(map(dask.delayed, made(i))) for i in range(4)])) == bits(alone)
    for mixed in ((x, t), [x, t]):
        with pytest.raises(TypeError, match="shards: expected Dask arrays only, or tuples of arrays only; got Array, ndarray"): ad.data_parallel(price)(PARAMS, mixed)


def test_blocks_of_unknown_length():
    da = pytest.importorskip("dask.array")
    x, t = da.from_array(X, chunks=(100, 20)), da.from_array(LABELS, chunks=100)
    for chosen in (LABELS > 0, X[:, 0] > 2.5):       # the second leaves blocks without rows
        x_, t_ = x[da.from_array(chosen, chunks=100)], t[da.from_array(chosen, chunks=100)]
        assert np.isnan(x_.shape[0]) and np.isclose(ad.data_parallel(price)(PARAMS, (x_, t_))[0], price(PARAMS, X[chosen], LABELS[chosen])[0], rtol=1e-5)
    with pytest.raises(ValueError, match="same blocks of rows; they have .nan"): ad.data_parallel(price)(PARAMS, (x_, t))


def test_each_travels_with_the_step():
    step = ad.data_parallel(lambda p, X, t, take: price(p, X[take], t[take]), weight=lambda X, t, take: len(take))
    got = step(PARAMS, ad.split_rows(X, LABELS, shards=2), [[3, 4], [0]])
    assert np.isclose(got[0], price(PARAMS, X[[3, 4, 201]], LABELS[[3, 4, 201]])[0], rtol=1e-6)


def test_the_first_shards_error_is_raised_when_nobody_computes_any_more():
    running = []
    def slow(p, x):
        running.append(x)
        if x[0] == 1: time.sleep(0.2)
        running.remove(x)
        raise LookupError(int(x[0]))
    with ThreadPoolExecutor(3) as pool, pytest.raises(LookupError, match=r"^1\b") as e: ad.data_parallel(slow, pool)(0.0, [(np.array([k]),) for k in (1, 2, 3)])
    assert running == [] and e.value.__notes__ == ["in shard 0 of 3"]


@pytest.mark.parametrize("args, error, message", [
    ((3,), TypeError, "data_parallel: f: expected a function, got int"),
    ((price, "threads"), TypeError, "executor: expected None, a concurrent.futures.Executor or a dask.distributed.Client; got str"),
    ((price, 4), TypeError, "executor: expected None"),
])
def test_errors_of_the_maker(args, error, message):
    with pytest.raises(error, match=message): ad.data_parallel(*args)


@pytest.mark.parametrize("shards, each, error, message", [
    ([], (), ValueError, "shards: expected at least one, got none"),
    (None, (), TypeError, "shards: expected a list of tuples of arrays, got NoneType"),
    ((X, LABELS), (), TypeError, r"position 0 came ndarray. The whole batch as one shard is \[\(X, labels\)\]"),
    (X, (), TypeError, "position 0 came ndarray"),
    ("ab", (), TypeError, "shards: expected a list of tuples of arrays, got str"),
    (5, (), TypeError, "shards: expected a list"),
    ([(X[:0], LABELS[:0])], (), ValueError, "shards: expected at least one row, got none"),
    ([(X, LABELS)], ([1, 2],), ValueError, "each: expected 1 values, one for each shard; got 2"),
])
def test_errors_of_the_step(shards, each, error, message):
    with pytest.raises(error, match=message): ad.data_parallel(price)(PARAMS, shards, *each)


def test_a_tensor_among_the_parameters_is_refused():
    with pytest.raises(TypeError, match=r"params\['W'\]: expected an array, got a Tensor"): ad.data_parallel(price)(dict(PARAMS, W=ad.Tensor(PARAMS["W"])), [(X, LABELS)])
    with pytest.raises(ValueError, match="weight: expected a number of 0 or more"): ad.data_parallel(count, weight=lambda x: -1)(None, [(X,)])
    with pytest.raises(TypeError, match="weight: expected a function"): ad.data_parallel(count, weight=3)


@pytest.mark.parametrize("arrays, shards, error", [((X, LABELS[:5]), 2, ValueError), ((), 2, TypeError), ((3.0,), 2, TypeError), ((X,), 0, ValueError), ((X,), 404, ValueError), ((X,), "2", ValueError)])
def test_errors_of_split_rows(arrays, shards, error):
    with pytest.raises(error, match="arrays:|shards:"): ad.split_rows(*arrays, shards=shards)


@given(st.integers(1, 60), st.integers(1, 60))
def test_split_rows_gives_every_row_once(n, k):
    if k > n: return
    pieces = ad.split_rows(np.arange(n), shards=k)
    assert np.array_equal(np.concatenate([x for x, in pieces]), np.arange(n)) and {len(x) for x, in pieces} <= {n // k, n // k + 1}


def test_importing_brings_no_dask():
    code = "import sys, autodiffnb; autodiffnb.data_parallel(autodiffnb.value_and_grad(lambda w, x: (w*x).mean()))(1.0, [(autodiffnb.fashion_mnist(sample=True)[0],)]); print([m for m in ('dask', 'distributed', 'cloudpickle') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# ---- fit

@pytest.mark.parametrize("shuffle, batch", [(None, 403), (None, 50), (3, 64)])
def test_fit_gives_the_same_bits_in_any_pool_and_nearly_those_without(shuffle, batch):
    def run(**options):
        model = SoftmaxRegression(20, 5)
        rows = fit(model, (X, LABELS), epochs=2, batch_size=batch, optimizer=ad.Adam(model.params), shuffle=shuffle, progress=False, **options).rows
        return rows, bits({name: p.value for name, p in model.params.items()}), model.params["W"].value
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(3) as three: a, b = run(executor=one, shards=4), run(executor=three, shards=4)
    alone = run()
    assert a[:2] == b[:2] and np.allclose(a[2], alone[2], atol=1e-5) and np.isclose(a[0][-1]["train_loss"], alone[0][-1]["train_loss"], rtol=1e-5)


def test_fit_goes_on_from_a_checkpoint_and_refuses_other_shards(tmp_path):
    def run(epochs, shards=4, checkpoint=None):
        model = SoftmaxRegression(20, 5)
        with ThreadPoolExecutor(2) as pool:
            return fit(model, (X, LABELS), epochs=epochs, shuffle=1, executor=pool, shards=shards, checkpoint=checkpoint, progress=False).rows, bits({n: p.value for n, p in model.params.items()})
    run(1, checkpoint=tmp_path / "run.npz")
    with pytest.raises(ValueError, match="shards was 4 and is 2"): run(3, shards=2, checkpoint=tmp_path / "run.npz")
    assert run(3, checkpoint=tmp_path / "run.npz") == run(3)


def test_fit_says_what_does_not_go_with_an_executor():
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ValueError, match="compile: expected False with an executor"): fit(SoftmaxRegression(20, 5), (X, LABELS), epochs=1, executor=pool, compile=True)
        with pytest.raises(ValueError, match="shards: expected an integer from 1"): fit(SoftmaxRegression(20, 5), (X, LABELS), epochs=1, executor=pool, shards=0)
        model = SoftmaxRegression(20, 5)
        bad = X.copy()
        bad[17] = np.nan
        with pytest.raises(ValueError, match=r"train: expected finite numbers, got nan at index \(17, 0\)"): fit(model, (bad, LABELS), epochs=1, executor=pool, progress=False)
        with pytest.raises(ad.training.Diverged, match="a smaller learning rate may help"), np.errstate(all="ignore"):
            fit(model, (X, LABELS), epochs=3, optimizer=ad.SGD(model.params, 1e38), executor=pool, progress=False)
    with pytest.raises(TypeError, match="executor: expected None"): fit(SoftmaxRegression(20, 5), (X, LABELS), epochs=1, executor="pool", progress=False)


# ---- on a cluster

def slow(p, X, t):
    time.sleep(0.03)
    return loss(p, X, t)
def unsendable(lock): return lambda p, X, t: (lock, loss(p, X, t))[1]
def deadly(p, X, t):
    if multiprocessing_child(): os.kill(os.getpid(), signal.SIGKILL)
    return loss(p, X, t)
def deadly_shard(): os.kill(os.getpid(), signal.SIGKILL)
def made(i, n=4): return ad.split_rows(X, LABELS, shards=n)[i]
def multiprocessing_child():
    import multiprocessing
    return multiprocessing.parent_process() is not None

EIGHT = ad.split_rows(X, LABELS, shards=8)
def needs_kill(test): return pytest.mark.exhaustive(pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is of POSIX")(test))


@contextlib.contextmanager
def clusters():
    "A function that starts a cluster of processes and gives it with its client; all that it started are closed at the end"
    distributed = pytest.importorskip("distributed")
    import dask
    with contextlib.ExitStack() as opened:
        # a LocalCluster gives up a worker that is being started again for the second time when 15 s have passed since the first;
        # and of several clients that are closed in any order one leaves its scheduler behind, for every test that comes after
        opened.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": "1h", "scheduler": None}))
        def start(n=2, threads=1, **config):
            with dask.config.set({"distributed.comm.timeouts.connect": "30s", **config}):
                cluster = opened.enter_context(distributed.LocalCluster(n_workers=n, threads_per_worker=threads, dashboard_address=":0", silence_logs=50))
                return cluster, opened.enter_context(distributed.Client(cluster))
        yield start

@pytest.fixture
def start():
    with clusters() as start: yield start

@pytest.fixture(scope="module")
def client():
    with clusters() as start: yield start()[1]

def within(seconds, done):
    "Wait until `done()`"
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)

def pids(cluster):
    "The processes of workers that are up. One that dies while its nanny still starts it is not started again, which is Dask's way"
    return {nanny.worker_address: nanny.pid for nanny in cluster.workers.values() if nanny.process and nanny.process.status.name == "running" and nanny.worker_address in cluster.scheduler.workers}

def addresses(step): return [set(placed.at) for placed in step.cluster.placed.values()][-1]


def test_a_cluster_gives_the_same_bits_whatever_the_shards_are(client):
    dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
    alone = trained(ad.data_parallel(price), made_all := [made(i) for i in range(4)])
    step = ad.data_parallel(price, client)
    cuts = tuple(len(t) for _, t in made_all)
    blocks = da.from_array(X, chunks=(cuts, (7, 13))), da.from_array(LABELS, chunks=(cuts,))
    futures = [client.submit(made, i) for i in range(4)]
    pairs = [(client.submit(lambda s: s[0], f), client.submit(lambda s: s[1], f)) for f in futures]
    delayed = [dask.delayed(made)(i) for i in range(4)]
    for placed, shards in enumerate((made_all, futures, pairs, blocks, delayed), 1):
        assert trained(step, shards) == alone, placed
        assert len(step.cluster.placed) == min(placed, 4)       # once, and not at each step
    assert trained(step, client.persist(blocks)) == alone and trained(step, tuple(blocks)) == alone
    with ThreadPoolExecutor(2) as pool:
        for executor in (None, pool):
            for shards in (futures, blocks): assert trained(ad.data_parallel(price, executor), shards) == alone
    assert trained(ad.data_parallel(ad.compile(price), client), futures) == alone


def test_workers_with_threads_and_a_single_one_give_the_same_bits(start):
    _, one = start(1, threads=3)
    assert trained(ad.data_parallel(price, one), EIGHT) == trained(ad.data_parallel(price), EIGHT)


def test_a_step_sends_parameters_once_to_each_worker_and_gets_one_part(client):
    step = ad.data_parallel(price, client)
    P = sum(p.nbytes for p in PARAMS.values())
    step(PARAMS, EIGHT)
    step(PARAMS, EIGHT)
    assert len(addresses(step)) == 2
    assert 2 * P < step.traffic.sent < 2 * (P + 2000) and 2 * P < step.traffic.received < 2 * (P + 1000)
    big = ad.data_parallel(lambda p, x: p[:20] * x.mean(), client)
    for _ in range(2): big(np.zeros(10**6), ad.split_rows(X, shards=4))
    assert max(big.traffic) < 2 * 8.01e6 and min(big.traffic) > 2 * 100


def test_both_workers_have_half_of_the_shards(client):
    step = ad.data_parallel(price, client)
    step(PARAMS, EIGHT)
    [placed] = step.cluster.placed.values()
    assert placed.at == sorted(placed.at, key=placed.at.index) and [placed.at.count(a) for a in set(placed.at)] == [4, 4]


def test_an_error_on_a_worker_comes_with_its_traceback(client):
    step = ad.data_parallel(ad.value_and_grad(raising), client)
    shards = [(X, LABELS), (np.full((1, 20), 7.0), LABELS[:1])]
    with pytest.raises(ArithmeticError, match="^the seven") as e: step(PARAMS, shards)
    assert e.value.__notes__[0] == "in shard 1 of 2" and "on worker tcp" in e.value.__notes__[1] and 'raise ArithmeticError("the seven")' in e.value.__notes__[1]
    assert np.isclose(step(PARAMS, shards[:1])[0], price(PARAMS, X, LABELS)[0])


def raises_pair(p, X, t): raise Pair("one", "two")
def raises_locked(p, X, t):
    error = LookupError("with a lock")
    error.lock = threading.Lock()
    raise error
def raises_stop(p, X, t): return next(iter(()))
def raises_exit(p, X, t): sys.exit(3)
def raises_cancelled(p, X, t): raise CancelledError()

@pytest.mark.parametrize("f, error, message", [(raises_pair, RuntimeError, "^Pair: one"), (raises_locked, RuntimeError, "^LookupError: with a lock"), (raises_stop, StopIteration, None), (raises_exit, SystemExit, "3"),
                                               (raises_cancelled, CancelledError, None)])
def test_errors_that_cannot_travel_or_would_end_a_loop(client, f, error, message):
    "The step raises what `f` raised, or says what it was; the cluster goes on"
    with pytest.raises(error, match=message) as e: ad.data_parallel(f, client)(PARAMS, EIGHT)
    assert type(e.value) is error and f.__name__ in e.value.__notes__[-1] and "on worker tcp" in e.value.__notes__[-1]
    assert bits(ad.data_parallel(price, client)(PARAMS, EIGHT)) == bits(ad.data_parallel(price)(PARAMS, EIGHT))


def test_a_result_that_cannot_be_sent(client):
    with pytest.raises(TypeError, match="expected what can be sent"): ad.data_parallel(lock, client)(None, [(X,)])


def test_what_cannot_be_sent_or_is_no_shard(client):
    with pytest.raises(TypeError, match="f: expected what can be sent to another process"): ad.data_parallel(unsendable(threading.Lock()), client)(PARAMS, EIGHT)
    with pytest.raises(TypeError, match="shards: expected a tuple of arrays.* at position 1 came int"): ad.data_parallel(price, client)(PARAMS, [(X, LABELS), client.submit(int, 3)])
    da = pytest.importorskip("dask.array")
    with pytest.raises(ValueError, match="same blocks of rows"): ad.data_parallel(price, client)(PARAMS, (da.from_array(X, chunks=100), da.from_array(LABELS, chunks=50)))


def test_making_a_shard_fails(client):
    with pytest.raises(ZeroDivisionError) as e: ad.data_parallel(price, client)(PARAMS, [(X, LABELS), client.submit(lambda: 1 / 0)])
    assert "while Dask made shard 1 of 2" in e.value.__notes__


def test_fit_on_a_cluster(client):
    def run(executor):
        model = MLP([20, 8, 5])
        return fit(model, (X, LABELS), epochs=2, batch_size=100, shuffle=2, executor=executor, progress=False).rows, bits({n: p.value for n, p in model.params.items()})
    with ThreadPoolExecutor(2) as pool: assert run(client) == run(pool)


def test_the_same_arrays_in_other_shards_are_other_shards(client):
    a, b = np.ones(3), np.full(3, 5.0)
    step = ad.data_parallel(lambda p, *xs: float(sum(np.mean(x) for x in xs)), client)
    assert [step(None, shards) for shards in ([(a,), (b,)], [(a, b)], [(a,), (b,)])] == [3, 6, 3]


def test_a_client_that_is_restarted_gets_the_shards_again():
    with clusters() as start:
        cluster, client = start()
        shards, step = ad.split_rows(X, LABELS, shards=4), ad.data_parallel(price, client)
        before = bits(step(PARAMS, shards))
        client.restart()
        assert bits(step(PARAMS, shards)) == before == bits(step(PARAMS, shards))
        client.close()
        with pytest.raises(ConnectionError, match="closed"): step(PARAMS, shards)


@pytest.mark.parametrize("which", ["cluster", "client"])
def test_who_closes_it_in_the_middle_of_a_step_hears_of_it(which):
    with clusters() as start:
        cluster, client = start()
        def slow(p, x): time.sleep(3); return x.mean()
        step = ad.data_parallel(slow, client, timeout=20)
        threading.Timer(1, dict(cluster=cluster, client=client)[which].close).start()
        with pytest.raises(ConnectionError, match="executor: "): step(None, [(X,), (X,)])


def test_a_client_that_is_asynchronous_or_closed_is_refused():
    distributed = pytest.importorskip("distributed")
    async def inside():
        async with distributed.LocalCluster(n_workers=1, processes=False, dashboard_address=":0", asynchronous=True) as cluster:
            async with distributed.Client(cluster, asynchronous=True) as client:
                with pytest.raises(TypeError, match="expected a Client that is not asynchronous"): ad.data_parallel(price, client)(PARAMS, EIGHT)
                return client
    import asyncio
    asyncio.run(inside())


# ---- faults

@needs_kill
def test_workers_are_killed_in_the_middle_of_training(start, long):
    "Three times, and twenty with --long, which takes a minute or two; AUTODIFFNB_KILLS gives another number"
    kills, killed, over = int(os.environ.get("AUTODIFFNB_KILLS", 20 if long else 3)), [], threading.Event()
    cluster, client = start()
    step, random = ad.data_parallel(ad.value_and_grad(slow), client), np.random.default_rng(5)
    undisturbed = trained(ad.data_parallel(price), EIGHT)
    assert trained(step, EIGHT) == undisturbed
    def killer():
        while len(killed) < kills and not over.wait(random.uniform(0.05, 0.5)):
            alive = pids(cluster)
            if len(alive) == 2:
                victim = random.choice(sorted(alive))
                os.kill(alive[victim], signal.SIGKILL)
                killed.append(victim)
                within(180, lambda: victim not in cluster.scheduler.workers)
    thread = threading.Thread(target=killer, daemon=True)
    thread.start()
    end = time.monotonic() + 120 + 30 * kills
    try:
        while len(killed) < kills and time.monotonic() < end: assert trained(step, EIGHT) == undisturbed
        assert trained(step, EIGHT) == undisturbed
    finally:
        over.set()
        thread.join()
    assert len(killed) == kills == len(set(killed))
    within(180, lambda: len(pids(cluster)) == 2)
    def both(): return trained(step, EIGHT, steps=1) and len(addresses(step)) == 2
    within(180, both)       # who has come back takes its half


@needs_kill
def test_a_worker_that_keeps_dying_is_an_error(start):
    _, client = start()
    shards = [client.submit(made, i) for i in range(4)]
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"the worker that computed shards \[.*\] died 2 times in one step \(`retries` is 1\)"):
        ad.data_parallel(ad.value_and_grad(deadly), client, retries=1)(PARAMS, shards)
    with pytest.raises(client_error("KilledWorker")) as e: ad.data_parallel(price, client)(PARAMS, [(X, LABELS), client.submit(deadly_shard)])
    assert "while Dask made shard 1 of 2" in e.value.__notes__ and time.monotonic() - began < 300

def client_error(name):
    import distributed
    return getattr(distributed, name)


@needs_kill
def test_scattered_shards_cannot_be_made_again(start):
    cluster, client = start()
    shards = [client.scatter(piece, workers=[w]) for piece, w in zip(ad.split_rows(X, LABELS, shards=2), pids(cluster))]
    step = ad.data_parallel(price, client, timeout=5)
    assert bits(step(PARAMS, shards)) == bits(ad.data_parallel(price)(PARAMS, ad.split_rows(X, LABELS, shards=2)))
    os.kill(pids(cluster)[sorted(addresses(step))[0]], signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(ConnectionError, match="shards: some are lost, and Dask can't make them again: .*scattered"): step(PARAMS, shards)
    assert time.monotonic() - began < 60


@pytest.mark.exhaustive
def test_a_cluster_without_workers_is_an_error_in_time(start):
    cluster, client = start(1)
    step = ad.data_parallel(price, client, timeout=2)
    step(PARAMS, EIGHT)
    cluster.scale(0)
    within(90, lambda: not cluster.scheduler.workers)
    began = time.monotonic()
    with pytest.raises(ConnectionError, match="has no workers, and nothing has happened for 2 s"): step(PARAMS, EIGHT)
    assert time.monotonic() - began < 30
    cluster.scale(1)
    within(180, lambda: cluster.scheduler.workers)
    assert bits(step(PARAMS, EIGHT)) == bits(ad.data_parallel(price)(PARAMS, EIGHT))


@pytest.mark.exhaustive
def test_a_worker_that_joins_gets_its_share(start):
    cluster, client = start(1)
    step = ad.data_parallel(price, client)
    before = bits(step(PARAMS, EIGHT))
    cluster.scale(2)
    within(180, lambda: len(cluster.scheduler.workers) == 2)
    def joined_in(): return bits(step(PARAMS, EIGHT)) == before and len(addresses(step)) == 2
    within(180, joined_in)


@needs_kill
def test_a_worker_that_stands_still_is_replaced(start):
    cluster, client = start(2, **{"distributed.scheduler.worker-ttl": "4s"})
    step = ad.data_parallel(price, client)
    before = bits(step(PARAMS, EIGHT))
    victim = pids(cluster)[sorted(addresses(step))[0]]
    os.kill(victim, signal.SIGSTOP)
    try: assert bits(step(PARAMS, EIGHT)) == before
    finally:
        with contextlib.suppress(ProcessLookupError): os.kill(victim, signal.SIGKILL)


SCHEDULER = """
import sys, dask
from distributed import LocalCluster
if __name__ == "__main__":
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""

@needs_kill
@pytest.mark.parametrize("during", [False, True], ids=["between steps", "during a step"])
def test_a_scheduler_that_is_gone_is_an_error_in_time(tmp_path, during):
    distributed = pytest.importorskip("distributed")
    (tmp_path / "scheduler.py").write_text(SCHEDULER)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [os.path.dirname(__file__), *sys.path]))}
    process = subprocess.Popen([sys.executable, tmp_path / "scheduler.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    try:
        with distributed.Client(process.stdout.readline().strip(), timeout="30s") as client:
            step = ad.data_parallel(ad.value_and_grad(very_slow if during else loss), client, timeout=5)
            ad.data_parallel(price, client)(PARAMS, EIGHT)
            if during: threading.Timer(1, process.kill).start()
            else:
                process.kill()
                process.wait()
            began = time.monotonic()
            with pytest.raises(ConnectionError, match="executor: .*(does not answer|is closed)"): step(PARAMS, EIGHT)
            assert time.monotonic() - began < 60
    finally: process.kill()

def very_slow(p, X, t):
    time.sleep(3)
    return loss(p, X, t)


# ---- the benchmark

def keys(x): return {k: keys(v) for k, v in x.items()} if isinstance(x, dict) else None

@pytest.mark.exhaustive
def test_the_benchmark_runs_and_stored_results_have_its_form(tmp_path):
    "What it measures is no test, but what it counts is"
    pytest.importorskip("distributed")
    folder = Path(__file__).resolve().parent.parent / "benchmarks"
    done = subprocess.run([sys.executable, folder / "parallel.py", "--pairs=8", "--rows=400", "--seconds=0", f"--output={tmp_path / 'new.json'}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "new.json").read_text())
    network = report["jobs"]["mlp"]["traffic"]
    assert network["parameters"] == 4 * (784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10)
    assert 2 <= network["copies_there"] < 2.1 and 2 <= network["copies_back"] < 2.1      # (1 + K) = 3 each way would pass through a scheduler
    stored = folder / "results/parallel.json"
    if stored.exists(): assert keys(json.loads(stored.read_text())) == keys(report)
