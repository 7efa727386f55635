"""Where the time of a softmax step goes: programs that do the same step, each with one thing more of what autodiffnb does than the one before.

    ladder.py [--threads 1] [--rounds 300] [--block-seconds 0.01]     writes JSON to stdout

All rungs run in one process, a block of steps of each in turn, in a new order each round. What a thing costs is the median over the rounds of
the difference between its rung and the one before. The second list is the same for single calls: NumPy's own, and the call recorded. The third
is what a node of a long chain costs with Python's garbage collector and without.
"""
import argparse, gc, json, os, random, statistics, sys
from pathlib import Path

from worker import close, seconds

BATCHES, CHAINS = (32, 256), (1_000, 10_000, 100_000)


def steps(n):
    "By name, functions that do a step and return loss, W and b; they all begin at the same numbers."
    import numpy as np
    from autodiffnb import Tensor, cross_entropy, gradients, linear
    from autodiffnb.backward import path_between, seed, sum_to, sweep
    from autodiffnb.contraction import matmul_back_to_B
    from autodiffnb.loss import checked_one_hot, one_hot, price_and_excess
    from jobs import LR, data_of, descend, loss_and_adjoint
    data = data_of("softmax", dict(n=n))
    X, labels, start = data["X"], data["labels"], data["params"]
    found = {}

    def rung(name):
        "File a function of arrays W and b, or of Tensors of them, that returns the loss and both gradients, and the step that it makes."
        def file(f):
            W, b = (p.copy() for p in start)
            tensors = Tensor(W), Tensor(b)
            def step():
                loss, grads = f(*(tensors if f.recorded else (W, b)))
                for p, g in zip((W, b), grads):
                    g *= LR
                    np.subtract(p, g, out=p)
                return loss, W, b
            found[name] = step
        return file

    def plain(f): f.recorded = False; return f
    def taped(f): f.recorded = True; return f

    def back(excess, W, b): return matmul_back_to_B(excess, None, X, W), sum_to(excess, b.shape)

    @rung("by hand, in place")
    @plain
    def _(W, b):
        z = X @ W
        z += b
        loss, g = loss_and_adjoint(z, labels)
        return loss, (X.T @ g, g.sum(axis=0))

    @rung("the calls of the tape, without it")
    @plain
    def _(W, b):
        z = X @ W + b
        loss, excess = price_and_excess(z, one_hot(labels, z.shape, -1), -1, "mean")
        return loss, back(excess, W, b)

    @rung("+ the check of the labels")
    @plain
    def _(W, b):
        z = X @ W + b
        loss, excess = price_and_excess(z, checked_one_hot(labels, z.shape, -1), -1, "mean")
        return loss, back(excess, W, b)

    @rung("+ recording")
    @taped
    def _(W, b):
        loss = cross_entropy(linear(X, W, b), labels)
        return loss.value, back(loss.kept[0], W.value, b.value)

    @rung("+ the path")
    @taped
    def _(W, b):
        loss = cross_entropy(linear(X, W, b), labels)
        path_between((W, b), loss)
        return loss.value, back(loss.kept[0], W.value, b.value)

    @rung("+ the sweep")
    @taped
    def _(W, b):
        loss = cross_entropy(linear(X, W, b), labels)
        adjoints = sweep(path_between((W, b), loss), seed(loss), (W, b))
        return loss.value, (adjoints[W], adjoints[b])

    @rung("+ checks and ownership: autodiffnb")
    @taped
    def _(W, b):
        loss = cross_entropy(linear(X, W, b), labels)
        return loss.value, gradients(loss, [W, b])

    @rung("+ the layer in two calls: X @ W + b")
    @taped
    def _(W, b):
        loss = cross_entropy(X @ W + b, labels)
        return loss.value, gradients(loss, [W, b])

    return found


