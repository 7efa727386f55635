"""Attention: against loops, masks, errors, the transformer, the sums it learns, and the stored record."""
import json
import math
from pathlib import Path

import numpy as np
import pytest

from autodiffnb import Tensor, check_grads, compile, cross_entropy, fit, gradients
from autodiffnb.attention import CHARACTERS, Transformer, answers, attention, attention_weights, causal, draw_sums, held_out, one_hot, written
from autodiffnb import Adam, load, save

RECORD = json.loads((Path(__file__).parent.parent / "benchmarks/results/networks/addition.json").read_text())


def drawn(seed=0, n=2, queries=3, keys=4, heads=2, features=3, values=5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, queries, heads, features)), rng.normal(size=(n, keys, heads, features)), rng.normal(size=(n, keys, heads, values))


def by_loops(q, k, v, mask):
    y = np.zeros((*q.shape[:3], v.shape[3]))
    for n, i, h in np.ndindex(*q.shape[:3]):
        scores = [sum(q[n, i, h] * k[n, j, h]) / math.sqrt(q.shape[3]) + mask[i, j] for j in range(k.shape[1])]
        e = [math.exp(s - max(scores)) for s in scores]
        y[n, i, h] = sum(w / sum(e) * v[n, j, h] for j, w in enumerate(e))
    return y


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_the_definition(masked):
    q, k, v = drawn()
    mask = np.where(np.arange(4) > np.arange(3)[:, None] + 1, -np.inf, 0.0) if masked else np.zeros((3, 4))
    np.testing.assert_allclose(attention(q, k, v, mask if masked else None), by_loops(q, k, v, mask), rtol=1e-12)
    p = attention_weights(q, k, mask)
    assert p.shape == (2, 2, 3, 4)
    np.testing.assert_allclose(p.sum(axis=-1), 1)
    np.testing.assert_array_equal(p[..., np.isinf(mask)], 0)


def test_derivatives_of_both_orders_with_a_mask():
    q, k, v = drawn(1, n=1, queries=3, keys=3, heads=1, features=2, values=1)
    check_grads(lambda q, k, v: attention(q, k, v, causal(3, float)))(q, k, v)


def test_what_is_masked_gets_no_adjoint():
    q, k, v = (Tensor(x) for x in drawn(2, queries=4))
    g = np.zeros((2, 4, 2, 5))
    g[:, 1] = 1                                                    # only the second query matters
    for adjoint in gradients(attention(q, k, v, causal(4, float)), [k, v], g): assert not adjoint[:, 2:].any() and adjoint[:, :2].any()


def test_causal_and_one_hot():
    np.testing.assert_array_equal(causal(2), np.array([[0, -np.inf], [0, 0]], np.float32))
    assert causal(2).dtype == np.float32 and causal(0).shape == (0, 0)
    np.testing.assert_array_equal(one_hot(np.array([[2, 0]]), 3), [[[0, 0, 1], [1, 0, 0]]])


Q, K, V = drawn()
def test_a_mask_of_booleans_says_where_a_query_may_look():
    "As the other libraries have it; added to the scores, True would be one and rule out nothing"
    keep = np.random.default_rng(0).random((2, 2, Q.shape[1], K.shape[1])) < 0.6
    keep[..., 0] = True
    for mask in (keep, keep[:1, :1], keep[0, 0], keep[0, 0].tolist()):
        kept = np.asarray(mask)
        np.testing.assert_array_equal(attention(Q, K, V, mask), attention(Q, K, V, np.where(kept, 0, -np.inf)))
        assert not attention_weights(Q, K, mask)[~np.broadcast_to(kept, keep.shape)].any()
    assert attention(Q.astype("f"), K.astype("f"), V.astype("f"), keep).dtype == np.float32

@pytest.mark.parametrize("mask, error", [(np.zeros((4, 4)), ValueError), (np.zeros((7, 1, 1, 1)), ValueError), (np.zeros((1, 1, 1, 1, 1)), ValueError), ("causal", TypeError), (np.array(["a"]), TypeError), (np.ma.masked_array([0.0], [True]), TypeError)])
def test_masks_that_do_not_fit(mask, error):
    "(7, 1, 1, 1) made seven answers of two questions"
    for call in (lambda: attention(Q, K, V, mask), lambda: attention_weights(Q, K, mask)):
        with pytest.raises(error, match="mask: expected"): call()

