#!/usr/bin/env python3
"""Run the notebooks, store their outputs, and prove that the stored outputs are those of the committed code.

    notebooks.py run [NB ...]     execute in place and store tidy outputs (all chapters without NB; the main notebook comes last)
    notebooks.py check [NB ...]   execute again and compare with what is stored; the main notebook is compared with `make fashion`'s copy
    notebooks.py main             execute the main notebook with its progress on the terminal; leave it and its figures in build/fashion

Stored outputs are what a reader sees without running anything, so they must not depend on when or where they were made.
Tidying takes away what does (execution counts, progress bars, the kernel's temporary file names); whatever is left of
that kind (times, memory addresses, paths) is refused.
"""
import argparse, base64, difflib, hashlib, io, json, os, re, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import numpy as np
from fastcore.nbio import dict2nb, nb2str, nb_frontmatter
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbdev.clean import clean_nb
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 1800  # seconds for one cell
FIRST_LINES = [  # run by every kernel before the first cell
    # one kind of progress bar, whether or not the widgets are installed: text, which a terminal can show
    "__import__('sys').modules['ipywidgets'] = None",
    "__import__('warnings').filterwarnings('ignore', message='IProgress not found')",
]
FAR, FEW = 32, 0.0002  # figures agree while at most FEW of the pixels differ by more than FAR (of 255) in a channel
REFUSED = {
    "a wall-clock time": r"\b\d[\d.,]* ?(?:ns|[\u00b5\u03bcu]s|ms)\b|\b\d+\.\d+ ?s(?:ec(?:ond)?s?)?\b|\b\d+ (?:sec(?:ond)?s|minutes)\b"
                         r"|(?<![a-z])(?:it/s|s/it)\b|[Ww]all time|CPU times|\b\d\d:\d\d:\d\d\b|\b\d\d:\d\d<",
    "a date": r"\b20\d\d-[01]\d-[0-3]\d\b",
    "a memory address": r"\b0x[0-9a-fA-F]{6,}\b",
    "a path of one machine": r"(?<![\w.])/(?:home|Users|root|tmp|var|private|mnt)/\w|ipykernel_\d+",
}


# ---------------------------------------------------------------- notebooks as data

def read(path):
    "A notebook as a plain dict in nbformat's on-disk layout"
    return json.loads(nbformat.writes(nbformat.read(path, as_version=4)))


def joined(text):
    "nbformat keeps long text as a list of lines"
    return "".join(text) if isinstance(text, list) else text


def chapters(root=ROOT):
    "All notebooks in reading order, the index last of all"
    found = sorted((root / "nbs").glob("*.ipynb"))
    return [p for p in found if p.stem != "index"] + [p for p in found if p.stem == "index"]


def main_notebook(root=ROOT):
    "The notebook of the main job: the last number"
    found = sorted((root / "nbs").glob("[0-9]*_fashion_mnist.ipynb"))
    if not found: sys.exit("no nbs/NN_fashion_mnist.ipynb here")
    return found[-1]


def runs_once(path):
    "Is this notebook too long for the test lanes (`skip_exec: true` in its front matter)?"
    return str(nb_frontmatter(dict2nb(read(path))).get("skip_exec", False)).lower() == "true"


def skipped(cell):
    "nbdev's `#| eval: false`"
    return bool(re.search(r"^#\s*\|\s*eval:\s*false", joined(cell["source"]), re.M | re.I))


def tidy(nb):
    "Take from notebook `nb` what changes from run to run: all that `nbdev-clean` removes, progress bars, and the kernel's file names"
    for cell in nb["cells"]:
        if cell["cell_type"] == "code": cell["outputs"] = _merged(o for o in cell["outputs"] if not _progress(o))
    clean_nb(nb)
    return nb


