#!/usr/bin/env python3
"""The site: `docs.py build` makes _docs/ from the notebooks and from docs/, `docs.py serve` shows it on this machine.

nbdev processes the notebooks; what it leaves is Quarto's Markdown, which is translated here to MyST-NB's. Nothing is run again: the stored outputs are the pages'.
"""
import argparse, ast, base64, hashlib, importlib, inspect, json, os, re, shutil, subprocess, sys, tarfile, warnings, zlib
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
NBS, DOCS, SITE = ROOT / "nbs", ROOT / "docs", ROOT / "_docs"
WORK = ROOT / "build" / "docs"
SOURCE, INVENTORIES, MATHJAX = WORK / "source", WORK / "inventories", WORK / "mathjax"
PACKAGE = "autodiffnb"

# ---- MathJax, beside the pages: npm brings the package, its hash says that it is the one that was looked at

MATHJAX_PACKAGE = "mathjax@3.2.2"
MATHJAX_SHA512 = "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw=="
WANTED = re.compile(r"package/(es5/tex-chtml-full\.js|es5/output/chtml/fonts/woff-v2/.*|LICENSE)")


def fetch_mathjax():
    "MathJax's program, its fonts and its license in `MATHJAX`, unless they are there"
    if (MATHJAX / "LICENSE").exists(): return
    if not shutil.which("npm"): sys.exit(f"npm is needed once, to fetch {MATHJAX_PACKAGE} (on Debian the package npm)")
    shutil.rmtree(MATHJAX, ignore_errors=True)
    MATHJAX.mkdir(parents=True)
    subprocess.run(["npm", "pack", "--silent", MATHJAX_PACKAGE], cwd=MATHJAX, check=True, stdout=subprocess.DEVNULL)
    archive = next(MATHJAX.glob("*.tgz"))
    if (found := base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()) != MATHJAX_SHA512:
        sys.exit(f"{MATHJAX_PACKAGE} should have SHA-512 {MATHJAX_SHA512}, but what came has {found}")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if not WANTED.fullmatch(member.name): continue
            path = MATHJAX / member.name.removeprefix("package/").removeprefix("es5/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tar.extractfile(member).read())
    archive.unlink()

# ---- where the names of other libraries are documented: small inventories, by looking at the libraries themselves


def numpy_entries():
    "(name, role, page) of NumPy's names; pages as its site has them"
    import numpy as np
    for home in ("", "linalg", "fft", "random", "testing", "lib.stride_tricks", "lib.scimath", "lib.array_utils", "exceptions"):
        space = importlib.import_module(f"numpy.{home}" if home else "numpy")
        prefix = f"numpy.{home}." if home else "numpy."
        yield prefix[:-1], "module", "reference/index.html" if not home else f"reference/routines.{home}.html"
        for name in getattr(space, "__all__", dir(space)):
            thing = getattr(space, name, None)
            if name.startswith("_") or thing is None or inspect.ismodule(thing): continue
            full = prefix + name
            folder = "reference/random/generated" if home == "random" else "reference/generated"
            if isinstance(thing, (float, type(None))): yield full, "data", "reference/constants.html"
            elif isinstance(thing, type) and issubclass(thing, np.generic): yield full, "class", "reference/arrays.scalars.html"
            elif home == "random" and name in ("default_rng", "Generator"): yield full, "function" if name == "default_rng" else "class", "reference/random/generator.html"
            elif callable(thing): yield full, "class" if isinstance(thing, type) else "function", f"{folder}/{full}.html"
    for owner, folder in ((np.ndarray, "reference/generated"), (np.ufunc, "reference/generated"), (np.dtype, "reference/generated"), (np.random.Generator, "reference/random/generated")):
        full = "numpy.random.Generator" if owner is np.random.Generator else f"numpy.{owner.__name__}"
        for name in dir(owner):
            if not name.startswith("_"): yield f"{full}.{name}", "method" if callable(getattr(owner, name)) else "attribute", f"{folder}/{full}.{name}.html"


def scipy_entries():
    "The same of scipy.special"
    import scipy.special as sc
    yield "scipy.special", "module", "reference/special.html"
    for name in sc.__all__:
        if callable(thing := getattr(sc, name)) and not isinstance(thing, type): yield f"scipy.special.{name}", "function", f"reference/generated/scipy.special.{name}.html"


def python_entries():
    "The same of Python's builtins and of the modules that the book imports"
    import builtins
    for name, thing in vars(builtins).items():
        if name.startswith("_") or not callable(thing): continue
        is_error = isinstance(thing, type) and issubclass(thing, BaseException)
        is_type = thing in (int, float, complex, list, tuple, range, str, bytes, bytearray, memoryview, set, frozenset, dict)
        yield name, "exception" if is_error else "class" if isinstance(thing, type) else "function", f"library/{'exceptions' if is_error else 'stdtypes' if is_type else 'functions'}.html"
    for home in ("math", "functools", "itertools", "operator", "typing", "dataclasses", "collections", "collections.abc", "pathlib", "contextlib", "json", "gzip", "hashlib", "decimal", "struct", "tempfile", "pickle", "copy", "threading", "weakref", "string"):
        space = importlib.import_module(home)
        yield home, "module", f"library/{home}.html"
        for name in getattr(space, "__all__", dir(space)):
            thing = getattr(space, name, None)
            if not name.startswith("_") and not inspect.ismodule(thing) and (home == "math" or getattr(thing, "__module__", home) in (home, f"_{home}", "typing", "itertools")):
                yield f"{home}.{name}", "class" if isinstance(thing, type) else "function" if callable(thing) else "data", f"library/{home}.html"


LIBRARIES = {"numpy": numpy_entries, "scipy": scipy_entries, "python": python_entries}


def write_inventories():
    "`INVENTORIES`/<library>.inv for intersphinx, which would otherwise ask the network"
    INVENTORIES.mkdir(parents=True, exist_ok=True)
    for library, entries in LIBRARIES.items():
        lines = {name: f"{name} py:{role} 1 {page}{'' if role == 'module' else '#$'} -" for name, role, page in entries()}
        head = f"# Sphinx inventory version 2\n# Project: {library}\n# Version: \n# The remainder of this file is compressed using zlib.\n"
        (INVENTORIES / f"{library}.inv").write_bytes(head.encode() + zlib.compress("\n".join([*lines.values(), ""]).encode()))


# ---- the translation from Quarto's Markdown to MyST's

CHAPTER = re.compile(r"\d+_(\w+)\.ipynb")
SETTINGS = re.compile(r"---\n.*\n---\s*", re.S)
OPTION = re.compile(r"^#\s*\|\s*([\w-]+):?[ \t]*(.*)\n?", re.M)
LINK = re.compile(r"\]\((?!\w+:|#|/)(?:nbs/)?(\d+_)?(\w+)\.ipynb(#[^)]*)?\)")
OUTSIDE = re.compile(r"(```.*?```|\$\$.*?\$\$)", re.S)
OWN_SITE = re.compile(r"\[`([^`\]]+)`\]\(https?://[^)]*/(\w+)\.html#([\w.]+)\)")
FOREIGN = re.compile(r"(?<![`\[{}])`((?:np|numpy|scipy\.special|sc)\.[\w.]*\w)`(?![`\]])")
WAYS = {"np.": "numpy.", "sc.": "scipy.special."}
TAGS = {("echo", "false"): "remove-input", ("code-fold", "true"): "hide-input", ("output", "false"): "remove-output", ("include", "false"): "remove-cell", ("exports", "true"): "exported"}


def module_of():
    "{page: the module that its chapter exports}"
    found = {CHAPTER.fullmatch(p.name)[1]: re.search(r"#\s*\|\s*default_exp (\w+)", p.read_text()) for p in NBS.glob("[0-9]*_*.ipynb")}
    return {page: m[1] for page, m in found.items() if m}


MODULES = module_of()


def inventory():
    "Names that can be linked to, beside our own"
    return {name for entries in LIBRARIES.values() for name, *_ in entries()}


def linked(text, known):
    "Markdown with its names linked: nbdev's links to this site made relative, and NumPy's names, in backticks, led to NumPy's documentation"
    def foreign(m):
        full = next((m[1].replace(short, long, 1) for short, long in WAYS.items() if m[1].startswith(short)), m[1])
        return f"{{py:obj}}`{m[1]} <{full}>`" if full in known else m[0]
    parts = OUTSIDE.split(LINK.sub(r"](\2.ipynb\3)", text))
    own = lambda m: f"{{py:obj}}`{m[1]} <{PACKAGE}.{MODULES.get(m[2], m[2])}.{m[3]}>`"
    parts[::2] = [FOREIGN.sub(foreign, OWN_SITE.sub(own, part)) for part in parts[::2]]
    return "".join(parts)


def defined(code):
    "Names that an exported cell defines, in its order"
    for node in ast.parse(code).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)): yield node.name
        elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
            for target in getattr(node, "targets", None) or [node.target]:
                for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(part, ast.Name): yield part.id


