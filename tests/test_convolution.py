"""Convolution and what goes with it: against SciPy's correlation and against loops, options, errors, ties, and the network."""
import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from autodiffnb import Tensor, check_grads, compile, cross_entropy, fit, gradients, hvp
from autodiffnb.convolution import (CNN, Layer, average_pool, batch_norm, collected, conv, conv_transpose, dropout, fans, gelu, glorot, he, layer_norm, lecun, max_pool,
                                    overlap_add, relu, standardise, windows)
from autodiffnb import Adam, evaluate


def whole(rng, *shape): return rng.integers(-4, 5, shape).astype(float)


def by_loops(x, w, stride, pads, dilation, groups):
    "The definition, one number at a time."
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    kernel, c, k = w.shape[:-2], w.shape[-2], w.shape[-1]
    places = [(n - (d - 1) * r - 1) // s + 1 for n, d, s, r in zip(x.shape[1:-1], kernel, stride, dilation)]
    y = np.zeros((x.shape[0], *places, k))
    for n, *j, o in np.ndindex(*y.shape):
        group = o // (k // groups)
        for *d, i in np.ndindex(*kernel, c):
            at = [jj * s + dd * r for jj, s, dd, r in zip(j, stride, d, dilation)]
            y[(n, *j, o)] += x[(n, *at, group * c + i)] * w[(*d, i, o)]
    return y


@st.composite
def convolutions(draw):
    "Arguments of a convolution over one or two axes, every option drawn."
    d = draw(st.integers(1, 2))
    each = lambda low, high: tuple(draw(st.lists(st.integers(low, high), min_size=d, max_size=d)))
    kernel, stride, dilation, groups = each(1, 3), each(1, 3), each(1, 2), draw(st.integers(1, 2))
    pads = [tuple(draw(st.lists(st.integers(0, 2), min_size=2, max_size=2))) for _ in range(d)]
    lengths = tuple(max((k - 1) * r + 1 - sum(p), 1) + extra for k, r, p, extra in zip(kernel, dilation, pads, each(0, 3)))
    c, k = draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    return (draw(st.integers(1, 2)), *lengths, c * groups), (*kernel, c, k), stride, pads, dilation, groups


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.integers(0, 99))
def test_conv_is_the_definition_and_its_adjoints_are_the_transpose(args, seed):
    x_shape, w_shape, stride, pads, dilation, groups = args
    rng = np.random.default_rng(seed)
    x, w = Tensor(whole(rng, *x_shape)), Tensor(whole(rng, *w_shape))
    f = lambda x, w: conv(x, w, stride, pads, dilation, groups)
    y = f(x, w)
    np.testing.assert_array_equal(y.value, by_loops(x.value, w.value, stride, pads, dilation, groups))
    g = whole(rng, *y.shape)
    for t, adjoint, move in zip((x, w), gradients(y, [x, w], g), (lambda v: f(v, w.value), lambda v: f(x.value, v))):
        v = whole(rng, *t.shape)
        assert adjoint.shape == t.shape
        assert np.vdot(g, move(v)) == np.vdot(adjoint, v)


