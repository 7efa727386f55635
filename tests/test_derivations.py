"""Derivations: every line is evaluated; contractions against the rules, formulas of recorded graphs entry by entry."""
import re
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from autodiffnb import cross_entropy, defvjp, log_softmax, logsumexp, nll, primitive, softmax, special  # noqa: F401  (files the rules of SciPy's ufuncs)
from autodiffnb.backward import gradients
from autodiffnb.contraction import contraction_axes, ways_back
from autodiffnb.derivations import (ATOM, LAYOUT, MEANING, NOTATION, Noted, Piece, agreement, constant, derivation, has_layout, minus, noted, number_tex, over,
                                    plus, power, times)
from autodiffnb.tensor import Tensor, entries, home, label, rules
from cases import table
from test_contraction import contractions, same, subscripts, whole

# --- of contractions ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shapes", [None, [(2, 3, 4, 2), (3, 4, 2, 2)]])
def test_the_worked_example_is_derived(shapes):
    d = derivation(([0, 2], [2, 1]), shapes)
    assert str(d.C) == "C[j0 j1 j2 j3]" and str(d.contraction) == "sum over d0 d1 of A[d0 j0 d1 j1] B[j2 d1 d0 j3]"
    A, B = d.steps
    assert (A.arrived, A.transpose, A.inverse) == ((1, 3, 2, 0), (3, 0, 2, 1), (1, 3, 2, 0))
    assert (B.arrived, B.transpose) == ((2, 1, 0, 3), (2, 1, 0, 3))
    assert str(A.contracted) == "sum over j2 j3 of Q[r1 r3 j2 j3] B[j2 r2 r0 j3]"
    assert str(A.derivative) == "sum over d0 d1 of δ[d0 r0] δ[j0 r1] δ[d1 r2] δ[j1 r3] B[j2 d1 d0 j3]"
    assert "(r1, r3, r2, r0)" in str(d) and "[3, 0, 2, 1]" in str(d)
    for text in (d._repr_markdown_(), d._repr_latex_()):
        assert "(r_1, r_3, r_2, r_0)" in text and "[3, 0, 2, 1]" in text and r"\sum_{j_2 j_3} Q_{r_1 r_3 j_2 j_3}\, B_{j_2 r_2 r_0 j_3}" in text
    assert (A.proof is None) == (shapes is None)


@given(contractions())
@settings(deadline=None, max_examples=100)
def test_any_contraction_is_derived_as_the_rule_computes_it(case):
    A_shape, B_shape, axes = case
    d = derivation(axes, (A_shape, B_shape))
    plans = ways_back(len(A_shape), len(B_shape), contraction_axes(A_shape, B_shape, axes))
    assert [(s.arrived, s.transpose) for s in d.steps] == [(p.arrived, p.transpose) for p in plans]
    check_derivation(d, (A_shape, B_shape))


@given(subscripts())
@settings(deadline=None, max_examples=150)
def test_any_einsum_is_derived(case):
    check_derivation(derivation(*case), case[1])


