"""What people install: wheel and sdist build, and import where there is nothing but NumPy."""
import json, shutil, subprocess, sys, tarfile, venv, zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

pytest.importorskip("build")
ROOT = Path(__file__).resolve().parent.parent


def run(*args, **kwargs):
    res = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)
    assert res.returncode == 0, f"{args}\n{res.stdout}\n{res.stderr}"
    return res.stdout


def build(source, out, *kinds): run(sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", out, source)


@pytest.fixture(scope="module")
def dists(tmp_path_factory):
    "wheel, sdist, and the wheel built from that sdist, none of them built inside the working tree"
    top = tmp_path_factory.mktemp("dists")
    skip = shutil.ignore_patterns(".git", ".venv*", "build", "dist", "*.egg-info", "__pycache__", ".*cache", ".hypothesis", "_docs", "_proc")
    shutil.copytree(ROOT, top / "tree", ignore=skip)
    build(top / "tree", top / "out", "--wheel")
    build(top / "tree", top / "out", "--sdist")
    wheel, sdist = next((top / "out").glob("*.whl")), next((top / "out").glob("*.tar.gz"))
    with tarfile.open(sdist) as t: t.extractall(top / "unpacked", filter="data")
    build(next((top / "unpacked").iterdir()), top / "again", "--wheel")
    return {"wheel": wheel, "sdist": sdist, "wheel from sdist": next((top / "again").glob("*.whl"))}


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    "A Python with NumPy (a link to ours) and nothing else"
    top = tmp_path_factory.mktemp("bare")
    venv.create(top, with_pip=False)
    site = Path(run(top / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    ours = distribution("numpy").locate_file("")
    for name in {Path(f).parts[0] for f in distribution("numpy").files} - {"..", "__pycache__"}: (site / name).symlink_to(ours / name)
    return top / "bin/python", site


SURVEY = """
import sys, json
import numpy.random    # its Cython brings helper modules of its own
before = set(sys.modules)
import autodiffnb
top = {m.partition('.')[0] for m in set(sys.modules) - before}
from importlib.metadata import distribution, distributions
d = distribution('autodiffnb')
print(json.dumps(dict(file=autodiffnb.__file__, version=autodiffnb.__version__, metadata=d.version, requires=d.requires,
    installed=sorted(x.name for x in distributions()), foreign=sorted(top - sys.stdlib_module_names - {'autodiffnb', 'numpy'}))))
"""


@pytest.mark.parametrize("kind", ["wheel", "wheel from sdist"])
def test_it_imports_with_numpy_alone(dists, bare, kind, tmp_path):
    python, site = bare
    with zipfile.ZipFile(dists[kind]) as z: z.extractall(tmp_path / "lib")
    found = json.loads(run(python, "-c", SURVEY, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "lib")}))
    assert Path(found["file"]).is_relative_to(tmp_path)
    assert found["installed"] == ["autodiffnb", "numpy"]
    assert found["version"] == found["metadata"]
    assert [r for r in found["requires"] if "extra ==" not in r] == ["numpy>=2.0"]
    assert found["foreign"] == []


def test_every_module_that_does_without_extras_imports_with_numpy_alone(dists, bare, tmp_path):
    "An extra may be missing until the function that needs it is called"
    python, _ = bare
    with zipfile.ZipFile(dists["wheel"]) as z: z.extractall(tmp_path / "lib")
    modules = [p.stem for p in (tmp_path / "lib/autodiffnb").glob("*.py") if p.stem not in ("__init__", "_modidx", "picture", "special", "sklearn")]
    code = "import importlib, sys\nfor m in sys.argv[1:]: importlib.import_module('autodiffnb.' + m)"
    run(python, "-c", code, *modules, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path / "lib")})


def test_both_carry_all_of_the_package(dists):
    held = {p.name for p in (ROOT / "autodiffnb").iterdir() if p.suffix in {".py", ".npz", ".txt"} or p.name == "py.typed"}
    assert "py.typed" in held
    for kind in ["wheel", "wheel from sdist"]:
        with zipfile.ZipFile(dists[kind]) as z: names = z.namelist()
        assert {Path(n).name for n in names if n.startswith("autodiffnb/")} == held
        assert any(n.endswith("licenses/LICENSE") for n in names)
    with tarfile.open(dists["sdist"]) as t: names = {n.partition("/")[2] for n in t.getnames()}
    assert {f"autodiffnb/{n}" for n in held} <= names
    assert {"LICENSE", "CHANGELOG.md", "settings.ini", "Makefile"} <= names
    assert {p.relative_to(ROOT).as_posix() for p in (ROOT / "nbs").glob("*.ipynb")} <= names


def test_importing_takes_numpy_and_the_standard_library_only():
    "The same here, where everything else is installed and could be imported"
    found = json.loads(run(sys.executable, "-c", SURVEY, cwd=ROOT))
    assert found["foreign"] == []
