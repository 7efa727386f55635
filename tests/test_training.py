"""Models, `fit` through every way it can end, and checkpoints through every way they can fail."""
import csv
import errno
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings as rules, strategies as st

from autodiffnb import training as T
from autodiffnb.arrays import Sparse
from autodiffnb.backward import gradients
from autodiffnb.loss import cross_entropy
from autodiffnb.tensor import Tensor, numbers
from autodiffnb.training import MLP, SGD, Adam, Diverged, History, Model, SoftmaxRegression, evaluate, fit, load, save

ROOT = Path(__file__).resolve().parent.parent


def garments(n=96, classes=4, features=12, seed=0):
    "Images of (3, features/3) around one centre for each class, and their labels"
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    images = rng.random((classes, features))[labels] + 0.3 * rng.random((n, features))
    return images.reshape(n, 3, -1).astype(np.float32), labels

IMAGES, LABELS = garments(136)
TRAIN, VALID = (IMAGES[:96], LABELS[:96]), (IMAGES[96:], LABELS[96:])

def small(seed=0, dtype=np.float32): return SoftmaxRegression(12, 4, seed=seed, dtype=dtype)
def deep(seed=0): return MLP((12, 5, 4), seed=seed)
def values(model): return {name: p.value.copy() for name, p in model.params.items()}
def same(a, b): return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and a[k].tobytes() == b[k].tobytes() for k in a)
def quiet(*args, **kwargs): return fit(*args, progress=False, **kwargs)


class Frame:
    "A table of another library: it has a shape, and no arithmetic that we could use."
    def __init__(self, values): self.values, self.shape = values, values.shape
    def to_numpy(self): return self.values


# ---------------------------------------------------------------- models

def test_tables_are_arrays():
    X, t = IMAGES.reshape(-1, 12), LABELS
    model, again = deep(), deep()
    assert quiet(model, (Frame(X), Frame(t)), (Frame(X), t), epochs=2, shuffle=0).rows == quiet(again, (X, t), (X, t), epochs=2, shuffle=0).rows and same(values(model), values(again))
    assert np.array_equal(model.predict(Frame(X)), model.predict(X)) and np.array_equal(model(Frame(X)).value, model(X).value) and evaluate(model, (Frame(X), Frame(t))) == evaluate(model, (X, t))
    for (a, b), (c, d) in zip(T.minibatches(Frame(X), Frame(t), batch_size=50, rng=1), T.minibatches(X, t, batch_size=50, rng=1), strict=True): assert np.array_equal(a, c) and np.array_equal(b, d)

def test_sparse_images():
    sparse = pytest.importorskip("scipy.sparse")
    from autodiffnb import Sparse
    X, t = np.where(IMAGES.reshape(-1, 12) > 0.8, 1.0, 0.0), LABELS
    with pytest.raises(TypeError, match="train: expected images as an array or a Sparse, got csr_array; Sparse"): quiet(small(), (sparse.csr_array(X), t), epochs=1)
    model, again = small(dtype=float), small(dtype=float)
    quiet(model, (Sparse(sparse.csr_array(X)), t), epochs=2, shuffle=0), quiet(again, (X, t), epochs=2, shuffle=0)
    for name, p in model.params.items(): np.testing.assert_allclose(p.value, again.params[name].value, rtol=1e-12)

@pytest.mark.parametrize("X, words", [
    (np.ones((2, 12)).astype(str), "X: expected numbers, got <U"), (np.ones((2, 12), object), "X: expected numbers, got object"), (Frame(np.full((2, 12), "a")), "X: expected numbers"), (np.ma.masked_greater(np.ones((2, 12)), 3), "X: expected a plain array, got MaskedArray"),
    (np.asmatrix(np.ones((2, 12))), "X: expected a plain array, got matrix"), ([[1.0] * 12], "X: expected an array, got list"), (None, "X: expected an array, got NoneType")])
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_batches_that_are_no_numbers(X, words):
    for call in (small(), small().logits, small().predict):
        with pytest.raises(TypeError, match=words): call(X)

@pytest.mark.parametrize("scale", [-1, math.nan, math.inf, 1e300, "a", None])
def test_a_scale_that_is_none(scale):
    with pytest.raises((TypeError, ValueError), match="scale: expected a number"): SoftmaxRegression(3, 4, scale=scale)

def test_softmax_regression_is_what_it_says():
    model = SoftmaxRegression()
    W, b = model.params["W"], model.params["b"]
    assert (W.shape, b.shape, W.dtype, b.dtype) == ((784, 10), (10,), np.float32, np.float32)
    assert W.value.std() == pytest.approx(0.01, rel=0.05) and abs(W.value.mean()) < 0.001 and not b.value.any()
    assert np.array_equal(W.value, SoftmaxRegression(seed=0).params["W"].value) and not np.array_equal(W.value, SoftmaxRegression(seed=1).params["W"].value)
    images = np.random.default_rng(0).random((5, 28, 28), np.float32)
    expected = images.reshape(5, 784).astype(np.float64) @ W.value + b.value
    for X in (images, images.reshape(5, 784)):
        assert isinstance(model(X), Tensor) and model(X).dtype == np.float32
        np.testing.assert_allclose(model(X).value, expected, atol=1e-5)
        assert type(model.logits(X)) is np.ndarray and np.array_equal(model.predict(X), expected.argmax(1))
    assert repr(model) == "SoftmaxRegression(W float32 (784, 10), b float32 (10,))"

def test_mlp_against_loops():
    model, X = MLP((12, 5, 3, 4), dtype=np.float64), np.random.default_rng(0).random((6, 12))
    h = X
    for i in (1, 2, 3):
        W, b = model.params[f"W{i}"].value, model.params[f"b{i}"].value
        h = np.array([[sum(row[f] * W[f, k] for f in range(len(row))) + b[k] for k in range(len(b))] for row in h])
        if i < 3: h = np.where(h > 0, h, 0)
    np.testing.assert_allclose(model(X).value, h, atol=1e-12)
    assert list(model.params) == ["W1", "b1", "W2", "b2", "W3", "b3"]