def check_derivation(d, shapes):
    "The last formula, its order and its transpose, and the NumPy call, evaluated: each gives what the sweep gives."
    rng = np.random.default_rng(0)
    arrays = [whole(rng, s) for s in shapes]
    subs = dict(zip(dict.fromkeys(s for f in (*d.contraction.factors, d.C) for s in f.indices if s != "0"), "abcdefghijklmnop"))
    kept = [tuple(n for n, s in zip(x.shape, f.indices) if s != "0") for x, f in zip(arrays, d.contraction.factors)]
    squeezed = [x.reshape(k) for x, k in zip(arrays, kept)]
    word = lambda f: "".join(subs[s] for s in f.indices if s != "0")
    C = f"{','.join(map(word, d.contraction.factors))}->{word(d.C)}"
    tensors = [Tensor(x) for x in arrays]
    y = np.einsum(C, *[np.reshape(t, k) for t, k in zip(tensors, kept)])
    Q = whole(rng, y.shape)
    for i, (s, expected) in enumerate(zip(d.steps, gradients(y, tensors, Q))):
        assert s.proof[0] == s.proof[1]
        namespace = dict(np=np, Q=Q) | {f.name: x for f, x in zip(d.contraction.factors, arrays)}
        same(np.asarray(eval(s.call, namespace)), expected)
        r = [k for k, index in enumerate(s.operand.indices) if index != "0"]
        for product in (s.chain_rule, s.contracted):
            names = dict(zip(dict.fromkeys(k for f in product.factors for k in f.indices if k != "0"), "abcdefghijklmnopqrstuvwxyzABCDEF"))
            size = {index: n for f, x in zip(d.contraction.factors, arrays) for index, n in zip(f.indices, x.shape) if index != "0"}
            size |= {f"r{k}": arrays[i].shape[k] for k in r}
            value = dict(Q=Q) | {f.name: x for f, x in zip(d.contraction.factors, squeezed)}
            factors = [np.eye(size[f.indices[0]]) if f.name == "δ" else np.ones(size[f.indices[0]]) if f.name == "1" else value[f.name] for f in product.factors]
            letters = ",".join("".join(names[k] for k in f.indices if k != "0") for f in product.factors)
            order = r if product is s.chain_rule else s.arrived
            missing = [k for k in order if f"r{k}" not in names]
            assert not missing
            if len(letters) > 30 and product is s.chain_rule: continue       # too many sums to do one by one
            got = np.einsum(f"{letters}->{''.join(names[f'r{k}'] for k in order)}", *factors, optimize=True)
            got = got if product is s.chain_rule else got.transpose(s.transpose)
            same(np.asarray(got).reshape(arrays[i].shape), expected)


def test_derivation_of_one_and_of_several_operands():
    d = derivation("i,ij,j->", names=("x", "M", "weights"))
    assert [s.operand.name for s in d.steps] == ["x", "M", "weights"] and r"\overline{\mathrm{weights}}" in d._repr_markdown_()
    assert str(d.steps[1].contracted) == "x[r0] Q weights[r1]"
    trace = derivation("ii", [(3, 3)])
    assert str(trace.steps[0].contracted) == "Q δ[r0 r1]"
    assert str(derivation("ij->i").steps[0].contracted) == "Q[r0] 1[r1]"
    assert derivation("ij,ij->ij", [(1, 3), (2, 3)]).steps[0].operand.indices == ("0", "r1")
    assert derivation("...ij,...jk->...ik", [(5, 2, 3), (3, 4)]).steps[1].arrived == (0, 1)


@pytest.mark.parametrize("axes, ranks", [(0, (2, 2)), (1, (3, 3)), (2, (4, 4)), ((0, 1), (3, 3)), (([0, 2], [2, 1]), (4, 4)), (([5], [-4]), (6, 4)), (([], []), (2, 2))])
def test_ranks_without_shapes(axes, ranks):
    assert tuple(len(f.indices) for f in derivation(axes).contraction.factors) == ranks


@pytest.mark.parametrize("arguments, what", [
    (({"A": 0},), "what: expected axes as for np.tensordot, or an einsum string"), ((None,), "what: "), ((-1,), "what: "), ((1.5,), "what: "),
    ((([0, 0], [1, 2]),), "repeated"), ((([0], [1, 2]),), "can't be paired"), ((1, [(2, 3)]), "shapes: expected 2 shapes"), ((1, [(2, 3), (4, 5)]), "has length 3, but its partner"),
    ((1, 5), "shapes: expected a shape for each operand"), (("ij,jk", [(2, 3)]), "shapes: expected 2 shapes"), (("ij,jk", [(2, 3), (4, 5)]), "the index 'j'"),
    (("ij->k",), "'k', which no operand has"), (("...i->...",), "shapes are needed"), (("i!",), "expected letters"), (("ij", [(2, -3)]), "not negative"),
    ((1, None, ("A",)), "names: expected 2 different names"), ((1, None, ("A", "A")), "names: "), ((1, None, ("A", "Q")), "none of them C or Q"), ((1, None, ("A", "not a name")), "names: "),
    ((1, None, ("A", 5)), "names: "), ((-1,), "got -1 (axes are a number that is not negative"),
    ((10**9,), "letters"), ((([60], [0]),), "letters"), ((1, [(1,) * 30] * 2), "letters"), (([0, 0], [1, 2]), "shapes: ")])
