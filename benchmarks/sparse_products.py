#!/usr/bin/env python3
"""Logistic regression on a sparse matrix of 200,000 by 50,000 with one number in a thousand, beside two products written by hand.

    sparse_products.py [--rows 200000] [--columns 50000] [--density 0.001] [--rounds 21] [--output build/bench]

A step is the loss and its gradient. It takes turns with `X @ w; X.T @ g`, and with the whole step by hand; what counts is the median of the
ratios within a round. Memory is the most that tracemalloc sees during a step, above the data. The report goes to OUTPUT/sparse.json."""
import argparse, json, platform, statistics, sys, time, tracemalloc
from pathlib import Path

import numpy as np
import scipy
from scipy.sparse import csr_array

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from autodiffnb import Sparse, value_and_grad


def problem(rows, columns, density, seed=0):
    "A matrix of random numbers at random places, zeros and ones to predict, and weights."
    rng, count = np.random.default_rng(seed), int(rows * columns * density)
    ends = np.linspace(0, count, rows + 1).astype(np.int64)
    X = csr_array((rng.normal(size=count), rng.integers(0, columns, count), ends), shape=(rows, columns))
    return X, (rng.random(rows) < 0.5).astype(float), rng.normal(size=columns) * 0.01


def steps(X, t, w):
    "What is timed, by name."
    S, g = Sparse(X), np.ones(len(t))
    ours = value_and_grad(lambda w: (lambda z: np.mean(np.logaddexp(0, z) - t * z))(S @ w))
    def two_products(): return X @ w, X.T @ g
    def by_hand():
        z = X @ w
        return np.mean(np.logaddexp(0, z) - t * z), X.T @ ((1 / (1 + np.exp(-z)) - t) / len(t))
    return {"autodiffnb": lambda: ours(w), "two products": two_products, "by hand": by_hand}


def measured(rows, columns, density, rounds):
    "Ratios of times, memory, and whether the gradients agree."
    X, t, w = problem(rows, columns, density)
    run = steps(X, t, w)
    agree = bool(np.allclose(run["autodiffnb"]()[1], run["by hand"]()[1], rtol=1e-10, atol=1e-14))
    seconds = {name: [] for name in run}
    for k in range(rounds):
        for name in sorted(run, reverse=k % 2):
            begin = time.perf_counter()
            run[name]()
            seconds[name].append(time.perf_counter() - begin)
    tracemalloc.start()
    run["autodiffnb"]()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    ratio = lambda name: statistics.median(a / b for a, b in zip(seconds["autodiffnb"], seconds[name]))
    return dict(rows=rows, columns=columns, numbers=X.nnz, rounds=rounds, agree=agree, ratio_to_two_products=ratio("two products"), ratio_to_the_step_by_hand=ratio("by hand"),
                seconds_of_two_products=statistics.median(seconds["two products"]), peak_bytes_of_a_step=peak, bytes_of_the_matrix=X.data.nbytes + X.indices.nbytes + X.indptr.nbytes,
                bytes_if_dense=rows * columns * X.dtype.itemsize, versions=dict(python=platform.python_version(), numpy=np.__version__, scipy=scipy.__version__), machine=platform.machine())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("--rows", 200_000), ("--columns", 50_000), ("--rounds", 21)): p.add_argument(name, type=int, default=default)
    p.add_argument("--density", type=float, default=0.001)
    p.add_argument("--output", type=Path, default=Path("build/bench"))
    given = p.parse_args()
    report = measured(given.rows, given.columns, given.density, given.rounds)
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "sparse.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"{report['numbers']:,} numbers: {report['ratio_to_two_products']:.2f} times two products, {report['ratio_to_the_step_by_hand']:.2f} times the step by hand; "
          f"{report['peak_bytes_of_a_step'] / 1e6:.0f} MB in a step, {report['bytes_of_the_matrix'] / 1e6:.0f} MB of data, {report['bytes_if_dense'] / 1e6:,.0f} MB if dense")


if __name__ == "__main__": main()