@pytest.mark.parametrize("tokens, error, words", [
    (np.array([[0, 1], [3, 2]]), ValueError, r"tokens: expected integers in \[0, 3\), got 3 at index \(1, 0\)"), (np.array([-1]), ValueError, r"got -1 at index \(0,\)"), (np.array([1.0]), TypeError, "tokens: .*got float64"), (np.array([True]), TypeError, "tokens: .*got bool"),
    ([0, 1], TypeError, "tokens: expected an array, got list")])
def test_tokens_that_are_none(tokens, error, words):
    with pytest.raises(error, match=words): one_hot(tokens, 3)

@pytest.mark.parametrize("compiled", [False, True])
def test_fit_looks_at_every_token_before_the_first_step(compiled):
    "A character that there is none of was read as no character at all"
    model = small(first=7)
    X, t = written(*draw_sums(40, np.random.default_rng(0), held=False))
    X[37, 5] = 12
    before = {name: p.value.copy() for name, p in model.params.items()}
    with pytest.raises(ValueError, match=r"train: tokens: expected integers in \[0, 12\), got 12 at index \(37, 5\)"): fit(model, (X, t), epochs=1, batch_size=8, compile=compiled, progress=False)
    with pytest.raises(TypeError, match="train: tokens: expected integers.*float64"): fit(model, (X * 0.5, t), epochs=1, compile=compiled, progress=False)
    with pytest.raises(ValueError, match="tokens"): model.predict(X)
    with pytest.raises(ValueError, match=r"X: expected a batch of shape \(n, 11\)"): model.looked_at(X[:, :5])
    assert all(np.array_equal(p.value, before[name]) for name, p in model.params.items())

@pytest.mark.parametrize("call, message", [
    (lambda: attention(Q[0], K, V), "q, k, v: expected four axes each, (n, places, heads, features); got q (3, 2, 3), k (2, 4, 2, 3), v (2, 4, 2, 5)"),
    (lambda: attention(Q, K[:, :3], V), "as many values as keys"),
    (lambda: attention(Q[..., :2], K, V), "as many features in keys as in queries"),
    (lambda: attention(Q[:1], K, V), "expected the same n and heads"),
    (lambda: attention_weights(Q, K[:, :, :1]), "q, k: expected the same n and heads"), (lambda: attention(Q, K[:, :0], V[:, :0]), "k: expected at least one key"), (lambda: attention(Q[..., :0], K[..., :0], V), "k: expected at least one key and one feature"),
    (lambda: causal(-1), "n: expected a length of 0 or more, got -1"), (lambda: causal(1.5), "n: expected a length of 0 or more, got 1.5"), (lambda: Transformer(0, 11), "vocabulary: expected 1 or more, got 0"), (lambda: Transformer(12, 11, layers=-1), "layers: expected 1 or more, got -1"), (lambda: Transformer(12, 11, first=1.5), "first: expected a place in [0, 11)"),
    (lambda: Transformer(12, 11, width=6, heads=4), "heads: expected a divisor of 6, the width; got 4"),
    (lambda: Transformer(12, 11, first=11), "first: expected a place in [0, 11), the context; got 11"),
])
def test_errors_name_what_does_not_fit(call, message):
    with pytest.raises(ValueError) as caught: call()
    assert message in str(caught.value)


def small(**how): return Transformer(vocabulary=12, context=11, width=8, heads=2, hidden=6, layers=2, **how)


def test_no_place_sees_a_later_one():
    model, rng = small(first=0), np.random.default_rng(0)
    X = rng.integers(0, 12, (3, 11))
    whole = model.logits(X)
    assert whole.shape == (3, 11, 12)
    for place in range(1, 11):
        changed = np.where(np.arange(11) < place, X, (X + 1) % 12)
        np.testing.assert_array_equal(model.logits(changed)[:, :place], whole[:, :place])
        assert not np.array_equal(model.logits(changed)[:, place], whole[:, place])


