"autodiffnb, as its chapters write it."
import numpy as np
from autodiffnb import Tensor, cross_entropy, gradients, hvp as product, tensorcontract
from jobs import LR, Side, slices

def host(x): return np.asarray(x)

def price(params, X, labels):
    "The mean cross-entropy of linear layers with `maximum(0, .)` between them."
    h, last = X, len(params) - 2
    for i in range(0, last, 2): h = np.maximum(h @ params[i] + params[i + 1], 0)
    return cross_entropy(h @ params[last] + params[last + 1], labels)

def descend(params, X, labels):
    loss = price(params, X, labels)
    for p, g in zip(params, gradients(loss, params)):
        g *= LR
        p.value -= g
    return loss.value

def training(X, labels, params):
    params = [Tensor(p.copy()) for p in params]
    def step(): return descend(params, X, labels), *[p.value for p in params]
    def grads():
        loss = price(params, X, labels)
        return loss.value, *gradients(loss, params)
    return Side(step, grads)

def epoch(X, labels, params, size):
    params = [Tensor(p.copy()) for p in params]
    def step():
        for rows in slices(len(X), size): loss = descend(params, X[rows], labels[rows])
        return loss, *[p.value for p in params]
    return Side(step)

def contraction(A, B, Q):
    A, B = Tensor(A), Tensor(B)
    def step():
        C = tensorcontract(A, B, ([0, 2], [2, 1]))
        return C.value, *gradients(C, [A, B], Q)
    return Side(step)

def chain(x, c, times):
    start = Tensor(x)
    def step():
        x = start
        for _ in range(times): x = x * x + c
        return x.value, gradients(x, start)
    return Side(step)

def hvp(X, labels, params, tangents):
    def f(W, b): return cross_entropy(X @ W + b, labels)
    return Side(lambda: product(f, params, tangents))

def elements(x):
    x = Tensor(x)
    def step():
        y = (np.tanh(x) * x).sum()
        return y.value, gradients(y, x)
    return Side(step)

JOBS = dict(softmax=training, mlp=training, contraction=contraction, chain=chain, hvp=hvp, epoch=epoch, elements=elements)

# The same jobs, recorded once and replayed. A column of its own as soon as there is an entry; it takes the data of a job and returns a Side.
COMPILED: dict = {}
