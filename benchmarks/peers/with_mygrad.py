"MyGrad, with its guard of memory off, as its manual advises for speed. It has no second derivatives."
import mygrad as mg
import numpy as np
from mygrad.nnet.losses import softmax_crossentropy
from jobs import LR, Side, slices

mg.turn_memory_guarding_off()

def host(x): return np.asarray(x.data if isinstance(x, mg.Tensor) else x)

def price(params, X, labels):
    h, last = X, len(params) - 2
    for i in range(0, last, 2): h = mg.maximum(mg.matmul(h, params[i]) + params[i + 1], 0)
    return softmax_crossentropy(mg.matmul(h, params[last]) + params[last + 1], labels)

def descend(params, X, labels):
    loss = price(params, X, labels)
    loss.backward()
    for p in params: p.data -= LR * p.grad
    return loss

def training(X, labels, params):
    params = [mg.tensor(p.copy()) for p in params]
    def step(): return descend(params, X, labels), *params
    def gradients():
        loss = price(params, X, labels)
        loss.backward()
        return loss, *[p.grad.copy() for p in params]
    return Side(step, gradients)

def epoch(X, labels, params, size):
    params = [mg.tensor(p.copy()) for p in params]
    def step():
        for rows in slices(len(X), size): loss = descend(params, X[rows], labels[rows])
        return loss, *params
    return Side(step)

def contraction(A, B, Q):
    "It has no tensordot: axes brought together, then a product of matrices, which here is faster than its einsum."
    A, B, (d, j) = mg.tensor(A), mg.tensor(B), A.shape[:2]
    def step():
        C = mg.matmul(A.transpose(1, 3, 0, 2).reshape(j * j, d * d), B.transpose(2, 1, 0, 3).reshape(d * d, j * j)).reshape(j, j, j, j)
        C.backward(Q)
        return C, A.grad, B.grad
    return Side(step)

def chain(x, c, times):
    start = mg.tensor(x)
    def step():
        x = start
        for _ in range(times): x = x * x + c
        x.backward()
        return x, start.grad
    return Side(step)

def elements(x):
    x = mg.tensor(x)
    def step():
        y = (mg.tanh(x) * x).sum()
        y.backward()
        return y, x.grad
    return Side(step)

JOBS = dict(softmax=training, mlp=training, contraction=contraction, chain=chain, epoch=epoch, elements=elements)
