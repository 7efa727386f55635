"""Every page of the site in a real browser: nothing missing, nothing broken, nothing asked of another host."""
import html, importlib, json, re
from urllib.parse import unquote, urldefrag, urljoin

import numpy as np
import pytest
from conftest import ROOT, SHOTS, SITE, pages
from sphinx.util.inventory import InventoryFile

import autodiffnb
import docs as tool  # tools/docs.py
from autodiffnb._modidx import d as index

CHAPTERS = sorted(p.name for p in (ROOT / "nbs").glob("[0-9]*.ipynb"))
PAGES = [f"{name.split('_', 1)[1].removesuffix('.ipynb')}.html" for name in CHAPTERS]
LOOK = """() => {
  const all = (what, attribute) => [...document.querySelectorAll(what)].map(e => e.getAttribute(attribute));
  const walker = document.createTreeWalker(document.querySelector('[role=main]') || document.body, NodeFilter.SHOW_TEXT);
  let raw = [], node;
  while (node = walker.nextNode()) {
    if (node.parentElement.closest('pre, code, script, style, mjx-container, .formula > button')) continue;
    if (/\\$\\$|\\\\\\(|\\\\\\[|\\\\begin\\{|\\{py:|:::|```/.test(node.data)) raw.push(node.data.trim().slice(0, 80));
  }
  return {
    links: all('a[href]', 'href'), sources: [...all('img[src]', 'src'), ...all('script[src]', 'src'), ...all('link[href]', 'href')],
    raw, errors: all('mjx-merror', 'data-mjx-error'), formulas: document.querySelectorAll('.math').length, rendered: document.querySelectorAll('.math mjx-container').length,
    unloaded: [...document.images].filter(i => i.loading != 'lazy' && !(i.complete && i.naturalWidth)).map(i => i.src), wide: document.documentElement.scrollWidth, title: document.title,
  };
}"""


def ids(text): return set(re.findall(r'\sid="([^"]+)"', text)) | set(re.findall(r'<a name="([^"]+)"', text))


@pytest.fixture(scope="session")
def anchors(): return {path: ids((SITE / path).read_text()) for path in pages()}


def broken(path, links, anchors):
    "Of the links on a page, those that lead nowhere on this site"
    for link in links:
        if re.match(r"(https?:|mailto:|data:)", link): continue
        target, anchor = urldefrag(urljoin("/" + path, link))
        target = unquote(target.split("?")[0]).lstrip("/") or "index.html"
        if not (SITE / target).exists(): yield f"{link}: no such page"
        elif anchor and target in anchors and unquote(anchor) not in anchors[target]: yield f"{link}: no such place"


