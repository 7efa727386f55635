"""The built site, served to a browser on this machine. `make test-docs` builds it and runs these; plain pytest does not collect them."""
import os, shutil, sys, threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SITE, SHOTS = ROOT / "_docs", ROOT / "build" / "docs-shots"
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope="session")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="session")
def browser():
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "a Chromium is needed: apt-get install chromium, or name one in CHROMIUM"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    "A page of the browser, and what went wrong on it"
    def __init__(self, browser, home, **options):
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        self.page, self.home, self.wrong = self.context.new_page(), home, []
        self.page.on("console", lambda m: self.wrong.append(f"console: {m.text}") if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.wrong.append(f"error: {e}"))
        self.page.on("requestfailed", lambda r: self.wrong.append(f"failed: {r.url}"))
        self.page.on("response", lambda r: self.wrong.append(f"{r.status}: {r.url}") if r.status >= 400 else None)
        self.page.on("request", lambda r: None if r.url.startswith((home, "data:", "blob:")) else self.wrong.append(f"outward: {r.url}"))

    def open(self, path):
        self.page.goto(self.home + path, wait_until="load")
        self.page.wait_for_function("!document.querySelector('.math') || document.documentElement.classList.contains('formulas-ready')", timeout=60_000)
        return self.page


@pytest.fixture
def watched(browser, address):
    made = []
    def make(home=address, **options):
        made.append(Watched(browser, home, **options))
        return made[-1]
    yield make
    for one in made: one.context.close()


def pages(): return sorted(str(p.relative_to(SITE)) for p in SITE.rglob("*.html"))


def pytest_generate_tests(metafunc):
    if "path" in metafunc.fixturenames: metafunc.parametrize("path", pages() or [pytest.param("index.html", marks=pytest.mark.xfail(reason="make docs first"))])
