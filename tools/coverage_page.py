#!/usr/bin/env python3
"""Make nbs/coverage.ipynb, the table of what can be differentiated: `coverage_page.py` writes it, `coverage_page.py --check` fails if it is not what would be written.

The functions are those that NumPy (and scipy.special) lets a Tensor take part in. What a column says is what the tests demand of the cases in tests/cases.
"""
import argparse, difflib, importlib, pkgutil, sys
from collections import Counter
from pathlib import Path

import nbformat
import numpy as np
import scipy.special
from nbformat.v4 import new_markdown_cell, new_notebook
from numpy.testing.overrides import get_overridable_numpy_array_functions, get_overridable_numpy_ufuncs

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
import autodiffnb
from autodiffnb.tensor import constants, entries, refusals, rules
from cases import table

for module in pkgutil.iter_modules(autodiffnb.__path__): importlib.import_module(f"autodiffnb.{module.name}")

HOMES = {"np": np, "np.linalg": np.linalg, "np.fft": np.fft, "np.lib.stride_tricks": np.lib.stride_tricks, "np.lib.scimath": np.lib.scimath, "scipy.special": scipy.special}
KINDS = {"rule": "Each has a rule of its own.", "composition": "Each is made of functions that have rules.",
         "no gradient": "Each is computed on the plain values, because its derivative is zero or does not exist.", "refused": "Each raises an error that says why, or how to add a rule."}
TITLES = {"np": "NumPy", "np.linalg": "numpy.linalg", "np.fft": "numpy.fft", "np.lib.stride_tricks": "numpy.lib.stride_tricks", "np.lib.scimath": "numpy.lib.scimath", "scipy.special": "scipy.special"}
MADE_LIKE = set("arange array asanyarray asarray ascontiguousarray asfortranarray empty eye frombuffer fromfile fromfunction fromiter fromstring full genfromtxt identity loadtxt ones require tri zeros".split())


def kind_of(fn):
    "How a Tensor fares in `fn`: a key of KINDS"
    return "rule" if fn in rules else "composition" if fn in entries else "no gradient" if fn in constants else "refused"


def names_of(home):
    "The functions of a namespace that can be overridden, each with all its names there"
    overridable = get_overridable_numpy_ufuncs() | get_overridable_numpy_array_functions() | {f for f in rules if isinstance(f, np.ufunc)} | set(entries)
    names = {}
    for name in dir(HOMES[home]):
        fn = getattr(HOMES[home], name)
        if name.startswith("_") or name in MADE_LIKE or not callable(fn): continue
        try: known = fn in overridable or home == "scipy.special" and isinstance(fn, np.ufunc)
        except TypeError: continue
        if known and not (home != "np" and getattr(np, name, None) is fn): names.setdefault(fn, []).append(name)
    return names


def row(fn, names):
    "A line of the table: names, how, and what the tests demand"
    kind, cases = kind_of(fn), table.get(fn, [])
    shown = ", ".join(f"`{name}`" for name in names)
    if kind not in ("rule", "composition"): return f"| {shown} | {kind} | | | | | |"
    tested = [bool(cases), bool(cases) and all(case.order > 1 for case in cases), bool(cases), bool(cases), any(case.complex for case in cases)]
    return f"| {shown} | {kind} | {' | '.join('yes' if yes else '' for yes in tested)} |"


def notebook():
    "The page, as cells of Markdown"
    sections, counts = [], Counter()
    for home in HOMES:
        names = names_of(home)
        by_kind = {kind: sorted(((tuple(n), fn) for fn, n in names.items() if kind_of(fn) == kind), key=lambda pair: pair[0]) for kind in KINDS}
        counts.update({kind: len(found) for kind, found in by_kind.items()})
        lines = ["| function | | first order | second order | forward | float32 | complex |", "|---|---|---|---|---|---|---|"]
        lines += [row(fn, n) for kind in ("rule", "composition") for n, fn in by_kind[kind]]
        text = f"## {TITLES[home]}\n\n" + "\n".join(lines)
        for kind in ("no gradient", "refused"):
            if by_kind[kind]: text += f"\n\n**{kind.capitalize()}:** " + ", ".join(f"`{name}`" for n, _ in by_kind[kind] for name in n) + "."
        if len(lines) > 2: sections.append(text)
    summary = "\n".join(f"- **{counts[kind]}** functions: *{kind}*. {text}" for kind, text in KINDS.items())
    title = "# Coverage\n\n> Every NumPy function that a Tensor can meet, and what becomes of it."
    intro = f"""This page is made from the package's tables by `make coverage`. A *yes* is what a test demands of the function's cases, and fails without: **first order**, its derivative agrees with differences; **second order**, so does the derivative's derivative; **forward**, so does its `jvp`; **float32**, results and adjoints of float32 arrays are float32; **complex**, it is tried on complex arrays. Functions that write into their argument, and those of strings, dates, sets and files, are refused by name.

{summary}"""
    cells = [new_markdown_cell(text, id=f"coverage{n}") for n, text in enumerate([title, intro, *sections])]
    return new_notebook(cells=cells, metadata={"kernelspec": {"display_name": "python3", "language": "python", "name": "python3"}})


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if nbs/coverage.ipynb is not current")
    args = parser.parse_args(argv)
    page, text = ROOT / "nbs" / "coverage.ipynb", nbformat.writes(notebook(), indent=1) + "\n"
    if not args.check: return page.write_text(text) and 0
    held = page.read_text() if page.exists() else ""
    if held != text:
        print(*difflib.unified_diff(held.splitlines(), text.splitlines(), "nbs/coverage.ipynb", "from the tables", lineterm="", n=0), sep="\n")
        print("nbs/coverage.ipynb is not current; run `make coverage`")
    return int(held != text)


if __name__ == "__main__":
    sys.exit(main())
