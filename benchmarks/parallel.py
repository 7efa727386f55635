#!/usr/bin/env python3
"""What a second worker is worth: a step over shards with two threads against one, and with two Dask workers against one.

    parallel.py [--pairs 40] [--rows 60000] [--seconds 200] [--output benchmarks/results/parallel.json]

Softmax regression and the network 784-256-128-10, float32, all rows in each step. Both set-ups of a comparison are alive all the time, and take turns, a step
each, so what slows the machine down slows both; what counts is the median of the ratios within a pair, with the quarter of pairs below and above. A third
that takes turns with them is the same step without an executor. BLAS has one thread everywhere. Before anything is timed the results of all are compared: they
must be the same to the bit. Then

- what two processors can give at best: the same matrix product in one process and in two at once, alternating;
- the bytes of a step, counted where they pass the client's connections, and beside them how many copies of the parameters that is;
- why it is not done by a task for each worker and step: the same step asked by tasks, in turns with ours;
- growth: seconds for each row, for asking and for each byte, fitted to one worker; the simulation of two with them, and what was measured; and a table
  of what the simulation says of 8, 64 and 1,000 workers.

The goals: two threads against one at least 1.6 on both; two Dask workers against one at least 1.6 on the network and 1.4 on softmax regression.
"""
import argparse, json, os, platform, statistics, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"): os.environ[name] = "1"   # before NumPy; workers inherit it
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.append(str(HERE))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))

import numpy as np

import run
from autodiffnb.contraction import linear
from autodiffnb.loss import cross_entropy
from autodiffnb.parallel import data_parallel, split_rows
from autodiffnb.transforms import value_and_grad

SHARDS, GOALS = 4, {("softmax", "threads"): 1.6, ("mlp", "threads"): 1.6, ("softmax", "dask"): 1.4, ("mlp", "dask"): 1.6}
SIZES = dict(softmax=(784, 10), mlp=(784, 256, 128, 10))


def loss(params, X, t):
    "The mean cross-entropy of a network; without hidden layers, of softmax regression"
    *hidden, last = params
    for W, b in hidden: X = np.maximum(linear(X, W, b), 0)
    return cross_entropy(linear(X, *last), t)

def parameters(sizes):
    rng = np.random.default_rng(1)
    return [(rng.normal(0, (2 / m) ** 0.5, (m, n)).astype(np.float32), np.zeros(n, np.float32)) for m, n in zip(sizes, sizes[1:])]

def shard(i, rows, shards=SHARDS):
    "Shard number `i` of the data: made where it is needed, the same everywhere"
    n = (i + 1) * rows // shards - i * rows // shards
    rng = np.random.default_rng([7, i])
    return rng.random((n, 784), dtype=np.float32), rng.integers(0, 10, n)

def nothing(params, X, t): return params

def bits(tree): return [x.tobytes() for W, b in tree[1] for x in (W, b)] + [np.asarray(tree[0]).tobytes()]

def seconds(step, *args):
    start = time.perf_counter()
    step(*args)
    return time.perf_counter() - start

def quartiles(xs): return [round(q, 4) for q in statistics.quantiles(xs, n=4)]


def compared(steps, params, shards, pairs, until):
    "Each of `steps`, by name, in turns: the seconds of each round"
    results = [bits(step(params, shards[name])) for name, step in steps.items()]
    if any(r != results[0] for r in results): raise AssertionError("the set-ups do not give the same bits")
    rounds, names = [], list(steps)
    for k in range(pairs):
        if k >= 8 and time.monotonic() > until: break
        order = names if k % 2 else names[::-1]
        took = {name: seconds(steps[name], params, shards[name]) for name in order}
        rounds.append(took)
    return rounds

def ratios(rounds, one, two):
    q = quartiles([r[one] / r[two] for r in rounds])
    return dict(median=q[1], quartiles=[q[0], q[2]], pairs=len(rounds), milliseconds={name: round(1e3 * statistics.median(r[name] for r in rounds), 3) for name in (one, two)},
                fastest={name: round(1e3 * min(r[name] for r in rounds), 3) for name in (one, two)})


def product(X, W): return X.T @ (X @ W)