def test_bad_derivations_are_clear_errors(arguments, what):
    with pytest.raises(ValueError, match=re.escape(what)): derivation(*arguments)


def test_many_operands_have_numbered_names():
    d = derivation(",".join(["a"] * 31) + "->")
    assert len(d.steps) == 31 and str(d.steps[-1].operand) == "A30[r0]"
    with pytest.raises(ValueError, match="names: expected 31 different names"): derivation(",".join(["a"] * 31) + "->", names="AB")


def test_latex_has_no_macros_and_balanced_braces():
    for d in (derivation(([0, 2], [2, 1]), [(2, 3, 2, 3), (3, 2, 2, 3)]), derivation("iij,jk->k", names=("first", "my_second")), derivation("a" * 11 + "->")):
        for text in (d._repr_markdown_(), d._repr_latex_()):
            assert text.count("$$") % 2 == 0 and text.count("{") == text.count("}") and text.count(r"\begin{aligned}") == text.count(r"\end{aligned}")
            assert not re.search(r"\\(newcommand|def|label|begin\{align\})", text)


def test_own_names_for_indices():
    d = derivation("nij,njk->nik", indices=True)
    assert str(d.contraction) == "sum over j of A[n i j] B[n j k]" and str(d.steps[0].contracted) == "sum over k of Q[n' i' k] B[n' j' k]"
    assert "(n', i', j')" in str(d) and "Letters" not in d._repr_markdown_()
    d = derivation(1, [(2, 3), (3, 4)], indices=("row", "inner", "column"))
    assert str(d.C) == "C[row column]" and r"\mathit{row}, \mathit{column}" in d._repr_latex_()
    assert d.steps[0].proof == derivation(1, [(2, 3), (3, 4)]).steps[0].proof
    for bad in (True, ("a", "b"), ("a", "a", "b"), "ab!"):
        with pytest.raises(ValueError, match="indices: expected 3 different names"): derivation(1, [(2, 3), (3, 4)], indices=bad)


def test_a_contraction_by_its_function():
    assert str(derivation(np.tensordot, axes=([0, 2], [2, 1]))) == str(derivation(([0, 2], [2, 1])))
    assert str(derivation(np.tensordot)) == str(derivation(2))
    assert str(derivation(np.einsum, subscripts="ij,jk")) == str(derivation("ij,jk"))
    with pytest.raises(ValueError, match="subscripts="): derivation(np.einsum)
    with pytest.raises(ValueError, match="axis: expected settings for functions only"): derivation("ij,jk", axis=0)
    with pytest.raises(ValueError, match="values: "): derivation("ij,jk", values=[1, 2])


@given(subscripts())
@settings(deadline=None, max_examples=60)
def test_pictures_have_a_circle_for_each_factor_and_a_label_for_each_index(case):
    d = derivation(case[0], case[1])
    if not any(f.indices for f in d.contraction.factors): return
    html = d._repr_html_()
    drawn = [ElementTree.fromstring(x) for x in re.findall(r"<svg.*?</svg>", html)]
    products = [(d.contraction, d.C.indices)] + [(s.contracted, s.operand.indices) for s in d.steps]
    assert len(drawn) == len(products)
    for picture, (product, output) in zip(drawn, products):
        tag = lambda name: [e for e in picture.iter() if e.tag.endswith(name)]
        indices = {i for f in product.factors for i in f.indices if i != "0"}
        assert sum(e.get("r") == "17" for e in tag("circle")) == len(product.factors)
        words = ["".join(e.itertext()) for e in tag("text")]
        assert sorted(words) == sorted([*indices, *(f.name for f in product.factors)])
        x, y, width, height = map(float, picture.get("viewBox").split())
        assert all(0 <= float(e.get("x")) <= width and y + 8 <= float(e.get("y")) <= y + height for e in tag("text"))
        text = ElementTree.tostring(picture, encoding="unicode")
        assert "currentColor" in text and not re.search(r"#[0-9a-f]{3}|rgb|white|black", text)


