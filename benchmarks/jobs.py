"""The steps that are timed, each written twice: by hand in NumPy, and with autodiffnb.

The hand-written ones are what the package has to compete with: the derivative worked out on paper, and arrays written to in
place where a careful programmer would do so. Unlike ours they don't check the labels.
"""
from typing import Callable, NamedTuple

import numpy as np

from autodiffnb import Tensor, cross_entropy, gradients, tensorcontract

LR = 0.01


class Job(NamedTuple):
    "One kind of step, and how much more it may cost here than by hand."
    name: str
    prepare: Callable # generator -> two functions without arguments, by hand and ours; each call is a step and returns arrays
    time: float | None = None # ratio of times that is asked for
    memory: float | None = None # ratio of peaks that is asked for


def batch(rng, n, features=784, classes=10):
    "A float32 batch (n, features) of numbers in [0, 1), and integer labels (n,)."
    return rng.random((n, features), dtype=np.float32), rng.integers(0, classes, n)

def layer(rng, inputs, outputs):
    "Weights (inputs, outputs) and biases (outputs,), float32."
    return (0.05 * rng.normal(size=(inputs, outputs))).astype(np.float32), np.zeros(outputs, np.float32)

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


def softmax_regression(rng, n):
    "One step of gradient descent for `X @ W + b`."
    X, labels = batch(rng, n)
    W, b = layer(rng, 784, 10)
    params = [Tensor(W.copy()), Tensor(b.copy())]

    def by_hand():
        nonlocal W, b
        z = X @ W
        z += b
        loss, g = loss_and_adjoint(z, labels)
        W -= LR * (X.T @ g)
        b -= LR * g.sum(axis=0)
        return loss, W, b

    def ours():
        loss = cross_entropy(X @ params[0] + params[1], labels)
        for p, g in zip(params, gradients(loss, params)): p.value -= LR * g
        return loss.value, *[p.value for p in params]

    return by_hand, ours


def mlp(rng, n, sizes=(784, 256, 128, 10)):
    "One step of gradient descent for linear layers with `maximum(0, .)` between them."
    X, labels = batch(rng, n)
    layers = [layer(rng, *pair) for pair in zip(sizes, sizes[1:])]
    params = [Tensor(x.copy()) for pair in layers for x in pair]

    def by_hand():
        inputs, h = [X], X
        for W, b in layers[:-1]:
            h = h @ W
            h += b
            np.maximum(h, 0, out=h)
            inputs.append(h)
        z = h @ layers[-1][0]
        z += layers[-1][1]
        loss, g = loss_and_adjoint(z, labels)
        for i in range(len(layers) - 1, -1, -1):
            (W, b), h = layers[i], inputs.pop()
            W_adjoint, b_adjoint = h.T @ g, g.sum(axis=0)
            if i:
                g = g @ W.T
                g *= h > 0
            W -= LR * W_adjoint
            b -= LR * b_adjoint
        return loss, *[x for pair in layers for x in pair]

    def ours():
        h, last = X, len(params) - 2
        for i in range(0, last, 2): h = np.maximum(h @ params[i] + params[i + 1], 0)
        loss = cross_entropy(h @ params[last] + params[last + 1], labels)
        for p, g in zip(params, gradients(loss, params)): p.value -= LR * g
        return loss.value, *[p.value for p in params]

    return by_hand, ours


def contraction(rng, d, j):
    "C[j0 j1 j2 j3], the sum over d0 and d1 of A[d0 j0 d1 j1] B[j2 d1 d0 j3], and the adjoints of A and B for a given adjoint Q of C."
    A, B, Q = (rng.random(shape, dtype=np.float32) for shape in ((d, j, d, j), (j, d, d, j), (j, j, j, j)))
    tA, tB = Tensor(A), Tensor(B)

    def by_hand():
        A_rows = A.transpose(1, 3, 0, 2).reshape(j * j, d * d)
        B_columns = B.transpose(2, 1, 0, 3).reshape(d * d, j * j)
        C = (A_rows @ B_columns).reshape(j, j, j, j)
        Q_square = Q.reshape(j * j, j * j)
        A_adjoint = (Q_square @ B_columns.T).reshape(j, j, d, d).transpose(2, 0, 3, 1)
        B_adjoint = (A_rows.T @ Q_square).reshape(d, d, j, j).transpose(2, 1, 0, 3)
        return C, A_adjoint, B_adjoint

    def ours():
        C = tensorcontract(tA, tB, ([0, 2], [2, 1]))
        return C.value, *gradients(C, [tA, tB], Q)

    return by_hand, ours


def chain(rng, n):
    "`n` operations on single numbers, `x * x + c` again and again, and the derivative with respect to the first x."
    start, c = 0.5, -0.7
    x0 = Tensor(start)

    def by_hand():
        x, seen, g = start, [], 1.0
        for _ in range(n // 2):
            seen.append(x)
            x = x * x + c
        for x_before in reversed(seen): g = 2 * x_before * g
        return x, g

    def ours():
        x = x0
        for _ in range(n // 2): x = x * x + c
        return x.value, gradients(x, x0)

    return by_hand, ours


JOBS = [
    Job("softmax regression, batch 32", lambda rng: softmax_regression(rng, 32), time=1.30, memory=1.6),
    Job("softmax regression, batch 256", lambda rng: softmax_regression(rng, 256), time=1.15, memory=1.6),
    Job("MLP 784-256-128-10, batch 128", lambda rng: mlp(rng, 128)),
    Job("contraction of rank 4, both adjoints", lambda rng: contraction(rng, d=24, j=20)),
    Job("chain of 2,000 scalar operations", lambda rng: chain(rng, 2000)),
]
