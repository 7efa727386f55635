"""The page for users of autograd: both columns of every pair are run, and must agree."""
import ast, re
from pathlib import Path

import numpy as np
import pytest

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "migration.md").read_text()
BLOCK = re.compile(r"```python\n(.*?)```", re.S)
PAIRS = [BLOCK.findall(pair) for pair in re.findall(r"::::\{container\} pair\n(.*?)\n::::", TEXT, re.S)]
SINGLE = BLOCK.findall(re.sub(r"::::\{container\} pair\n.*?\n::::", "", TEXT, flags=re.S))


def values(code, space):
    "Runs `code`, and returns what its expressions are worth"
    found = []
    for node in ast.parse(code).body:
        if isinstance(node, ast.Expr): found.append(eval(compile(ast.Expression(node.value), "<page>", "eval"), space))
        else: exec(compile(ast.Module([node], []), "<page>", "exec"), space)
    return found


def same(a, b):
    if isinstance(a, dict): return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)): return len(a) == len(b) and all(map(same, a, b))
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-6) if a is not None else b is None


def test_each_pair_agrees():
    theirs, ours = {}, {}
    compared = 0
    for pair in PAIRS:
        assert len(pair) == 2, pair
        left, right = values(pair[0], theirs), values(pair[1], ours)
        assert len(left) == len(right), pair
        for a, b in zip(left, right):
            assert same(a, b), (pair[1], a, b)
            compared += 1
    assert compared >= len(PAIRS) - 1     # all but the imports


def test_float32_is_kept_and_traces_work():
    space = {}
    for _, right in PAIRS: values(right, space)
    (gradient,) = values(next(right for _, right in PAIRS if "single" in right), space)
    assert gradient.dtype == np.float32
    (trace,) = values(SINGLE[0], space)
    assert np.array_equal(trace, np.eye(3))


def test_autograd_fails_where_the_page_says_so():
    space = {}
    for left, _ in PAIRS: values(left, space)
    with pytest.raises(Exception): values(SINGLE[0], space)
    assert values("np.mean(single)", {**space}) and grad_dtype(space) == np.float64


def grad_dtype(space):
    return values("grad(lambda x: np.mean(x))(single)", space)[0].dtype