def test_the_transformer_against_differences_and_its_looks_are_probabilities():
    model = Transformer(vocabulary=12, context=11, first=9, width=4, heads=2, hidden=3, layers=1, seed=2, dtype=float)
    X, t = written(*draw_sums(2, np.random.default_rng(0), held=False))
    check_grads(lambda *values: cross_entropy(model.forward(dict(zip(model.params, values)), X), t[:, 2:]), order=1)(*[p.value for p in model.params.values()])
    look, = model.looked_at(X)
    assert look.shape == (2, 2, 11, 11)
    np.testing.assert_allclose(look.sum(axis=-1), 1)
    assert not np.triu(look, 1).any()


def test_the_compiled_step_is_the_tapes_to_the_bit():
    model = small(first=7, seed=3)
    def step(values, X, t):
        params = {name: Tensor(v) for name, v in values.items()}
        loss = cross_entropy(model.forward(params, X), t)
        return loss.value, gradients(loss, params)
    fast, values, rng = compile(step), {name: p.value for name, p in model.params.items()}, np.random.default_rng(0)
    for _ in range(4):
        batch = written(*draw_sums(5, rng, held=False))
        (a, one), (b, other) = step(values, *batch), fast(values, *batch)
        assert a == b and all(np.array_equal(one[name], other[name]) for name in one)


def test_sums_as_they_are_written():
    X, t = written(np.array([57, 999, 10]), np.array([948, 999, 10]))
    assert ["".join(CHARACTERS[i] for i in (*x[:8], *d)) for x, d in zip(X, t)] == ["057+948=5001", "999+999=8991", "010+010=0200"]
    np.testing.assert_array_equal(X[:, 8:], t[:, :3])


@pytest.mark.parametrize("held", [True, False])
def test_drawn_sums_are_of_one_side_and_of_both_sizes(held):
    a, b = draw_sums(3000, np.random.default_rng(4), held)
    assert len(a) == len(b) == 3000
    assert (held_out()[a, b] == held).all() and (held_out()[b, a] == held).all()
    assert min(a.min(), b.min()) >= 10 and max(a.max(), b.max()) <= 999
    for x in (a, b): assert abs((x < 100).mean() - 0.5) < 0.05


def test_answers_are_the_models_own():
    "A model that always says what follows is asked without the answer: what stands there is not looked at."
    class Copies:
        def logits(self, X):
            given = X[:, 7:]                                     # '=' and the digits so far
            return np.eye(12)[np.where(given == 11, 3, (given + 1) % 10)]
    X, _ = written(*draw_sums(4, np.random.default_rng(0), held=False))
    np.testing.assert_array_equal(answers(Copies(), X), [[3, 4, 5, 6]] * 4)


def test_it_learns_trains_with_fit_and_is_saved(tmp_path):
    "To say whether two signs are the same, one must be looked up by the other; no single place knows it."
    rng = np.random.default_rng(5)
    X = rng.integers(0, 4, (1500, 5))
    t = (X[:, :4] == X[:, 4:]).any(axis=1).astype(int)[:, None]
    model = Transformer(vocabulary=4, context=5, first=4, width=16, heads=2, hidden=16, layers=2, seed=0)
    history = fit(model, (X[:1200], t[:1200]), (X[1200:], t[1200:]), epochs=12, batch_size=32, optimizer=Adam(model.params, lr=0.005), shuffle=0, compile=True, progress=False)
    assert history[-1]["validation_accuracy"] > 0.97
    save(tmp_path / "model.npz", model)
    again = Transformer(vocabulary=4, context=5, first=4, width=16, heads=2, hidden=16, layers=2, seed=1)
    load(tmp_path / "model.npz", again)
    np.testing.assert_array_equal(again.logits(X[:7]), model.logits(X[:7]))


def test_the_record_is_of_this_model_and_right_on_what_it_never_saw():
    model, test = Transformer(vocabulary=12, context=11, first=7), RECORD["test"]
    assert RECORD["settings"]["parameters"] == sum(p.size for p in model.params.values())
    assert test["sums"] == 10_000 == sum(n for n, _ in test["by_carries"].values()) and test["right"] == sum(right for _, right in test["by_carries"].values())
    assert test["right"] / test["sums"] > 0.99
    maps = np.array(RECORD["maps"])
    assert maps.shape == (2, 4, 4, 11)
    np.testing.assert_allclose(maps.sum(axis=-1), 1, atol=0.01)