def test_he_initialisation_keeps_the_mean_square():
    model, rng = MLP((500,) * 7), np.random.default_rng(0)
    h = rng.normal(size=(300, 500)).astype(np.float32)
    before = (h**2).mean()
    for i in range(1, 7):
        W = model.params[f"W{i}"].value
        assert W.std() == pytest.approx((2 / 500)**0.5, rel=0.02)
        h = np.maximum(h @ W, 0)
        assert 0.6 < (h**2).mean() / before < 1.6

@pytest.mark.parametrize("X, error, words", [
    (np.ones((2, 11)), ValueError, r"X: expected a batch of shape \(n, 12\).*got shape \(2, 11\)"), (np.ones(12), ValueError, r"got shape \(12,\)"),
    (np.ones((2, 3, 5)), ValueError, r"got shape \(2, 15\)"), ([[1.0] * 12], TypeError, "X: expected an array, got list")])
def test_batches_of_another_size(X, error, words):
    for call in (small(), small().logits, small().predict, deep()):
        with pytest.raises(error, match=words): call(X)

def test_models_take_no_rows_and_give_gradients_of_images():
    assert small().logits(np.ones((0, 3, 4), np.float32)).shape == (0, 4)
    X = Tensor(TRAIN[0][:3])
    g = gradients(cross_entropy(small()(X), TRAIN[1][:3]), X)
    assert g.shape == (3, 3, 4) and g.dtype == np.float32 and g.any()

def test_sizes_of_an_mlp():
    with pytest.raises(ValueError, match=r"sizes: expected at least features and classes, got \(12,\)"): MLP((12,))
    for sizes in ([6, 0, 3], [0, 3], [6, 4, -1]):
        with pytest.raises(ValueError, match="sizes: expected 1 or more, got .*" + re.escape(str(tuple(sizes)))): MLP(sizes)


# ---------------------------------------------------------------- evaluate

def test_evaluate_against_the_formula():
    model, (images, labels) = deep(), VALID
    z = model.logits(images).astype(np.float64)
    logp = z - np.log(np.exp(z).sum(1, keepdims=True))
    for batch_size in (1, 7, 40, 1000):
        loss, share = evaluate(model, VALID, batch_size)
        assert loss == pytest.approx(-logp[np.arange(40), labels].mean(), rel=1e-5) and share == pytest.approx((z.argmax(1) == labels).mean())

def test_evaluate_records_nothing_of_a_model():
    model, made = deep(), []
    seen = lambda z, t: made.append(type(z)) or cross_entropy(z, t)
    before = next(numbers)
    evaluate(model, VALID, 10, loss=seen)
    assert next(numbers) == before + 1 and made == [np.ndarray] * 4

def test_evaluate_needs_a_function():
    with pytest.raises(TypeError, match="model: expected a function from a batch to logits, got str"): evaluate("model", VALID)

def test_evaluate_takes_any_function_and_any_labels():
    model = deep()
    assert evaluate(lambda X: model(X), VALID) == evaluate(model, VALID)
    soft = np.full((40, 4), 0.25)
    loss, share = evaluate(model, (VALID[0], soft))
    assert loss > math.log(4) - 1e-6 and math.isnan(share)


# ---------------------------------------------------------------- fit

def reference_fit(model, epochs, lr, momentum=0.0, orders=None):
    "float64, written out: the rows that `fit` should report, and the parameters in the end"
    W, b = (p.value.astype(np.float64) for p in model.params.values())
    images, labels = TRAIN[0].reshape(96, 12).astype(np.float64), TRAIN[1]
    vW, vb, losses = 0, 0, []
    for epoch in range(epochs):
        order, total = np.arange(96) if orders is None else orders[epoch], 0
        for at in range(0, 96, 20):
            rows = order[at:at + 20]
            z = images[rows] @ W + b
            p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
            total -= np.log(p[np.arange(len(rows)), labels[rows]]).sum()
            q = (p - np.eye(4)[labels[rows]]) / len(rows)
            vW, vb = momentum * vW + images[rows].T @ q, momentum * vb + q.sum(0)
            W, b = W - lr * vW, b - lr * vb
        losses.append(total / 96)
    return losses, W, b

@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("seed", [None, 5])
def test_fit_against_plain_numpy(momentum, seed):
    "The last batch is short (96 = 4 * 20 + 16): the loss is the mean over rows, not over batches"
    model, rng = small(dtype=np.float64), np.random.default_rng(seed)
    orders = None if seed is None else [rng.permutation(96) for _ in range(3)]
    losses, W, b = reference_fit(model, 3, 0.1, momentum, orders)
    history = quiet(model, TRAIN, VALID, epochs=3, batch_size=20, optimizer=SGD(model.params, lr=0.1, momentum=momentum), shuffle=seed)
    np.testing.assert_allclose(history["train_loss"], losses, rtol=1e-7)
    np.testing.assert_allclose(model.params["W"].value, W, atol=1e-7)
    np.testing.assert_allclose(model.params["b"].value, b, atol=1e-7)
    assert (history[-1]["validation_loss"], history[-1]["validation_accuracy"]) == evaluate(model, VALID)

@pytest.mark.parametrize("make, optimizer", [(lambda: small(), SGD), (lambda: deep(), Adam)])
def test_compiled_runs_have_the_same_bits(make, optimizer):
    runs = []
    for compiled in (False, True):
        model = make()
        history = quiet(model, TRAIN, VALID, epochs=4, batch_size=20, optimizer=optimizer(model.params, 0.1), shuffle=3, compile=compiled)    # the last batch is short
        runs.append((history.rows, {name: x.tobytes() for name, x in values(model).items()}))
        assert all(type(p.value) is np.ndarray for p in model.params.values())
    assert runs[0] == runs[1]

