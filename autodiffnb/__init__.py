"""autodiffnb: automatic differentiation for NumPy, written as a book of notebooks."""
__version__ = "0.1.0"

from autodiffnb.tensor import Tensor, ancestors, check_answer, defvjp, primitive, topological_order
from autodiffnb.backward import gradients, stop_gradient
from autodiffnb.check import check_grads
from autodiffnb import elementwise, reduction, shaping  # file their rules
from autodiffnb.shaping import at
from autodiffnb.contraction import linear, tensorcontract
from autodiffnb.softmax import log_softmax, logsumexp, softmax
from autodiffnb.loss import accuracy, cross_entropy, nll
from autodiffnb.transforms import defjvp, elementwise_grad, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from autodiffnb.workshop import checkpoint, debug, find_nan, flatten, no_grad
from autodiffnb import ufuncs  # files its rules, and what ufuncs can do besides being called
from autodiffnb import statistics  # files its rules
from autodiffnb import samples  # files its rules
from autodiffnb import linalg  # files its rules
from autodiffnb import fft  # files its rules
from autodiffnb.program import compile
from autodiffnb.derivations import derivation
from autodiffnb.picture import draw, replay
from autodiffnb.data import fashion_mnist, minibatches
from autodiffnb.parallel import data_parallel, split_rows
from autodiffnb.optimisers import SGD, Adam, AdamW, Cosine, RMSProp, Staircase, Warmup, clip_by_norm, global_norm
from autodiffnb.training import MLP, History, SoftmaxRegression, evaluate, fit, load, save
from autodiffnb.convolution import CNN, average_pool, batch_norm, conv, conv_transpose, dropout, gelu, layer_norm, max_pool, relu
from autodiffnb.attention import Transformer
from autodiffnb.arrays import Sparse  # files what other array libraries need

__all__ = [name for name, value in list(globals().items()) if getattr(value, "__module__", "").startswith("autodiffnb.")]