def calls():
    "By name, pairs of functions: NumPy's own call, and the same call with a Tensor."
    import numpy as np
    from autodiffnb import Tensor, gradients
    a, b, M = np.ones(10, np.float32), np.ones(10, np.float32), np.ones((10, 10), np.float32)
    s, t, m = Tensor(1.5), Tensor(a), Tensor(M)
    y, number = t * b, s * 2.0
    return {
        "number * number": (lambda: 1.5 * 2.0, lambda: s * 2.0),
        "array + array": (lambda: a + b, lambda: t + b),
        "np.add(array, array)": (lambda: np.add(a, b), lambda: np.add(t, b)),
        "matrix @ matrix": (lambda: M @ M, lambda: m @ M),
        "array.sum()": (lambda: a.sum(), lambda: t.sum()),
        "np.exp(array)": (lambda: np.exp(a), lambda: np.exp(t)),
        "back through array * array": (lambda: a * b, lambda: gradients(y, t, a)),
        "back through number * number": (lambda: 1.0 * 2.0, lambda: gradients(number, s)),
    }


def timed(functions, rounds, block_seconds, rng):
    "Microseconds of each function, a number for each round; and how often it ran in a round."
    wait = lambda x: None
    times = {name: max(1, round(block_seconds / max(1e-9, min(seconds(f, 1, wait) for _ in range(20))))) if block_seconds else 1 for name, f in functions.items()}
    found, names = {name: [] for name in functions}, list(functions)
    for _ in range(rounds):
        for name in rng.sample(names, len(names)):
            seconds(functions[name], max(1, times[name] // 20), wait)
            found[name].append(1e6 * seconds(functions[name], times[name], wait) / times[name])
    return found

def spread(xs): return [round(q, 3) for q in statistics.quantiles(xs, n=4)] if len(xs) > 1 else [xs[0]] * 3

def ladder(n, rounds, block_seconds, rng):
    "The rungs of one batch size: microseconds, and those above the rung before, each as lower quartile, median, upper quartile."
    import numpy as np
    rungs = steps(n)
    names = list(rungs)
    for _ in range(3):
        results = {name: [np.array(x) for x in step()] for name, step in rungs.items()}
        for name in names:
            for x, y in zip(results[names[0]], results[name]):
                if not close(x, y, 1e-4): raise AssertionError(f"{name}: differs from {names[0]}")
    found = timed(rungs, rounds, block_seconds, rng)
    more = [[0.0] * rounds] + [[y - x for x, y in zip(found[before], found[name])] for before, name in zip(names, names[1:])]
    return dict(batch=n, rungs=[dict(rung=name, microseconds=spread(found[name]), more=spread(m)) for name, m in zip(names, more)])

def chains(rounds):
    "Microseconds that a node takes, forward and back, in chains of numbers: with the garbage collector and without."
    from peers.ours import chain
    found = []
    for n in CHAINS:
        step, times = chain(0.5, -0.7, n // 2).step, dict(on=[], off=[])
        step()
        for _ in range(min(rounds, 10)):
            for how, switch in (("on", gc.enable), ("off", gc.disable)):
                gc.collect()
                switch()
                times[how].append(1e6 * seconds(step, 1, lambda x: None) / n)
        gc.enable()
        found.append(dict(nodes=n) | {how: spread(xs) for how, xs in times.items()})
    return found

def measure(rounds, block_seconds):
    "All lists."
    rng = random.Random(0)
    prices = []
    for name, pair in calls().items():
        found = timed(dict(zip(("numpy", "recorded"), pair)), rounds, block_seconds / 5, rng)
        prices.append(dict(call=name) | {side: spread(xs) for side, xs in found.items()})
    return dict(ladders=[ladder(n, rounds, block_seconds, rng) for n in BATCHES], calls=prices, chains=chains(rounds))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--block-seconds", type=float, default=0.01)
    args = parser.parse_args()
    from run import pinned, variables
    os.environ.update(variables(args.threads))
    pinned(args.threads)
    sys.path.insert(1, str(Path(__file__).resolve().parent.parent))
    json.dump(measure(args.rounds, args.block_seconds), sys.stdout)

if __name__ == "__main__": main()
