"Every chapter ends in exercises: the solutions are right, the tempting wrong answers are refused, and every hint is given to somebody."
import json, subprocess, sys
from pathlib import Path

import pytest

import exercises as tools  # tools/exercises.py
import notebooks
from autodiffnb import check_answer

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parent.parent
NUMBERED = sorted((ROOT / "nbs").glob("[0-9]*.ipynb"))


@pytest.mark.parametrize("path", NUMBERED, ids=lambda p: p.stem)
def test_the_exercises_of_a_chapter(path):
    found = tools.exercises(path)
    if path.stem == "27_arrays": pytest.importorskip("xarray", exc_type=ImportError)      # whose pandas wants a newer NumPy than the oldest
    assert 3 <= len(found) <= 5
    res = subprocess.run([sys.executable, ROOT / "tools/exercises.py", path], capture_output=True, text=True)  # a process of its own: lessons file rules
    assert res.returncode == 0, res.stdout + res.stderr
    assert res.stdout.count("ok ") == len(found), res.stdout


@pytest.mark.parametrize("path", NUMBERED, ids=lambda p: p.stem)
def test_stored_checks_show_no_answer(path):
    cells = notebooks.read(path)["cells"]
    for i, ex in enumerate(tools.exercises(path)):
        stored = [c["outputs"] for c in cells if c["cell_type"] == "code" and notebooks.joined(c["source"]) in (ex.reader, ex.check)]
        assert [[notebooks.parts(o) for o in outputs] for outputs in stored] == [[], [{"stdout": tools.UNANSWERED + "\n"}]], ex.question


def said(capsys, answer, claims):
    assert check_answer(answer, claims) is None
    return capsys.readouterr().out


@pytest.mark.parametrize("answer", [..., (1, ...), [..., 2], ((1, ...), 2)])
def test_an_empty_answer_is_not_checked(capsys, answer):
    assert said(capsys, answer, {"Never.": lambda a: 1 / 0}) == "Not answered yet.\n"


def test_the_first_claim_that_fails_gives_its_hint(capsys):
    claims = {"Even.": lambda n: n % 2 == 0, "Large.": lambda n: n > 10}
    assert [said(capsys, n, claims) for n in (12, 13, 2, 3)] == ["Right.\n", "Not yet. Even.\n", "Not yet. Large.\n", "Not yet. Even.\n"]


def test_an_error_is_told_with_the_hint(capsys):
    assert said(capsys, "3", {"A number.": lambda n: n + 1 == 4}) == 'Not yet. A number.\nTypeError: can only concatenate str (not "int") to str\n'


def notebook(tmp_path, question="**1. One.** What is 1 + 1?", reader="n = ...", check='check_answer(n, {"Count.": lambda n: n == 2})', solution="n = 2", wrong="n = 3\nn = 4"):
    details = f"<details>\n<summary>Solution</summary>\n\n```python\n{solution}\n```\n\n```python\n{wrong}\n```\n\n</details>"
    cells = [("markdown", "## Exercises"), ("code", "from autodiffnb import check_answer"),
             ("markdown", question), ("code", reader), ("code", check), ("markdown", details)]
    path = tmp_path / "00_one.ipynb"
    path.write_text(json.dumps(dict(metadata={}, nbformat=4, nbformat_minor=5, cells=[
        dict(cell_type=kind, id=f"c{i}", metadata={}, source=text, **(dict(outputs=[], execution_count=None) if kind == "code" else {}))
        for i, (kind, text) in enumerate(cells)])))
    return path


@pytest.mark.parametrize("change, complaint", [
    ({}, ""),
    (dict(solution="n = 3", wrong="n = 4"), "the solution is refused"),
    (dict(wrong="n = 2\nn = 3"), "a wrong answer is not refused: n = 2"),
    (dict(reader="n = 2"), "expected 'Not answered yet.'"),
    (dict(check='check_answer(n, {"Count.": lambda n: n == 2, "Vain.": lambda n: True})'), "no wrong answer is told 'Vain.'"),
    (dict(wrong="n = 1 / 0"), "a wrong answer is not refused: n = 1 / 0"),
    (dict(solution="m = 2"), "the solution is refused: Not answered yet."),
    (dict(question="**2. Two.** What?"), "expected exercise 1"),
    (dict(solution="n = 2\n```\n\n```python\nn"), "expected two blocks"),
], ids=str)
def test_the_tool_finds_what_is_wrong(tmp_path, change, complaint):
    res = subprocess.run([sys.executable, ROOT / "tools/exercises.py", notebook(tmp_path, **change)], capture_output=True, text=True)
    said = res.stdout + res.stderr
    assert res.returncode != 0  # at least: it has one exercise, and not three
    assert complaint in said if complaint else "ok     00_one 1" in said and "got 1" in said, said
