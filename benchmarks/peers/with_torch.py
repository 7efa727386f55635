"PyTorch, eager."
import torch
import torch.nn.functional as F
from jobs import LR, Side, slices

traced = False
def host(x): return x.detach().numpy()
def threads(n): torch.set_num_threads(n)

def leaves(params): return [torch.tensor(p, requires_grad=True) for p in params]

def price(params, X, labels):
    h, last = X, len(params) - 2
    for i in range(0, last, 2): h = torch.relu(torch.addmm(params[i + 1], h, params[i]))
    return F.cross_entropy(torch.addmm(params[last + 1], h, params[last]), labels)

def descend(params, X, labels):
    loss = price(params, X, labels)
    grads = torch.autograd.grad(loss, params)
    with torch.no_grad():
        for p, g in zip(params, grads): p.sub_(g, alpha=LR)
    return loss

def training(X, labels, params):
    X, labels, params = torch.from_numpy(X), torch.from_numpy(labels), leaves(params)
    def step(): return descend(params, X, labels), *params
    def gradients():
        loss = price(params, X, labels)
        return loss, *torch.autograd.grad(loss, params)
    return Side(step, gradients)

def epoch(X, labels, params, size):
    X, labels, params = torch.from_numpy(X), torch.from_numpy(labels), leaves(params)
    def step():
        for rows in slices(len(X), size): loss = descend(params, X[rows], labels[rows])
        return loss, *params
    return Side(step)

def contraction(A, B, Q):
    (A, B), Q = leaves((A, B)), torch.from_numpy(Q)
    def step():
        C = torch.tensordot(A, B, ([0, 2], [2, 1]))
        return C, *torch.autograd.grad(C, [A, B], Q)
    return Side(step)

def chain(x, c, times):
    start = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    def step():
        x = start
        for _ in range(times): x = x * x + c
        return x, *torch.autograd.grad(x, start)
    return Side(step)

def hvp(X, labels, params, tangents):
    X, labels, params, tangents = torch.from_numpy(X), torch.from_numpy(labels), leaves(params), [torch.from_numpy(t) for t in tangents]
    def step():
        grads = torch.autograd.grad(price(params, X, labels), params, create_graph=True)
        return torch.autograd.grad(grads, params, tangents)
    return Side(step)

def elements(x):
    x = torch.from_numpy(x).requires_grad_()
    def step():
        y = (torch.tanh(x) * x).sum()
        return y, *torch.autograd.grad(y, x)
    return Side(step)

JOBS = dict(softmax=training, mlp=training, contraction=contraction, chain=chain, hvp=hvp, epoch=epoch, elements=elements)
