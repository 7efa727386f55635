"""An array in the host's memory that is as strict as CuPy's, for tests without a GPU.

What CuPy 14.2 does, and so does this: functions that CuPy lacks are refused, and so are their keywords that CuPy lacks (the lists in
cupy_names.json were read from CuPy itself); host arrays are refused everywhere but as an index; a reduction to one number, or one entry,
stays an array without axes; nothing is converted to NumPy unless asked for. Each time that the host has to wait for a number is counted in
`waits`, each host array that an index brings to the device in `sent`. What it can't show: numbers that a GPU would compute otherwise
(an index out of range wraps around there), kernels that CuPy has for fewer dtypes than NumPy, and time."""
import functools
import inspect
import json
import operator
from pathlib import Path

import numpy as np

NAMES = json.loads((Path(__file__).parent / "cupy_names.json").read_text())
UFUNCS, METHODS = {*NAMES["ufuncs"], *NAMES["special"]}, set(NAMES["methods"])
KINDS = {"/": inspect.Parameter.POSITIONAL_ONLY, "**": inspect.Parameter.VAR_KEYWORD, "*": inspect.Parameter.VAR_POSITIONAL, "-": inspect.Parameter.KEYWORD_ONLY}
REDUCING = {"reduce": {"add", "multiply"}, "accumulate": {"add", "multiply"}, "reduceat": {"add"}, "at": {"add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"}}
COUNTING = {"nonzero", "flatnonzero", "argwhere", "unique", "extract", "compress", "trim_zeros", "setdiff1d", "union1d", "intersect1d"}    # sizes that depend on numbers
TAKES_HOST_PLACES = {"take", "take_along_axis"}

waits, sent = [], []


def parameter(text):
    mark = next((m for m in ("**", "*", "/", "-") if text.startswith(m)), "")
    kind = KINDS.get(mark, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return inspect.Parameter(text[len(mark):], kind, default=None if kind in (KINDS["-"], inspect.Parameter.POSITIONAL_OR_KEYWORD) else inspect.Parameter.empty)


@functools.cache
def signature_of(name):
    "What CuPy's function of this name takes; None where Python can't tell."
    given = NAMES["functions"][name]
    return given and inspect.Signature([parameter(text) for text in given])


def down(x, places=False):
    "Device arrays as the arrays that they stand for. A host array raises, as CuPy does, unless it holds `places`."
    if isinstance(x, Device): return x.held
    if isinstance(x, np.ndarray):
        if not places: raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        sent.append(x.shape)
        return x
    if isinstance(x, (list, tuple)): return type(x)(*(down(i, places) for i in x)) if hasattr(x, "_make") else type(x)(down(i, places) for i in x)
    if isinstance(x, dict): return {k: down(v, places) for k, v in x.items()}
    if hasattr(x, "__array_ufunc__") and not isinstance(x, np.generic): raise TypeError(f"Unsupported type {type(x)}")
    return x


def up(y):
    "Arrays and NumPy's numbers as device arrays."
    if isinstance(y, (np.ndarray, np.generic)): return Device(y)
    if isinstance(y, (list, tuple)): return type(y)(*map(up, y)) if hasattr(y, "_make") else type(y)(map(up, y))
    return y


class Device(np.lib.mixins.NDArrayOperatorsMixin):
    "Stands for `cupy.ndarray`; made by `to_device`."
    __slots__ = ("held", "__weakref__")
    __module__ = "cupy"
    __hash__ = None
    __cuda_array_interface__ = {}

    def __init__(self, held): self.held = np.asarray(held)

    def __getattr__(self, name):
        if name not in METHODS or name in ("held", "__weakref__"): raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        found = getattr(self.held, name)
        if not callable(found): return up(found)
        def method(*args, **params): return up(found(*down(args, name == "take"), **down(params, name == "take")))
        return method

    # what makes the host wait
    def get(self):
        waits.append(self.shape)
        return self.held.copy()

    def __float__(self): return float(self.get())
    def __int__(self): return int(self.get())
    def __complex__(self): return complex(self.get())
    def __index__(self): return operator.index(self.get())
    def __bool__(self): return bool(self.get())
    def __repr__(self): return repr(self.get())
    def __format__(self, spec): return format(self.get(), spec)
    def item(self, *args): return self.get().item(*args)
    def tolist(self): return self.get().tolist()
    def __array__(self, *args, **params): raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly.")

    def __len__(self):
        if not self.shape: raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self): return (self[i] for i in range(len(self)))

    def __getitem__(self, index):
        parts = index if isinstance(index, tuple) else (index,)
        if any(getattr(i, "dtype", None) == bool for i in parts): waits.append("mask")
        return Device(self.held[down(index, places=True)])

    def __setitem__(self, index, value): self.held[down(index, places=True)] = down(value)

    def __array_ufunc__(self, ufunc, how, *inputs, out=(), **params):
        name = ufunc.__name__
        if name not in UFUNCS: return NotImplemented
        if any(hasattr(x, "__array_ufunc__") and not isinstance(x, (Device, np.ndarray, np.generic)) for x in (*inputs, *out)): return NotImplemented
        if how in REDUCING and name not in REDUCING[how]: raise NotImplementedError(f"`cupy_{name}.{how}` is not supported yet")
        if how == "at": return ufunc.at(inputs[0].held, down(inputs[1], places=True), *down(inputs[2:]))
        if ufunc.signature is None and ufunc.nin == 2 and name in ("greater", "greater_equal", "less", "less_equal", "equal", "not_equal"):
            inputs = [x.item() if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in inputs]
        if "where" in params: params["where"] = down(params["where"])
        result = getattr(ufunc, how)(*down(list(inputs)), **params, **({"out": tuple(x.held for x in out)} if out else {}))
        return out[0] if out else up(result)

    def __array_function__(self, fn, types, args, params):
        name = f"{fn.__module__}.{fn.__name__}"
        if name not in NAMES["functions"] or not all(issubclass(t, (Device, np.ndarray)) for t in types): return NotImplemented
        if signature := signature_of(name):
            try: signature.bind(*args, **params)
            except TypeError as error: raise TypeError(f"cupy's {fn.__name__}() {error}") from None
        if fn.__name__ in COUNTING or fn is np.where and len(args) == 1: waits.append(fn.__name__)
        params = {k: v for k, v in params.items() if k != "like"}
        args = [down(a, fn.__name__ in TAKES_HOST_PLACES and i == 1) for i, a in enumerate(args)]
        result = fn(*args, **{k: down(v, fn.__name__ in TAKES_HOST_PLACES and k == "indices") for k, v in params.items()})
        return up(np.asarray(result)) if fn in (np.allclose, np.array_equal, np.array_equiv, np.isclose) else up(result)


def to_device(x):
    "What `cupy.asarray` is."
    return Device(np.array(x))
