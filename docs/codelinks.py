"""Names in code lead to what they name: NumPy's to its documentation, ours to the cell that defines them.

A page is read from top to bottom. What an import brings is linked, and what the chapter exports; what a lesson binds is not.
"""
import ast, html, json, re
from pathlib import Path

PLACES = Path(__file__).resolve().parent.parent / "build" / "docs" / "definitions.json"  # {module: {name: page#place}}, from tools/docs.py
BLOCK = re.compile(r'(<div class="highlight-(?:ipython3|python)[^"]*"><div class="highlight"><pre>)(.*?)(</pre>)', re.S)
CHAIN = re.compile(r'(?<!<span class="o">\.</span>)<span class="(?:n|nn|nb|ne|nd)">@?[A-Za-z_][\w.]*</span>(?:<span class="o">\.</span><span class="n">\w+</span>)*(?! ?<span class="o">=</span>)')
BINDERS = (ast.FunctionDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def plain(code): return html.unescape(re.sub(r"<[^>]*>", "", code))


def bound(tree):
    "Names that a piece of code binds, imports aside: at its top, and inside its functions"
    stored = lambda root: {n.id for n in ast.walk(root) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)} | {n.arg for n in ast.walk(root) if isinstance(n, ast.arg)}
    defs = {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    inner = set().union(*(stored(n) for n in ast.walk(tree) if isinstance(n, BINDERS)))
    return defs | stored(tree) - inner, inner


def imports(tree):
    "{name: what it stands for} of the imports"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for a in node.names: yield a.asname or a.name.split(".")[0], a.name if a.asname else a.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom):
            for a in node.names: yield a.asname or a.name, f"{node.module}.{a.name}"


class Linker:
    def __init__(self, app):
        self.addresses, self.modules = {}, set()
        for library in app.env.intersphinx_named_inventory.values():
            for role, names in library.items():
                self.addresses.update((name, item.uri) for name, item in names.items())
                if role == "py:module": self.modules.update(names)
        self.own = json.loads(PLACES.read_text())
        self.home = {name: f"autodiffnb.{module}.{name}" for module, names in reversed(self.own.items()) for name in names}
        import autodiffnb
        for name in autodiffnb.__all__: self.home[name] = f"{getattr(getattr(autodiffnb, name), '__module__', '')}.{name}"
        self.modules.update(f"autodiffnb.{module}" for module in self.own)

    def address(self, full, up):
        "Where a full name is, seen from a page that is `up` from the top; None if nobody knows"
        if full in self.addresses: return self.addresses[full]
        head, _, name = full.rpartition(".")
        if head == "autodiffnb": return f"{up}api/{name}.html" if name in self.own else self.address(self.home[name], up) if self.home.get(name, full) != full else None
        place = self.own.get(head.removeprefix("autodiffnb."), {}).get(name) if head.startswith("autodiffnb.") else None
        return place and up + place

    def linked(self, code, scope, skip, up):
        def link(m):
            words = plain(m[0]).lstrip("@").split(".")
            module_name = m[0].startswith('<span class="nn">')
            if not module_name and (words[0] in skip or words[0] not in scope): return m[0]
            full = ".".join(words) if module_name else ".".join([scope[words[0]], *words[1:]])
            if full in self.modules and not module_name: return m[0]
            for end in range(len(words), 0, -1):    # np.add.reduce: as much of it as is known
                where = self.address(full, up)
                if where and (module_name or full not in self.modules):
                    pieces = m[0].split('<span class="o">.</span>')
                    return f'<a class="name" href="{html.escape(where)}">' + '<span class="o">.</span>'.join(pieces[:end]) + "</a>" + "".join('<span class="o">.</span>' + p for p in pieces[end:])
                full = full.rpartition(".")[0]
            return m[0]
        return CHAIN.sub(link, code)

    def page(self, name, body):
        "The body of a page with its names linked"
        up, chapter = "../" * name.count("/"), {n for names in self.own.values() for n, place in names.items() if place.startswith(f"{name}.html#")}
        scope = {"np": "numpy", **{n: next(f"autodiffnb.{m}.{n}" for m, names in self.own.items() if names.get(n) == f"{name}.html#{n}") for n in chapter}}
        def block(m):
            source = re.sub(r"^\s*[%!].*$", "", plain(m[2]), flags=re.M)
            try: tree = ast.parse(source)
            except SyntaxError: return m[0]
            brought, (top, inner) = dict(imports(tree)), bound(tree)
            scope.update(brought)
            for gone in top - chapter - brought.keys(): scope.pop(gone, None)
            return m[1] + self.linked(m[2], scope, inner | (top - chapter), up) + m[3]
        return BLOCK.sub(block, body)


def on_page(app, pagename, templatename, context, doctree):
    if not context.get("body"): return
    if not hasattr(app, "linker_of_names"): app.linker_of_names = Linker(app)
    context["body"] = app.linker_of_names.page(pagename, context["body"])


def setup(app):
    app.connect("html-page-context", on_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