@pytest.mark.parametrize("mode", ["valid", "same"])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 5), (1, 4)])
def test_conv_is_scipys_correlation(mode, kernel):
    correlate = pytest.importorskip("scipy.signal").correlate
    rng = np.random.default_rng(0)
    x, w = whole(rng, 2, 7, 9, 3), whole(rng, *kernel, 3, 4)
    y = conv(x, w, padding=mode)
    for n in range(2):
        for k in range(4):
            full = sum(correlate(np.pad(x[n, ..., c], [((d - 1) // 2, d // 2) for d in kernel] if mode == "same" else 0), w[..., c, k], mode="valid") for c in range(3))
            np.testing.assert_array_equal(y[n, ..., k], np.round(full))


def test_one_axis_and_three():
    rng = np.random.default_rng(0)
    x, w = whole(rng, 2, 9, 1), whole(rng, 4, 1, 1)
    np.testing.assert_array_equal(conv(x, w)[0, :, 0], np.correlate(x[0, :, 0], w[:, 0, 0]))
    x, w = whole(rng, 1, 4, 5, 3, 2), whole(rng, 2, 2, 3, 2, 3)
    np.testing.assert_array_equal(conv(x, w), by_loops(x, w, (1,) * 3, [(0, 0)] * 3, (1,) * 3, 1))


@pytest.mark.parametrize("length, kernel, stride, dilation", [(n, d, s, r) for n in (5, 6) for d in (1, 2, 3, 4) for s in (1, 2, 3) for r in (1, 2)])
def test_same_gives_as_many_places_as_strides_fit(length, kernel, stride, dilation):
    y = conv(np.ones((1, length, 1)), np.ones((kernel, 1, 1)), stride, "same", dilation)
    assert y.shape == (1, math.ceil(length / stride), 1)


def test_windows_and_overlap_add_are_transposes_and_windows_copies_nothing():
    rng = np.random.default_rng(0)
    x, how = whole(rng, 2, 8, 7, 3), dict(stride=(3, 1), dilation=(1, 2))
    seen = windows(x, kernel=(2, 3), **how)
    u = whole(rng, *seen.shape)
    assert np.shares_memory(seen, x) and not seen.flags.writeable
    assert np.vdot(u, seen) == np.vdot(overlap_add(u, x.shape, **how), x)


@pytest.mark.parametrize("stride, padding, dilation", [(1, 0, 1), (2, 1, 1), (3, [(0, 1), (1, 0)], 2)])
def test_conv_transpose_is_the_transpose(stride, padding, dilation):
    rng = np.random.default_rng(1)
    y, w = whole(rng, 2, 3, 3, 4), whole(rng, 2, 3, 2, 4)
    x = conv_transpose(y, w, stride, padding, dilation)
    v = whole(rng, *x.shape)
    back = conv(v, w, stride, padding, dilation)
    assert back.shape == y.shape and np.vdot(back, y) == np.vdot(v, x)


def test_second_derivatives():
    rng = np.random.default_rng(2)
    check_grads(lambda x, w: np.sum(np.tanh(conv(x, w, stride=2, padding="same"))))(rng.normal(size=(1, 4, 3, 2)), rng.normal(size=(3, 2, 2, 2)))
    f = lambda w: np.sum(conv(np.ones((1, 4, 1)), w) ** 2)
    np.testing.assert_allclose(hvp(f, (np.ones((2, 1, 1)),), (np.array([1.0, 0.0]).reshape(2, 1, 1),))[0].ravel(), [6, 6])


@pytest.mark.parametrize("size, stride", [(2, None), (3, 1), ((2, 3), (3, 2))])
def test_pools_are_blocks(size, stride):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 7, 8, 3))
    k = (size, size) if isinstance(size, int) else size
    s = k if stride is None else (stride, stride) if isinstance(stride, int) else stride
    places = [(n - d) // t + 1 for n, d, t in zip(x.shape[1:], k, s)]
    for pool, f in ((max_pool, np.max), (average_pool, np.mean)):
        y = pool(x, size, stride)
        assert y.shape == (2, *places, 3)
        for i, j in np.ndindex(*places): np.testing.assert_allclose(y[:, i, j], f(x[:, i * s[0]:i * s[0] + k[0], j * s[1]:j * s[1] + k[1]], axis=(1, 2)), rtol=1e-14)
        check_grads(lambda x: pool(x, size, stride))(x)


def test_max_pool_shares_ties_as_max_does_and_follows_nan():
    rng = np.random.default_rng(4)
    x = Tensor(rng.integers(0, 3, (2, 6, 6, 2)).astype(float))
    g = rng.normal(size=(2, 3, 3, 2))
    by_max = np.max(np.reshape(x, (2, 3, 2, 3, 2, 2)), axis=(2, 4))
    np.testing.assert_allclose(gradients(max_pool(x), x, g), gradients(by_max, x, g), rtol=1e-14)
    hole = Tensor(np.array([1.0, np.nan, 2.0, 0.0]).reshape(1, 4, 1))
    assert np.isnan(max_pool(hole).value[0, 0, 0])
    np.testing.assert_array_equal(gradients(max_pool(hole), hole, np.ones((1, 2, 1))).ravel(), [0, 1, 1, 0])


def test_relu_and_gelu():
    x = Tensor([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(gradients(relu(x), x, np.ones(3)), [0, 0, 1])
    check_grads(gelu)(np.linspace(-3, 3, 7))
    grid = np.linspace(-8, 8, 4001)
    exact = [v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in grid]
    assert 1e-4 < abs(gelu(grid) - exact).max() < 5e-4
    assert gelu(np.float32([1.0])).dtype == np.float32


def test_standardise_by_the_parts_it_replaces():
    rng = np.random.default_rng(5)
    x = Tensor(rng.normal(3, 2, (4, 3, 5)))
    for axis in (-1, 0, (0, 2), (0, 1, 2)):
        g = rng.normal(size=x.shape)
        parts = (x - np.mean(x, axis=axis, keepdims=True)) / np.sqrt(np.var(x, axis=axis, keepdims=True) + 1e-5)
        np.testing.assert_allclose(standardise(x, axis=axis).value, parts.value, rtol=1e-12)
        np.testing.assert_allclose(gradients(standardise(x, axis=axis), x, g), gradients(parts, x, g), rtol=1e-9, atol=1e-12)


def test_equal_numbers_are_standardised_to_zero():
    x = Tensor(np.full((2, 3), 7.0))
    y = standardise(x)
    np.testing.assert_array_equal(y.value, 0)
    assert np.isfinite(gradients(y, x, np.arange(6.0).reshape(2, 3))).all()


def test_norms_scale_and_shift_and_predict_with_what_was_collected():
    rng = np.random.default_rng(6)
    x, scale, shift = rng.normal(5, 3, (64, 4)), rng.normal(size=4), rng.normal(size=4)
    np.testing.assert_allclose(layer_norm(x, scale, shift), standardise(x) * scale + shift)
    by_batch = batch_norm(x, scale, shift)
    np.testing.assert_allclose(by_batch.mean(axis=0), shift, atol=1e-12)
    np.testing.assert_allclose(by_batch.std(axis=0), abs(scale), rtol=1e-4)
    np.testing.assert_allclose(batch_norm(x, scale, shift, statistics=collected(None, Tensor(x))), by_batch, rtol=1e-9, atol=1e-12)
    mean, variance = collected((np.zeros(4), np.ones(4)), x, momentum=0.75)
    np.testing.assert_allclose(mean, x.mean(axis=0) / 4)
    np.testing.assert_allclose(variance, 0.75 + x.var(axis=0) / 4)
    np.testing.assert_allclose(batch_norm(x[:1], scale, shift, (mean, variance)), (x[:1] - mean) / np.sqrt(variance + 1e-5) * scale + shift)


def test_dropout_is_seeded_keeps_the_expectation_and_the_dtype():
    x = np.ones((200, 100), np.float32)
    a, b = dropout(x, 0.3, 7), dropout(x, 0.3, 7)
    np.testing.assert_array_equal(a, b)
    assert a.dtype == np.float32 and set(np.unique(a)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs(a.mean() - 1) < 5 * math.sqrt(0.3 / 0.7 / x.size)
    rng = np.random.default_rng(7)
    assert not np.array_equal(dropout(x, 0.3, rng), dropout(x, 0.3, rng))
    np.testing.assert_array_equal(dropout(x, 0, 1), x)
    t = Tensor(x)
    y = dropout(t, 0.3, 7)
    np.testing.assert_array_equal(gradients(y, t, x), a)


@pytest.mark.parametrize("rate, rng, error, message", [(1, 0, ValueError, "rate: expected a probability in [0, 1), got 1"), (-0.1, 0, ValueError, "rate: expected"),
                                                       (0.5, None, TypeError, "rng: expected a numpy.random.Generator or an int"), (0.5, True, TypeError, "rng: expected")])
def test_dropout_says_what_is_wrong(rate, rng, error, message):
    with pytest.raises(error) as caught: dropout(np.ones(3), rate, rng)
    assert message in str(caught.value)


@pytest.mark.parametrize("draw, variance", [(he, 2 / 90), (lecun, 1 / 90), (glorot, 2 / (90 + 450))])
def test_first_weights_have_the_variance_they_claim(draw, variance):
    W = draw((3, 3, 10, 50), 0)
    assert fans(W.shape) == (90, 450) and W.dtype == np.float32
    assert abs(W.mean()) < 5 * math.sqrt(variance / W.size)
    assert abs(W.var() / variance - 1) < 5 * math.sqrt(2 / W.size)
    np.testing.assert_array_equal(W, draw((3, 3, 10, 50), 0))


X, W = np.ones((2, 5, 5, 4)), np.ones((3, 3, 4, 6))
@pytest.mark.parametrize("call, error, message", [
    (lambda: conv(X, np.ones((3, 3))), ValueError, "w: expected shape (*kernel, channels, new channels), got (3, 3)"),
    (lambda: conv(X[0], W), ValueError, "x: expected (n, *lengths, channels) with 2 lengths"),
    (lambda: conv(X[..., :3], W), ValueError, "x: expected 4 channels, 4 of w in 1 group; got 3 in shape (2, 5, 5, 3)"),
    (lambda: conv(X, W[:, :, :2], groups=4), ValueError, "groups: expected a divisor of 6"),
    (lambda: conv(X, W, stride=0), ValueError, "stride: expected a positive integer, or 2 of them; got 0"),
    (lambda: conv(X, W, stride=1.5), TypeError, "stride: expected an integer, or one for each axis; got 1.5"),
    (lambda: conv(X, W, dilation=(1, 2, 3)), ValueError, "dilation: expected a positive integer, or 2 of them; got (1, 2, 3)"),
    (lambda: conv(X, W, padding=-1), ValueError, "padding: expected 'valid', 'same', an integer of 0 or more"),
    (lambda: conv(X, W, padding="full"), ValueError, "padding: expected 'valid', 'same'"),
    (lambda: conv(X, W, padding=0.5), ValueError, "padding: expected 'valid', 'same'"),
    (lambda: conv(X, W, dilation=3), ValueError, "x: expected lengths of at least 7 for a window of 3 with dilation 3; got 5, padding included"),
    (lambda: conv_transpose(X, W), ValueError, "x: expected (n, *places, channels) for w (*kernel, new channels, channels)"),
    (lambda: max_pool(X, 6), ValueError, "x: expected lengths of at least 6"),
    (lambda: average_pool(X[0, 0]), ValueError, "x: expected shape (n, *lengths, channels), got (5, 4)"),
    (lambda: he((3,), 0), ValueError, "shape: expected (inputs, outputs)"),
    (lambda: CNN(image=(2, 2, 1)), ValueError, "layers: expected at least one place after the last"),
])
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error) as caught: call()
    assert message in str(caught.value)


def test_the_order_of_pool_bias_and_rectifier_changes_nothing():
    rng = np.random.default_rng(8)
    x, b, g = Tensor(rng.normal(size=(2, 6, 6, 3))), Tensor(rng.normal(size=3)), rng.normal(size=(2, 3, 3, 3))
    late, early = relu(max_pool(x) + b), max_pool(relu(x + b))
    np.testing.assert_array_equal(late.value, early.value)
    for a, c in zip(gradients(late, [x, b], g), gradients(early, [x, b], g)): np.testing.assert_allclose(a, c, atol=1e-12)


def test_the_compiled_step_is_the_tapes_to_the_bit():
    rng = np.random.default_rng(9)
    model = CNN([Layer(4, 3, stride=2), Layer(5, 3, pool=2)], image=(9, 8, 2), classes=3)
    def step(values, X, t):
        params = {name: Tensor(v) for name, v in values.items()}
        loss = cross_entropy(model.forward(params, X), t)
        return loss.value, gradients(loss, params)
    fast, values = compile(step), {name: p.value for name, p in model.params.items()}
    for _ in range(4):
        X, t = rng.random((6, 144), dtype=np.float32), rng.integers(0, 3, 6)
        (a, one), (b, other) = step(values, X, t), fast(values, X, t)
        assert a == b and all(np.array_equal(one[name], other[name]) for name in one)


def test_the_network_learns_a_shape_wherever_it_is():
    "Lines across or along, at any place: a linear model has no chance, a window finds them."
    rng = np.random.default_rng(10)
    def pictures(n):
        x, t = np.zeros((n, 8, 8), np.float32), rng.integers(0, 2, n)
        for i, (r, c) in enumerate(rng.integers(0, 5, (n, 2))): x[i, r:r + (1 if t[i] else 4), c:c + (4 if t[i] else 1)] = 1
        return x, t
    train, test = pictures(600), pictures(200)
    model = CNN([Layer(6, 3), Layer(8, 3, pool=2)], image=(8, 8, 1), classes=2, seed=0)
    assert model(train[0][:3]).shape == (3, 2)
    fit(model, train, epochs=4, batch_size=32, optimizer=Adam(model.params, lr=0.01), shuffle=0, compile=True, progress=False)
    assert evaluate(model, test)[1] > 0.97


def test_an_empty_batch_stays_empty():
    none = Tensor(np.zeros((0, 6, 5, 4)))
    for y in (conv(none, np.ones((3, 3, 4, 2))), conv(none, np.ones((3, 3, 2, 2)), groups=2), conv_transpose(none, np.ones((2, 2, 3, 4))), max_pool(none), average_pool(none)):
        assert y.shape[0] == 0 and gradients(y, none, np.ones(y.shape)).shape == none.shape
    assert CNN().logits(np.zeros((0, 784), np.float32)).shape == (0, 10)


@pytest.mark.parametrize("call, message", [(lambda: conv([1.0], W), "x: expected an array, got list"), (lambda: conv(X, 3.0), "w: expected an array, got float"),
                                           (lambda: conv_transpose(X, [1]), "w: expected an array, got list"), (lambda: max_pool([1.0]), "x: expected an array, got list"),
                                           (lambda: conv(X, W, groups=1.0), "groups: expected an integer, got 1.0")])
def test_what_is_no_array_is_named(call, message):
    with pytest.raises(TypeError) as caught: call()
    assert message in str(caught.value)


def test_weights_alone_cost_no_adjoint_of_the_picture(monkeypatch):
    "What is constant costs nothing: the first layer of a network never puts windows back."
    from autodiffnb import convolution
    def forbidden(*args, **params): raise AssertionError("windows were put back")
    monkeypatch.setattr(convolution, "added_up", forbidden)
    w = Tensor(W)
    assert gradients(conv(X, w), w, np.ones((2, 3, 3, 6))).shape == W.shape


# ---------------------------------------------------------------- what used to pass, or to fail without a name

@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("x", [np.ma.masked_greater(np.ones((1, 4, 4, 2)), 0), np.ones((1, 4, 4, 2)).astype(str), np.ones((1, 4, 4, 2), object)])
def test_what_is_no_plain_array_of_numbers(x):
    "A mask got lost on the way, and the numbers under it counted"
    for call in (lambda: conv(x, np.ones((2, 2, 2, 1))), lambda: conv(np.ones((1, 4, 4, 2)), x), lambda: max_pool(x), lambda: average_pool(x), lambda: conv_transpose(x, np.ones((2, 2, 1, 2))), lambda: dropout(x, 0.5, 0)):
        with pytest.raises(TypeError, match="(x|w): expected (a plain array|numbers), got"): call()

def test_what_is_cut_off_is_less_than_there_is():
    "(2, 9) of six counted from the other end, and left one"
    x, w = np.ones((1, 4, 2)), np.ones((3, 1, 2))
    for padding in ([(2, 9)], 3, [(0, 6)]):
        with pytest.raises(ValueError, match=r"padding: expected less to cut off than the lengths \(6,\), got"): conv_transpose(x, w, padding=padding)
    with pytest.raises(ValueError, match="padding: expected numbers, since with a stride 'same'"): conv_transpose(x, w, stride=2, padding="same")
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(1, 5, 1)), rng.normal(size=(1, 5, 2)), rng.normal(size=(4, 1, 2))
    assert np.vdot(conv(x, w, padding="same"), y) == pytest.approx(np.vdot(x, conv_transpose(y, w, padding="same")))

@pytest.mark.parametrize("x", [np.arange(1, 100_001), np.ones(100_000, np.uint8), np.ones(100_000, bool)])
def test_dropout_of_whole_numbers_keeps_the_mean(x):
    "1 / 0.7 cut to a whole number is 1: a third of the sum was missing"
    assert dropout(x, 0.3, 0).mean() == pytest.approx(x.mean(), rel=0.01)

@pytest.mark.parametrize("rate", [None, "a", 1j, np.array([0.1, 0.2])])
def test_a_rate_that_is_no_number(rate):
    with pytest.raises(TypeError, match="rate: expected a probability"): dropout(np.ones(3), rate, 0)

@pytest.mark.parametrize("first", [he, lecun, glorot])
def test_shapes_seeds_and_dtypes_of_first_weights(first):
    for shape in ((0, 3), (3, 0), (3, -1), (3,)):
        with pytest.raises(ValueError, match=r"shape: expected \(inputs, outputs\)"): first(shape, 0)
    for shape in (3, None, "ab", (3, 1.5), (True, 2)):
        with pytest.raises(TypeError, match=r"shape: expected \(inputs, outputs\)"): first(shape, 0)
    for rng in (None, -1, "a", 1.5):
        with pytest.raises(TypeError, match="rng: expected a whole number of 0 or more"): first((2, 3), rng)
    for dtype in (int, complex, bool):
        with pytest.raises(TypeError, match="dtype: expected real floating-point"): first((2, 3), 0, dtype)

def test_statistics_of_nothing():
    with pytest.raises(ValueError, match=r"x: expected at least one row, got shape \(0, 3\)"): collected(None, np.ones((0, 3)))
    for momentum in (-1, 1, 2, np.nan):
        with pytest.raises(ValueError, match="momentum: expected a number"): collected(None, np.ones((2, 3)), momentum)

@pytest.mark.parametrize("settings, error, words", [(dict(layers=()), TypeError, "layers: expected one or more Layer"), (dict(layers=3), TypeError, "layers: expected one or more"), (dict(layers=None), TypeError, "layers: expected one or more"), (dict(layers="ab"), TypeError, "layers: expected one or more"),
                                                     (dict(image=(28,)), ValueError, r"image: expected \(\*lengths, channels\), got \(28,\)"), (dict(image=()), ValueError, r"image: expected \(\*lengths, channels\)")])
def test_networks_of_nothing(settings, error, words):
    with pytest.raises(error, match=words): CNN(**settings)