def at_best(sizes, rows, pairs):
    "How much faster two threads are than one at two matrix products without a tape: what the processors and their memory allow"
    X, W = np.random.default_rng(0).random((rows // 2, sizes[0]), dtype=np.float32), np.random.default_rng(1).random((sizes[0], sizes[1]), dtype=np.float32)
    Y = X.copy()
    def one(): return product(X, W), product(Y, W)
    with ThreadPoolExecutor(2) as pool:
        def two(): return list(pool.map(product, (X, Y), (W, W)))
        one(), two()
        return quartiles([seconds(one) / seconds(two) for _ in range(pairs)])[1]


class Counter:
    "Counts the bytes on the connections of this process"
    def __init__(self):
        from distributed.comm.tcp import TCP
        self.sent = self.received = 0
        write, read, count = TCP.write, TCP.read, self
        async def counting_write(comm, *args, **kwargs):
            n = await write(comm, *args, **kwargs)
            count.sent += n or 0
            return n
        async def counting_read(comm, *args, **kwargs):
            message = await read(comm, *args, **kwargs)
            from distributed.utils import nbytes
            count.received += size(message, nbytes)
            return message
        TCP.write, TCP.read = counting_write, counting_read
        self.stop = lambda: (setattr(TCP, "write", write), setattr(TCP, "read", read))

def size(x, nbytes):
    "Bytes of the buffers in a message; its names and numbers don't count"
    if isinstance(x, dict): return sum(size(v, nbytes) for v in x.values())
    if isinstance(x, (list, tuple)): return sum(size(v, nbytes) for v in x)
    return nbytes(x) if isinstance(x, (bytes, bytearray, memoryview, np.ndarray)) else 0


def traffic(step, params, shards, steps=10):
    "Bytes of a step, as the step counts its messages and as this process's connections do, and as copies of the parameters"
    P = sum(x.nbytes for pair in params for x in pair)
    counter = Counter()
    for _ in range(steps): step(params, shards)
    counter.stop()
    seen = [counter.sent / steps, counter.received / steps]
    return dict(parameters=P, by_the_step=list(step.traffic), on_the_connections=seen, copies_there=round(seen[0] / P, 2), copies_back=round(seen[1] / P, 2))


def tasks(client, f):
    "The same step by one task for each worker: parameters scattered, parts gathered"
    from autodiffnb.parallel import Total, fill, Job, rows
    def part(params, first, count, *shards):
        total = Total(count)
        fill(total, Job(f, rows), None, params, {first + i: (tuple(s), ()) for i, s in enumerate(shards)})
        return total.parts
    def step(params, shards):
        total, workers, size = Total(len(shards)), sorted(client.nthreads()), len(shards) // len(client.nthreads())
        there = client.scatter(params, direct=True, hash=False, broadcast=False)
        futures = [client.submit(part, there if isinstance(there, list) else [there], k * size, len(shards), *shards[k * size:(k + 1) * size], pure=False) for k in range(len(workers))]
        for parts in client.gather(futures):
            for node, p in parts.items(): total.put(*node, p)
        return total.parts.popitem()[1][1]
    return step


def simulated(K, N, c, P, B, a):
    "Seconds of a step, message by message: one cable in each direction, workers that begin when their message is there"
    ends, free = [(k + 1) * P / B + c * N / K for k in range(K)], 0.0
    for end in ends: free = max(free, end) + P / B
    return a + free

def growth(client, steps, data, pairs):
    "The constants from one worker, what the simulation says of two, and what two take"
    found = {}
    empty = data_parallel(lambda params, X, t: (0.0, []), client)
    for kind, (params, shards, rounds) in data.items():
        P = sum(x.nbytes for pair in params for x in pair)
        back = data_parallel(nothing, client)
        for _ in range(3): empty(params[:0], shards[:1]), back(params, shards[:1])
        a = statistics.median(seconds(empty, params[:0], shards[:1]) for _ in range(pairs))
        there_and_back = statistics.median(seconds(back, params, shards[:1]) for _ in range(pairs)) - a
        one, two = (statistics.median(r[name] for r in rounds) for name in ("1 Dask worker", "2 Dask workers"))
        B, N = 2 * P / max(there_and_back, 1e-5), sum(len(s[1]) for s in steps[kind])
        c = (one - a - 2 * P / B) / N
        said = simulated(2, N, c, P, B, a)
        table = {f"{n:.0e} rows": {K: round(simulated(K, n, c, P, 1.25e9, a), 4) for K in (1, 8, 64, 1000)} for n in (10**6, 10**8, 10**10)}
        best = {f"{n:.0e} rows": round((c * n * 1.25e9 / P) ** 0.5) for n in (10**6, 10**8, 10**10)}
        found[kind] = dict(rows=N, seconds_for_a_row=c, seconds_for_asking=a, bytes_a_second=B, simulated_two=said, measured_two=two, simulated_over_measured=round(said / two, 3),
                           with_10_gigabits={"seconds": table, "most workers that help": best})
    return found


def environment():
    import dask, distributed
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    versions = dict(python=platform.python_version(), numpy=np.__version__, blas=f"{blas.get('name')} {blas.get('version')}", dask=dask.__version__, distributed=distributed.__version__)
    return run.environment(1, versions) | dict(load_before=list(os.getloadavg()) if hasattr(os, "getloadavg") else None)


def main():
    import logging
    from distributed import Client, LocalCluster
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--pairs", type=int, default=40, help="rounds of each comparison, at least 8")
    asked.add_argument("--rows", type=int, default=60_000)
    asked.add_argument("--seconds", type=float, default=200, help="after so many, comparisons end as soon as they have 8 rounds")
    asked.add_argument("--output", type=Path, default=HERE / "results" / "parallel.json")
    asked = asked.parse_args()
    begun, report = time.monotonic(), dict(environment=environment(), rows=asked.rows, shards=SHARDS, jobs={})
    f, data, shards_here = value_and_grad(loss), {}, [shard(i, asked.rows) for i in range(SHARDS)]
    clusters = {name: LocalCluster(n_workers=k, threads_per_worker=1, dashboard_address=":0", silence_logs=50) for name, k in (("1 Dask worker", 1), ("2 Dask workers", 2))}
    clients = {name: Client(cluster) for name, cluster in clusters.items()}
    pools = {"1 thread": ThreadPoolExecutor(1), "2 threads": ThreadPoolExecutor(2)}
    try:
        futures = {name: [client.submit(shard, i, asked.rows, workers=[sorted(client.nthreads())[i * len(client.nthreads()) // SHARDS]], allow_other_workers=True) for i in range(SHARDS)]
                   for name, client in clients.items()}
        for n, (kind, sizes) in enumerate(SIZES.items()):
            params = parameters(sizes)
            steps = {name: data_parallel(f, executor) for name, executor in ({"no executor": None} | pools | clients).items()}
            shards = {name: futures.get(name, shards_here) for name in steps}
            rounds = compared(steps, params, shards, asked.pairs, begun + asked.seconds * (n + 1) / 2 * 0.85)
            job = report["jobs"][kind] = dict(sizes=sizes, threads=ratios(rounds, "1 thread", "2 threads"), dask=ratios(rounds, "1 Dask worker", "2 Dask workers"),
                                              dask_against_none=ratios(rounds, "no executor", "2 Dask workers"), at_best=at_best(sizes, asked.rows, 9),
                                              traffic=traffic(steps["2 Dask workers"], params, futures["2 Dask workers"]))
            by_task = tasks(clients["2 Dask workers"], f)
            both = compared({"2 Dask workers": steps["2 Dask workers"], "by tasks": by_task}, params, {name: futures["2 Dask workers"] for name in ("2 Dask workers", "by tasks")}, 9, 0)
            job["by_tasks"] = ratios(both, "by tasks", "2 Dask workers")
            data[kind] = params, futures["1 Dask worker"], rounds
            for how in ("threads", "dask"):
                goal, got = GOALS[kind, how], job[how]["median"]
                job[how] |= dict(goal=goal, reached=got >= goal)
                print(f"{kind:8} {how:8} 2 against 1: {got:.2f} (quartiles {job[how]['quartiles']}, {job[how]['pairs']} pairs; goal {goal}: {'reached' if got >= goal else 'MISSED'}); "
                      f"two processors at best {job['at_best']:.2f}; ms {job[how]['milliseconds']}")
            t = job["traffic"]
            print(f"{kind:8} bytes    {t['copies_there']} copies there, {t['copies_back']} back; the least through a scheduler are 3 each way at 2 workers")
            print(f"{kind:8} by tasks {job['by_tasks']['milliseconds']} ms")
        report["growth"] = growth(clients["1 Dask worker"], dict.fromkeys(SIZES, shards_here), data, 20)
        for kind, g in report["growth"].items(): print(f"{kind:8} growth   two workers: simulated {1e3 * g['simulated_two']:.1f} ms, measured {1e3 * g['measured_two']:.1f} ms; asking takes {1e3 * g['seconds_for_asking']:.1f} ms")
    finally:
        for x in (*clients.values(), *clusters.values()): x.close()
        for pool in pools.values(): pool.shutdown()
    report["environment"]["load_after"] = list(os.getloadavg()) if hasattr(os, "getloadavg") else None
    report["seconds"] = round(time.monotonic() - begun, 1)
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{report['seconds']} s; written to {asked.output.name}")


if __name__ == "__main__": main()