# --- of rules -----------------------------------------------------------------------------------------------------

KNOWN_TEX = set("""aligned alpha arccos arcsin arctan ast backslash bar begin bmod cases cdot cos cosh delta det end frac ge infty int iverson lambda land
    lceil ldots le left lfloor ln lnot log lor mathbf mathit mathrm mathtt max min ne odot operatorname overline partial pi prod rceil rfloor right sim sin sinh
    sqrt sum tan tanh text top wedge""".split())


def check_tex(d):
    "What any TeX needs: braces, brackets and environments that close, no unknown command, no index on an index."
    formulas = re.findall(r"\$\$(.+?)\$\$", d._repr_markdown_(), re.S) + re.findall(r"(?<!\$)\$([^$\n]+?)\$(?!\$)", d._repr_markdown_())
    assert formulas
    for tex in formulas:
        plain = re.sub(r"\\[{}]", "", tex)
        depth = 0
        for c in plain:
            depth += (c == "{") - (c == "}")
            assert depth >= 0, tex
        assert depth == 0 and tex.count(r"\left") - tex.count(r"\left\l") == tex.count(r"\right") - tex.count(r"\right\r") or depth == 0, tex
        assert len(re.findall(r"\\left(?![a-z])", tex)) == len(re.findall(r"\\right(?![a-z])", tex)), tex
        assert tex.count(r"\begin") == tex.count(r"\end"), tex
        assert set(re.findall(r"\\([a-zA-Z]+)", re.sub(r"\\backslash ", "", tex))) <= KNOWN_TEX, tex
        assert not re.search(r"_\{[^{}]*\}_|\^\{[^{}]*\}\^(?!\{\*\})", tex), tex


CASES = [(fn, k) for fn, cases in table.items() for k, c in enumerate(cases) if all(np.prod(s) for s in c.shapes)]


@pytest.mark.exhaustive
@pytest.mark.parametrize("fn, k", CASES, ids=lambda v: f"{home(v)}.{label(v)}" if callable(v) else str(v))
def test_the_printed_formula_of_every_case_is_the_adjoint(fn, k):
    "The formula as it is printed, evaluated in loops, against the sweep and against differences."
    case = table[fn][k]
    arrays = case.arrays()
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        page = derivation(case.call, values=arrays, names=[f"x{k}" for k in range(len(arrays))])
        check_tex(page)
        inputs = [Tensor(x) for x in arrays]
        result = case.call(*inputs)
        several = not isinstance(result, Tensor)
        results = [y for y in result if isinstance(y, Tensor)] if several else [result]
        pages = page if several else [page]
        assert len(pages) == len(results) > 0
        for y, d in zip(results, pages):
            g = np.random.default_rng(5).uniform(0.5, 1.5, y.shape).astype(y.dtype)
            derived = {step.operand: step for step in d.steps}
            assert derived
            for k, grad in enumerate(gradients(y, inputs, g)):
                step = derived.get(f"x_{{{k}}}")
                if step is None: assert not np.any(grad)      # the result does not depend on it
                else:
                    assert agreement(step) != "NOT EQUAL", str(d)
                    np.testing.assert_allclose(np.asarray(step.value), grad, rtol=1e-8, atol=1e-10)


NEEDS_SETTINGS = {"join", "pile", "scatter_add", "excess", "cross_entropy", "spent", "bundle", "pack", "unpack", "checkpointed", "scan", "fold", "quantile", "nanquantile",
                  "convolved", "sinc_derivative", "i0_derivative", "lstsq_solution", "lstsq_residuals", "lstsq_singular_values", "eigh_eigenvalues", "eigh_eigenvectors",
                  "fitted", "ndtri_exp", "logistic_slope", "replace", "cumsum", "cumprod", "getitem", "reshape", "broadcast_to", "cast", "windows", "overlap_add", "greatest", "shared", "among", "lambertw", "_lambertw", "einsum", "tensordot"}


@pytest.mark.parametrize("fn", [fn for fn in rules if label(fn) not in NEEDS_SETTINGS], ids=lambda fn: f"{home(fn)}.{label(fn)}")
def test_every_rule_is_derived_without_being_told_shapes(fn):
    with np.errstate(all="ignore"): d = derivation(fn)
    check_tex(d)
    assert d.steps and all(agreement(s) != "NOT EQUAL" for s in d.steps), str(d)


