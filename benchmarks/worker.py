"""One process, one variant (peers/). Reads requests from stdin, a line of JSON each, and answers each with a line of JSON.

    {"do": "check", "kind": ..., "sizes": {...}}                    its losses, gradients and results compared with hand-written NumPy's
    {"do": "prepare", "kind": ..., "sizes": {...}}                  the data made and the job set up
    {"do": "block", "times": n}                                     seconds that n steps take
    {"do": "memory", "kind": ..., "sizes": {...}}                   the most bytes that a step holds at once, as far as tracemalloc sees
    {"do": "drop"}                                                  lets go of the job
"""
import gc, json, os, sys, time, tracemalloc

from run import pinned

TOLERANCE, CHECKED_STEPS = 1e-3, 4  # compiled steps are replayed from the third on


def close(x, y, tolerance=TOLERANCE):
    "Is `y` what `x` is, in shape, and in value to `tolerance` of the greatest entry?"
    return x.shape == y.shape and bool((abs(x - y) <= tolerance * abs(x).max()).all())

def agree(by_hand, side, host, name):
    "Raise `AssertionError` unless loss, gradients and results are those of hand-written NumPy, where they start and after each of the first steps."
    import numpy as np
    def compare(what, ours):
        right, ours = [np.asarray(x) for x in getattr(by_hand, what)()], [host(x) for x in ours()]
        if len(right) != len(ours): raise AssertionError(f"{name}: {len(right)} {what} by hand, {len(ours)} here")
        for i, (x, y) in enumerate(zip(right, ours)):
            if not close(x, y): raise AssertionError(f"{name}: number {i} of its {what} differs: by hand\n{x}\nhere\n{y}")
    if side.gradients: compare("gradients", side.gradients)
    for _ in range(CHECKED_STEPS): compare("step", side.step)
    if side.gradients: compare("gradients", side.gradients)

def seconds(step, times, wait):
    "How long it takes to do the step so many times."
    start = time.perf_counter()
    for _ in range(times): result = step()
    wait(result)
    return time.perf_counter() - start

def peak(job, data):
    "The most bytes that a step holds at once, above the data and what `job` made of them. What earlier steps have kept for later ones counts."
    job(**data).step()  # what is made once for all, such as plans of contractions
    gc.collect(); tracemalloc.start()
    try:
        side = job(**data)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(CHECKED_STEPS): side.step()
        gc.collect(); tracemalloc.reset_peak()
        result = side.step()
        return tracemalloc.get_traced_memory()[1] - before
    finally: tracemalloc.stop()


def environment():
    "The versions that a process runs with."
    import platform, numpy as np
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return dict(python=platform.python_version(), numpy=np.__version__, blas=f"{blas.get('name')} {blas.get('version')}")

def serve(variant, threads, requests, answer):
    "Answer requests until they end."
    import peers
    from jobs import BY_HAND, data_of
    try: module, jobs = peers.load(variant)
    except ImportError as error:
        if not variant.packages: raise
        return answer(dict(missing=error.name))
    getattr(module, "threads", lambda n: None)(threads)
    wait, side = getattr(module, "wait", lambda x: None), None
    answer(dict(kinds=list(jobs), versions=peers.versions(variant), environment=environment(), traced=getattr(module, "traced", True)))
    for line in requests:
        request = json.loads(line)
        try:
            match request["do"]:
                case "check":
                    data = data_of(request["kind"], request["sizes"])
                    agree(BY_HAND[request["kind"]](**data), jobs[request["kind"]](**data), module.host, variant.name)
                    del data
                    answer({})
                case "prepare":
                    side = None
                    side = jobs[request["kind"]](**data_of(request["kind"], request["sizes"]))
                    answer({})
                case "block":
                    times = request["times"]
                    if times > 1: seconds(side.step, max(1, times // 20), wait)  # the caches are another's when the turn comes
                    answer(dict(seconds=seconds(side.step, times, wait)))
                case "memory":
                    side = None
                    answer(dict(bytes=peak(jobs[request["kind"]], data_of(request["kind"], request["sizes"]))))
                case "drop": side = None; gc.collect(); answer({})
        except Exception as error: answer(dict(error=f"{type(error).__name__}: {error}"))


def main():
    variant, threads = sys.argv[1], int(sys.argv[2])
    pinned(threads)
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    import peers
    def answer(reply): print(json.dumps(reply), file=channel, flush=True)
    serve(next(v for v in peers.VARIANTS if v.name == variant), threads, sys.stdin, answer)

if __name__ == "__main__": main()