def _progress(out):
    "Is `out` a progress bar? Bars are cut out of `out`'s text on the way."
    if out["output_type"] != "stream": return "application/vnd.jupyter.widget-view+json" in out.get("data", {})
    text = joined(out["text"])
    if out["name"] == "stderr":
        text = "".join(l for l in re.split(r"(?<=\n)", text) if l.strip() and "\r" not in l and "\x1b[A" not in l)
        text = re.sub(r"\S*ipykernel_\d+\S*?\.py:(\d+)", r"line \1 of this cell", text)
    out["text"] = text.splitlines(keepends=True)
    return not text


def _merged(outputs):
    "One output for a run of writes to the same stream, however the kernel cut them up"
    res = []
    for out in outputs:
        if res and out["output_type"] == "stream" and out.get("name") == res[-1].get("name"):
            out = {**out, "text": (joined(res.pop()["text"]) + joined(out["text"])).splitlines(keepends=True)}
        res.append(out)
    return res


# ---------------------------------------------------------------- execution

class Runner(NotebookClient):
    "Executes a notebook as JupyterLab would; with an `echo`, hands on what the cells write, as they write it"

    def __init__(self, nb, folder, echo=None):
        super().__init__(nb, timeout=TIMEOUT, kernel_name="python3", record_timing=False,
                         extra_arguments=["--log-level=40", *(f"--IPKernelApp.exec_lines={l}" for l in FIRST_LINES)],
                         resources={"metadata": {"path": str(folder)}})
        self.echo = echo

    def run(self):
        with tempfile.TemporaryDirectory() as home:  # nobody's own IPython settings
            env = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **os.environ, "IPYTHONDIR": home}
            env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")]))
            self.execute(env=env)

    async def async_execute_cell(self, cell, cell_index, **kwargs):
        if self.echo and cell.cell_type == "markdown": self.echo.heading(cell.source)
        if cell.cell_type == "code" and skipped(cell): return cell
        return await super().async_execute_cell(cell, cell_index, **kwargs)

    def process_message(self, msg, cell, cell_index):
        if self.echo: self.echo.message(msg["msg_type"], msg["content"])
        return super().process_message(msg, cell, cell_index)


class Echo:
    "Shows a notebook's progress: bars move on a terminal, and become a line now and then in a log"

    def __init__(self, out=sys.stdout, every=10):
        self.out, self.every, self.last, self.bar = out, every, 0, ""
        self.live = out.isatty()

    def heading(self, source):
        for line in re.findall(r"^#+ .*", source, re.M): print(f"\n{line}", file=self.out, flush=True)

    def message(self, kind, content):
        if kind == "stream": self.write(content["text"])
        elif kind in ("execute_result", "display_data"):
            if text := readable(content["data"]): print(text, file=self.out, flush=True)

    def write(self, text):
        if not self.live:
            if "\r" in text: text, self.bar = "", text.rpartition("\r")[2].rstrip() or self.bar
            due = time.monotonic() - self.last > self.every
            if self.bar and (due or text):
                self.out.write(self.bar + "\n")
                self.last, self.bar, text = time.monotonic(), "", text.removeprefix("\n")
        self.out.write(text)
        self.out.flush()


def readable(data):
    "What a terminal can show of an output: Markdown or plain text, nothing for a figure"
    if any(k.startswith("image/") for k in data): return ""
    return joined(data.get("text/markdown") or data.get("text/plain") or "")


def executed(path):
    "The notebook at `path` as it would be stored if it were run now"
    nb = nbformat.read(path, as_version=4)
    Runner(nb, path.parent).run()
    return tidy(json.loads(nbformat.writes(nb)))


def plain(error):
    "What a kernel says of an error, without the colours"
    return re.sub(r"\x1b\[[\d;]*m", "", str(error)).strip()


def attempt(path):
    "`executed`, or the story of what went wrong"
    try: return executed(path), None
    except (CellExecutionError, DeadKernelError, TimeoutError) as e: return None, plain(e)


def execute_all(paths, jobs):
    "(path, notebook, error) for each path, in order, as they are done"
    with ThreadPoolExecutor(jobs) as pool:  # a thread only waits; every kernel is a process of its own
        for path, (nb, error) in zip(paths, pool.map(attempt, paths)): yield path, nb, error


