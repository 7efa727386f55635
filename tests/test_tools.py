"""The tools themselves: above all, that the check of stored outputs fails when it should."""
import base64, io, json, re, subprocess, sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

import notebooks, readme

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parent.parent

LESSON = ["# A lesson", "import sys\nimport numpy as np", "print('two'); print('lines')\nnp.arange(3) * 2",
          "import warnings\nwarnings.warn('careful')\nprint('    10%|=', end='\\r', file=sys.stderr)\nprint('done', file=sys.stderr)",
          "#| eval: false\n1 / 0",
          "import matplotlib.pyplot as plt\nfig, ax = plt.subplots(figsize=(2, 1.5))\nax.plot([0, 1], [0, 1]);"]


def write(path, sources):
    "A notebook of the given cells; those that open with a heading or a dash are Markdown"
    new = lambda i, s: (nbformat.v4.new_markdown_cell if re.match("# |---|##|[|]", s) else nbformat.v4.new_code_cell)(s, id=f"cell-{i}")
    nb = nbformat.v4.new_notebook(cells=[new(i, s) for i, s in enumerate(sources)])
    path.write_text(notebooks.nb2str(notebooks.tidy(json.loads(nbformat.writes(nb)))))
    return path


@pytest.fixture(scope="module")
def lesson(tmp_path_factory):
    "A lesson as `run` stores it"
    path = write(tmp_path_factory.mktemp("nbs") / "00_lesson.ipynb", LESSON)
    assert notebooks.main(["run", "--jobs", "1", str(path)]) == 0
    return path


@pytest.fixture
def stored(lesson): return notebooks.read(lesson)


def texts(cell): return [notebooks.parts(o) for o in cell["outputs"]]


def test_run_stores_what_the_cells_say(stored):
    _, imports, values, noise, skipped, figure = stored["cells"]
    assert texts(imports) == texts(skipped) == []
    assert texts(values) == [{"stdout": "two\nlines\n"}, {"text/plain": "array([0, 2, 4])"}]
    assert texts(noise) == [{"stderr": "line 2 of this cell: UserWarning: careful\n  warnings.warn('careful')\n"}]
    assert [sorted(t) for t in texts(figure)] == [["image/png", "text/plain"]]


def test_run_leaves_a_clean_notebook_that_a_second_run_does_not_change(lesson):
    before = lesson.read_bytes()
    assert notebooks.unclean(lesson) == []
    assert notebooks.main(["run", "--jobs", "1", str(lesson)]) == 0
    assert lesson.read_bytes() == before


def test_check_passes_then_fails_naming_notebook_cell_and_difference(lesson, stored, tmp_path, capsys):
    "The whole command, in a process of its own kernel"
    assert notebooks.main(["check", "--jobs", "1", str(lesson)]) == 0
    assert "ok     00_lesson.ipynb" in capsys.readouterr().out
    stored["cells"][2]["outputs"][1]["data"]["text/plain"] = ["array([0, 2, 5])"]
    altered = tmp_path / "00_altered.ipynb"
    altered.write_text(notebooks.nb2str(stored))
    assert notebooks.main(["check", "--jobs", "1", str(altered)]) == 1
    said = capsys.readouterr().out
    for word in ["FAILED 00_altered.ipynb", "cell 2 (cell-2)", "-array([0, 2, 5])", "+array([0, 2, 4])"]: assert word in said


def alter_stream(cells): cells[2]["outputs"][0]["text"][0] = "too\n"
def drop_output(cells): cells[2]["outputs"].pop()
def add_output(cells): cells[1]["outputs"].append(cells[2]["outputs"][0])
def drop_figure(cells): cells[5]["outputs"].clear()
def alter_code(cells): cells[2]["source"] = ["1"]


@pytest.mark.parametrize("alter", [alter_stream, drop_output, add_output, drop_figure, alter_code])
def test_every_alteration_shows(stored, lesson, alter):
    fresh = notebooks.read(lesson)
    assert notebooks.compare(stored, fresh) == []
    alter(stored["cells"])
    assert len(notebooks.compare(stored, fresh)) == 1


def png(array):
    out = io.BytesIO()
    Image.fromarray(array.astype("uint8")).save(out, "png")
    return base64.b64encode(out.getvalue()).decode()


def test_figures_are_compared_by_pixels():
    rng = np.random.default_rng(0)
    plain = rng.integers(0, 200, (100, 150, 3))
    assert not notebooks.same_figure(png(plain), png(plain + rng.integers(0, 5, plain.shape)))  # a shade
    line = plain.copy()
    line[50, 20:60] = 255
    assert "pixels differ" in notebooks.same_figure(png(plain), png(line))
    assert "150 x 100" in notebooks.same_figure(png(plain), png(plain[:, 1:]))


@pytest.mark.parametrize("text", ["took 3.2 ms", "1.5 s", "loop: 250 µs", "12.3it/s", "Wall time: 1", "00:01:02", "03:12<04:00", "12 seconds", "2026-01-31",
                                  "<object at 0x7f3a5c0d1e80>", "/home" + "/me/x.py", "/tmp" + "/ipykernel_12/3.py"])