def test_a_compiled_run_checks_labels_and_refuses_what_changes():
    rng, model = np.random.default_rng(0), small()
    def dropout(z, t): return cross_entropy(z * (rng.random(z.shape) < 0.5), t)
    with pytest.raises(TypeError, match="does not do the same at each call.*random draw"): quiet(model, TRAIN, epochs=1, loss=dropout, compile=True)
    with pytest.raises(TypeError, match="reads a value"): quiet(model, TRAIN, epochs=1, loss=lambda z, t: cross_entropy(z, t) if float(np.sum(z).value) else z, compile=True)
    assert all(type(p.value) is np.ndarray for p in model.params.values())

def test_the_defaults():
    one, other = small(), small()
    history = quiet(one, TRAIN, epochs=2)
    again = quiet(other, TRAIN, epochs=2, batch_size=32, optimizer=SGD(other.params, lr=0.01), shuffle=None)
    assert same(values(one), values(other)) and history.rows == again.rows and list(history[0]) == ["epoch", "train_loss"]
    assert one.params["W"].dtype == np.float32 and history["epoch"] == [1, 2]

def test_learning_works():
    for model, optimizer in [(m := small(), SGD(m.params, 0.1, 0.9)), (m := deep(), Adam(m.params, 0.02))]:
        history = quiet(model, TRAIN, VALID, epochs=40, optimizer=optimizer, shuffle=0)
        assert history[-1]["validation_accuracy"] > 0.9 and history[-1]["train_loss"] < history[0]["train_loss"] / 2

def test_a_seed_repeats_and_gives_each_epoch_an_order_of_its_own():
    seen = []
    def look(z, t): seen.append(t.tolist()); return cross_entropy(z, t)
    runs = []
    for shuffle in (3, 3, 4, np.random.default_rng(3)):
        seen.clear()
        quiet(small(), TRAIN, epochs=2, shuffle=shuffle, loss=look)
        runs.append(([sum(seen[:3], []), sum(seen[3:], [])]))
    assert runs[0] == runs[1] == runs[3] != runs[2]
    assert runs[0][0] != runs[0][1] and sorted(runs[0][0]) == sorted(runs[0][1]) == sorted(TRAIN[1].tolist())

def test_only_the_optimisers_parameters_are_trained():
    model = deep()
    before = values(model)
    quiet(model, TRAIN, epochs=2, optimizer=SGD({"W2": model.params["W2"]}, lr=0.1))
    after = values(model)
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["W2"]

def test_any_callable_with_params_and_any_loss():
    "A line fitted to points: no logits, no labels, no Model"
    class Line:
        def __init__(self): self.params = {"slope": Tensor(0.0), "height": Tensor(np.zeros(1))}
        def __call__(self, X): return X @ np.ones(1) * self.params["slope"] + self.params["height"]
    x = np.linspace(-1, 1, 50)[:, None]
    line, y = Line(), 3 * x[:, 0] - 2
    history = quiet(line, (x, y), (x, y), epochs=200, optimizer=SGD(line.params, lr=0.1), loss=lambda z, t: ((z - t)**2).mean())
    assert line.params["slope"].value == pytest.approx(3, abs=1e-3) and line.params["height"].value[0] == pytest.approx(-2, abs=1e-3)
    assert type(line.params["slope"].value) is float and math.isnan(history[-1]["validation_accuracy"]) and history[-1]["validation_loss"] < 1e-5

def test_an_error_in_ones_own_model_is_not_disguised():
    class Broken(Model):
        def __init__(self): self.features, self.params = 12, {"w": Tensor(1.0)}
        def forward(self, params, X): raise TypeError("mine")
    with pytest.raises(TypeError, match="^mine$"): quiet(Broken(), TRAIN, epochs=1)
    class Unfinished(Broken): forward = Model.forward
    with pytest.raises(NotImplementedError, match="forward"): quiet(Unfinished(), TRAIN, epochs=1)

def test_lists_and_soft_labels():
    images, labels = TRAIN
    one, two = small(), small()
    assert quiet(one, [images.tolist(), labels.tolist()], epochs=1)[0]["train_loss"] == pytest.approx(quiet(small(), TRAIN, epochs=1)[0]["train_loss"], rel=1e-5)
    soft = quiet(two, (images, np.eye(4, dtype=np.float32)[labels]), epochs=1)
    assert soft[0]["train_loss"] == pytest.approx(quiet(small(), TRAIN, epochs=1)[0]["train_loss"], rel=1e-5)

def test_epochs_is_what_the_history_has_in_the_end():
    one, other, diary = deep(), deep(), History()
    whole = quiet(one, TRAIN, VALID, epochs=5, optimizer=SGD(one.params, 0.1, 0.9), shuffle=1)
    optimizer, rng = SGD(other.params, 0.1, 0.9), np.random.default_rng(1)
    for epochs in (2, 2, 0, 5): assert quiet(other, TRAIN, VALID, epochs=epochs, optimizer=optimizer, shuffle=rng, history=diary) is diary
    assert diary.rows == whole.rows and same(values(one), values(other))

def test_callbacks():
    model, called = small(), []
    optimizer = SGD(model.params, lr=0.1)
    def slower(m, o, h): assert m is model and o is optimizer; called.append(len(h)); o.lr = 0.1 / len(h)
    history = quiet(model, TRAIN, epochs=9, optimizer=optimizer, callbacks=[slower, lambda m, o, h: len(h) == 4])
    assert called == [1, 2, 3, 4] and len(history) == 4 and history.stopped and not history.interrupted and optimizer.lr == 0.025
    assert len(quiet(model, TRAIN, epochs=6, history=history)) == 6 and not history.stopped, "a history that is handed in is to be gone on with"