# ---------------------------------------------------------------- comparison

def parts(out):
    "An output as {what: content}"
    if out["output_type"] == "stream": return {out["name"]: joined(out["text"])}
    if out["output_type"] == "error": return {"error": f"{out['ename']}: {out['evalue']}"}
    return {k: joined(v) if isinstance(v, (str, list)) else json.dumps(v, sort_keys=True) for k, v in out["data"].items()}


def pixels(png): return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA"), dtype=int)


def same_figure(a, b):
    "Do two PNGs show the same figure? Returns '' or how they differ."
    a, b = pixels(a), pixels(b)
    if a.shape != b.shape: return f"the figure was {a.shape[1]} x {a.shape[0]} pixels, now {b.shape[1]} x {b.shape[0]}"
    share = (abs(a - b).max(-1) > FAR).mean()
    return f"{share:.2%} of the figure's pixels differ (at most {FEW:.2%} may)" if share > FEW else ""


def compare_cell(old, new):
    "How the outputs of one cell differ: a list of descriptions, empty if they agree"
    a, b = [[parts(o) for o in c["outputs"]] for c in (old, new)]
    kinds = lambda ps: [sorted(p) for p in ps]
    if kinds(a) != kinds(b): return [f"stored: {kinds(a) or 'no output'}; now: {kinds(b) or 'no output'}"]
    res = []
    for p, q in zip(a, b):
        for k in p:
            if k == "image/png": res += filter(None, [same_figure(p[k], q[k])])
            elif p[k] != q[k]:
                res.append("\n".join(difflib.unified_diff(p[k].splitlines(), q[k].splitlines(), "stored " + k, "now", lineterm="", n=1)))
    return res


def where(cell, i): return f"cell {i} ({cell.get('id', 'no id')})"


def compare(old, new):
    "How the stored outputs of notebook `old` differ from those of `new`"
    src = lambda nb: [(c["cell_type"], joined(c["source"])) for c in nb["cells"]]
    if src(old) != src(new): return ["the cells are not those that were executed"]
    return [f"{where(c, i)}: {d}" for i, (c, d_) in enumerate(zip(old["cells"], new["cells"])) if c["cell_type"] == "code"
            for d in compare_cell(c, d_)]


def unfit(nb):
    "Outputs in `nb` that must not be stored"
    res = []
    for i, cell in enumerate(nb["cells"]):
        for out in cell.get("outputs", []):
            if out["output_type"] == "error": res.append(f"{where(cell, i)}: an error: {out['ename']}: {out['evalue']}")
            for k, text in parts(out).items():
                if k.startswith("image/"): continue
                text = re.sub(r"data:image/[^\"')]*", "", text)
                for what, pattern in REFUSED.items():
                    if m := re.search(pattern, text): res.append(f"{where(cell, i)}: {what} in {k}: {m[0]!r}")
    return res


def unclean(path):
    "Does the file differ from what tidying would leave?"
    text = path.read_text(encoding="utf-8")
    return [] if nb2str(tidy(json.loads(text))) == text else ["not clean: run `make prepare` (or nbdev-clean)"]


# ---------------------------------------------------------------- commands

def store(path, nb):
    "Write `nb` to `path`; where outputs agree with those stored before, the old ones stay, byte for byte"
    old = read(path)
    for c, d in zip(old["cells"], nb["cells"]):
        if c["cell_type"] == "code" and joined(c["source"]) == joined(d["source"]) and not compare_cell(c, d): d["outputs"] = c["outputs"]
    path.write_text(nb2str(tidy(nb)), encoding="utf-8")


def fingerprint(path):
    "What the outputs of the notebook at `path` depend on: its code and the package's"
    h = hashlib.sha256(json.dumps([joined(c["source"]) for c in read(path)["cells"]]).encode())
    for p in sorted((ROOT / "autodiffnb").glob("*.py")):
        if p.name != "_modidx.py": h.update(p.read_bytes())
    return h.hexdigest()


