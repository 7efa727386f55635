#!/usr/bin/env python3
"""What a step costs with autodiffnb, as a ratio to the same step written by hand in NumPy (jobs.py).

    step.py [--threads 1] [--blocks 200] [--block-seconds 0.01] [--output build/step.json]

Both sides start from the same numbers and must agree after each of the first steps. Then they run in one process, a block of steps by
turns, and the side that begins changes from pair to pair: whatever slows the machine down slows both. What counts is
the median over the pairs of the ratio within a pair; the quartiles beside it say how steady it was. Garbage collection stays on,
as it is in use. Memory is the peak of one step that tracemalloc sees, above what was there before it (parameters and batch).
"""
import argparse, gc, json, os, platform, shutil, statistics, subprocess, sys, time, tracemalloc
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS") # read when NumPy is imported
SEED, CHECKED_STEPS = 0, 5


def agree(job, by_hand, ours):
    "Raise unless both sides compute the same numbers in the first steps, to 1e-4 of the greatest."
    import numpy as np
    for step in range(CHECKED_STEPS):
        for i, (x, y) in enumerate(zip(by_hand(), ours(), strict=True)):
            x, y = np.asarray(x), np.asarray(y)
            if x.shape != y.shape or x.dtype != y.dtype or not (abs(x - y) <= 1e-4 * abs(x).max()).all():
                raise AssertionError(f"{job.name}: result {i} of step {step} differs: by hand\n{x}\nours\n{y}")

def seconds(step, times):
    "How long it takes to do the step so many times."
    start = time.perf_counter()
    for _ in range(times): step()
    return time.perf_counter() - start

def timed(by_hand, ours, blocks, block_seconds):
    "Seconds of a step on both sides, one number for each block of `times` steps."
    sides = {"by_hand": by_hand, "ours": ours}
    times = max(1, round(block_seconds / min(seconds(ours, 1) for _ in range(20)))) if block_seconds else 1
    for side in sides.values(): seconds(side, times)
    blocks_of = {name: [] for name in sides}
    for pair in range(blocks):
        for name in sorted(sides, reverse=pair % 2): blocks_of[name].append(seconds(sides[name], times) / times)
    return times, blocks_of

def peak(step):
    "The most bytes that one step holds at once, above what was there before."
    step(); gc.collect(); tracemalloc.start()
    try:
        step(); gc.collect(); tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        step()
        return tracemalloc.get_traced_memory()[1] - before
    finally: tracemalloc.stop()

def measure(job, blocks, block_seconds):
    "One row of the table."
    import numpy as np
    by_hand, ours = job.prepare(np.random.default_rng(SEED))
    agree(job, by_hand, ours)
    times, blocks_of = timed(by_hand, ours, blocks, block_seconds)
    low, ratio, high = statistics.quantiles([y / x for x, y in zip(*blocks_of.values())], n=4)
    microseconds = {name: 1e6 * statistics.median(b) for name, b in blocks_of.items()}
    peaks = {"by_hand": peak(by_hand), "ours": peak(ours)}
    return dict(job=job.name, blocks=blocks, steps_in_a_block=times, microseconds=microseconds, time_ratio=ratio, quartiles=[low, high],
                time_ratio_asked=job.time, peak_bytes=peaks, memory_ratio=peaks["ours"] / peaks["by_hand"], memory_ratio_asked=job.memory)

def environment(threads):
    "What the numbers depend on."
    import numpy as np, autodiffnb
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return dict(date=time.strftime("%Y-%m-%d"), autodiffnb=autodiffnb.__version__, commit=commit(), python=platform.python_version(),
                numpy=np.__version__, blas=f"{blas.get('name')} {blas.get('version')}", threads=threads, processor=processor(), processors=os.cpu_count(),
                system=f"{platform.system()} {platform.machine()}")

def commit():
    "The commit that is measured, with -dirty behind it when files were changed since; None outside a repository."
    if not shutil.which("git"): return None
    return subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True).stdout.strip() or None

def processor():
    "The name of the processor, as far as the system tells."
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.exists() else []
    return names[0] if names else platform.processor() or platform.machine()

def table(rows):
    "The rows as text."
    asked = lambda x: f" (at most {x:.2f})" if x else ""
    cells = [["", "by hand", "ours", "time", "middle half", "memory"]]
    for r in rows:
        cells.append([r["job"], *(f"{x:,.1f} \N{MICRO SIGN}s" for x in r["microseconds"].values()), f"{r['time_ratio']:.2f}{asked(r['time_ratio_asked'])}",
                      "{:.2f} to {:.2f}".format(*r["quartiles"]), f"{r['memory_ratio']:.2f}{asked(r['memory_ratio_asked'])}"])
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in cells)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of the BLAS library (default 1)")
    parser.add_argument("--blocks", type=int, default=200, help="pairs of blocks, at least 2 (default 200)")
    parser.add_argument("--block-seconds", type=float, default=0.01, help="length of a block of our steps; 0 for one step (default 0.01)")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "step.json", help="where the numbers go (default build/step.json)")
    args = parser.parse_args(argv)
    if args.threads < 1 or args.blocks < 2 or args.block_seconds < 0: parser.error("expected --threads from 1, --blocks from 2, --block-seconds from 0")
    if "numpy" in sys.modules: parser.error("NumPy is imported already, so the number of threads can't be set")
    os.environ.update(dict.fromkeys(THREADS, str(args.threads)))
    sys.path.insert(1, str(ROOT)) # the package that lies beside this file, whatever else is installed
    from jobs import JOBS

    rows = []
    for job in JOBS:
        rows.append(measure(job, args.blocks, args.block_seconds))
        print(f"{job.name}: {rows[-1]['time_ratio']:.2f}", file=sys.stderr, flush=True)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(dict(environment=environment(args.threads), jobs=rows), indent=1) + "\n")
    print(table(rows))

if __name__ == "__main__": main()
