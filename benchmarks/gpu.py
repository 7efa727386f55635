#!/usr/bin/env python3
"""A training step on a GPU: autodiffnb on CuPy arrays beside PyTorch, on the same device. NOT YET RUN ON A GPU; tested on a stand-in for CuPy.

    gpu.py [--batch 8192] [--sizes 784,256,128,10] [--rounds 50] [--steps 10] [--output build/bench]

Needs cupy (pip install cupy-cuda12x) and a GPU; torch with CUDA if there is to be a ratio. The step is the loss of a multilayer perceptron in
float32, its gradient, and one step of gradient descent; nothing of it is compiled, in either library. First the two losses and gradients are
compared. Then autodiffnb's step runs where CuPy forbids the host to wait (cupyx.allow_synchronize), which raises if it does.
Then the two take turns, a block of steps each, timed by events on the device; what counts is the median of
the ratios within a round. The goal is 1.3. TF32 is off on both sides. The report goes to OUTPUT/gpu.json."""
import argparse, json, platform, statistics, sys, time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import autodiffnb
from autodiffnb import cross_entropy, linear, value_and_grad

RATE = 0.1


def weights(sizes, seed=0):
    "Weights and biases of each layer, on the host."
    rng = np.random.default_rng(seed)
    return [(rng.normal(0, (2 / n) ** 0.5, (n, m)).astype(np.float32), np.zeros(m, np.float32)) for n, m in zip(sizes, sizes[1:])]


def batch_of(batch, sizes, seed=1):
    "Images and labels, on the host."
    rng = np.random.default_rng(seed)
    return rng.random((batch, sizes[0]), np.float32), rng.integers(0, sizes[-1], batch)


def price(layers, X, labels):
    "The loss, in NumPy's words."
    for W, b in layers[:-1]: X = np.maximum(linear(X, W, b), 0)
    W, b = layers[-1]
    return cross_entropy(linear(X, W, b), labels)


def ours(to_device, sizes, batch):
    "autodiffnb's parameters, and its step: `step(layers) -> (loss, gradients, new layers)`."
    X, labels = map(to_device, batch_of(batch, sizes))
    both = value_and_grad(price)
    def step(layers):
        loss, grads = both(layers, X, labels)
        return loss, grads, [tuple(p - RATE * g for p, g in zip(layer, layer_grads)) for layer, layer_grads in zip(layers, grads)]
    return [tuple(map(to_device, layer)) for layer in weights(sizes)], step


def torchs(torch, sizes, batch):
    "The same of PyTorch, with its own idioms: leaves, backward, in-place update."
    X, labels = (torch.from_numpy(x).cuda() for x in batch_of(batch, sizes))
    def step(layers):
        z = X
        for W, b in layers[:-1]: z = torch.relu(torch.addmm(b, z, W))
        loss = torch.nn.functional.cross_entropy(torch.addmm(layers[-1][1], z, layers[-1][0]), labels)
        grads = torch.autograd.grad(loss, [p for layer in layers for p in layer])
        with torch.no_grad():
            for p, g in zip((p for layer in layers for p in layer), grads): p -= RATE * g
        return loss, grads, layers
    return [tuple(torch.from_numpy(p).cuda().requires_grad_() for p in layer) for layer in weights(sizes)], step


def repeat(step, layers, steps):
    "The layers after so many steps."
    for _ in range(steps): layers = step(layers)[2]
    return layers


def compared(first, second, to_host):
    "The greatest relative differences of the losses and the gradients."
    (loss, grads), (other_loss, other_grads) = first, second
    flat = [to_host(g) for layer in grads for g in layer]
    worst = max(float(np.abs(g - h).max() / (np.abs(h).max() + 1e-30)) for g, h in zip(flat, other_grads, strict=True))
    return dict(loss=abs(float(to_host(loss)) - other_loss) / abs(other_loss), gradients=worst)