EXPECTED = {
    np.exp: [r"y = e^{x}", r"\bar x = g \, y"], np.divide: [r"y = \frac{a}{b}", r"\bar a = \frac{g}{b}", r"\bar b = -\frac{g \, y}{b}"],
    np.maximum: [r"\bar a_{i} = \frac{g_{i} \, ([a_{i} > b_{i}] + [a_{i} \ge b_{i}])}{2}"], np.sqrt: [r"\bar x = [y \ne 0] \, \frac{g}{2 \, (y + [y = 0])}"],
    np.sum: [r"y = \sum_{i j} x_{i j}", r"\bar x_{i j} = g"], np.transpose: [r"\bar x_{i j} = g_{j i}"],
    np.var: [r"\bar x_{i j} = \frac{1}{6} \, g \, \left(x_{i j} - \frac{1}{12} \, \sum_{k l} x_{k l}\right)"],
    softmax: [r"y_{i j} = \frac{e^{z_{i j}}}{\sum_{k} e^{z_{i k}}}", r"\bar z_{i j} = y_{i j} \, \left(g_{i j} - \sum_{k} g_{i k} \, y_{i k}\right)"],
    log_softmax: [r"y_{i j} = z_{i j} - \ln\left(\sum_{k} e^{z_{i k}}\right)", r"\bar z_{i j} = g_{i j} - p_{i j} \, \sum_{k} g_{i k}"],
    logsumexp: [r"\bar z_{i j} = g_{i} \, p_{i j}"], np.matmul: [r"\bar A = Q \, B^{\top}", r"\bar B_{i j} = \sum_{k} A_{k i} \, Q_{k j}"],
    np.linalg.inv: [r"Y = A^{-1}", r"\bar A = -Y^{\top} \, g \, Y^{\top}"], np.linalg.solve: [r"\bar A = -A^{-\top} \, g \, Y^{\top}", r"\bar B = A^{-\top} \, g"],
    np.linalg.det: [r"\bar A = g \, \left(y \, A^{-1}\right)^{\top}"], np.where: [r"\bar a_{i j} = [c_{i j}] \, g_{i j}", r"\bar b_{i j} = [\lnot c_{i j}] \, g_{i j}"],
    np.kron: [r"C_{i j} = a_{\lfloor i / 2 \rfloor,\, \lfloor j / 3 \rfloor} \, b_{i \bmod 2,\, j \bmod 3}"], np.diff: [r"\bar a_{i j} = -[j < 3] \, g_{i j} + [j \ge 1] \, g_{i,\, j - 1}"]}


@pytest.mark.parametrize("fn", EXPECTED, ids=label)
def test_formulas_read_as_in_a_book(fn):
    text = str(derivation(fn))
    for line in EXPECTED[fn]: assert f"  {line}\n" in text, text


def test_settings_names_indices_and_values():
    d = derivation(np.sum, [(2, 3)], ("weights",), indices=("row", "column"), axis=1)
    assert r"\mathit{row}" in str(d) and r"\mathrm{weights}" in str(d) and "axis=1" in d.title
    d = derivation(cross_entropy, [(3, 4)], labels=np.array([1, 0, 2]))
    assert d.steps[0].operand == "z" and len(d.arrays) == 1 and "K = [[False" in str(d)
    d = derivation(lambda a, b: a * b, values=[np.arange(3), np.ones(3)])
    assert [s.operand for s in d.steps] == ["b"]
    d = derivation(lambda X, w: np.exp(X @ w), [(4, 3), (3,)])
    assert [s.operand for s in d.steps] == ["X", "w"] and d.title.startswith("`f(X, w)`")


def test_an_adjoint_that_does_not_exist_is_named():
    sc = pytest.importorskip("scipy.special")
    d = derivation(sc.jv)
    assert [s.operand for s in d.steps] == ["b"] and not any("NOT" in agreement(s) for s in d.steps)
    d = derivation(sc.jv, values=[0.5, 1.5])
    assert [name for name, _ in d.missing] == ["a"] and "$a$ has no adjoint" in d._repr_markdown_()


