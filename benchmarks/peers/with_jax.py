"JAX: everything jitted, and the chain of scalars also without, operation by operation."
import jax, jax.numpy as jnp
import numpy as np
from jobs import LR, Side, slices

traced = False
def host(x): return np.asarray(x)
wait = jax.block_until_ready

def threads(n):
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_cpu_enable_async_dispatch", False)

def price(params, X, labels):
    h, last = X, len(params) - 2
    for i in range(0, last, 2): h = jnp.maximum(h @ params[i] + params[i + 1], 0)
    l = jax.nn.log_softmax(h @ params[last] + params[last + 1])
    return -jnp.mean(jnp.sum(jnp.where(labels[:, None] == jnp.arange(10), l, 0), axis=1))

price_and_grads = jax.jit(jax.value_and_grad(price))

@jax.jit
def descend(params, X, labels):
    loss, grads = jax.value_and_grad(price)(params, X, labels)
    return loss, [p - LR * g for p, g in zip(params, grads)]

def training(X, labels, params):
    X, labels, params = jnp.asarray(X), jnp.asarray(labels, jnp.int32), [jnp.asarray(p) for p in params]
    def step():
        nonlocal params
        loss, params = descend(params, X, labels)
        return loss, *params
    def gradients():
        loss, grads = price_and_grads(params, X, labels)
        return loss, *grads
    return Side(step, gradients)

def epoch(X, labels, params, size):
    labels, params = labels.astype(np.int32), [jnp.asarray(p) for p in params]
    def step():
        nonlocal params
        for rows in slices(len(X), size): loss, params = descend(params, X[rows], labels[rows])
        return loss, *params
    return Side(step)

@jax.jit
def contract_and_back(A, B, Q):
    C, pull = jax.vjp(lambda A, B: jnp.tensordot(A, B, ([0, 2], [2, 1])), A, B)
    return C, *pull(Q)

def contraction(A, B, Q):
    A, B, Q = map(jnp.asarray, (A, B, Q))
    return Side(lambda: contract_and_back(A, B, Q))

def repeated(x, c, times):
    for _ in range(times): x = x * x + c
    return x

def eager_chain(x, c, times):
    jax.config.update("jax_enable_x64", True)
    x, both = jnp.asarray(x), jax.value_and_grad(repeated)
    return Side(lambda: both(x, c, times))

def scanned(x, c, times): return jax.lax.scan(lambda x, _: (x * x + c, None), x, length=times)[0]

def chain(x, c, times):
    "As a scan, which is how a loop is written for jit: unrolled it would take minutes to compile."
    jax.config.update("jax_enable_x64", True)
    x, both = jnp.asarray(x), jax.jit(jax.value_and_grad(scanned), static_argnums=2)
    return Side(lambda: both(x, c, times))

@jax.jit
def product(params, tangents, X, labels):
    return jax.jvp(lambda params: jax.grad(price)(params, X, labels), (params,), (tangents,))[1]

def hvp(X, labels, params, tangents):
    X, labels, params, tangents = jnp.asarray(X), jnp.asarray(labels, jnp.int32), [jnp.asarray(p) for p in params], [jnp.asarray(t) for t in tangents]
    return Side(lambda: product(params, tangents, X, labels))

@jax.jit
def tanh_and_slope(x): return jax.value_and_grad(lambda x: (jnp.tanh(x) * x).sum())(x)

def elements(x):
    x = jnp.asarray(x)
    return Side(lambda: tanh_and_slope(x))

JOBS = dict(softmax=training, mlp=training, contraction=contraction, chain=chain, hvp=hvp, epoch=epoch, elements=elements)
EAGER = dict(chain=eager_chain)
