"""The jobs that are timed: their data, and each of them written by hand in NumPy, which is what everybody else is compared with.

By hand means the derivative worked out on paper, and arrays written to in place where a careful programmer would do so. Unlike autodiffnb it
doesn't check the labels. This file needs NumPy alone, so that every process can compute the right answer for itself.
"""
from typing import Callable, NamedTuple

import numpy as np

LR, SEED = 0.01, 0
SIZES = (784, 256, 128, 10)  # of the layers of the MLP


class Goal(NamedTuple):
    "How much time `who` may take, as a ratio to `than`."
    who: str
    than: str
    ratio: float


class Job(NamedTuple):
    "One kind of work: `kind` is what the peers file their code under, `sizes` what its data depend on."
    name: str
    kind: str
    sizes: dict = {}
    goals: tuple[Goal, ...] = ()
    checked: dict | None = None  # the sizes at which results are compared, if not `sizes`: after hundreds of steps rounding has led them apart
    memory: dict = {}  # by variant, the ratio of its peak to that by hand that is asked for


class Side(NamedTuple):
    "One job, ready to be run by one variant."
    step: Callable     # does the work once; returns its results
    gradients: Callable | None = None  # the loss and the gradients where the parameters are now; None if the results are that already


# ---------------------------------------------------------------- data: the same numbers for everyone

def batch(rng, n):
    "A float32 batch (n, 784) of numbers in [0, 1), and integer labels (n,)."
    return dict(X=rng.random((n, 784), dtype=np.float32), labels=rng.integers(0, 10, n))

def layers(rng, sizes):
    "Weights (inputs, outputs) and biases (outputs,) of each layer, float32, in one list."
    return [x for i, o in zip(sizes, sizes[1:]) for x in ((rng.normal(size=(i, o)) * (2 / i)**0.5).astype(np.float32), np.zeros(o, np.float32))]