def on_host(sizes, batch):
    "The loss and the gradients by autodiffnb on NumPy arrays in double precision: what every device is compared with."
    X, labels = batch_of(batch, sizes)
    loss, grads = value_and_grad(price)([tuple(p.astype(float) for p in layer) for layer in weights(sizes)], X.astype(float), labels)
    return float(loss), [g for layer in grads for g in layer]


def turns(blocks, clock, rounds, ratio_of):
    "The time of a block of each, by name, in rounds; and the median of the ratios of the first to the second."
    seconds = {name: [] for name in blocks}
    for block in blocks.values(): clock(block)
    for k in range(rounds):
        for name in sorted(blocks, reverse=k % 2): seconds[name].append(clock(blocks[name]))
    a, b = ratio_of
    ratio = statistics.median(x / y for x, y in zip(seconds[a], seconds[b])) if b in seconds else None
    return {name: statistics.median(s) for name, s in seconds.items()}, ratio


def device_clock(cupy):
    "Seconds that the device takes for what `block` sends it, by events; everything sent before is waited for."
    def clock(block):
        begin, end = cupy.cuda.Event(), cupy.cuda.Event()
        cupy.cuda.Device().synchronize()
        begin.record(cupy.cuda.Stream.null)
        block()
        end.record(cupy.cuda.Stream.null)
        cupy.cuda.Device().synchronize()       # also what PyTorch sent, to the same default stream
        return cupy.cuda.get_elapsed_time(begin, end) / 1000
    return clock


def host_clock(block):
    begin = time.perf_counter()
    block()
    return time.perf_counter() - begin


def report_on(to_device, to_host, clock, without_waiting, sizes, batch, steps, rounds, torch=None):
    "All that is measured, for arrays made by `to_device`."
    layers, step = ours(to_device, sizes, batch)
    expected = on_host(sizes, batch)
    loss, grads, _ = step(layers)
    report = dict(sizes=list(sizes), batch=batch, steps=steps, rounds=rounds, differences=dict(autodiffnb=compared((loss, grads), expected, to_host)))
    with without_waiting(): repeat(step, layers, 2)
    report["waits_in_a_step"] = 0               # one would have raised
    blocks = {"autodiffnb": lambda: repeat(step, layers, steps)}
    if torch:
        torch_layers, torch_step = torchs(torch, sizes, batch)
        loss, grads, _ = torch_step(torch_layers)
        report["differences"]["torch"] = compared((loss, [grads]), expected, lambda x: x.detach().cpu().numpy())
        blocks["torch"] = lambda: repeat(torch_step, torch_layers, steps)
    seconds, report["ratio"] = turns(blocks, clock, rounds, ("autodiffnb", "torch"))
    return report | dict(seconds_of_a_step={name: s / steps for name, s in seconds.items()})


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("--batch", 8192), ("--rounds", 50), ("--steps", 10)): p.add_argument(name, type=int, default=default)
    p.add_argument("--sizes", type=lambda text: tuple(map(int, text.split(","))), default=(784, 256, 128, 10))
    p.add_argument("--output", type=Path, default=Path("build/bench"))
    given = p.parse_args()
    try: import cupy, cupyx
    except ImportError: sys.exit("gpu.py needs CuPy: pip install cupy-cuda12x")
    try: device = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    except cupy.cuda.runtime.CUDARuntimeError as error: sys.exit(f"gpu.py needs a GPU: {error}")
    try: import torch
    except ImportError: torch = None
    if torch and torch.cuda.is_available(): torch.backends.cuda.matmul.allow_tf32 = False
    else: torch = None
    report = report_on(cupy.asarray, cupy.asnumpy, device_clock(cupy), lambda: cupyx.allow_synchronize(False), given.sizes, given.batch, given.steps, given.rounds, torch)
    report |= dict(device=device, versions=dict(python=platform.python_version(), numpy=np.__version__, cupy=cupy.__version__, torch=torch and torch.__version__, autodiffnb=autodiffnb.__version__))
    given.output.mkdir(parents=True, exist_ok=True)
    (given.output / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))
    if torch is None: print("no PyTorch with CUDA here, so there is no ratio", file=sys.stderr)


if __name__ == "__main__": main()