def with_namespaces(table):
    "A section of the table of coverage, its first column as links to the namespace that the heading names"
    head = re.match(r"## (\S+)", table)
    if not head: return table
    space = "numpy" if head[1] == "NumPy" else head[1]
    plain = re.compile(r"\[(`\w+`)\]\([^)]*\)").sub(r"\1", table)        # nbdev takes some of the names for this package's
    return re.sub(r"^\| ([^|]*) \|", lambda m: "| " + re.sub(r"`(\w+)`", rf"{{py:obj}}`\1 <{space}.\1>`", m[1]) + " |", plain, flags=re.M)


HEAD = re.compile(r"\A# .*\n(?:\s*>.*\n?)?(?:\s*- [\w-]+:.*\n?)*")


def title_of(cells): return cells[0]["source"].split("\n")[0].removeprefix("# ")


def after_title(path):
    "What stands below title and description in the first cell of a notebook: nbdev makes front matter of the cell, and drops the rest"
    first = next(c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "markdown")
    return HEAD.sub("", "".join(first["source"]) + "\n").strip()


def text_cell(text): return {"cell_type": "markdown", "metadata": {}, "source": text}


def translated(cells, page, known):
    "Cells that nbdev has processed, as MyST-NB reads them; title and description go to the first"
    out, seen = [], set()
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "raw":
            front = yaml.safe_load(source.strip().strip("-"))
            out.append(text_cell(f"# {front.get('title', page)}\n\n> {linked(front.get('description', ''), known)}\n"))
        elif cell["cell_type"] == "markdown":
            if page == "coverage": source = with_namespaces(source)
            if "WARNING: THIS FILE WAS AUTOGENERATED" not in source: out.append(text_cell(linked(source, known)))
        elif not SETTINGS.fullmatch(source):
            options = {k: v.strip().lower() for k, v in OPTION.findall(source)}
            code = OPTION.sub("", source).strip("\n")
            tags = [tag for option, tag in TAGS.items() if options.get(option[0]) == option[1]]
            if "exported" in tags:
                new = [name for name in defined(code) if name not in seen]
                seen.update(new)
                if new: out.append(text_cell("".join(f'<span class="definition" id="{name}"></span>' for name in new)))
            for data in (o["data"] for o in cell["outputs"] if "data" in o):
                if "text/html" in data: data.pop("text/markdown", None)     # one form of each output, the richest
                if "text/html" in data or "text/markdown" in data: data.pop("text/latex", None)
                if "text/markdown" in data: data["text/markdown"] = linked("".join(data["text/markdown"]), known)
            out.append({"cell_type": "code", "execution_count": None, "metadata": {"tags": tags}, "outputs": cell["outputs"], "source": code})
    return out


