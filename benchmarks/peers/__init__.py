"""One module for each library. A module has

    JOBS       by kind of job, a function of its data (jobs.py) that returns a Side
    host(x)    a result as a NumPy array
    wait(x)    returns when a result is there; for libraries that compute behind one's back
    threads(n) sets the number of threads, beyond what the environment says
    traced     False if tracemalloc can't see its arrays

each as its users would write it for speed. Whoever has no entry for a kind is left out of that row."""
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple


class Variant(NamedTuple):
    "A column of the table: the table of jobs in a module here, and the packages that it needs."
    name: str
    module: str
    table: str = "JOBS"
    packages: tuple[str, ...] = ()
    warm: int = 1  # steps in which things are recorded or compiled, before those that count


VARIANTS = [
    Variant("hand-written", "by_hand"),
    Variant("autodiffnb", "ours"),
    Variant("autodiffnb, compiled", "ours", "COMPILED", warm=2),
    Variant("JAX", "with_jax", packages=("jax", "jaxlib")),
    Variant("JAX, eager", "with_jax", "EAGER", ("jax", "jaxlib")),
    Variant("PyTorch", "with_torch", packages=("torch",)),
    Variant("MyGrad", "with_mygrad", packages=("mygrad",)),
    Variant("HIPS autograd", "with_autograd", packages=("autograd",)),
]

def load(variant):
    "The module of a variant, and the jobs that it can do."
    module = import_module(f"peers.{variant.module}")
    return module, getattr(module, variant.table)

def versions(variant): return {p: version(p) for p in variant.packages}
