#!/usr/bin/env python3
"""What a step costs with autodiffnb, beside the same step written by hand in NumPy and by other libraries.

    run.py [--threads 1] [--peers all] [--python torch=PATH] [--jobs all] [--parts compare,growth,ladder,threads] [--rounds 20] [--casts 3] [--output build/bench]

Every variant (peers/) runs in a process of its own, pinned to as many processors as there are threads. First its losses, gradients and results
are compared with those of hand-written NumPy. Then all variants of a job take turns, a block of steps each, in a new order each round: what
slows the machine down slows all of them. Everything is started again `--casts` times, because where a process happens to lie in memory
can make it a little faster or slower for as long as it lives. What counts is the median over all rounds of the ratio within a round.
A variant that is too slow for its share of time sits out some of the rounds. Memory is the most that tracemalloc sees during a step, above
the data and the parameters; buffers that are kept from step to step count. JAX and PyTorch keep theirs where it can't see them.

Peers are optional: pip install 'autodiffnb[bench]' brings them (for PyTorch take a build for the CPU first, unless you want gigabytes of CUDA).
Those that aren't installed are skipped, and said to be. `--python NAME=PATH` runs the peer that needs package NAME with another Python.
The report goes to OUTPUT/bench.json, the plots beside it.
"""
import argparse, contextlib, json, math, os, platform, random, shutil, statistics, subprocess, sys, tempfile, time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PARTS = ("compare", "growth", "ladder", "threads")
# The C library gives memory back to the system at moments that depend on the order of frees, and to get it again can cost a tenth of a step.
MALLOC = dict(MALLOC_TRIM_THRESHOLD_="1000000000", MALLOC_MMAP_THRESHOLD_="33554432")
HAND, EASY, SLOW = "hand-written", 1000, 0.5  # on curves results are compared up to EASY; steps of SLOW seconds are not repeated without need


def variables(threads):
    "The environment that holds every library to so many threads, and to the memory that it has. It is read at the start and on import."
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    eigen = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    return dict.fromkeys(names, str(threads)) | MALLOC | dict(XLA_FLAGS=eigen, JAX_PLATFORMS="cpu", PYTHONPATH=os.pathsep.join((str(HERE), str(ROOT))))

def pinned(threads):
    "Hold this process to as many processors as there are threads, where the system can."
    if hasattr(os, "sched_setaffinity"): os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])


PATIENT = (HAND, "autodiffnb")  # their curves go to the end, however long it takes