def test_a_wrong_rule_is_found_out():
    @primitive
    def cube(x): return x * x * x
    try:
        defvjp(cube, lambda g, y, x: 2 * g * x * x)
        assert agreement(derivation(cube).steps[0]) == "NOT EQUAL" and "NOT EQUAL" in derivation(cube)._repr_html_()
        defvjp(cube, lambda g, y, x: 3 * g * x * x)
        assert agreement(derivation(cube).steps[0]) == "equal to 5 digits"
    finally: del rules[cube]


def test_long_functions_are_written_in_short_lines():
    def many(x):
        for _ in range(600): x = np.sin(x) + 0.1 * x
        return x
    d = derivation(many, [(2,)])
    assert agreement(d.steps[0]) != "NOT EQUAL" and max(len(right) for _, right in d.forward + d.steps[0].lines) < 300


def test_products_have_pictures_too():
    for f in (np.matmul, np.dot, np.inner): assert derivation(f)._repr_html_().count("<svg") == 3
    assert "<svg" in derivation(np.matmul, [(5, 2, 3), (3, 4)])._repr_html_() and "<svg" in derivation(np.dot, [(3,), (3,)], ("C", "Q"))._repr_html_()
    assert "<svg" not in derivation(np.dot, [(), ()])._repr_html_() and "<svg" not in derivation(np.exp)._repr_html_()


def test_shared_parts_are_named_once():
    d = derivation(lambda x: np.sin(x * x + 1) * np.cos(x * x + 1), [()])
    assert sum(r"x \, x + 1" in right for _, right in d.forward + d.steps[0].lines) == 1


@pytest.mark.parametrize("fn, settings, results", [
    (np.linalg.eigh, {}, [".eigenvalues", ".eigenvectors"]), (np.linalg.svd, {}, [".U", ".S", ".Vh"]), (np.linalg.slogdet, {}, [".sign", ".logabsdet"]), (np.linalg.qr, {}, [".Q", ".R"]),
    (np.split, dict(indices_or_sections=2), ["[0]", "[1]"]), (lambda x: (x * x, 7, np.sum(x)), {}, ["[0]", "[2]"])])
def test_each_of_several_results_is_derived(fn, settings, results):
    page = derivation(fn, **settings)
    assert len(page) == len(results)
    for one, result in zip(page, results):
        assert f"){result}`" in one.title and str(one) in str(page) and one._repr_html_() in page._repr_html_() and one._repr_markdown_() in page._repr_markdown_()
        assert all("equal" in agreement(step) for step in one.steps) and one.steps


@pytest.mark.parametrize("fn, shapes", [(cross_entropy, None), (nll, None), (cross_entropy, [(5, 3), (5,)]), (cross_entropy, [(4,), ()])])
def test_labels_are_whole_numbers(fn, shapes):
    page = derivation(fn, shapes)
    assert len(page.steps) == 1 and "equal" in agreement(page.steps[0])


@pytest.mark.parametrize("fn, names, title", [
    (np.interp, None, "np.interp(x, xp, fp), with x, xp, fp of shape (4,):"), (np.add.reduce, None, "np.add.reduce(x), with x of shape (3, 4):"),
    (np.matmul, ["X_train", "W12"], "np.matmul(X_train, W12), with X_train of shape (2, 3) and W12 of shape (3, 4):")])
def test_the_first_line_of_plain_text_is_plain(fn, names, title): assert str(derivation(fn, names=names)).splitlines()[0] == title