def softmax_data(rng, n): return batch(rng, n) | dict(params=layers(rng, (784, 10)))
def mlp_data(rng, n): return batch(rng, n) | dict(params=layers(rng, SIZES))
def epoch_data(rng, n, size): return mlp_data(rng, n) | dict(size=size)
def hvp_data(rng, n): return softmax_data(rng, n) | dict(tangents=[rng.normal(size=s).astype(np.float32) for s in ((784, 10), (10,))])
def chain_data(rng, n): return dict(x=0.5, c=-0.7, times=n // 2)
def elements_data(rng, n): return dict(x=rng.random(n, dtype=np.float32))

def contraction_data(rng, d, j):
    return dict(zip("ABQ", (rng.random(shape, dtype=np.float32) for shape in ((d, j, d, j), (j, d, d, j), (j, j, j, j)))))

DATA = dict(softmax=softmax_data, mlp=mlp_data, contraction=contraction_data, chain=chain_data, hvp=hvp_data, epoch=epoch_data, elements=elements_data)

def data_of(kind, sizes):
    "The data of a job, the same at every call."
    return DATA[kind](np.random.default_rng(SEED), **sizes)


# ---------------------------------------------------------------- by hand

def loss_and_adjoint(z, labels):
    "The mean cross-entropy of the logits `z` (n, c), and its adjoint, which takes the place of `z`."
    rows = np.arange(len(z))
    z -= z.max(axis=1, keepdims=True)
    picked = z[rows, labels]
    np.exp(z, out=z)
    total = z.sum(axis=1, keepdims=True)
    loss = (np.log(total[:, 0]) - picked).mean()
    z /= total
    z[rows, labels] -= 1
    z /= len(z)
    return loss, z

def loss_and_gradients(params, X, labels):
    "The loss of linear layers with `maximum(0, .)` between them, and its gradients."
    inputs, h, last = [X], X, len(params) - 2
    for i in range(0, last, 2):
        h = h @ params[i]
        h += params[i + 1]
        np.maximum(h, 0, out=h)
        inputs.append(h)
    z = h @ params[last]
    z += params[last + 1]
    loss, g = loss_and_adjoint(z, labels)
    grads = []
    for i in range(last, -1, -2):
        h = inputs.pop()
        grads[:0] = h.T @ g, g.sum(axis=0)
        if i:
            g = g @ params[i].T
            g *= h > 0
    return loss, grads

def descend(params, X, labels):
    "One step of gradient descent, which writes to `params`."
    loss, grads = loss_and_gradients(params, X, labels)
    for p, g in zip(params, grads):
        g *= LR
        p -= g
    return loss

def training(X, labels, params):
    params = [p.copy() for p in params]
    def step(): return descend(params, X, labels), *params
    def gradients():
        loss, grads = loss_and_gradients(params, X, labels)
        return loss, *grads
    return Side(step, gradients)

def slices(n, size):
    "The minibatches of an epoch."
    return [slice(i, i + size) for i in range(0, n, size)]

def epoch(X, labels, params, size):
    params = [p.copy() for p in params]
    def step():
        for rows in slices(len(X), size): loss = descend(params, X[rows], labels[rows])
        return loss, *params
    return Side(step)

def contraction(A, B, Q):
    "C[j0 j1 j2 j3], the sum over d0 and d1 of A[d0 j0 d1 j1] B[j2 d1 d0 j3], and the adjoints of A and B for a given adjoint Q of C."
    (d, j), n, m = A.shape[:2], A.shape[1]**2, A.shape[0]**2
    def step():
        A_rows = A.transpose(1, 3, 0, 2).reshape(n, m)
        B_columns = B.transpose(2, 1, 0, 3).reshape(m, n)
        C = (A_rows @ B_columns).reshape(j, j, j, j)
        Q_square = Q.reshape(n, n)
        A_adjoint = (Q_square @ B_columns.T).reshape(j, j, d, d).transpose(2, 0, 3, 1)
        B_adjoint = (A_rows.T @ Q_square).reshape(d, d, j, j).transpose(2, 1, 0, 3)
        return C, A_adjoint, B_adjoint
    return Side(step)

def chain(x, c, times):
    "`x * x + c` again and again, on a single number, and the derivative with respect to the first x."
    start = x
    def step():
        x, seen, g = start, [], 1.0
        for _ in range(times):
            seen.append(x)
            x = x * x + c
        for before in reversed(seen): g = 2 * before * g
        return x, g
    return Side(step)

def hvp(X, labels, params, tangents):
    "The Hessian of the mean cross-entropy of `X @ W + b` by W and b, times `tangents`."
    (W, b), (W_tangent, b_tangent) = params, tangents
    def step():
        p = X @ W
        p += b
        p -= p.max(axis=1, keepdims=True)
        np.exp(p, out=p)
        p /= p.sum(axis=1, keepdims=True)
        t = X @ W_tangent
        t += b_tangent
        t -= (p * t).sum(axis=1, keepdims=True)
        t *= p
        t /= len(X)
        return X.T @ t, t.sum(axis=0)
    return Side(step)

def elements(x):
    "The sum of `tanh(x) * x`, and its derivative."
    def step():
        t = np.tanh(x)
        g = t * t
        np.subtract(1, g, out=g)
        g *= x
        g += t
        t *= x
        return t.sum(), g
    return Side(step)

BY_HAND = dict(softmax=training, mlp=training, contraction=contraction, chain=chain, hvp=hvp, epoch=epoch, elements=elements)


# ---------------------------------------------------------------- the table

HAND, OURS, COMPILED, JAX, TORCH = "hand-written", "autodiffnb", "autodiffnb, compiled", "JAX", "PyTorch"

def within(hand, ours=None, compiled=None, than_jax=None):
    return tuple(Goal(who, than, ratio) for who, than, ratio in
                 ((OURS, hand, ours), (COMPILED, hand, compiled), (COMPILED, JAX, than_jax)) if ratio)

MEMORY = {OURS: 1.5, COMPILED: 1.0}
JOBS = [
    Job("softmax step, batch 32", "softmax", dict(n=32), within(HAND, 1.25, 0.95, 1.0), memory=MEMORY),
    Job("softmax step, batch 256", "softmax", dict(n=256), within(HAND, 1.10, 1.0, 1.0), memory=MEMORY),
    Job("MLP 784-256-128-10 step, batch 128", "mlp", dict(n=128), within(HAND, 1.08, 1.0), memory=MEMORY),
    Job("contraction of rank 4, both adjoints", "contraction", dict(d=24, j=20), (Goal(OURS, HAND, 1.03), Goal(OURS, JAX, 1.0))),
    Job("chain of 2,000 scalar operations", "chain", dict(n=2000), (Goal(OURS, TORCH, 0.25),)),
    Job("Hessian-vector product, softmax, 2048 rows", "hvp", dict(n=2048), (Goal(OURS, JAX, 1.1),)),
    Job("MLP epoch, 60,000 images, batch 128", "epoch", dict(n=60_000, size=128), (Goal(OURS, TORCH, 1.0),), dict(n=1000, size=128)),
]
CURVES = {"nodes": ("chain", 10**6), "elements": ("elements", 10**8)}  # what grows, the kind of job, and how far
