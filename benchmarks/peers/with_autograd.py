"HIPS autograd."
import autograd, autograd.numpy as anp
import numpy as np
from jobs import LR, Side, slices

def host(x): return np.asarray(x)

def price(params, X, labels):
    h, last = X, len(params) - 2
    for i in range(0, last, 2): h = anp.maximum(anp.dot(h, params[i]) + params[i + 1], 0)
    z = anp.dot(h, params[last]) + params[last + 1]
    z = z - anp.max(z, axis=1, keepdims=True)
    l = z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True))
    return -anp.sum(l * (labels[:, None] == np.arange(10))) / np.float32(len(labels))

price_and_grads = autograd.value_and_grad(price)

def descend(params, X, labels):
    loss, grads = price_and_grads(params, X, labels)
    for p, g in zip(params, grads): p -= LR * g
    return loss

def training(X, labels, params):
    params = [p.copy() for p in params]
    def step(): return descend(params, X, labels), *params
    def gradients():
        loss, grads = price_and_grads(params, X, labels)
        return loss, *grads
    return Side(step, gradients)

def epoch(X, labels, params, size):
    params = [p.copy() for p in params]
    def step():
        for rows in slices(len(X), size): loss = descend(params, X[rows], labels[rows])
        return loss, *params
    return Side(step)

def contraction(A, B, Q):
    def step():
        pull, C = autograd.make_vjp(lambda AB: anp.tensordot(AB[0], AB[1], ([0, 2], [2, 1])))((A, B))
        return C, *pull(Q)
    return Side(step)

def chain(x, c, times):
    def repeated(x):
        for _ in range(times): x = x * x + c
        return x
    both = autograd.value_and_grad(repeated)
    return Side(lambda: both(x))

def hvp(X, labels, params, tangents):
    product = autograd.differential_operators.make_hvp(lambda params: price(params, X, labels))
    return Side(lambda: product(params)[0](tangents))

def elements(x):
    both = autograd.value_and_grad(lambda x: anp.sum(anp.tanh(x) * x))
    return Side(lambda: both(x))

JOBS = dict(softmax=training, mlp=training, contraction=contraction, chain=chain, hvp=hvp, epoch=epoch, elements=elements)