@pytest.mark.parametrize("arguments, error, words", [
    (dict(train=TRAIN[0]), TypeError, "train: expected the pair .images, labels., got ndarray of 96"), (dict(train=(*TRAIN, *VALID)), TypeError, "train: .*tuple of 4"),
    (dict(train=None), TypeError, "train: .*NoneType"), (dict(train=(TRAIN[0], TRAIN[1][:-1])), ValueError, r"train: expected as many labels as images, got shapes \(96, 3, 4\) and \(95,\)"),
    (dict(train=(TRAIN[0][:0], TRAIN[1][:0])), ValueError, "train: expected at least one row"), (dict(validation=(VALID[0], VALID[1][:3])), ValueError, "validation: expected as many"),
    (dict(validation=(VALID[0][:0], VALID[1][:0])), ValueError, "validation: expected at least one row"),
    (dict(train=(TRAIN[0], np.where(np.arange(96) == 77, 4, TRAIN[1]))), ValueError, r"train: labels: .*\[0, 4\), got 4 at index \(77,\)"),
    (dict(validation=(VALID[0], VALID[1] - 9)), ValueError, "validation: labels: "), (dict(train=(TRAIN[0], TRAIN[1] * 1.0)), TypeError, "train: labels: .*float64"),
    (dict(train=(TRAIN[0][:, :2], TRAIN[1])), ValueError, r"train: X: expected a batch of shape \(n, 12\)"), (dict(epochs=-1), ValueError, "epochs: expected an integer of 0 or more, got -1"),
    (dict(epochs=True), ValueError, "epochs: .*True"), (dict(train=dict(images=TRAIN[0], labels=TRAIN[1])), TypeError, "train: expected the pair .images, labels., got dict of 2"), (dict(validation="ab"), TypeError, "validation: .*got str of 2"),
    (dict(loss=lambda z, t: cross_entropy(z, t, reduction="none")), ValueError, r"loss: expected a real scalar, the mean over the batch; got float32 of shape \(32,\)"), (dict(loss=lambda z, t: np.mean(z) * 1j), ValueError, "loss: expected a real scalar.*got complex64"),
    (dict(checkpoint="a\0b"), ValueError, "checkpoint: expected a path, got"), (dict(epochs=1.5), ValueError, "epochs: .*1.5"), (dict(batch_size=0), ValueError, "batch_size: .*0"), (dict(batch_size="all"), TypeError, "batch_size"),
    (dict(shuffle=True), TypeError, "shuffle: .*got True"), (dict(shuffle=-1), TypeError, "shuffle: .*got -1"), (dict(shuffle="yes"), TypeError, "shuffle"),
    (dict(model=lambda X: X), TypeError, "model: expected a callable with `params`"), (dict(optimizer=SGD(small().params)), ValueError, "optimizer: .*not among them: W, b"),
    (dict(optimizer="SGD"), TypeError, "optimizer: expected an Optimizer"), (dict(history=[]), TypeError, "history: expected a History"),
    (dict(loss=lambda z, t: 1.0), TypeError, "loss: expected a function that returns a Tensor, got float"), (dict(loss=3), TypeError, "loss: expected a function of logits and labels, got 3"),
    (dict(callbacks=[3]), TypeError, r"callbacks: expected a list of functions, got \[3\]"), (dict(callbacks=print), TypeError, "callbacks: expected a list of functions"),
    (dict(callbacks=(f for f in [print])), TypeError, "callbacks: expected a list of functions"), (dict(checkpoint=3), TypeError, "checkpoint: expected a path, got 3"),
    (dict(checkpoint=Path("no such folder") / "run.npz"), FileNotFoundError, "checkpoint: there is no folder for no such folder"), (dict(checkpoint=ROOT), IsADirectoryError, "checkpoint: .* is a folder"),
    (dict(train=(TRAIN[0], np.eye(4, dtype=int)[TRAIN[1]])), ValueError, r"train: labels: expected shape \(96,\).*got \(96, 4\)"),
    (dict(train=(TRAIN[0], np.eye(4)[TRAIN[1]] * np.where(np.arange(96) == 77, 0.5, 1)[:, None])), ValueError, r"train: labels: expected probabilities .* at index \(77, 0\)"),
    (dict(validation=(VALID[0], np.full((40, 3), 1/3))), ValueError, "validation: labels: expected probabilities of shape"),
    (dict(train=(TRAIN[0] + 1j, TRAIN[1])), TypeError, "train: expected images that give real logits; complex"), (dict(validation=(VALID[0] * 1j, VALID[1])), TypeError, "validation: .*complex")])
def test_arguments_that_are_wrong(arguments, error, words, tmp_path):
    model = small()
    before = values(model)
    with pytest.raises(error, match=words): fit(**dict(dict(model=model, train=TRAIN, validation=VALID, epochs=1, progress=False, checkpoint=tmp_path / "no.npz") | arguments))
    assert same(before, values(model)) and not list(tmp_path.iterdir())

def test_a_loss_that_turns_nan_names_the_step():
    model, diary = deep(), History()
    optimizer = SGD(model.params, lr=0.1)
    def worse(m, o, h): o.lr = 1e38 if len(h) == 2 else o.lr
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Diverged) as caught: quiet(model, TRAIN, epochs=9, optimizer=optimizer, callbacks=[worse], history=diary)
    error = caught.value
    assert isinstance(error, FloatingPointError) and error.history is diary and len(diary) == 2
    assert error.epoch == 3 and error.step >= 2 and not math.isfinite(error.loss)
    assert str(error).startswith(f"epoch 3, step {error.step}: the loss is {error.loss}, one step before it was ") and "smaller learning rate" in str(error)

def test_a_loss_that_turns_nan_on_a_sparse_matrix_says_why():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    images = TRAIN[0].reshape(len(TRAIN[0]), -1).copy()
    with np.errstate(all="ignore"), pytest.raises(Diverged, match="a smaller learning rate may help"):
        quiet(model := small(), (Sparse(scipy_sparse.csr_array(images)), TRAIN[1]), epochs=3, optimizer=SGD(model.params, lr=1e38))
    images[40, 0] = np.nan
    with pytest.raises(ValueError, match="train: expected finite numbers, got nan in the sparse matrix"): quiet(small(), (Sparse(scipy_sparse.csr_array(images)), TRAIN[1]), epochs=1)