def test_page(path, watched, anchors):
    w = watched()
    page = w.open(path)
    seen = page.evaluate(LOOK)
    assert seen["title"]
    assert seen["errors"] == [] and seen["raw"] == [] and seen["unloaded"] == []
    assert seen["formulas"] == seen["rendered"]
    assert list(broken(path, seen["links"] + seen["sources"], anchors)) == []
    assert seen["wide"] <= 1280
    name = path.removesuffix(".html").replace("/", "-")
    SHOTS.mkdir(parents=True, exist_ok=True)
    if path != "genindex.html": page.screenshot(path=SHOTS / f"{name}-desktop.jpeg", full_page=True, type="jpeg", quality=70)
    page.set_viewport_size({"width": 390, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "wider than a phone"
    if path != "genindex.html": page.screenshot(path=SHOTS / f"{name}-phone.jpeg", full_page=True, type="jpeg", quality=70)
    assert w.wrong == []


@pytest.mark.parametrize("dark", ["index.html", PAGES[6], PAGES[-1], "api/tensor.html", "peers.html"])
def test_dark(dark, watched):
    w = watched(color_scheme="dark")
    page = w.open(dark)
    lightness = "e => { const c = getComputedStyle(e); return [c.backgroundColor, c.color].map(x => x.match(/\\d+(\\.\\d+)?/g).slice(0, 3).reduce((a, b) => a + +b, 0)); }"
    background, text = page.eval_on_selector("body", lightness)
    assert background < 150 and text > 450
    name = dark.removesuffix(".html").replace("/", "-")
    page.screenshot(path=SHOTS / f"{name}-desktop-dark.jpeg", full_page=True, type="jpeg", quality=70)
    page.set_viewport_size({"width": 390, "height": 780})
    page.screenshot(path=SHOTS / f"{name}-phone-dark.jpeg", type="jpeg", quality=70)
    assert w.wrong == []


def test_the_reader_can_choose_the_dark(watched):
    page = watched(color_scheme="light").open("index.html")
    chosen = set()
    for _ in range(3):
        page.locator(".theme-toggle:visible").first.click()
        chosen.add(page.evaluate("document.body.dataset.theme"))
    assert chosen == {"auto", "dark", "light"}


def test_the_front_page_answers_in_one_screen(watched):
    page = watched().open("index.html")
    bottom = lambda what: page.eval_on_selector(what, "e => e.getBoundingClientRect().bottom")
    assert bottom(".hero") <= 800
    assert page.locator(".hero img").count() == 1 and page.locator(".hero pre").count() == 1
    code = page.locator(".hero pre").inner_text().strip()
    first = next("".join(c["source"]) for c in json.loads((ROOT / "nbs" / "index.ipynb").read_text())["cells"] if c["cell_type"] == "code")
    assert code == first.strip()
    assert page.eval_on_selector(".hero pre", "e => e.scrollWidth <= e.clientWidth"), "the lines are longer than their box"
    assert all(word in page.locator(".hero").inner_text() for word in ("autograd", "JAX", "PyTorch"))


def test_code_on_the_front_page_fits(watched):
    page = watched().open("index.html")
    assert page.eval_on_selector_all("pre", "es => es.filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText)") == []


def test_chapters_follow_one_another(watched):
    w = watched()
    for before, after in zip(PAGES, PAGES[1:]):
        text = (SITE / before).read_text()
        assert re.search(rf'class="next-page" href="{re.escape(after)}"', text), (before, after)
        assert re.search(rf'class="prev-page" href="{re.escape(before)}"', (SITE / after).read_text()), (before, after)
    page = w.open(PAGES[0])
    page.locator("a.next-page").click()
    assert page.url.endswith(PAGES[1])


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_shows_what_it_exports_and_where_its_notebook_is(chapter):
    page = SITE / f"{chapter.split('_', 1)[1].removesuffix('.ipynb')}.html"
    text, places = page.read_text(), ids(page.read_text())
    source = (SITE / "notebooks" / chapter).read_text()
    assert f'href="notebooks/{chapter}"' in text
    exported = [c for c in json.loads(source)["cells"] if re.match(r"#\s*\|\s*exports\b", "".join(c["source"]))]
    assert text.count("tag_exported") == len(exported)
    for cell in exported: assert set(tool.defined("".join(cell["source"]))) <= places


def words(text): return " ".join(re.findall(r"\w+", text))


@pytest.mark.parametrize("notebook", [p.name for p in sorted((ROOT / "nbs").glob("*.ipynb")) if p.stem != "index"])
def test_no_prose_is_lost(notebook):
    "Every run of five words or more in a notebook's prose is on its page"
    page = SITE / f"{re.sub(r'^[0-9]+_', '', notebook).removesuffix('.ipynb')}.html"
    shown = words(html.unescape(re.sub(r"<[^>]*>", "", page.read_text())))
    for cell in json.loads((ROOT / "nbs" / notebook).read_text())["cells"]:
        if cell["cell_type"] != "markdown": continue
        runs = re.findall(r"(?:\w+ ){4,}\w+", re.sub(r"\$[^$]*\$|`[^`]*`|\]\([^)]*\)|<[^>]*>", "|", re.sub(r"```.*?```", "|", "".join(cell["source"]), flags=re.S)))
        assert [run for run in runs if words(run) not in shown] == []


def test_no_page_tells_where_it_was_built():
    for path in SITE.rglob("*"):
        if path.suffix in (".html", ".js", ".txt", ".css"): assert str(ROOT) not in path.read_text(), path


def test_every_exported_symbol_is_documented():
    with (SITE / "objects.inv").open("rb") as f: inventory = InventoryFile.loads(f.read(), uri="")
    documented = {name for role, names in inventory.data.items() if role.startswith("py:") for name in names}
    for module in index["syms"]:
        names = importlib.import_module(module).__all__
        assert names and {f"{module}.{name}" for name in names} <= documented
        # methods, as nbdev's index of the exported symbols has them; of private classes and names none
        listed = {s for s in index["syms"][module] if "." in s[len(module) + 1:] and not s.rsplit(".", 1)[1].startswith("_") and not s[len(module) + 1:].startswith("_")}
        assert listed <= documented
    methods = {f"autodiffnb.tensor.Tensor.{n}" for n, v in vars(autodiffnb.Tensor).items() if not n.startswith("_") and (callable(v) or isinstance(v, property))}
    assert methods <= documented and len(methods) > 20
    own = {name for name in documented if name.startswith("autodiffnb.")}
    extra = {n for n in own if not any(hasattr_path(n, m) for m in [*index["syms"], "autodiffnb"])}
    assert extra == set()


def hasattr_path(name, module):
    "Does `name` exist, seen from `module`?"
    if name == module: return True
    if not name.startswith(module + "."): return False
    thing = importlib.import_module(module)
    for part in name[len(module) + 1:].split("."):
        if not hasattr(thing, part): return False
        thing = getattr(thing, part)
    return True


@pytest.mark.parametrize("where", ["served", "as files"])
def test_search_finds(where, watched, address):
    w = watched(address if where == "served" else SITE.as_uri() + "/")
    page = w.open("search.html?q=tensordot")
    page.wait_for_selector("#search-results ul.search li a")
    found = page.eval_on_selector_all("#search-results ul.search li a", "es => es.map(e => e.getAttribute('href'))")
    assert any("contraction.html" in link for link in found)
    if where == "served": assert w.wrong == []
    else: assert [x for x in w.wrong if not re.search("file://|ERR_FAILED|Failed to fetch", x)] == []    # summaries of the pages found can't be had from files


@pytest.mark.parametrize("sought, first", [("tensordot", "[a-z]"), ("cross_entropy", "api/loss.html"), ("contraction", "contraction.html|glossary.html")])
def test_search_puts_first_what_a_reader_wants(sought, first, watched):
    "A chapter, or the very function; not a helper with the word in its name"
    page = watched().open(f"search.html?q={sought}")
    page.wait_for_function("!/Searching/.test(document.querySelector('#search-results').innerText) && document.querySelector('#search-results ul.search li a')")
    page.wait_for_timeout(500)
    found = page.eval_on_selector_all("#search-results ul.search li a", "es => es.map(e => e.getAttribute('href'))")
    assert re.match(first, found[0]) and (sought != "tensordot" or not found[0].startswith("api/")), found[:5]


def test_what_a_tensor_holds_is_documented():
    text = (SITE / "api" / "tensor.html").read_text()
    for name in ("value", "grad", "name", "shape", "dtype"):
        box = re.search(rf'id="autodiffnb\.tensor\.Tensor\.{name}".*?<dd>(.*?)</dd>', text, re.S)
        assert box and len(words(re.sub(r"<[^>]*>|Definition.*", "", box[1]))) > 10, name


@pytest.mark.parametrize("width", [390, 1280])
def test_the_words_of_a_replay_wrap_beside_long_formulas(width, watched, tmp_path):
    autodiffnb.replay(np.quantile(autodiffnb.Tensor(np.arange(5.0)), 0.3)).save(tmp_path / "replay.html")
    page = watched(home=tmp_path.as_uri() + "/").open("replay.html")
    page.set_viewport_size({"width": width, "height": 800})
    steps = page.eval_on_selector_all("li", "es => es.map(e => [e.offsetWidth, e.parentElement.offsetWidth, e.closest('div').clientWidth, Math.max(...[...e.querySelectorAll('p')].map(p => p.offsetWidth))])")
    assert len(steps) > 5 and all(li <= ol <= room and words <= li for li, ol, room, words in steps), steps


def test_names_in_code_lead_to_their_definitions():
    "Under its own name, or under one that the chapter's imports give it"
    linked, wrong = {"numpy": set(), "own": set()}, []
    for chapter, page in zip(CHAPTERS, PAGES):
        source = "\n".join("".join(c["source"]) for c in json.loads((ROOT / "nbs" / chapter).read_text())["cells"])
        for link, text in re.findall(r'<a class="name" href="([^"]*)">(.*?)</a>', (SITE / page).read_text(), re.S):
            name, target = re.sub(r"<[^>]*>|@", "", text).split(".")[-1].strip(), re.split(r"[#./]", link)[-1]
            linked["numpy" if "numpy.org" in link else "own"].add(name)
            if "#" in link and target != name and not re.search(rf"\b{target} as {name}\b", source): wrong.append((page, name, link))
    assert wrong == []
    assert {"tensordot", "array", "einsum"} <= linked["numpy"] and {"Tensor", "gradients", "check_grads", "defvjp"} <= linked["own"]


def test_latex_can_be_copied(watched):
    w = watched(permissions=["clipboard-read", "clipboard-write"])
    page = w.open(PAGES[8])
    read = "() => navigator.clipboard.readText()"
    assert page.locator(".formula > button").count() == page.locator("div.math").count() > 0
    page.locator(".formula").first.hover()
    page.locator(".formula > button").first.click()
    assert "\\" in page.evaluate(read) and page.evaluate(read) == page.locator("div.math mjx-container").first.get_attribute("data-tex")
    page.evaluate("() => { const p = [...document.querySelectorAll('p')].find(p => p.querySelector('mjx-container')); getSelection().selectAllChildren(p); }")
    page.keyboard.press("Control+C")
    assert re.search(r"\$[^$]+\$", page.evaluate(read))
    assert w.wrong == []


def test_what_the_chapters_cite_is_in_the_bibliography():
    book = (ROOT / "docs" / "bibliography.md").read_text()
    prose = "\n".join("".join(c["source"]) for name in CHAPTERS for c in json.loads((ROOT / "nbs" / name).read_text())["cells"])
    cited = set(re.findall(r"arXiv:? ?(\d{4}\.\d{5})", prose)) | set(re.findall(r"([A-Z][a-z]+) et al\.", prose)) | {n for pair in re.findall(r"([A-Z][a-z]+) and ([A-Z][a-z]+),? \(?(?:19|20)\d\d\b", prose) for n in pair}
    assert cited and {c for c in cited if c not in book} == set()


@pytest.mark.skipif(not (SITE / "lite").exists(), reason="built without LITE=1")
def test_a_chapter_opens_in_jupyterlite(watched):
    "As far as that goes without a network: the notebook is shown, and nothing but Pyodide is asked for elsewhere"
    w = watched()
    link = re.search(r'href="(lite/[^"]*)"', (SITE / PAGES[0]).read_text())[1]
    w.page.goto(w.home + link)
    w.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    assert [x for x in w.wrong if x.startswith("outward") and "/pyodide/" not in x] == []
    assert (SITE / "lite" / "files" / "autodiffnb" / "tensor.py").exists()
