"""Cases of the chapter on convolution."""
import numpy as np

from autodiffnb.convolution import among, average_pool, conv, conv_transpose, greatest, inverse_deviation, max_pool, overlap_add, relu, shared, standardise, windows

from .base import on, real, unary

table: dict = {}
scattered: set = set()

table[windows] = on(lambda x: conv(x, _weights(x, 2, 2)), [(2, 4, 3, 2)], [(1, 2, 2, 3)])
table[windows] += on(lambda x: windows(x, kernel=(2,), stride=(2,), dilation=(2,)), [(2, 6, 2)], [(0, 3, 2)], [(2, 5, 0)])
table[windows] += on(lambda x, w: conv(x, w, padding="same", stride=2), [(2, 5, 2), (3, 2, 2)], [(1, 4, 3, 1), (2, 2, 1, 2)])
table[windows] += on(lambda x, w: conv(x, w, groups=2, dilation=(1, 2)), [(2, 3, 4, 4), (2, 2, 2, 2)])
table[windows] += on(lambda x: average_pool(x, 2, stride=1), [(2, 3, 3, 2)])
table[overlap_add] = on(lambda g: overlap_add(g, shape=(2, 5, 3), stride=(1,), dilation=(2,)), [(2, 3, 2, 3)])
table[overlap_add] += on(lambda g: overlap_add(g, shape=(1, 6, 4, 2), stride=(3, 1), dilation=(1, 1)), [(1, 2, 3, 2, 2, 2)])
table[overlap_add] += on(lambda x, w: conv_transpose(x, w, stride=2, padding=1), [(2, 3, 2), (3, 2, 2)], [(1, 2, 2, 1), (2, 3, 2, 1)])
table[greatest] = on(max_pool, [(2, 4, 4, 2)], [(1, 5, 1)], [(0, 2, 2)], **real) + on(lambda x: max_pool(x, (3, 2), stride=(1, 2)), [(2, 4, 5, 2)], **real)
table[shared] = on(lambda g, x: shared(g, _plain(x), max_pool(_plain(x), 2, stride=1), (2,), (1,)), [(2, 3, 2), (2, 4, 2)], **real)
table[among] = on(lambda h, x: among(h, _plain(x), max_pool(_plain(x), 2), (2,), (2,)), [(2, 4, 2), (2, 4, 2)], **real)
table[relu] = unary(relu, **real)
table[standardise] = on(standardise, [(3,)], [(2, 3)], [(0, 3)], **real) + on(lambda x: standardise(x, axis=(0, 1), eps=0.1), [(2, 3, 2)], [(2, 1, 0)], **real)
table[inverse_deviation] = on(lambda x: inverse_deviation(x, axis=0, eps=0.1), [(3,)], [(2, 3)], [(3, 0)], **real)


def _plain(x): return getattr(x, "value", x)


def _weights(x, *kernel):
    "Weights of one kernel, the same at every call."
    return np.arange(1, 1 + int(np.prod(kernel)) * x.shape[-1] * 2).reshape(*kernel, x.shape[-1], 2).astype(x.dtype) / 8
