"""What a case of the table is, and the shapes that most functions are tried on."""
from typing import Any, Callable, NamedTuple

import numpy as np


class Case(NamedTuple):
    "A call of a function of the table on arrays of these shapes."
    call: Callable
    shapes: tuple
    low: float = -2.0      # numbers are spread evenly from here to `high`, in random order: no ties, none at 0
    high: float = 2.0
    complex: bool = True   # is it defined for complex numbers too?
    order: int = 2

    def arrays(self, dtype=np.float64, seed=0):
        sizes = [int(np.prod(shape)) for shape in self.shapes]
        rng = np.random.default_rng(seed)
        numbers = rng.permutation(self.low + (self.high - self.low) * (np.arange(sum(sizes)) + 0.37) / max(sum(sizes), 1))
        if np.dtype(dtype).kind == "c": numbers = numbers + 1j * rng.permutation(0.2 + 0.1 * np.arange(sum(sizes)))
        return [frozen(part.reshape(shape).astype(dtype)) for part, shape in zip(np.split(numbers, np.cumsum(sizes)[:-1]), self.shapes)]


def frozen(x):
    x.setflags(write=False)
    return x


def on(call, *shape_lists, **settings): return [Case(call, tuple(shapes), **settings) for shapes in shape_lists]


def unary(fn, **settings): return on(fn, [()], [(0,)], [(2, 3)], [(2, 0)], **settings)


def binary(fn, **settings):
    return on(fn, [(), ()], [(3,), (3,)], [(2, 3), (3,)], [(2, 1), (1, 3)], [(), (2,)], [(2, 2), ()], [(0, 3), (3,)], [(0,), (1,)], [(1,), (2, 0)], **settings)


positive = dict(low=0.3)
real = dict(complex=False)
ODD, WHOLE = np.array([True, False, True]), np.array([2, 0, 2, 1])
SIXES = [[()], [(3,)], [(2, 3)], [(2, 0)], [(0,)]]
MATRICES = [[(2, 3)], [(2, 0)], [(2, 2, 3)]]