class Worker:
    "A process that runs one variant (worker.py)."
    def __init__(self, variant, python, threads):
        self.name, self.warm = variant.name, variant.warm
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([python, HERE / "worker.py", variant.name, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, env=os.environ | variables(threads))
        self.hello = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"{self.name}: its process ended with {self.process.wait()}\n{self.log.read()[-4000:]}")
        reply = json.loads(line)
        if "error" in reply: raise RuntimeError(f"{self.name}: {reply['error']}")
        return reply

    def ask(self, do, **request):
        self.process.stdin.write(json.dumps(dict(do=do, **request)) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def seconds(self, times): return self.ask("block", times=times)["seconds"] / times

    def close(self):
        self.process.stdin.close()
        try: self.process.wait(30)
        except subprocess.TimeoutExpired: self.process.kill()
        self.process.stdout.close()
        self.log.close()


@contextlib.contextmanager
def crew(variants, args, said, skipped):
    "Workers by name for all variants whose packages are there, and what they `said` first; `skipped` takes the names of the others, and what they lack."
    with contextlib.ExitStack() as stack:
        workers = {}
        for v in variants:
            if v.name in skipped: continue
            python = next((args.pythons[p] for p in v.packages if p in args.pythons), sys.executable)
            worker = Worker(v, python, args.threads)
            stack.callback(worker.close)
            if "missing" in worker.hello: skipped[v.name] = worker.hello["missing"]
            elif worker.hello["kinds"]: workers[v.name], said[v.name] = worker, worker.hello
        yield workers

def times_in_block(worker, block_seconds):
    "How many steps make a block, and how long it takes."
    for _ in range(worker.warm): worker.seconds(1)
    once = worker.seconds(1)
    if once < SLOW: once = min(worker.seconds(1) for _ in range(3))
    if not once < block_seconds: return 1, once
    once = min(worker.seconds(max(1, int(block_seconds / 5 / once))) for _ in range(3))
    times = max(1, round(block_seconds / once))
    return times, times * once

def cast(job, workers, args, check, rng):
    "Seconds of a step by variant: a list with a number for each round, None where it sat out."
    team = {name: w for name, w in workers.items() if job.kind in w.hello["kinds"]}
    for w in team.values():
        if check: w.ask("check", kind=job.kind, sizes=job.checked or job.sizes)
        w.ask("prepare", kind=job.kind, sizes=job.sizes)
    shares, times = {}, {}
    for name, w in team.items():
        times[name], block = times_in_block(w, args.block_seconds)
        shares[name] = min(1.0, args.budget / max(block, 1e-9) / args.rounds)
    found = {name: [] for name in team}
    for r in range(args.rounds):
        takes_part = [name for name in team if r == 0 or int((r + 1) * shares[name]) > int(r * shares[name])]
        if not takes_part: continue
        if HAND in team and HAND not in takes_part: takes_part.append(HAND)
        for name in rng.sample(takes_part, len(takes_part)): found[name].append(team[name].seconds(times[name]))
        for name in team.keys() - set(takes_part): found[name].append(None)
    for w in team.values(): w.ask("drop")
    return found

def spread(xs):
    "Lower quartile, median and upper quartile, to four digits."
    return [float(f"{q:.4g}") for q in (statistics.quantiles(xs, n=4, method="inclusive") if len(xs) > 1 else [xs[0]] * 3)]

def paired(xs, ys):
    "Ratios y / x of the rounds in which both took part, if any."
    return [y / x for x, y in zip(xs, ys) if x and y]

def row(job, found, peaks):
    "One row of the report."
    ratios = lambda who, than: spread(paired(found[than], found[who]))
    return dict(job=job.name, kind=job.kind, sizes=job.sizes,
                milliseconds={v: spread([1e3 * x for x in xs if x]) for v, xs in found.items()}, rounds={v: len(paired(xs, xs)) for v, xs in found.items()},
                ratios={v: ratios(v, HAND) for v in found if v != HAND},
                goals=[dict(who=g.who, than=g.than, asked=g.ratio, ratio=ratios(g.who, g.than)) for g in job.goals
                       if g.who in found and g.than in found and paired(found[g.than], found[g.who])],
                peak_bytes=peaks, memory_asked={v: x for v, x in job.memory.items() if v in peaks})

def compare(jobs, variants, args, said, skipped, note):
    "The rows of the report."
    rng, found, peaks = random.Random(0), {job.name: {} for job in jobs}, {job.name: {} for job in jobs}
    for k in range(args.casts):
        with crew(variants, args, said, skipped) as workers:
            for job in jobs:
                for name, xs in cast(job, workers, args, check=k == 0, rng=rng).items():
                    found[job.name].setdefault(name, []).extend(xs)
                note(f"{job.name}: {k + 1} of {args.casts}")
            if k: continue
            for job in jobs:
                if job.kind == "epoch": continue
                for name, w in workers.items():
                    if w.hello["traced"] and job.kind in w.hello["kinds"]:
                        peaks[job.name][name] = w.ask("memory", kind=job.kind, sizes=job.sizes)["bytes"]
    return [row(job, found[job.name], peaks[job.name]) for job in jobs]

def slope(points):
    "How steep the upper half of a curve is on logarithmic scales, by least squares; None for fewer than two points."
    top = [(math.log(n), math.log(s)) for n, s in points[len(points) // 2:]]
    if len(top) < 2: return None
    x0, y0 = (statistics.fmean(c) for c in zip(*top))
    return round(sum((x - x0) * (y - y0) for x, y in top) / sum((x - x0)**2 for x, _ in top), 3)

def growth(curves, variants, args, said, skipped, note):
    "By what grows and by variant, pairs of size and seconds, as far as patience goes; and their slope."
    found = {what: {} for what in curves}
    for what, (kind, most) in curves.items():
        with crew(variants, args, said, skipped) as workers:
            team, n = {name: w for name, w in workers.items() if kind in w.hello["kinds"]}, 100
            spent = dict.fromkeys(team, 0.0)  # seconds that the last point took, with everything that was recorded or compiled for it
            while n <= min(most, args.most):
                for name, w in team.items():
                    points = found[what].setdefault(name, dict(points=[]))["points"]
                    if points and name not in PATIENT and (points[-1][0] * 10 < n or max(spent[name], points[-1][1] * 10) > args.patience): continue
                    started = time.perf_counter()
                    if n <= EASY: w.ask("check", kind=kind, sizes=dict(n=n))
                    w.ask("prepare", kind=kind, sizes=dict(n=n))
                    times, block = times_in_block(w, args.block_seconds)
                    seconds = statistics.median(w.seconds(times) for _ in range(5)) if block < SLOW else block
                    points.append([n, float(f"{seconds:.4g}")])
                    spent[name] = time.perf_counter() - started
                    w.ask("drop")
                note(f"{n:,} {what}")
                n *= 10
        for curve in found[what].values(): curve["slope"] = slope(curve["points"])
    return found

def ladder(args):
    "What ladder.py finds."
    command = [sys.executable, HERE / "ladder.py", f"--threads={args.threads}", f"--rounds={max(2, args.rounds * args.casts)}", f"--block-seconds={args.block_seconds / 2}"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | variables(args.threads)).stdout)


def processors(): return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

@contextlib.contextmanager
def neighbour(busy):
    "Inside, one processor has something else to do, if `busy`."
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try: yield
    finally:
        if process: process.kill(), process.wait()

def by_threads(jobs, variants, args, note):
    "Of each job that calls the BLAS: milliseconds with one thread, and what a thread for each processor takes as a ratio to that, alone and beside a busy process."
    rng, counts, jobs = random.Random(0), (1, processors()), [job for job in jobs if job.kind not in ("chain", "epoch")]
    rows = [dict(job=job.name, kind=job.kind, sizes=job.sizes, threads=counts[1], milliseconds={}, alone={}, beside={}) for job in jobs]
    for v in variants if counts[1] > 1 else ():
        if v.name not in PATIENT: continue
        found = [{"alone": [], "beside": []} for _ in rows]
        for _ in range(args.casts):
            with contextlib.ExitStack() as stack:
                workers = {str(n): Worker(v, sys.executable, n) for n in counts}
                for w in workers.values(): stack.callback(w.close)
                for how in ("alone", "beside"):
                    with neighbour(how == "beside"):
                        for job, pairs in zip(jobs, found): pairs[how] += zip(*cast(job, workers, args, check=False, rng=rng).values())
        for r, pairs in zip(rows, found):
            r["milliseconds"][v.name] = spread([1e3 * one for one, _ in pairs["alone"] if one])
            for how in pairs: r[how][v.name] = spread(paired(*zip(*pairs[how])))
        note(f"threads: {v.name}")
    return [r for r in rows if r["milliseconds"]]


def commit():
    "The commit that is measured, with -dirty behind it when files were changed since; None outside a repository."
    if not shutil.which("git"): return None
    return subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True).stdout.strip() or None

def processor():
    "The name of the processor, as far as the system tells."
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")] if cpuinfo.exists() else []
    return names[0] if names else platform.processor() or platform.machine()

def environment(threads, numpy):
    "What the numbers depend on; the date is that of the commit."
    return dict(commit=commit(), **numpy, threads=threads, processor=processor(), processors=os.cpu_count(), system=f"{platform.system()} {platform.machine()}")

def chosen(names, all, what, parser):
    "Those of `all` that are named, as text with commas; an error for a name that isn't there."
    if names == "all": return list(all)
    names = [n for n in names.split(";" if ";" in names else ",") if n]
    if names == ["none"]: return []
    if unknown := set(names) - set(all): parser.error(f"--{what}: expected some of {', '.join(all)}; got {', '.join(sorted(unknown))}")
    return [x for x in all if x in names]

def parsed(argv):
    from peers import VARIANTS
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    packages = list(dict.fromkeys(v.packages[0] for v in VARIANTS if v.packages))
    parser.add_argument("--threads", type=int, default=1, help="threads of every library (default 1)")
    parser.add_argument("--peers", default="all", help=f"some of {','.join(packages)}; or all, or none (default all)")
    parser.add_argument("--python", action="append", default=[], metavar="NAME=PATH", help="the Python of the peer that needs this package")
    parser.add_argument("--jobs", default="all", help="kinds of jobs, such as softmax,mlp (default all)")
    parser.add_argument("--parts", default="all", help=f"some of {','.join(PARTS)} (default all)")
    parser.add_argument("--rounds", type=int, default=20, help="in each cast, at least 2 (default 20)")
    parser.add_argument("--casts", type=int, default=3, help="how often all processes are started (default 3)")
    parser.add_argument("--block-seconds", type=float, default=0.02, help="length of a block; 0 for one step (default 0.02)")
    parser.add_argument("--budget", type=float, default=2, help="seconds for each job, variant and cast (default 2)")
    parser.add_argument("--patience", type=float, default=20, help="seconds for a point of a peer on a curve (default 20)")
    parser.add_argument("--most", type=int, default=10**8, help="where the curves end at the latest (default 1e8)")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "bench", help="where report and plots go (default build/bench)")
    args = parser.parse_args(argv)
    if args.threads < 1 or args.rounds < 2 or args.casts < 1 or args.block_seconds < 0:
        parser.error("expected --threads and --casts from 1, --rounds from 2, --block-seconds from 0")
    args.packages, args.parts = chosen(args.peers, packages, "peers", parser), chosen(args.parts, PARTS, "parts", parser)
    args.pythons = dict(p.partition("=")[::2] for p in args.python)
    if unknown := args.pythons.keys() - set(packages): parser.error(f"--python: expected NAME=PATH with a name from {', '.join(packages)}; got {', '.join(sorted(unknown))}")
    return args, [v for v in VARIANTS if not v.packages or v.packages[0] in args.packages], parser