def test_a_loss_that_turns_nan_says_why_where_it_can():
    images = TRAIN[0].copy()
    images[40, 0, 0] = np.nan
    class Own:    # what it makes of a nan is its own affair
        def __init__(self): self.model, self.params = (m := small()), m.params
        def __call__(self, X): return self.model(X)
    model = Own()
    with pytest.raises(Diverged, match="epoch 1, step 2: the loss is nan, one step before it was .*; the images of this batch are not finite") as caught: quiet(model, (images, TRAIN[1]), epochs=1)
    assert all(np.isfinite(v).all() for v in values(model).values()) and len(caught.value.history) == 0
    model.params["b"].value[0] = np.inf
    with pytest.raises(Diverged, match="epoch 1, step 1: the loss is nan; not finite any more: b"): quiet(model, TRAIN, epochs=1)

def test_what_diverges_in_the_last_step_is_found_too(tmp_path):
    "One batch in an epoch: the loss before the only step is fine, and no later step would tell"
    for validation in (None, VALID):
        model = small()
        with pytest.raises(Diverged, match="epoch 1, after step 1: .*W"): quiet(model, TRAIN, validation, epochs=1, batch_size=96, optimizer=SGD(model.params, lr=3e38), loss=lambda z, t: cross_entropy(z, t) * 1e3, checkpoint=tmp_path / "run.npz")
        assert not list(tmp_path.iterdir())

def test_interrupting_keeps_what_there_is():
    "The interrupt comes from the keyboard's own signal, in the middle of an epoch"
    model, diary, steps = deep(), History(), []
    def loss(z, t):
        steps.append(1)
        if len(steps) == 8: os.kill(os.getpid(), signal.SIGINT)
        return cross_entropy(z, t)
    before = values(model)
    history = quiet(model, TRAIN, epochs=50, history=diary, loss=loss)
    assert history is diary and history.interrupted and len(history) == 2 and "interrupted" in repr(history) and not same(before, values(model))
    quiet(model, TRAIN, epochs=4, history=diary)
    assert len(diary) == 4 and not diary.interrupted

def test_threads_train_apart():
    alone, results = quiet(m := deep(), TRAIN, VALID, epochs=6, shuffle=2).rows, [None] * 4
    def work(i): results[i] = quiet(deep(), TRAIN, VALID, epochs=6, shuffle=2).rows
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads: t.start()
    for t in threads: t.join()
    assert results == [alone] * 4


# ---------------------------------------------------------------- progress

def test_lines_without_tqdm(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    history = fit(small(), TRAIN, VALID, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"epoch {r['epoch']}/2: train_loss {r['train_loss']:.4f}, validation_loss {r['validation_loss']:.4f}, validation_accuracy {r['validation_accuracy']:.4f}" for r in history]

def test_a_bar_with_tqdm(capsys):
    pytest.importorskip("tqdm")
    history = fit(small(), TRAIN, epochs=3)
    out, err = capsys.readouterr()
    assert out == "" and "9/9" in err and "epoch=3/3" in err and f"train_loss={history[-1]['train_loss']:.4f}" in err

def test_silence(capsys):
    quiet(small(), TRAIN, epochs=1)
    assert capsys.readouterr() == ("", "")


# ---------------------------------------------------------------- history

DIARY = History([{"epoch": i, "train_loss": 1 / i, "validation_loss": 1.5 / i, "validation_accuracy": 1 - 0.5 / i} for i in range(1, 21)])

def test_history_there_and_back(tmp_path):
    again = History.from_dict(json.loads(json.dumps(DIARY.to_dict())))
    assert again.rows == DIARY.rows and len(DIARY) == 20 and DIARY[-1]["epoch"] == 20 and DIARY["epoch"] == list(range(1, 21)) and DIARY[:2] == DIARY.rows[:2]
    text = DIARY.to_csv(tmp_path / "diary.csv")
    assert (tmp_path / "diary.csv").read_bytes().decode() == text
    table = list(csv.DictReader(io.StringIO(text)))
    assert [{k: float(v) for k, v in row.items()} for row in table] == DIARY.rows
    with pytest.raises(ValueError): History.from_dict({"epoch": [1, 2], "train_loss": [0.5]})
    assert History().to_dict() == {} and len(History()) == 0 and "0 epochs" in repr(History())

def test_rows_and_columns_that_are_none():
    for call in (lambda: History("ab"), lambda: History([3]), lambda: History().append([1])):
        with pytest.raises(TypeError, match="row: expected a dict of numbers by name, got"): call()
    with pytest.raises(ValueError, match="columns: expected lists of one length, got {'a': 2, 'b': 1}"): History.from_dict(dict(a=[1, 2], b=[1]))
    for columns in (dict(a=3), dict(a="12"), [1]):
        with pytest.raises(TypeError, match="columns: expected a dict of lists by name"): History.from_dict(columns)

def test_history_with_columns_that_come_later():
    uneven = History([{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.4, "validation_loss": 0.6}])
    assert math.isnan(uneven["validation_loss"][0]) and uneven["validation_loss"][1] == 0.6

def test_history_shows_itself():
    text = repr(DIARY)
    assert text.startswith("History of 20 epochs\n") and "..." in text and len(text.splitlines()) == 13 and text.splitlines()[-1].split() == ["20", "0.0500", "0.0750", "0.9750"]
    assert len({len(line) for line in text.splitlines()[1:]}) == 1

def test_history_plots_itself():
    pytest.importorskip("matplotlib.pyplot")
    loss, accuracy = DIARY.plot("mine").axes
    assert [line.get_label() for line in loss.lines] == ["train", "validation"] and len(accuracy.lines) == 1
    assert np.array_equal(loss.lines[0].get_ydata(), DIARY["train_loss"])
    assert len(History([{"epoch": 1, "train_loss": 0.5}]).plot().axes) == 1    # no panel for columns that were never filled
    with pytest.raises(ValueError, match="history"): History().plot()    # nothing to show yet


def test_plotting_without_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"autodiffnb\[plot\]"): DIARY.plot()


