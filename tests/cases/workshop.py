"""Cases of what the workshop records: packed arrays, recomputed calls, Python numbers."""
import numpy as np

from autodiffnb.workshop import checkpoint, checkpointed, flatten, pack, python_number, unpack

from .base import on

table: dict = {}

SEGMENTS = on(checkpoint(lambda x, y: [np.sin(x) * y, x * x]), [(3,), (3,)], [(2, 3), (3,)], [(0, 3), (3,)]) + on(checkpoint(lambda x: x * x * x), [()], [(2, 0)])
SEGMENTS += on(lambda x: checkpoint(lambda p: {"y": np.exp(p["x"]), "n": 3})({"x": x})["y"], [(2,)]) + on(lambda x: checkpoint(lambda x: x * checkpoint(np.cos)(x))(x), [(2,)])
for fn in (checkpointed, pack, unpack): table[fn] = SEGMENTS
table[python_number] = on(lambda x: python_number(x) * x, [()]) + on(lambda x: flatten([1.0, x])[1](np.concatenate([np.reshape(x, -1), np.reshape(x, -1)]))[0] * x, [(1,)], complex=False)