def main(argv=None):
    args, variants, parser = parsed(argv)
    from jobs import CURVES, JOBS
    kinds = chosen(args.jobs, list(dict.fromkeys(job.kind for job in JOBS)), "jobs", parser)
    import show
    started, said, skipped = time.perf_counter(), {}, {}
    def note(what): print(f"{time.perf_counter() - started:5.0f} s  {what}", file=sys.stderr, flush=True)
    rows = compare([job for job in JOBS if job.kind in kinds], variants, args, said, skipped, note) if "compare" in args.parts else []
    curves = growth(CURVES, variants, args, said, skipped, note) if "growth" in args.parts else {}
    for name, why in skipped.items(): note(f"skipped: {name}, because {why} is not installed")
    rungs = ladder(args) if "ladder" in args.parts else {}
    threads = by_threads([job for job in JOBS if job.kind in kinds], variants, args, note) if "threads" in args.parts else []
    report = dict(environment=environment(args.threads, said.get(HAND, {}).get("environment", {})),
                  variants={name: hello["versions"] | dict(numpy=hello["environment"]["numpy"]) for name, hello in said.items()},
                  skipped=skipped, settings=dict(rounds=args.rounds, casts=args.casts, block_seconds=args.block_seconds, patience=args.patience, malloc=MALLOC), jobs=rows, growth=curves, ladder=rungs, threads=threads)
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / "bench.json").write_text(json.dumps(report, indent=1) + "\n")
    print(show.text(report))
    try: plots = show.save(report, args.output)
    except ImportError: plots, _ = [], note("no plots, because matplotlib is not installed")
    note(f"written to {args.output}: {', '.join(['bench.json', *plots])}")

if __name__ == "__main__": main()