@pytest.mark.parametrize("arguments, settings, what", [
    ((np.exp, [(2,), (3,)]), {}, "shapes: expected 1, one for each argument of exp, got 2"), ((np.exp, [(2, -1)]), {}, "not negative"), ((np.exp, 5), {}, "shapes: expected a shape"),
    ((np.multiply, None, ["a", "a"]), {}, "names: expected 2 different names"), ((np.multiply, None, ["a"]), {}, "names: expected 2"), ((len,), {}, "expected a result that depends on the arguments"),
    ((np.floor,), {}, "expected a result that depends on the arguments through functions that have a derivative, got a plain float64"),
    ((np.multiply, None, ["a$b", "c"]), {}, "names: expected names as Python has them, such as x or W_1, got 'a$b'"),
    ((np.matmul, [(200, 200), (200, 200)]), {}, "shapes: expected arrays of at most 4,000 numbers"), ((np.exp,), dict(values=[np.zeros(5_000)]), "values: expected arrays of at most 4,000 numbers"),
    ((np.linalg.inv, [(2, 3)]), {}, "square"), ((np.quantile,), {}, "'q'"), ((np.sum,), dict(axis=7), "axis 7"),
    ((np.exp,), dict(values=[np.array([1, 2])]), "floating-point"), ((np.exp,), dict(values=[np.array([np.nan])]), "not finite"),
    ((np.sum,), dict(indices=5), "indices: expected different names")])
def test_bad_requests_are_clear_errors(arguments, settings, what):
    with pytest.raises(ValueError, match=re.escape(what)): derivation(*arguments, **settings)


# --- printing -----------------------------------------------------------------------------------------------------

def from_tex(tex):
    "The number that a reader would take the formula for."
    tex = tex.replace(r"\left", "").replace(r"\right", "").replace(r"\cdot", " * ").replace(r"\,", " * ")
    while (found := re.search(r"\\frac\{([^{}]*)\}\{([^{}]*)\}|\^\{([^{}]*)\}", tex)):
        new = f"(({found[1]}) / ({found[2]}))" if found[1] is not None else f"**({found[3]})"
        tex = tex[:found.start()] + new + tex[found.end():]
    return eval(tex, dict(a=1.25, b=0.75, c=1.5))


ATOMS = st.sampled_from("abc").map(lambda s: Piece(s, ATOM, lambda at: dict(a=1.25, b=0.75, c=1.5)[s])) | st.sampled_from([2.0, -3.0, 0.5, 1.0, 1 / 3]).map(constant)
TREES = st.recursive(ATOMS, lambda t: st.one_of(st.tuples(st.sampled_from([plus, times, over, lambda a, b: plus(a, b, np.subtract)]), t, t).map(lambda v: v[0](*v[1:])),
                                                 t.map(minus), t.map(lambda p: power(p, constant(2.0)))), max_leaves=8)


@given(TREES)
@settings(deadline=None, max_examples=400)
def test_brackets_stand_where_a_reader_needs_them(piece):
    with np.errstate(all="ignore"): value = piece.number({})
    if not np.isfinite(value) or abs(value) > 1e12: return
    try: read = from_tex(piece.tex)
    except ZeroDivisionError: return
    np.testing.assert_allclose(read, value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("x, tex", [(2.0, "2"), (-0.5, r"-\frac{1}{2}"), (np.pi, r"\pi"), (2j, r"2\, i"), (1 - 1j, "1  -i"), (0.1234567, "0.1235"), (1e-20, r"1 \cdot 10^{-20}"), (np.inf, r"\infty")])
def test_numbers(x, tex): assert number_tex(x) == tex


def test_noted_arrays_compute_as_plain_ones_and_remember():
    x = noted(np.arange(6.0).reshape(2, 3))
    y = np.where(x > 2, np.sum(x, axis=0), x.astype(np.float32))
    assert isinstance(y, Noted) and y.origin[0] is np.where and y.origin[1][0].origin[0] is np.greater
    same(np.asarray(y.view(np.ndarray)), np.where(np.arange(6.0).reshape(2, 3) > 2, np.arange(6.0).reshape(2, 3).sum(0), np.arange(6, dtype=np.float32).reshape(2, 3)))
    assert isinstance(Tensor(x) * (x > 2), Tensor) and isinstance((x > 2) * Tensor(x), Tensor)


def test_tables_of_notation_hold_functions_of_the_book():
    assert all(fn in rules or fn in entries or isinstance(fn, np.ufunc) or callable(fn) for fn in {**NOTATION, **LAYOUT, **MEANING})
    assert has_layout(np.exp) and has_layout(np.sum) and not has_layout(np.linalg.pinv)
