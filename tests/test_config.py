"""nbdev 2 reads settings.ini and nbdev 3 reads pyproject.toml: they must say the same."""
import configparser, json, re, sys, tomllib
from pathlib import Path

import pytest

import autodiffnb

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, NBDEV, URLS = PYPROJECT["project"], PYPROJECT["tool"]["nbdev"], PYPROJECT["project"]["urls"]
_ini = configparser.ConfigParser(delimiters=["="], interpolation=None)
_ini.read(ROOT / "settings.ini")
INI = _ini["DEFAULT"]


def words(text): return text.split()


@pytest.mark.parametrize("key, pyproject", [
    ("lib_name", PROJECT["name"]),
    ("description", PROJECT["description"]),
    ("author", PROJECT["authors"][0]["name"]),
    ("min_python", PROJECT["requires-python"].removeprefix(">=")),
    ("keywords", " ".join(PROJECT["keywords"])),
    ("requirements", " ".join(PROJECT["dependencies"])),
    ("version", autodiffnb.__version__),
    ("title", NBDEV["title"]),
    ("lib_path", NBDEV["lib_path"]),
    ("nbs_path", NBDEV["nbs_path"]),
    ("doc_path", NBDEV["doc_path"]),
    ("git_url", URLS["Repository"]),
])
def test_settings_ini_and_pyproject_agree(key, pyproject): assert INI[key] == pyproject


def test_both_name_the_same_site():
    assert INI["doc_host"] + INI["doc_baseurl"] == URLS["Documentation"].rstrip("/")
    assert f"{INI['user']}/{INI['repo']}" in URLS["Repository"]


def test_both_name_the_same_license():
    assert INI["license"] == "apache2"
    assert PROJECT["license"].split()[0] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text() and PROJECT["authors"][0]["name"] in (ROOT / "LICENSE").read_text()


def test_the_rest_of_settings_ini_is_what_nbdev_3_assumes():
    defaults = pytest.importorskip("nbdev.config").nbdev_defaults
    said = {**defaults, **NBDEV}
    for key in ["tst_flags", "readme_nb", "branch"]: assert INI[key] == said[key], key
    for key in ["recursive", "clean_ids", "clear_all", "jupyter_hooks", "custom_sidebar"]: assert INI.getboolean(key) == said[key], key


def test_only_one_of_them_writes_the_version():
    assert PROJECT["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "autodiffnb.__version__"}
    assert not INI.getboolean("put_version_in_init") and not INI.getboolean("update_pyproject")


def test_the_package_needs_numpy_alone():
    assert len(PROJECT["dependencies"]) == 1 and PROJECT["dependencies"][0].startswith("numpy>=2.0")
    assert {"plot", "data", "train", "dev"} <= PROJECT["optional-dependencies"].keys()


def names(lines): return {re.split(r"[^\w.-]", l)[0].lower().replace("_", "-") for l in lines if l and not l.startswith("#")}


def test_every_requirement_of_the_developer_is_pinned():
    extras = {name: {r for r in e if not r.startswith("autodiffnb")} for name, e in PROJECT["optional-dependencies"].items()}
    del extras["bench"]  # no tool: whoever compares takes what is newest
    docs = extras.pop("docs") | extras.pop("lite")
    assert names(docs) <= names((ROOT / "requirements/docs.txt").read_text().splitlines())
    assert names(set(PROJECT["dependencies"]).union(*extras.values())) <= names((ROOT / "requirements/dev.txt").read_text().splitlines())
    assert names(words(INI["dev_requirements"])) <= names((ROOT / "requirements/nbdev2.txt").read_text().splitlines())


@pytest.mark.parametrize("path", ["requirements/dev.txt", "requirements/docs.txt", "requirements/nbdev2.txt"])
def test_the_pins_are_versions_and_nothing_else(path):
    lines = [l for l in (ROOT / path).read_text().splitlines() if not l.startswith("#")]
    assert [l for l in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+", l)] == []


def test_each_lane_has_its_own_nbdev():
    version = lambda path: tuple(map(int, re.search(r"^nbdev==([\d.]+)$", (ROOT / path).read_text(), re.M)[1].split(".")))
    assert version("requirements/dev.txt") >= (3, 3, 26)
    assert version("requirements/nbdev2.txt") == (2, 4, 14)


def test_changelog_names_the_version():
    assert re.search(rf"^## {re.escape(autodiffnb.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_the_sites_settings_are_what_nbdev_would_write():
    quarto, config = pytest.importorskip("nbdev.quarto"), pytest.importorskip("nbdev.config").get_config(ROOT)
    values = {k: config[k] for k in ["title", "description", "branch", "git_url", "doc_host", "doc_baseurl"]}
    assert (ROOT / "nbs/nbdev.yml").read_text() == quarto._nbdev_yml.format(doc_path=NBDEV["doc_path"], **values)


def test_whoever_runs_the_notebooks_with_nbdev_2_has_what_they_import():
    "An import that is not indented is not optional"
    wanted = {"sklearn": "scikit-learn", "IPython": "nbdev", "dask": "dask", "distributed": "dask"}
    given = re.split(r"[ <=>\[\],]+", INI["dev_requirements"]) + ["numpy", "autodiffnb"]
    lines = [line for path in sorted((ROOT / "nbs").glob("*.ipynb")) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
             if cell["cell_type"] == "code" for line in "".join(cell["source"]).splitlines()]
    names = {name.strip().split(".")[0].split(" ")[0] for line in lines if (m := re.match(r"(?:import ([\w., ]+)|from (\w+)[\w.]* import )", line)) for name in (m[1] or m[2]).split(",")}
    local = {p.stem for folder in ("benchmarks", "tests", "tools") for p in (ROOT / folder).glob("*.py")}
    assert "xarray" in names
    assert sorted(n for n in names if n not in sys.stdlib_module_names | local and wanted.get(n, n) not in given) == []