# ---------------------------------------------------------------- checkpoints

OPTIMIZERS = {"plain": lambda p: SGD(p, 0.05), "momentum": lambda p: SGD(p, 0.05, 0.9), "adam": lambda p: Adam(p, 0.01)}
BITS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]

@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("shuffle", [None, 11])
def test_a_resumed_run_is_the_run_that_was_not_stopped(name, shuffle, tmp_path):
    def go(epochs, path):
        model = deep()
        history = quiet(model, TRAIN, VALID, epochs=epochs, batch_size=20, optimizer=OPTIMIZERS[name](model.params), shuffle=shuffle, checkpoint=path)
        return history.rows, values(model)
    rows, whole = go(7, None)
    for epochs in (1, 3, 3, 7): resumed = go(epochs, tmp_path / "run.npz")
    assert resumed[0] == rows and same(resumed[1], whole)
    assert go(2, tmp_path / "run.npz")[0] == rows and [p.name for p in tmp_path.iterdir()] == ["run.npz"]

@pytest.mark.parametrize("bits", BITS)
def test_every_kind_of_generator_goes_on(bits, tmp_path):
    rng = np.random.Generator(bits(5))
    rng.random(3)
    save(tmp_path / "x.npz", small(), rng=rng)
    assert np.array_equal(load(tmp_path / "x.npz").rng.permutation(50), rng.permutation(50))

def test_a_schedule_survives(tmp_path):
    "The learning rate that a callback set is part of the state, and does not make it another run"
    def go(epochs, path):
        model = deep()
        optimizer = SGD(model.params, 0.1, 0.5)
        def halve(m, o, h): o.lr /= 2
        return quiet(model, TRAIN, epochs=epochs, optimizer=optimizer, checkpoint=path, callbacks=[halve]).rows, values(model), optimizer.lr
    go(2, tmp_path / "run.npz")
    resumed, whole = go(4, tmp_path / "run.npz"), go(4, None)
    assert resumed[0] == whole[0] and same(resumed[1], whole[1]) and resumed[2] == whole[2] == 0.1 / 16

def test_a_run_that_a_callback_ended_stays_ended(tmp_path):
    def go():
        model = small()
        return quiet(model, TRAIN, epochs=9, checkpoint=tmp_path / "run.npz", callbacks=[lambda m, o, h: len(h) >= 3]), values(model)
    first, second = go(), go()
    assert len(second[0]) == 3 and second[0].stopped and same(first[1], second[1])

def test_an_interrupted_run_goes_on_from_its_last_whole_epoch(tmp_path):
    whole, cut, again = deep(), deep(), deep()
    run = lambda m, **more: quiet(m, TRAIN, VALID, epochs=5, optimizer=SGD(m.params, 0.1, 0.9), shuffle=3, **more)
    def interrupt(m, o, h):
        if len(h) == 3: raise KeyboardInterrupt
    assert run(cut, checkpoint=tmp_path / "run.npz", callbacks=[interrupt]).interrupted
    history = run(again, checkpoint=tmp_path / "run.npz")
    assert history.rows == run(whole).rows and same(values(again), values(whole)) and not history.interrupted

KILLED = """
import os, signal, sys
import numpy as np
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/tests"]
from test_training import *
step, kill_at = 0, int(sys.argv[3])
class Killer(SGD):
    def step(self, grads):
        global step
        step += 1
        super().step(grads)
        if step == kill_at: os.kill(os.getpid(), signal.SIGKILL)
model = deep()
history = quiet(model, TRAIN, VALID, epochs=6, batch_size=10, optimizer=Killer(model.params, 0.05, 0.9), shuffle=9, checkpoint=sys.argv[2])
np.savez(sys.argv[2] + ".out", rows=np.array([list(r.values()) for r in history]), **values(model))
"""

@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_killed_in_the_middle_of_an_epoch(tmp_path):
    def go(path, kill_at): return subprocess.run([sys.executable, "-c", KILLED, str(ROOT), str(path), str(kill_at)], capture_output=True, text=True).returncode
    def outcome(path):
        with np.load(f"{path}.out.npz") as held: return {name: held[name] for name in held.files}
    killed, whole = tmp_path / "killed.npz", tmp_path / "whole.npz"
    assert go(whole, 0) == 0
    assert go(killed, 25) == -signal.SIGKILL and len(load(killed).history) == 2
    assert go(killed, 17) == -signal.SIGKILL and len(load(killed).history) == 3
    assert go(killed, 0) == 0
    assert same(outcome(killed), outcome(whole))

def test_everything_comes_back(tmp_path):
    model, path = deep(), tmp_path / "file of any name"
    optimizer, rng = Adam(model.params, 0.01, betas=(0.8, 0.99), eps=1e-6), np.random.default_rng(4)
    history = quiet(model, TRAIN, VALID, epochs=2, optimizer=optimizer, shuffle=rng)
    save(path, model, optimizer, history, rng)
    other = deep(seed=8)
    fresh = Adam(other.params)
    found = load(path, other, fresh)
    assert same(values(model), values(other)) and same(found.params, values(model)) and fresh.settings == optimizer.settings and fresh.steps == optimizer.steps
    for slot in ("mean", "square"): assert same(fresh.slots[slot], optimizer.slots[slot])
    assert found.history.rows == history.rows and found.history.settings == history.settings and found.rng.random() == rng.random()
    fresh.step({name: np.ones_like(v) for name, v in found.params.items()})
    assert same(found.params, values(model)), "a step wrote to what load returned"

