"""Calls of every function in the table, a module for each part of the book. Each has a `table`, from a function to its cases,
and may have `not_lazy`, the names of functions with a case that Dask does not do lazily. A function may have cases in several modules."""
from importlib import import_module
from pkgutil import iter_modules

modules = [import_module(f"{__name__}.{m.name}") for m in iter_modules(__path__) if m.name != "base"]
table: dict = {}
not_lazy: set = set()
for module in modules:
    for fn, cases in module.table.items(): table[fn] = table.get(fn, []) + cases
    not_lazy |= getattr(module, "not_lazy", set())
