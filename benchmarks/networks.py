#!/usr/bin/env python3
"""The networks of the chapters on convolution and attention, in full; their records are what those chapters show.

    networks.py cnn       train the CNN on all 60,000 images of FashionMNIST, validate on the 10,000 test images
    networks.py addition  train the transformer on sums of two- and three-digit numbers, test it on sums that it never saw
    networks.py peers     time a step of the same CNN here and in PyTorch, in turns, on the same processors [--python PATH, with torch] [--threads 1,2]
    networks.py layouts   time the ways to lay out a convolution as a matrix product

Each prints what it does and writes RESULTS/NAME.json (--results, by default results/networks beside this file) with versions, processor and settings.
One BLAS thread unless --threads says otherwise. Times depend on what else the machine does; accuracies do not, but for the last bits of the kernels.
"""
import argparse, json, os, statistics, subprocess, sys, time
from pathlib import Path

import run

HERE = Path(__file__).resolve().parent
LR, SLOWER, EPOCHS, BATCH = 0.002, 0.75, 8, 64  # of the CNN
SUMS, TESTS = 64_000, 10_000  # that the transformer learns from, and is asked


def environment(threads):
    import numpy as np
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return run.environment(threads, dict(python=sys.version.split()[0], numpy=np.__version__, blas=f"{blas['name']} {blas['version']}"))

def write(results, name, report):
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(f"written to {results / name}.json")

def timed(f, least=0.3, times=5):
    "The shortest of several times of `f`, in milliseconds."
    f()
    found, end = [], time.perf_counter() + least
    while len(found) < times or time.perf_counter() < end:
        start = time.perf_counter()
        f()
        found.append(time.perf_counter() - start)
    return 1000 * min(found)


# ---------------------------------------------------------------- training

def train(model, train, validation, epochs, batch, lr, slower, said, **how):
    "`fit` with Adam, a learning rate that falls after each epoch, and the time of each."
    from autodiffnb import Adam, fit
    marks = [time.perf_counter()]

    def after(model, optimizer, history):
        optimizer.lr *= slower
        marks.append(time.perf_counter())
        said(history[-1] | dict(seconds=round(marks[-1] - marks[-2], 1)))

    history = fit(model, train, validation, epochs=epochs, batch_size=batch, optimizer=Adam(model.params, lr=lr), shuffle=0, compile=True, progress=False, callbacks=[after], **how)
    return [row | dict(seconds=round(b - a, 1)) for row, a, b in zip(history, marks, marks[1:])], history.settings | dict(lr_factor=slower)

def cnn(args):
    from autodiffnb import fashion_mnist
    from autodiffnb.convolution import CNN
    data, model = fashion_mnist(), CNN(seed=0)
    rows, settings = train(model, data[:2], data[2:4], args.epochs or EPOCHS, BATCH, LR, SLOWER, said=lambda row: print(row, flush=True))
    settings |= dict(layers=[list(layer) for layer in model.layers], parameters=sum(p.size for p in model.params.values()), seed=0)
    write(args.results, "cnn", dict(environment=environment(args.threads[0]), settings=settings, epochs=rows))


def addition(args):
    import numpy as np
    from autodiffnb.attention import CHARACTERS, Transformer, answers, draw_sums, held_out, written
    a, b = draw_sums(SUMS, np.random.default_rng(0), held=False)
    c, d = draw_sums(TESTS, np.random.default_rng(1), held=True)
    if held_out()[a, b].any() or not held_out()[c, d].all(): sys.exit("sums that are held out are among the others")
    data, test, exact = written(a, b), written(c, d), []
    model = Transformer(vocabulary=len(CHARACTERS), context=11, first=7, seed=0)

    def right(n): return (answers(model, test[0][:n]) == test[1][:n]).all(axis=1)
    def said(row):
        exact.append(float(right(2000).mean()))
        print(row | dict(exact=exact[-1]), flush=True)
    rows, settings = train(model, data, None, args.epochs or 8, 256, 0.003, 0.7, said)
    good = right(None)
    carries = sum(((c % 10**n + d % 10**n) >= 10**n).astype(int) for n in (1, 2, 3))
    by_carries = {str(n): [int((carries == n).sum()), int(good[carries == n].sum())] for n in range(4)}
    maps = [look[:, :, 7:].mean(axis=0, dtype=float).round(3).tolist() for look in model.looked_at(test[0][:200])]
    settings |= dict(parameters=sum(p.size for p in model.params.values()), seed=0, held_out="one pair of numbers in twenty")
    print(f"{good.mean():.2%} of {len(good):,} held-out sums are right; of those with 0 to 3 carries: {by_carries}")
    write(args.results, "addition", dict(environment=environment(args.threads[0]), settings=settings, epochs=[r | dict(exact=e) for r, e in zip(rows, exact)],
                                         test=dict(sums=len(good), right=int(good.sum()), by_carries=by_carries), maps=maps))