def test_parameters_alone(tmp_path):
    save(tmp_path / "m.npz", small(seed=5))
    found = load(tmp_path / "m.npz", model := small())
    assert same(values(model), values(small(seed=5))) and found[1:] == (None, None, None)
    with pytest.raises(ValueError, match="optimizer: .*m.npz holds no state"): load(tmp_path / "m.npz", optimizer=SGD(model.params))
    save(tmp_path / "m.npz", model, history=History())
    assert len(load(tmp_path / "m.npz").history) == 0
    class Number: params = {"x": Tensor(2.5)}
    class Other: params = {"x": Tensor(0.0)}
    save(tmp_path / "n.npz", Number)
    load(tmp_path / "n.npz", Other)
    assert Other.params["x"].value == 2.5 and type(Other.params["x"].value) is float

def test_of_another_model_or_optimiser_nothing_is_changed(tmp_path):
    model = deep()
    optimizer = SGD(model.params, 0.5, 0.5)
    save(tmp_path / "m.npz", model, optimizer)
    for other, words in [(small(), "model: its parameters are .*'W'.*holds .*'W1'"), (MLP((12, 6, 4)), r"float32 \(12, 6\)"), (MLP((12, 5, 4), dtype=np.float64), "float64")]:
        before = values(other)
        with pytest.raises(ValueError, match=words): load(tmp_path / "m.npz", other)
        assert same(before, values(other))
    other = deep(seed=1)
    before = values(other)
    for make, words in [(lambda p: SGD(p, 0.5), "does not fit"), (Adam, "expected that of Adam, got that of SGD")]:
        with pytest.raises(ValueError, match="optimizer: .*" + words): load(tmp_path / "m.npz", other, make(other.params))
        assert same(before, values(other))

@pytest.mark.parametrize("change, words", [
    (dict(batch_size=16), "batch_size was 32 and is 16"), (dict(shuffle=2), "shuffle was 1 and is 2"), (dict(shuffle=None), "shuffle was 1 and is None"),
    (dict(shuffle=np.random.default_rng(1)), "shuffle was 1 and is 'PCG64'"), (dict(lr=0.2), "lr was 0.1 and is 0.2"), (dict(momentum=0.5), "momentum was 0.9 and is 0.5"),
    (dict(train=(TRAIN[0][:50], TRAIN[1][:50])), "rows was 96 and is 50"), (dict(make=lambda p, lr, momentum: Adam(p)), "optimizer was 'SGD' and is 'Adam'"), (dict(model=lambda: MLP((12, 6, 4))), "model: its parameters")])
def test_a_checkpoint_of_another_run_is_refused(change, words, tmp_path):
    def go(epochs, train=TRAIN, batch_size=32, shuffle=1, lr=0.1, momentum=0.9, make=SGD, model=deep):
        m = model()
        before = values(m)
        try: return quiet(m, train, epochs=epochs, batch_size=batch_size, shuffle=shuffle, optimizer=make(m.params, lr, momentum), checkpoint=tmp_path / "run.npz")
        except ValueError:
            assert same(before, values(m))
            raise
    go(1)
    held = (tmp_path / "run.npz").read_bytes()
    with pytest.raises(ValueError, match=words): go(2, **change)
    assert (tmp_path / "run.npz").read_bytes() == held
    assert len(go(2)) == 2

def test_a_checkpoint_of_other_data_is_refused(tmp_path):
    "As many rows, and other numbers or other labels: the run would not be the one that was stopped. What the arrays are made of in memory does not matter."
    path, (X, t) = tmp_path / "run.npz", TRAIN
    def go_on(images, labels, epochs): return quiet(small(), (images, labels), epochs=epochs, checkpoint=path)
    go_on(X, t, 1)
    held = path.read_bytes()
    for images, labels in [(X + 1, t), (np.where(np.arange(96)[:, None, None] == 95, 0, X).astype("f"), t), (X, np.roll(t, 1)), (X[::-1], t), (X.astype(float), t)]:
        with pytest.raises(ValueError, match="checkpoint: .*run.npz is of another run: data was 'float32 .96, 12. "): go_on(images, labels, 2)
        assert path.read_bytes() == held
    assert len(go_on(np.asfortranarray(X), t.tolist(), 2)) == 2
    found = load(path)
    model = small()
    load(path, model)
    save(path, model, SGD(model.params, lr=0.01), History(found.history.rows, {name: x for name, x in found.history.settings.items() if name != "data"}))
    assert len(go_on(X, t, 3)) == 3, "a checkpoint from before there was a checksum"

def test_what_a_history_holds_comes_back_or_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    save(path, small(), history=History([{"a": np.float32(0.5), "b": np.int8(3), "c": np.True_, "d": np.longdouble(0.25), "e": None}], dict(k=np.float64(2.0))))
    found = load(path).history
    assert found.rows == [dict(a=0.5, b=3, c=True, d=0.25, e=None)] and found.settings == dict(k=2.0) and {type(x) for x in found.rows[0].values()} == {float, int, bool, type(None)}
    held = path.read_bytes()
    for odd in (object(), 1j, np.complex64(1), np.array([object()]), np.datetime64("2000-01-01"), {1}):
        with pytest.raises(TypeError, match="history: expected numbers, text and arrays of numbers"): save(path, small(), history=History([{"a": odd}]))
    assert path.read_bytes() == held

def test_names_of_parameters_are_text(tmp_path):
    model = small()
    model.params = {0: model.params["W"]}
    with pytest.raises(TypeError, match="model: expected one with `params`"): save(tmp_path / "run.npz", model)

def test_going_on_with_other_settings_by_hand(tmp_path):
    path, model = tmp_path / "run.npz", deep()
    quiet(model, TRAIN, epochs=2, optimizer=SGD(model.params, 0.1), checkpoint=path)
    found = load(path, again := deep(seed=3))
    history = quiet(again, TRAIN, epochs=3, optimizer=SGD(again.params, 0.01), checkpoint=path, history=found.history)
    assert len(history) == 3 and load(path).history.settings["lr"] == 0.01
    save(path, again, SGD(again.params, 0.01), History(history.rows, history.settings | dict(shuffle=1)))
    with pytest.raises(ValueError, match="holds no state of the generator"): quiet(again, TRAIN, epochs=4, optimizer=SGD(again.params, 0.01), shuffle=1, checkpoint=path)
    save(path, model)
    with pytest.raises(ValueError, match="is of another run"): quiet(model, TRAIN, epochs=3, checkpoint=path)

