"""Calls of every function in the table, a module for each part of the book. Each has a `table`, from a function to its cases,
and `scattered`, the functions whose way back needs a scatter that Dask lacks. A function may have cases in several modules."""
from importlib import import_module
from pkgutil import iter_modules

modules = [import_module(f"{__name__}.{m.name}") for m in iter_modules(__path__) if m.name != "base"]
table: dict = {}
scattered: set = set()
for module in modules:
    for fn, cases in module.table.items(): table[fn] = table.get(fn, []) + cases
    scattered |= getattr(module, "scattered", set())
