#!/usr/bin/env python3
"""Do the exercises of chapters: solutions must be right, and the tempting wrong answers refused.

    exercises.py NB ...     one line for each exercise; the exit status says whether all is well

A chapter ends in the section `## Exercises`. After its introduction and a code cell with imports, each exercise is
    markdown   starts with **1. Title.** and asks
    code       what the exercise needs, and the reader's answer, which is still `...`
    code       `check_answer(answer, {hint: claim, ...})`
    markdown   <details> with the solution in a first block of Python, and in a second one wrong answers, one to a statement
The solution's block is run after the reader's cell, as if it had been written there; so is each wrong answer.
"""
import ast, os, re, sys
from dataclasses import dataclass
from pathlib import Path

import notebooks
from notebooks import joined

HEADING = re.compile(r"^## Exercises$", re.M)
NUMBER = re.compile(r"\*\*(\d+)\. ")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
UNANSWERED, RIGHT = "Not answered yet.", "Right."


@dataclass
class Exercise:
    "One exercise: its cells as text, the solution, and the wrong answers"
    question: str
    reader: str
    check: str
    details: str

    @property
    def blocks(self): return BLOCK.findall(self.details)
    @property
    def solution(self): return self.blocks[0]
    @property
    def wrong(self): return [ast.get_source_segment(self.blocks[1], s) for s in ast.parse(self.blocks[1]).body]
    @property
    def hints(self):
        "What the check can say, read from the keys of its claims"
        call = next(n for n in ast.walk(ast.parse(self.check)) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "check_answer")
        return [ast.literal_eval(k) for k in call.args[1].keys]


def section(cells):
    "The position of the cell at which the exercises begin, or None"
    return next((i for i, c in enumerate(cells) if c["cell_type"] == "markdown" and HEADING.search(joined(c["source"]))), None)


def exercises(path):
    "The exercises of the notebook at `path`; a `ValueError` says what is not as it should be"
    cells = notebooks.read(path)["cells"]
    if (start := section(cells)) is None: return []
    rest = [(c["cell_type"], joined(c["source"])) for c in cells[start:]]
    found = [i for i, (kind, text) in enumerate(rest) if kind == "markdown" and NUMBER.match(text)]
    res = []
    for n, (i, end) in enumerate(zip(found, [*found[1:], len(rest)]), 1):
        kinds, texts = zip(*rest[i:end])
        if NUMBER.match(texts[0])[1] != str(n): raise ValueError(f"{path.name}: expected exercise {n}, got {texts[0][:30]!r}")
        if kinds != ("markdown", "code", "code", "markdown"): raise ValueError(f"{path.name}, exercise {n}: expected question, answer, check and solution, got {kinds}")
        if not re.fullmatch(r"<details>\n<summary>Solution</summary>\n.*\n</details>", texts[3].strip(), re.S): raise ValueError(f"{path.name}, exercise {n}: the solution is not folded")
        if len(BLOCK.findall(texts[3])) != 2: raise ValueError(f"{path.name}, exercise {n}: expected two blocks of Python, the solution and the wrong answers")
        res.append(Exercise(*texts))
    return res


class Chapter:
    "A notebook in a shell, run up to its first exercise. One that is too long for the test lanes begins at the section."

    def __init__(self, path):
        from execnb.shell import CaptureShell  # what nbdev-test runs notebooks in
        self.path, self.shell = path, CaptureShell(path=path.parent)
        cells = notebooks.read(path)["cells"]
        self.start, self.names = section(cells), {}
        first = self.start + next(i for i, c in enumerate(cells[self.start:]) if NUMBER.match(joined(c["source"])))
        for i, cell in enumerate(cells[:first]):
            if i == self.start: self.names = dict(self.shell.user_ns)
            if cell["cell_type"] == "code" and not notebooks.skipped(cell) and (i >= self.start or not notebooks.runs_once(path)): self.run(joined(cell["source"]))

    def rebound(self):
        "Names of the chapter that mean something else by now. Functions of the chapter look them up, so exercises must leave them alone."
        return [name for name, x in self.names.items() if not name.startswith("_") and name not in ("In", "Out") and self.shell.user_ns.get(name) is not x]

    def run(self, *texts):
        "Run cells, and return what the last one prints"
        for text in texts:
            out = self.shell.run(text)
            if self.shell.exc: raise RuntimeError(f"{self.path.name}: {self.shell.exc!r} in\n{text}")
        return "".join(joined(o["text"]) for o in out if o["output_type"] == "stream").strip()


def problems(ex, chapter):
    "What is wrong with exercise `ex`, as a list of texts"
    def said_of(answer=""):
        try: return chapter.run(ex.reader, answer, ex.check)
        except RuntimeError as e: return str(e)
    res = []
    if (said := said_of()) != UNANSWERED: res.append(f"expected {UNANSWERED!r} of an empty answer, got {said!r}")
    if (said := said_of(ex.solution)) != RIGHT: res.append(f"the solution is refused: {said}")
    heard = set()
    for wrong in ex.wrong:
        said = said_of(wrong)
        hint = next((h for h in ex.hints if said.startswith(f"Not yet. {h}")), None)
        if hint is None: res.append(f"a wrong answer is not refused: {wrong}\n{said}")
        heard.add(hint)
    res += [f"no wrong answer is told {h!r}" for h in ex.hints if h not in heard]
    return res


def main(paths):
    bad = 0
    for path in map(lambda p: Path(p).resolve(), paths):
        found = exercises(path)
        os.chdir(path.parent)
        chapter = Chapter(path) if found else None
        if not 3 <= len(found) <= 5: bad += 1; print(f"FAILED {path.stem}: expected three to five exercises, got {len(found)}")
        for n, ex in enumerate(found, 1):
            wrong = problems(ex, chapter)
            bad += bool(wrong)
            print(f"{'FAILED' if wrong else 'ok    '} {path.stem} {n}" + "".join(f"\n    {w}" for w in wrong).replace("\n", "\n    "), flush=True)
        if chapter and (names := chapter.rebound()): bad += 1; print(f"FAILED {path.stem}: the exercises rebind names of the chapter: {', '.join(names)}")
        if chapter: chapter.shell.close()
    return bad


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "Agg")
    sys.exit(bool(main(sys.argv[1:])))