# ---------------------------------------------------------------- a step beside PyTorch

def batches():
    import numpy as np
    rng = np.random.default_rng(0)
    return [(rng.random((BATCH, 784), dtype=np.float32), rng.integers(0, 10, BATCH)) for _ in range(8)]

def ours(threads):
    "A step of the chapter's CNN, compiled, with Adam."
    from autodiffnb import Adam, compile, cross_entropy
    from autodiffnb.convolution import CNN
    from autodiffnb.training import priced
    model = CNN(seed=0)
    optimizer, price = Adam(model.params, lr=LR), compile(priced(model, cross_entropy, model.params))

    def step(X, t):
        loss, grads = price({name: p.value for name, p in model.params.items()}, X, t)
        optimizer.step(grads)
        return float(loss)
    return step

def torch(threads, channels_last):
    "The same step in PyTorch, from the same weights, with the same padding and order of pooling, bias and rectifier."
    import numpy as np, torch
    import torch.nn.functional as F
    from autodiffnb.convolution import CNN
    torch.set_num_threads(threads)
    model = CNN(seed=0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    params, (height, width, c) = [], model.image
    for i, layer in enumerate(model.layers, 1):
        params.append(torch.tensor(model.params[f"W{i}"].value).permute(3, 2, 0, 1).contiguous(memory_format=layout))
        params.append(torch.zeros(layer.channels))
        height, width, c = -(-height // layer.stride) // layer.pool, -(-width // layer.stride) // layer.pool, layer.channels
    last = model.params[f"W{len(model.layers) + 1}"].value
    params += [torch.tensor(last.reshape(height, width, c, -1).transpose(2, 0, 1, 3).reshape(last.shape)), torch.zeros(last.shape[1])]
    for p in params: p.requires_grad_(True)
    optimizer = torch.optim.Adam(params, lr=LR, eps=1e-8)

    def step(X, t):
        h, w, c = model.image
        x = torch.from_numpy(X).view(-1, h, w, c).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        for layer, W, b in zip(model.layers, params[::2], params[1::2]):
            size, (k, s) = x.shape[2], (layer.kernel, layer.stride)
            need = max((-(-size // s) - 1) * s + k - size, 0)
            x = F.conv2d(F.pad(x, (need // 2, need - need // 2) * 2) if need % 2 else x, W, b, stride=s, padding=0 if need % 2 else need // 2)
            if layer.pool > 1: x = F.max_pool2d(x, layer.pool)
            x = F.relu(x)
        loss = F.cross_entropy(x.flatten(1) @ params[-2] + params[-1], torch.from_numpy(t))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())
    step.version = torch.__version__
    return step

SIDES = {"autodiffnb": ours, "PyTorch, channels first": lambda n: torch(n, False), "PyTorch, channels last": lambda n: torch(n, True)}

def side(name, threads):
    "What a process of its own does: says the first losses, then times as many steps as it is told to, until nobody asks."
    run.pinned(threads)
    step, data = SIDES[name](threads), batches()
    print(json.dumps(dict(losses=[step(*batch) for batch in data[:5]], version=getattr(step, "version", None))), flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for n in range(int(line)): step(*data[n % len(data)])
        print(json.dumps((time.perf_counter() - start) / int(line)), flush=True)

def peers(args):
    found, version = {}, None
    for threads in args.threads:
        workers = {name: subprocess.Popen([args.python if "PyTorch" in name else sys.executable, __file__, "side", "--side", name, "--threads", str(threads)], text=True,
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | run.variables(threads)) for name in SIDES}
        said = {name: json.loads(w.stdout.readline()) for name, w in workers.items()}
        first = said["autodiffnb"]["losses"]
        for name, s in said.items():
            if max(abs(a - b) for a, b in zip(s["losses"], first)) > 1e-3: sys.exit(f"{name} computes other losses: {s['losses']} and not {first}")
        version = said["PyTorch, channels last"]["version"]

        def seconds(name):
            workers[name].stdin.write("8\n")
            workers[name].stdin.flush()
            return json.loads(workers[name].stdout.readline())
        rounds = [{name: seconds(name) for name in SIDES} for _ in range(args.rounds + 1)][1:]
        for w in workers.values(): w.communicate()
        found[str(threads)] = {name.removeprefix("PyTorch, "): dict(ratio=round(statistics.median(r["autodiffnb"] / r[name] for r in rounds), 3),
                                                                     milliseconds=round(1000 * statistics.median(r[name] for r in rounds), 2),
                                                                     ours=round(1000 * statistics.median(r["autodiffnb"] for r in rounds), 2)) for name in SIDES if name != "autodiffnb"}
        print(threads, found[str(threads)], flush=True)
    write(args.results, "peers", dict(environment=environment(args.threads) | dict(torch=version), settings=dict(batch=BATCH, rounds=args.rounds, steps=8), threads=found))


# ---------------------------------------------------------------- layouts

def layouts(args):
    "Window of 3 by 3 over 64 pictures of 14 by 14, 16 channels to 32: `einsum` over the view, and three layouts of the copy."
    import numpy as np
    from numpy.lib.stride_tricks import sliding_window_view
    rng, n, h, c, k, o = np.random.default_rng(0), 64, 14, 16, 3, 32
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    x, w, q, found = draw(n, h + 2, h + 2, c), draw(k, k, c, o), draw(n, h, h, o), {}

    view = sliding_window_view(x, (k, k), axis=(1, 2))
    found["way there, einsum over the view"] = timed(lambda: np.einsum("nabcde,deco->nabo", view, w))
    W, Q = w.reshape(-1, o), q.reshape(-1, o)
    copy = lambda: np.moveaxis(view, 3, -1).reshape(n * h * h, -1)
    found["way there, copy and product"] = timed(lambda: copy() @ W)
    columns, U = copy(), (Q @ W.T).reshape(n, h, h, k, k, c)

    def put_back(total, parts):
        for here, part in zip(total, parts): np.add(here, part, out=here)
    def last():
        total = np.zeros_like(x)
        put_back([total[:, i:i + h, j:j + h] for i in range(k) for j in range(k)], [U[:, :, :, i, j] for i in range(k) for j in range(k)])
    found |= {"last: copy": timed(copy), "last: products": sum(map(timed, (lambda: columns @ W, lambda: columns.T @ Q, lambda: Q @ W.T))), "last: put back": timed(last)}

    x1, Q1, W1 = np.ascontiguousarray(x.transpose(3, 0, 1, 2)), np.ascontiguousarray(q.transpose(3, 0, 1, 2)).reshape(o, -1), np.ascontiguousarray(w.transpose(3, 2, 0, 1)).reshape(o, -1)
    view1 = sliding_window_view(x1, (k, k), axis=(2, 3))
    copy1 = lambda: view1.transpose(0, 4, 5, 1, 2, 3).reshape(c * k * k, -1)
    columns1, U1 = copy1(), (W1.T @ Q1).reshape(c, k, k, n, h, h)
    def first():
        total = np.zeros_like(x1)
        put_back([total[:, :, i:i + h, j:j + h] for i in range(k) for j in range(k)], [U1[:, i, j] for i in range(k) for j in range(k)])
    found |= {"first: copy": timed(copy1), "first: products": sum(map(timed, (lambda: W1 @ columns1, lambda: Q1 @ columns1.T, lambda: W1.T @ Q1))), "first: put back": timed(first)}

    x2, Q2 = np.ascontiguousarray(x.transpose(0, 3, 1, 2)), np.ascontiguousarray(q.transpose(0, 3, 1, 2)).reshape(n, o, -1)
    view2 = sliding_window_view(x2, (k, k), axis=(2, 3))
    copy2 = lambda: view2.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * k * k, -1)
    columns2, U2 = copy2(), (W1.T @ Q2).reshape(n, c, k, k, h, h)
    def after():
        total = np.zeros_like(x2)
        put_back([total[:, :, i:i + h, j:j + h] for i in range(k) for j in range(k)], [U2[:, :, i, j] for i in range(k) for j in range(k)])
    products = (lambda: W1 @ columns2, lambda: (Q2 @ columns2.swapaxes(1, 2)).sum(axis=0), lambda: W1.T @ Q2)
    found |= {"after the batch: copy": timed(copy2), "after the batch: products": sum(map(timed, products)), "after the batch: put back": timed(after)}
    found = {name: round(ms, 3) for name, ms in found.items()}
    print(json.dumps(found, indent=1))
    write(args.results, "layouts", dict(environment=environment(args.threads[0]), milliseconds=found))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("cnn", "addition", "peers", "layouts", "side"), metavar="cnn|addition|peers|layouts")
    parser.add_argument("--threads", type=lambda text: [int(n) for n in text.split(",")], help="BLAS threads; for peers several, with commas")
    parser.add_argument("--epochs", type=int, help="another number of epochs than the record's")
    parser.add_argument("--rounds", type=int, default=40, help="of timing, for peers")
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--results", type=Path, default=HERE / "results" / "networks")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.threads is None: args.threads = [1, 2] if args.what == "peers" else [1]
    if args.what == "side": return side(args.side, args.threads[0])
    if args.what != "peers" and os.environ.get("AUTODIFFNB_HELD") is None:  # the number of threads is read when NumPy is imported
        sys.exit(subprocess.call([sys.executable, __file__, *(argv or sys.argv[1:])], env=os.environ | run.variables(args.threads[0]) | dict(AUTODIFFNB_HELD="1")))
    globals()[args.what](args)

if __name__ == "__main__": main()