def test_what_depends_on_time_and_place_is_refused(text):
    nb = {"cells": [{"id": "a", "outputs": [{"output_type": "stream", "name": "stdout", "text": [text]}]}]}
    assert notebooks.unfit(nb)


@pytest.mark.parametrize("text", ["shape (3, 4)", "loss 0.3818, accuracy 0.8447", "10 epochs of 1875 steps", "axes=[0, 2]", "x[1:2]", "3 s-curves", "0x1f", "a/tmp/b",
                                  "/usr/share/datasets/fashion-mnist", "items 12"])
def test_what_does_not_is_not(text):
    nb = {"cells": [{"id": "a", "outputs": [{"output_type": "stream", "name": "stdout", "text": [text]}]}]}
    assert notebooks.unfit(nb) == []


def test_a_stored_error_is_refused():
    out = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    assert "ValueError: no" in notebooks.unfit({"cells": [{"id": "a", "outputs": [out]}]})[0]


def test_a_notebook_that_fails_is_not_stored(tmp_path, capsys):
    path = write(tmp_path / "00_wrong.ipynb", ["# Wrong", "1 + 1", "raise ValueError('on purpose')"])
    before = path.read_bytes()
    assert notebooks.main(["run", "--jobs", "1", str(path)]) == 1
    assert path.read_bytes() == before
    said = capsys.readouterr().out
    assert "FAILED 00_wrong.ipynb" in said and "ValueError: on purpose" in said and "\x1b" not in said


MAIN = ["---\nskip_exec: true\n---", "# The main job", "## Train", "import sys\nfor i in range(3): print(f'\\r{i + 1}/3 [00:0{i}<00:00]', end='', file=sys.stderr)\nprint(file=sys.stderr)",
        "## How it went", "import matplotlib.pyplot as plt\nplt.figure(figsize=(1, 1)); plt.plot([1, 2]);",
        "from IPython.display import Markdown\nMarkdown('| model | accuracy |\\n|---|---|\\n| linear | 0.84 |')", "'the end'"]


def test_the_main_job_shows_its_progress_and_leaves_copy_figures_and_table(tmp_path, capsys):
    path, out = write(tmp_path / "09_main.ipynb", MAIN), tmp_path / "out"
    check = ["check", str(path), "--out", str(out)]
    assert notebooks.main(check) == 1 and "make fashion" in capsys.readouterr().out  # nothing to compare with yet
    before = path.read_bytes()
    run = subprocess.run([sys.executable, ROOT / "tools/notebooks.py", "main", path, "--out", out], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "## Train" in run.stdout and "3/3 [00:02<00:00]" in run.stdout
    assert "| linear | 0.84 |" in run.stdout.partition("-" * 72)[2]
    assert [p.name for p in out.glob("*.png")] == ["01-how-it-went.png"]
    assert path.read_bytes() == before
    copy = notebooks.read(out / path.name)
    assert notebooks.unfit(copy) == [] and texts(copy["cells"][3]) == []
    assert notebooks.main(check) == 1  # the notebook itself has no outputs yet
    path.write_bytes((out / path.name).read_bytes())
    assert notebooks.main(check) == 0
    path.write_text(path.read_text().replace("'the end'", "'another end'"))
    capsys.readouterr()
    assert notebooks.main(check) == 1 and "was not executed with this code" in capsys.readouterr().out


def test_in_a_log_progress_is_a_line_now_and_then():
    out = io.StringIO()
    echo = notebooks.Echo(out, every=1000)
    for i in range(100): echo.write(f"\r{i} of 100")
    echo.write("\n")
    echo.write("done\n")
    assert out.getvalue() == "0 of 100\n99 of 100\ndone\n"


INDEX = ["# The title\n\n> A line.\n\n[a](00_a.ipynb) [b](#b) [c](https://c.d) [e](../LICENSE)", "#| hide\nimport os", "#| eval: true\n1 + 1", "#| echo: false\nprint('alone')"]


def test_readme_is_what_a_code_host_can_show(tmp_path, capsys):
    (tmp_path / "nbs").mkdir()
    assert notebooks.main(["run", "--jobs", "1", str(write(tmp_path / "nbs/index.ipynb", INDEX))]) == 0
    root = ["--root", str(tmp_path)]
    assert readme.main([*root, "--check"]) == 1
    assert readme.main(root) == 0
    assert readme.main([*root, "--check"]) == 0
    text = (tmp_path / "README.md").read_text()
    for part in ["# The title", "[a](nbs/00_a.ipynb) [b](#b) [c](https://c.d) [e](LICENSE)", "```python\n1 + 1\n```", "    2\n", "    alone\n"]: assert part in text
    assert not re.search(r"import os|print\(|^#\|", text, re.M)
    (tmp_path / "README.md").write_text(text.replace("A line", "Another"))
    capsys.readouterr()
    assert readme.main([*root, "--check"]) == 1 and "-> Another." in capsys.readouterr().out
