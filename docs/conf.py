"""Sphinx's settings. The pages come from build/docs/source, which tools/docs.py writes: run `make docs`."""
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "docs"
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
import autodiffnb

project, author, language = "autodiffnb", "the autodiffnb authors", "en"
copyright = "2026 onwards, the autodiffnb authors"
release = autodiffnb.__version__

extensions = ["myst_nb", "sphinx.ext.intersphinx", "sphinx_copybutton", "codelinks"]
nb_execution_mode = "off"                      # stored outputs are the truth
nb_render_markdown_format = "myst"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
add_module_names = False
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
suppress_warnings = ["mystnb.unknown_mime_type", "misc.highlighting_failure", "config.cache"]
exclude_patterns = []

# links to other documentation: inventories made by tools/docs.py, so that building asks nobody
SITES = {"numpy": "https://numpy.org/doc/stable/", "scipy": "https://docs.scipy.org/doc/scipy/", "python": "https://docs.python.org/3/"}
intersphinx_mapping = {name: (site, str(WORK / "inventories" / f"{name}.inv")) for name, site in SITES.items()}
intersphinx_timeout = 1

# mathematics, beside the pages
mathjax_path = "tex-chtml-full.js"
mathjax_options = {"defer": "defer"}
mathjax3_config = {"tex": {"processEscapes": True}, "chtml": {"displayAlign": "center", "mtextInheritFont": True}, "options": {"enableMenu": True, "menuOptions": {"settings": {"assistiveMml": True}}}}

html_theme = "furo"
html_title = "autodiffnb"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static", str(WORK / "mathjax")]
html_extra_path = [str(WORK / "extra")]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_search_scorer = str(ROOT / "docs" / "scorer.js")
html_show_sourcelink = False
html_copy_source = False
pygments_style, pygments_dark_style = "friendly", "github-dark"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#8a3b12", "color-brand-content": "#8a3b12", "font-stack": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"},
    "dark_css_variables": {"color-brand-primary": "#f0a070", "color-brand-content": "#f0a070"},
    "navigation_with_keys": True,
}
copybutton_exclude = ".linenos, .gp, .go"
copybutton_selector = "div:not(.output) > div.highlight pre"


def setup(app): app.set_html_assets_policy("always")   # MathJax on every page: a formula may stand in the HTML of an output, where Sphinx does not look
