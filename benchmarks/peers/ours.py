"autodiffnb, as its chapters write it."
import numpy as np
from autodiffnb import Tensor, compile, cross_entropy, gradients, hvp as product, linear, tensorcontract, value_and_grad, vjp
from jobs import LR, Side, slices

def host(x): return np.asarray(x)

def price(params, X, labels):
    "The mean cross-entropy of linear layers with `maximum(0, .)` between them."
    h, last = X, len(params) - 2
    for i in range(0, last, 2): h = np.maximum(linear(h, params[i], params[i + 1]), 0)
    return cross_entropy(linear(h, params[last], params[last + 1]), labels)

def priced(params, X, labels):
    "The loss and its gradients, without the graph, which so is gone before the parameters change."
    loss = price(params, X, labels)
    return loss.value, gradients(loss, params)

def descend(params, X, labels):
    loss, grads = priced(params, X, labels)
    for p, g in zip(params, grads):
        g *= LR
        p.value -= g
    return loss

def training(X, labels, params):
    params = [Tensor(p.copy()) for p in params]
    arrays = [p.value for p in params]      # steps write into them
    def step(): return descend(params, X, labels), *arrays
    def grads():
        loss, found = priced(params, X, labels)
        return loss, *found
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


# The same jobs, recorded once and replayed: functions of plain arrays, through `compile`.

def step_on_arrays(params, X, labels):
    tensors = [Tensor(p) for p in params]
    loss = price(tensors, X, labels)
    for p, g in zip(params, gradients(loss, tensors)): p -= LR * g
    return loss.value

def compiled_training(X, labels, params):
    params, run = [p.copy() for p in params], compile(step_on_arrays)
    gradients = compile(value_and_grad(price))
    def step(): return run(params, X, labels), *params
    def grads():
        loss, found = gradients(params, X, labels)
        return loss, *found
    return Side(step, grads)

def compiled_epoch(X, labels, params, size):
    params, run = [p.copy() for p in params], compile(step_on_arrays)
    def step():
        for rows in slices(len(X), size): loss = run(params, X[rows], labels[rows])
        return loss, *params
    return Side(step)

def compiled_contraction(A, B, Q):
    @compile
    def run(A, B, Q):
        C, pull = vjp(lambda A, B: tensorcontract(A, B, ([0, 2], [2, 1])), A, B)
        return C, *pull(Q)
    return Side(lambda: run(A, B, Q))

def compiled_chain(x, c, times):
    @compile
    @value_and_grad
    def run(x):
        for _ in range(times): x = x * x + c
        return x
    return Side(lambda: run(x))

def compiled_hvp(X, labels, params, tangents):
    run = compile(lambda params, tangents, X, labels: product(lambda W, b: cross_entropy(X @ W + b, labels), params, tangents))
    return Side(lambda: run(params, tangents, X, labels))

def compiled_elements(x):
    run = compile(value_and_grad(lambda x: (np.tanh(x) * x).sum()))
    return Side(lambda: run(x))

COMPILED = dict(softmax=compiled_training, mlp=compiled_training, contraction=compiled_contraction, chain=compiled_chain, hvp=compiled_hvp,
                epoch=compiled_epoch, elements=compiled_elements) 