@pytest.mark.skipif(os.name != "posix", reason="devices and pipes of POSIX")
def test_devices_and_pipes_are_no_files(tmp_path):
    "A device may have no end (reading /dev/full took all memory), and nobody may ever write to a pipe; neither is replaced by a file"
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/full", "/dev/zero", "/dev/null", tmp_path / "pipe"):
        for call in (lambda: load(path), lambda: save(path, small()), lambda: History([{"epoch": 1}]).to_csv(path), lambda: quiet(small(), TRAIN, epochs=1, checkpoint=path)):
            with pytest.raises(OSError, match="expected a file, and .* is a device or a pipe"): call()
    assert (tmp_path / "pipe").is_fifo() and Path("/dev/null").is_char_device()
    for path in (None, 7, b"run.npz"):
        for call in (lambda: load(path), lambda: save(path, small())):
            with pytest.raises(TypeError, match="path: expected a path, got"): call()

def test_files_that_are_no_checkpoints(tmp_path):
    path, model = tmp_path / "c.npz", deep()
    save(path, model, Adam(model.params), DIARY, np.random.default_rng(0))
    whole = path.read_bytes()
    before = values(other := deep(seed=1))
    def refused(data, words):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="c.npz: expected an autodiffnb checkpoint.*" + words): load(path, other)
        with pytest.raises(ValueError): quiet(other, TRAIN, epochs=1, checkpoint=path)
        assert path.read_bytes() == data and same(before, values(other))
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1): refused(whole[:size], "cut short, or something else")
    refused(b"<!DOCTYPE html>", "cut short, or something else .15 bytes")
    at = whole.index(model.params["W1"].value.tobytes())
    refused(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:], "it is damaged .*CRC")
    def archive(**arrays):
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        return stream.getvalue()
    refused(archive(x=np.ones(3), y=np.ones(2)), "npz file of something else .x, y")
    refused(archive(about=np.array("{}")), "of something else")
    refused(archive(about=np.array("[1")), "not JSON")
    refused(archive(about=np.ones(3)), "not JSON|damaged")
    refused(archive(about=np.array(json.dumps(dict(kind=T.KIND, version=99)))), "it is of version 99, and this package reads version 1")
    refused(archive(about=np.array(json.dumps(dict(kind=T.KIND, version=1)))), "incomplete")
    stream = io.BytesIO()
    np.savez(stream, about=np.array([{}], dtype=object))
    refused(stream.getvalue(), "it is damaged .*allow_pickle")
    path.unlink()
    with pytest.raises(FileNotFoundError): load(path)

@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file(where, failure, monkeypatch, tmp_path):
    path, model = tmp_path / "run.npz", small()
    save(path, model)
    held = path.read_bytes()
    def fail(*args, **kwargs): raise failure
    def half(file, **arrays): file.write(held[:200]); raise failure
    monkeypatch.setattr(*{"write": (T.np, "savez", half), "fsync": (os, "fsync", fail), "replace": (os, "replace", fail)}[where])
    with pytest.raises(type(failure)): save(path, small(seed=1))
    monkeypatch.undo()
    assert path.read_bytes() == held and list(tmp_path.iterdir()) == [path]

def test_a_full_disk_during_training(monkeypatch, tmp_path):
    path, model, diary = tmp_path / "run.npz", small(), History()
    def fill(m, o, h):
        def full(fd): raise OSError(errno.ENOSPC, "No space left on device")
        if len(h) == 2: monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"): quiet(model, TRAIN, epochs=9, checkpoint=path, history=diary, callbacks=[fill])
    monkeypatch.undo()
    assert len(diary) == 2 and len(load(path).history) == 1 and list(tmp_path.iterdir()) == [path]

def test_killed_between_write_and_replace(tmp_path):
    path = tmp_path / "run.npz"
    save(path, small())
    held = path.read_bytes()
    code = "import os, sys; sys.path[:0] = sys.argv[1:3]; from test_training import *; os.replace = lambda a, b: os._exit(9); save(sys.argv[3], small(seed=1))"
    assert subprocess.run([sys.executable, "-c", code, str(ROOT), str(ROOT / "tests"), str(path)]).returncode == 9
    assert path.read_bytes() == held and same(load(path).params, values(small()))

def test_the_file_is_an_ordinary_one(tmp_path):
    "Its rights are those of any new file, a link is followed, and a missing folder is an error that names it"
    path = tmp_path / "run.npz"
    save(path, small())
    (tmp_path / "plain").touch()
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "link").symlink_to(path)
    save(tmp_path / "link", small(seed=2))
    assert (tmp_path / "link").is_symlink() and same(load(path).params, values(small(seed=2)))
    with pytest.raises(FileNotFoundError, match="nowhere"): save(tmp_path / "nowhere" / "run.npz", small())
    with np.load(path, allow_pickle=False) as held: assert np.array_equal(held["params/W"], small(seed=2).params["W"].value)


# ---------------------------------------------------------------- the real thing, small

def test_the_sample_is_learned():
    from autodiffnb.data import fashion_mnist
    data = fashion_mnist(sample=True)
    model = SoftmaxRegression()
    assert evaluate(model, data[2:4])[0] == pytest.approx(math.log(10), abs=0.05)
    history = quiet(model, data[:2], data[2:4], epochs=10)
    assert history[-1]["validation_accuracy"] > 0.74 and history[-1]["train_loss"] < 0.75


def test_no_class_is_made_up_for_numbers_that_are_not_there():
    model, X = SoftmaxRegression(3, 2), np.ones((4, 3))
    X[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"X: expected finite numbers, got logits that are nan for 1 of 4 observations, the first at row 2"): model.predict(X)
    assert model.predict(X[:2]).shape == (2,) and model.predict(X[:0]).shape == (0,)