def report(path, problems):
    print(f"{'ok    ' if not problems else 'FAILED'} {path.name}", flush=True)
    for p in problems: print("    " + p.replace("\n", "\n    "), flush=True)
    return bool(problems)


def run(paths, jobs, out):
    bad = 0
    for path, nb, error in execute_all([p for p in paths if not runs_once(p)], jobs):
        problems = [error] if error else unfit(nb)
        if not error: store(path, nb)
        bad += report(path, problems)
    for path in filter(runs_once, paths):
        bad += run_main(path, out)
        nb = read(out / path.name)
        store(path, nb)
        bad += report(path, unfit(nb))
    return bad


def check(paths, jobs, out):
    bad = 0
    for path, nb, error in execute_all([p for p in paths if not runs_once(p)], jobs):
        stored = read(path)
        bad += report(path, [error] if error else unclean(path) + unfit(stored) + compare(stored, nb))
    for path in filter(runs_once, paths):
        stored, copy, mark = read(path), out / path.name, out / "inputs.sha256"
        if not copy.exists() or not mark.exists() or mark.read_text() != fingerprint(path): fresh = [f"run `make fashion` first: {copy.name} was not executed with this code"]
        else: fresh = compare(stored, read(copy))
        bad += report(path, unclean(path) + unfit(stored) + fresh)
    return bad


def tables(nb):
    "Texts of the outputs that hold a table, in order (rows of Markdown's, or drawn as text)"
    texts = (readable(o["data"]) for c in nb["cells"] for o in c.get("outputs", []) if "data" in o)
    return [t for t in texts if sum("|" in l for l in t.splitlines()) >= 3]


def figures(nb, folder):
    "Write the PNGs of `nb` to `folder`, each named after the heading it stands under; returns their paths"
    res, slug = [], "start"
    for cell in nb["cells"]:
        for title in re.findall(r"^#+ (.*)", joined(cell["source"]), re.M) if cell["cell_type"] == "markdown" else []:
            slug = re.sub(r"\W+", "-", title.lower()).strip("-")[:40]
        for out in cell.get("outputs", []):
            if png := out.get("data", {}).get("image/png"):
                res.append(folder / f"{len(res) + 1:02}-{slug}.png")
                res[-1].write_bytes(base64.b64decode(joined(png)))
    return res


def run_main(path, out):
    "Execute the notebook at `path` with its progress shown; leave the executed copy and its figures in folder `out`"
    out.mkdir(parents=True, exist_ok=True)
    for p in [*out.glob("*.png"), *out.glob("*.ipynb"), *out.glob("inputs.sha256")]: p.unlink()
    nb, mark = nbformat.read(path, as_version=4), fingerprint(path)
    for c in nb.cells:
        if c.cell_type == "code" and not skipped(c): c.outputs = []
    try: Runner(nb, path.parent, Echo()).run()
    finally:  # a run that was cut short leaves what it has
        done = tidy(json.loads(nbformat.writes(nb)))
        (out / path.name).write_text(nb2str(done), encoding="utf-8")
        pngs = figures(done, out)
    (out / "inputs.sha256").write_text(mark)
    if found := tables(done): print(f"\n{'-' * 72}\n{found[-1]}")
    show = lambda p: os.path.relpath(p)
    print(f"\nexecuted notebook  {show(out / path.name)}\nfigures            {len(pngs)} in {show(out)}{os.sep}", flush=True)
    return 0


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["run", "check", "main"])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="notebooks at once (default: one a core)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fashion", help="where the main notebook's copy and figures go")
    args = parser.parse_intermixed_args(argv)
    paths = [p.resolve() for p in args.notebooks]
    try:
        if args.command == "main": return run_main(*paths or [main_notebook()], args.out)
        return int(bool((run if args.command == "run" else check)(paths or chapters(), args.jobs, args.out)))
    except (CellExecutionError, DeadKernelError) as e:
        print(plain(e), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