def write_notebook(page, cells):
    "A page, from cells"
    meta = {"kernelspec": {"name": "python3", "display_name": "python3", "language": "python"}, "language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    for n, cell in enumerate(cells): cell["id"] = f"{n:08x}"
    (SOURCE / f"{page}.ipynb").write_text(json.dumps({"cells": cells, "metadata": meta, "nbformat": 4, "nbformat_minor": 5}))


def opening(name, lite):
    "Where a chapter's notebook is to be had"
    ways = [f'<a href="notebooks/{name}" download>the notebook</a>', f'<a href="http://localhost:8888/lab/tree/nbs/{name}">in JupyterLab</a> while <code>make lab</code> runs']
    if lite: ways.append(f'<a href="lite/lab/index.html?path={name}">in this browser</a>, which fetches Python and NumPy from the network')
    return text_cell(f'<p class="opening">Open this chapter: {", or ".join(ways)}.</p>')


def landing(cells, template):
    "The front page: docs/index.md with the first code of index.ipynb, what it printed and its picture; then the rest of that notebook"
    code = [c for c in cells if c["cell_type"] == "code"]
    example = code[0]
    output = next("".join(o["data"]["text/plain"]) for o in example["outputs"] if "data" in o).strip("'\"")
    picture = next(o["data"]["image/png"] for c in code for o in c["outputs"] if "image/png" in o.get("data", {}))
    (SOURCE / "ten_lines.png").write_bytes(base64.b64decode("".join(picture)))
    sections = [n for n, c in enumerate(cells) if c["cell_type"] == "markdown" and c["source"].startswith("## ")]
    first = max(n for n in sections if n < cells.index(example))      # the section of the example: the front has it
    rest = [cells[a:b] for a, b in zip(sections, [*sections[1:], len(cells)]) if a != first]
    front = template.replace("{{code}}", example["source"]).replace("{{output}}", output)
    return [text_cell(front), *sum(rest, [])]


def write_chapters(known, lite):
    "All pages that are notebooks; the order of the chapters, as (page, line of the table of contents)"
    import nbdev.serve as nbdev     # not its commands, which would go and fetch Quarto
    class Still(nbdev.FilterDefaults):
        "nbdev's processing without `show_doc`, which would run every exported cell, and show what stands in the next cell"
        def base_procs(self): return [p for p in super().base_procs() if p.__name__ not in ("add_show_docs", "exec_show_docs")]
    nbdev.FilterDefaults = Still
    with warnings.catch_warnings(action="ignore"): processed = nbdev.proc_nbs(n_workers=0, force=True)
    chapters = []
    for path in sorted(processed.glob("*.ipynb")):
        number = CHAPTER.fullmatch(path.name)
        page = number[1] if number else path.stem
        cells = json.loads(path.read_text())["cells"]
        cells = translated(cells, page, known)
        if rest := after_title(NBS / path.name): cells.insert(1, text_cell(linked(rest, known)))
        if number: cells.insert(1, opening(path.name, lite)); chapters.append((page, f"{number[0].split('_')[0]} {title_of(cells)}"))
        if page == "index": cells = landing(cells, linked((DOCS / "index.md").read_text(), known)) + [text_cell(contents(chapters))]
        write_notebook(page, cells)
    shutil.rmtree(processed)      # `nbdev-docs` makes it with the boxes of `show_doc`
    return chapters


def contents(chapters):
    "The table of contents"
    trees = {"Start here": ["before"], "The book": [f"{title} <{page}>" for page, title in chapters],
             "Reference": ["api/index", "coverage", "glossary", "bibliography"], "Beside others": ["migration", "peers"]}
    return "\n\n".join("```{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(pages) + "\n```" for caption, pages in trees.items())


# ---- the reference


@cache
def defined_in(module):
    "{name: its place among them} of the names that a module defines"
    return {name: n for n, name in reversed(list(enumerate(defined((ROOT / PACKAGE / f"{module}.py").read_text()))))}


def exported(module):
    "Exported names of a module, in the order of the source"
    places = defined_in(module)
    return sorted(importlib.import_module(f"{PACKAGE}.{module}").__all__, key=lambda name: places.get(name, len(places)))


def value_text(value):
    "A default, short and the same tomorrow"
    name = getattr(value, "__name__", None)
    text = name if name else repr(value)
    return "..." if " at 0x" in text or len(text) > 40 else text


def signature(thing):
    "(a, b=1, *, c) of anything callable; types stand in the table"
    try: found = inspect.signature(thing)
    except (TypeError, ValueError): return "(...)"
    class Shown:
        def __init__(self, value): self.value = value
        def __repr__(self): return value_text(self.value)
    params = [p.replace(annotation=p.empty, default=p.default if p.default is p.empty else Shown(p.default)) for p in found.parameters.values() if p.name != "self"]
    return str(found.replace(parameters=params, return_annotation=inspect.Signature.empty))


def type_text(annotation):
    "An annotation without the modules its parts come from"
    if annotation is inspect.Parameter.empty or annotation is None: return ""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    short = re.sub(r"(?:[A-Za-z_]+[.])+([A-Za-z_]+)", r"\1", text)
    return f"`{short}`" if text else ""


def parameter_list(thing):
    "nbdev's docments, the comments beside the parameters, as a list of definitions"
    from fastcore.docments import docments
    try: found = docments(inspect.unwrap(thing), full=True, returns=True)
    except Exception: return ""    # no source: an object that is no function
    rows = []
    for name, p in found.items():
        said = " ".join((p.get("docment") or "").split())
        if name == "self" or not said: continue
        default = "" if name == "return" or p["default"] is inspect.Parameter.empty else f" = `{value_text(p['default'])}`"
        kind = type_text(p.get("anno"))
        rows.append(f"{'*returns*' if name == 'return' else f'`{name}`'}{': ' * bool(kind)}{kind}{default}\n: {said}\n")
    return "\n".join([":::{container} parameters", *rows, ":::"]) if rows else ""


def description(thing, known):
    "A docstring, which is Markdown, and the table of the parameters"
    own = inspect.getdoc(thing) if inspect.isroutine(thing) or inspect.ismemberdescriptor(thing) or isinstance(thing, (type, property)) or type(thing).__module__.startswith(PACKAGE) else None
    if own and own == inspect.getdoc(type(thing)) and not isinstance(thing, type): own = None
    return "\n\n".join(part for part in (re.sub(r"\]\((\w+\.ipynb)", r"](../\1", linked(own, known)) if own else "", parameter_list(thing) if callable(thing) else "") if part)


def home_of(thing, default):
    "The module, a chapter, that defines a method"
    module = getattr(getattr(thing, "fget", thing), "__module__", None) or ""
    return module.removeprefix(PACKAGE + ".") if module.startswith(PACKAGE + ".") else default


def entry(kind, name, thing, module, known, titles, fence=":::", owner=None):
    "One symbol, as a directive of Sphinx's Python domain; a method is defined where its class is, or where it was hung on it"
    call = signature(thing) if kind in ("class", "function", "method", "exception") else ""
    places = defined_in(module)
    page, title = titles[module]
    place = "#" + name if name in places and (owner is None or owner not in places) else f"#{owner}" if owner in places else ""
    place = f'<p class="definition-link"><a href="../{page}.html{place}">Definition</a> in {title}</p>'
    value = [f":value: {value_text(thing)}"] if kind == "data" and value_text(thing) != "..." else []
    said = description(thing, known) or (f"That of the value, {{py:obj}}`np.ndarray.{name} <numpy.ndarray.{name}>`." if owner == "Tensor" and f"numpy.ndarray.{name}" in known else "")
    lines = [f"{fence}{{py:{kind}}} {name}{call}", *value, "", said, "", place, ""]
    if isinstance(thing, type) and kind in ("class", "exception"):
        for member, plain in members(thing):
            lines += [entry(kind_of_member(plain), member, plain, home_of(plain, module), known, titles, fence[:-1], name), ""]
    return "\n".join([*lines, fence])


def members(cls):
    "(name, what it is) of the attributes, methods and properties that a class documents, attributes first"
    slots = {name: vars(cls)[name] for name, said in slots.items() if said} if isinstance(slots := vars(cls).get("__slots__"), dict) else {}
    for name, value in (slots | dict(vars(cls))).items():
        plain = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        if not name.startswith("_") and (name in slots or inspect.isroutine(plain) or isinstance(plain, property)): yield name, plain


def kind_of_member(thing):
    "The same of what a class holds"
    return "property" if isinstance(thing, property) else "attribute" if inspect.ismemberdescriptor(thing) else "method"


def kind_of(thing):
    "The role of a symbol in Sphinx's Python domain"
    if isinstance(thing, type): return "exception" if issubclass(thing, BaseException) else "class"
    return "function" if callable(thing) else "data"


def write_reference(chapters, known):
    "api/<module>.md, and api/index.md with the public names"
    folder = SOURCE / "api"
    folder.mkdir(parents=True, exist_ok=True)
    titles = {MODULES[page]: (page, title.split(" ", 1)[1]) for page, title in chapters if page in MODULES}
    package, tables = importlib.import_module(PACKAGE), []
    for name, (page, title) in titles.items():
        module, names = importlib.import_module(f"{PACKAGE}.{name}"), exported(name)
        public = [n for n in names if n in package.__all__ and getattr(package, n) is getattr(module, n) and home_of(getattr(module, n), name) == name]
        parts = [f"# {PACKAGE}.{name}", f"```{{py:module}} {PACKAGE}.{name}\n```", f"What the chapter [{title}](../{page}.ipynb) exports."]
        for heading, some in (("Offered by the package", public), ("Inside", [n for n in names if n not in public])):
            if some: parts += [f"## {heading}", *(entry(kind_of(getattr(module, n)), n, getattr(module, n), name, known, titles, "::::::") for n in some)]
        (folder / f"{name}.md").write_text("\n\n".join([*parts, ""]))
        first = lambda n: linked((inspect.getdoc(getattr(module, n)) or "").split("\n")[0], known).replace("|", "\\|")
        if public: tables.append("\n".join([f"## From {title}", "", "| | |", "|---|---|", *(f"| {{py:obj}}`{n} <{PACKAGE}.{name}.{n}>` | {first(n)} |" for n in public)]))
    intro = (DOCS / "api.md").read_text()
    (folder / "index.md").write_text("\n\n".join([intro, *tables, "```{toctree}\n:hidden:\n\n" + "\n".join(titles) + "\n```", ""]))


# ---- everything


def write_definitions():
    "For the links in code: where each exported name is defined, a cell that shows it"
    found = {}
    for path in sorted(NBS.glob("[0-9]*.ipynb")):
        page = CHAPTER.fullmatch(path.name)[1]
        sources = ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
        if page in MODULES: found[MODULES[page]] = {name: f"{page}.html#{name}" for s in sources if re.match(r"#\s*\|\s*exports\b", s) for name in defined(OPTION.sub("", s))}
    (WORK / "definitions.json").write_text(json.dumps(found))


def write_pages(known):
    "The pages of docs/ that are Markdown, and what a page asks for from benchmarks/results"
    for path in sorted(DOCS.glob("*.md")):
        if path.stem in ("index", "api"): continue
        text = linked(path.read_text(), known)
        if "{{benchmarks}}" in text:
            sys.path.insert(0, str(ROOT / "benchmarks"))
            import show
            report = json.loads((ROOT / "benchmarks" / "results" / "bench.json").read_text())
            e = report["environment"]
            where = f"Python {e['python']}, NumPy {e['numpy']}, {e['blas']}, {e['threads']} thread{'s' * (e['threads'] > 1)}, {e['processor']}"
            text = text.replace("{{benchmarks}}", f"{show.markdown_table(show.ratios(report))}\n\nMedians; measured with {where}. The [speed chapter](speed.ipynb) has the times themselves and how far they scatter.")
        (SOURCE / path.name).write_text(text)


def write_lite():
    "JupyterLite with the chapters and the package beside them, in _docs/lite; Python itself comes to the browser from Pyodide's host when a cell is first run"
    folder = WORK / "lite"
    shutil.rmtree(folder, ignore_errors=True)
    contents = folder / "contents"
    shutil.copytree(ROOT / PACKAGE, contents / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    for path in NBS.glob("[0-9]*.ipynb"):
        notebook = json.loads(path.read_text())
        notebook["metadata"]["kernelspec"] = {"name": "python", "display_name": "Python (Pyodide)", "language": "python"}
        (contents / path.name).write_text(json.dumps(notebook))
    kernel = {"@jupyterlite/pyodide-kernel-extension:kernel": {"loadPyodideOptions": {"packages": ["numpy", "matplotlib", "scipy"]}}}
    (folder / "jupyter-lite.json").write_text(json.dumps({"jupyter-lite-schema-version": 0, "jupyter-config-data": {"appName": PACKAGE, "litePluginSettings": kernel}}))
    command = [sys.executable, "-m", "jupyterlite_core", "build", "--contents", "contents", "--output-dir", str(SITE / "lite"), "--no-sourcemaps", "--no-unused-shared-packages"]
    return subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL).returncode


def build(strict=True, lite=False):
    "_docs/, from nothing; returns Sphinx's exit status"
    shutil.rmtree(SOURCE, ignore_errors=True); SOURCE.mkdir(parents=True)
    sys.path.insert(0, str(ROOT))
    fetch_mathjax()
    write_inventories()
    known = inventory()
    chapters = write_chapters(known, lite)
    write_reference(chapters, known)
    write_pages(known)
    write_definitions()
    extra = WORK / "extra" / "notebooks"
    shutil.rmtree(extra, ignore_errors=True); extra.mkdir(parents=True)
    for path in NBS.glob("[0-9]*.ipynb"): shutil.copy(path, extra)
    html = WORK / "html"      # made aside, so that a build that fails leaves the site that was there
    shutil.rmtree(html, ignore_errors=True)
    options = ["-W", "--keep-going"] if strict else []
    status = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-j", "auto", "-b", "html", *options, "-c", str(DOCS), "-d", str(WORK / "doctrees"), str(SOURCE), str(html)], cwd=ROOT).returncode
    if status == 0:
        shutil.rmtree(SITE, ignore_errors=True)
        html.rename(SITE)
        if lite: status = write_lite()
        print(f"{len([p for p in SITE.rglob('*.html') if 'lite' not in p.parts])} pages in {SITE.relative_to(ROOT)}")
    return status


def serve(port):
    "The site, to this machine only"
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args): pass
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Quiet, directory=SITE))
    print(f"http://localhost:{server.server_port}/ (stop with Ctrl-C)")
    try: server.serve_forever()
    except KeyboardInterrupt: pass


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["build", "serve"])
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--lenient", action="store_true", help="warnings of Sphinx do not fail the build")
    parser.add_argument("--lite", action="store_true", help="JupyterLite too, so that a chapter can be run in a browser that has the network")
    args = parser.parse_args(argv)
    if args.what == "serve": return serve(args.port)
    return build(strict=not args.lenient, lite=args.lite)


if __name__ == "__main__":
    sys.exit(main())
