#!/usr/bin/env python3
"""Make README.md from nbs/index.ipynb: `readme.py` writes it, `readme.py --check` fails if it is not what would be written.

The notebook's stored outputs come along; figures become files under nbs/images. What only the site needs (front matter,
`#|` directives, hidden cells) is dropped, and links are made to work from the top of the repository.
"""
import argparse, difflib, json, re, sys
from pathlib import Path

import nbformat
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parent.parent
MARK = "<!-- Made from nbs/index.ipynb by tools/readme.py: edit the notebook, then run `make prepare`. -->\n\n"
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n*", re.S)
DIRECTIVE = re.compile(r"^#\s*\|\s*([\w-]+):?[ \t]*(.*)\n?", re.M)


def directives(cell):
    "nbdev's directives of a cell, as {name: value}"
    return {k: v.strip() for k, v in DIRECTIVE.findall(cell.source)}


def shown(cell):
    "The cell as a reader of the README should see it, or None"
    marks = directives(cell)
    if cell.cell_type == "raw" or {"hide", "default_exp"} & marks.keys() or marks.get("include", "").lower() == "false": return None
    if cell.cell_type == "markdown": cell.source = FRONT_MATTER.sub("", cell.source)
    else:
        cell.source, cell.metadata.alt = DIRECTIVE.sub("", cell.source), marks.get("fig-alt", "").strip('"')
        if marks.get("output", "").lower() == "false" or "hide_output" in marks: cell.outputs = []
        if marks.get("echo", "").lower() == "false" or "hide_input" in marks: cell.metadata.transient = {"remove_source": True}
        # what a code host shows: HTML tables and widgets do not survive there, their text does
        for out in cell.outputs:
            for kind in ("text/html", *(["text/plain"] if {"text/markdown", "image/png"} & out.get("data", {}).keys() else [])):
                out.get("data", {}).pop(kind, None)
    return cell if cell.source.strip() else None


def from_top(text):
    "Links relative to nbs/ made relative to the repository"
    return re.sub(r"(\]\(|src=\"|href=\")(?!#|/|\w+:|nbs/)(\.\./)?", lambda m: m[1] + ("" if m[2] else "nbs/"), text)


def readme(index):
    "README text and {path below the repository: bytes} of its figures"
    nb = nbformat.read(index, as_version=4)
    nb.cells = [c for c in map(shown, nb.cells) if c]
    for c in nb.cells:
        if c.cell_type == "markdown": c.source = from_top(c.source)
        for data in (out.get("data", {}) for out in c.get("outputs", [])):
            if "text/markdown" in data: data["text/markdown"] = from_top(data["text/markdown"])
    nb.metadata.language_info = {"name": "python"}
    text, resources = MarkdownExporter().from_notebook_node(nb, {"output_files_dir": "nbs/images", "unique_key": "index"})
    for i, c in enumerate(nb.cells): text = text.replace(f"![png](nbs/images/index_{i}_", f"![{c.metadata.get('alt') or 'a figure'}](nbs/images/index_{i}_")
    return MARK + re.sub(r"\n\s*\n", "\n\n", text).strip() + "\n", resources.get("outputs", {})


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if README.md is not current")
    parser.add_argument("--root", type=Path, default=ROOT)
    args = parser.parse_args(argv)
    text, files = readme(args.root / "nbs" / "index.ipynb")
    files = {"README.md": text.encode(), **files}
    if not args.check:
        for name, data in files.items():
            (args.root / name).parent.mkdir(parents=True, exist_ok=True)
            (args.root / name).write_bytes(data)
        return 0
    held = {n: (args.root / n).read_bytes() if (args.root / n).exists() else b"" for n in files}
    stale = [n for n in files if held[n] != files[n]]
    if "README.md" in stale:
        print(*difflib.unified_diff(held["README.md"].decode().splitlines(), text.splitlines(), "README.md", "from nbs/index.ipynb", lineterm="", n=1), sep="\n")
    if stale: print(f"not current: {', '.join(stale)}; run `make readme`")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
