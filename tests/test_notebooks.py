"""The notebooks as they are stored: arrows point down, outputs are there and clean, exported modules are current."""
import ast, json, re, shutil, subprocess, sys
from pathlib import Path

import pytest

import notebooks as tools  # tools/notebooks.py

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
NUMBERED = [p for p in NOTEBOOKS if p.name[0].isdigit()]
DIRECTIVE = re.compile(r"^#\s*\|\s*(\w+):?[ \t]*(\S*)", re.M)
EXPORTED = {"export", "exports", "exporti"}
KB = 1000


def number(path): return int(re.match(r"\d+", path.name)[0])
def source(cell): return "".join(cell["source"])
def cells(path, kind=None): return [c for c in json.loads(path.read_text(encoding="utf-8"))["cells"] if kind in (None, c["cell_type"])]
def marks(cell): return dict(DIRECTIVE.findall(source(cell)))


def default_exp(path): return next((m["default_exp"] for c in cells(path, "code") if "default_exp" in (m := marks(c))), None)


MODULES = {m: number(p) for p in NUMBERED if (m := default_exp(p))}


def imported(code):
    "Names of the modules of this package that `code` imports, however it says so; '' for the package as a whole"
    plain = "\n".join(l for l in code.splitlines() if not l.lstrip().startswith(("%", "!")))
    for node in ast.walk(ast.parse(plain)):
        if isinstance(node, ast.Import): names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ("autodiffnb." if node.level else "") + (node.module or "")
            names = [f"{base.rstrip('.')}.{a.name}" for a in node.names] if base.rstrip(".") == "autodiffnb" else [base]
        else: continue
        for name in names:
            head, _, rest = name.partition(".")
            if head == "autodiffnb": yield rest.partition(".")[0] if rest.partition(".")[0] in MODULES else ""


def test_there_are_notebooks_with_numbers_of_their_own():
    assert NUMBERED
    assert len({number(p) for p in NUMBERED}) == len(NUMBERED)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_first_cell_is_title_and_description_alone(path):
    "nbdev makes front matter of it, and both sites would lose what else it says"
    assert re.fullmatch(r"# .+\n\n> .+\n?", source(cells(path, "markdown")[0]))


@pytest.mark.parametrize("path", NUMBERED, ids=lambda p: p.stem)
def test_arrows_point_down(path):
    "Exported code imports from lower numbers; a lesson may import its own module too, never one that comes later"
    for cell in cells(path, "code"):
        exported = EXPORTED & marks(cell).keys()
        for module in imported(source(cell)):
            if exported: assert module and MODULES[module] < number(path), source(cell)
            elif module: assert MODULES[module] <= number(path), source(cell)
            else: assert not default_exp(path), f"a lesson imports from the modules: {source(cell)}"


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_down_in_the_modules_too(module):
    for other in imported((ROOT / f"autodiffnb/{module}.py").read_text(encoding="utf-8")): assert other and MODULES[other] < MODULES[module]


def test_every_module_is_exported_from_one_notebook():
    modules = {p.stem for p in (ROOT / "autodiffnb").glob("*.py")} - {"__init__", "__main__", "_modidx"}    # by hand
    assert modules == set(MODULES)
    assert len([p for p in NUMBERED if default_exp(p)]) == len(MODULES)


def test_exported_modules_are_current(tmp_path):
    for name in ["pyproject.toml", "settings.ini"]: shutil.copy(ROOT / name, tmp_path)
    keep = shutil.ignore_patterns("__pycache__", ".*")
    for name in ["nbs", "autodiffnb"]: shutil.copytree(ROOT / name, tmp_path / name, ignore=keep)
    subprocess.run([sys.executable, "-c", "from nbdev.doclinks import nbdev_export; nbdev_export()"], cwd=tmp_path, check=True, capture_output=True)
    held = lambda folder: {p.name: p.read_text(encoding="utf-8") for p in (folder / "autodiffnb").glob("*.py")}
    now, then = held(tmp_path), held(ROOT)
    stale = sorted(n for n in now.keys() | then.keys() if now.get(n) != then.get(n))
    assert stale == [], "run `make export`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_stored_outputs_are_there_and_clean(path):
    nb = json.loads(path.read_text(encoding="utf-8"))
    assert tools.unclean(path) == []
    assert tools.unfit(nb) == []
    code = cells(path, "code")
    assert not code or any(c["outputs"] for c in code), "no stored outputs: run `make prepare`"
    assert [c["id"] for c in code if c["execution_count"] or any(o.get("execution_count") for o in c["outputs"])] == []
    ids = [c["id"] for c in nb["cells"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_stored_outputs_are_small(path):
    size = sum(len(json.dumps(c["outputs"])) for c in cells(path, "code"))
    assert size <= (600 if path == NUMBERED[-1] else 200) * KB, f"{size // KB} KB"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_cell_that_ends_in_a_value_shows_it(path):
    "A lesson's last expression has an output, unless it is an assertion in a function's clothing (its value is None)"
    silent = []
    for cell in cells(path, "code"):
        m = marks(cell)
        if cell["outputs"] or m.get("eval") == "false" or "hide" in m: continue
        tree = ast.parse("\n".join(l for l in source(cell).splitlines() if not l.lstrip().startswith(("%", "!")))).body
        if tree and isinstance(tree[-1], ast.Expr) and not isinstance(tree[-1].value, ast.Call) and not source(cell).rstrip().endswith(";"):
            if not (isinstance(tree[-1].value, ast.Constant) and tree[-1].value.value in (None, ...)): silent.append(source(cell))
    assert silent == []


def tracked():
    res = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if res.returncode: pytest.skip("not a git checkout")
    return [ROOT / n for n in res.stdout.split("\0") if n and (ROOT / n).is_file()]


def test_no_tracked_file_names_a_path_of_a_machine():
    homes = re.compile(r"(?<![\w.~-])/(?:home|Users)/[a-z]\w*/|(?<![\w.~-])/(?:root|tmp|work|workspace|builds)/[\w.]")
    here = [str(p) + "/" for p in (ROOT, Path.home(), Path(sys.prefix)) if len(p.parts) > 1]
    bad = []
    for path in tracked():
        try: text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError: continue
        bad += [f"{path.relative_to(ROOT)}: {found[0]}" for found in [homes.search(text)] if found]
        bad += [f"{path.relative_to(ROOT)}: {p}" for p in here if p in text]
    assert bad == []


def test_the_readme_counts_the_functions():
    "They are quoted from the coverage page, whose layout may change"
    assert len(re.findall(r"^- \*\*\d+\*\* functions: ", (ROOT / "README.md").read_text(), re.M)) == 4
