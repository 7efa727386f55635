"""The classifiers: scikit-learn's own checks, the optimum by other routes, seeds, settings, files, ONNX."""
import copy
import pickle
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from autodiffnb import MLP, SGD, Adam, SoftmaxRegression, evaluate, grad, hessian, hvp, value_and_grad
from autodiffnb.sklearn import MLPClassifier, SoftmaxClassifier, to_onnx
from autodiffnb.tensor import Tensor

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def blobs(n=120, p=4, c=3, seed=0, spread=1.5, dtype=np.float64):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, c, n)
    return (rng.normal(0, spread, (c, p))[y] + rng.normal(size=(n, p))).astype(dtype), y


X, y = blobs()


# ---------------------------------------------------------------- scikit-learn's opinion

@pytest.mark.exhaustive
@quiet
@pytest.mark.parametrize("estimator", [SoftmaxClassifier(), SoftmaxClassifier(alpha=0.1, class_weight="balanced"), MLPClassifier(),
                                       MLPClassifier((8, 8), solver="sgd", learning_rate_init=0.02, batch_size=16, random_state=0)], ids=["linear", "linear balanced", "network", "network sgd"])
def test_scikit_learns_own_checks(estimator):
    results = check_estimator(estimator, on_skip=None)
    assert {r["status"] for r in results} <= {"passed", "skipped"} and len(results) > 40
    assert sum(r["status"] == "skipped" for r in results) <= 3


def test_pipelines_grids_and_cross_validation():
    grid = GridSearchCV(make_pipeline(StandardScaler(), SoftmaxClassifier()), {"softmaxclassifier__alpha": [1e-3, 1e3]}, cv=3).fit(X, y)
    assert grid.best_params_ == {"softmaxclassifier__alpha": 1e-3}
    assert cross_val_predict(SoftmaxClassifier(), X, y, method="predict_proba").shape == (120, 3)


@pytest.mark.parametrize("classifier", [SoftmaxClassifier(alpha=0.3), MLPClassifier((7, 5), random_state=3, solver=Adam)])
def test_clones_have_the_settings_and_nothing_learned(classifier):
    fitted = copy.deepcopy(classifier).set_params(max_iter=2)
    with warnings.catch_warnings(action="ignore"): fitted.fit(X, y)
    assert clone(fitted).get_params() == fitted.get_params() and not hasattr(clone(fitted), "params_")
    with pytest.raises(NotFittedError): clone(fitted).predict(X)


# ---------------------------------------------------------------- the optimum

def objective(theta, X, t, alpha, weight):
    "Written out again, without the package's softmax or loss."
    W, b = theta[:-3].reshape(-1, 3), theta[-3:]
    z = X @ W + b
    return np.sum(weight * (np.log(np.sum(np.exp(z), axis=1)) - z[np.arange(len(t)), t])) + alpha / 2 * np.sum(W * W)


def flat(classifier): return np.concatenate([classifier.params_["W"].ravel(), classifier.params_["b"]])


@pytest.mark.parametrize("alpha", [1e-3, 0.1, 10.0])
def test_the_gradient_vanishes_and_the_hessian_is_not_negative(alpha):
    theta = flat(SoftmaxClassifier(alpha=alpha, tol=1e-9).fit(X, y))
    f = lambda theta: objective(theta, X, y, alpha, np.full(120, 1 / 120))
    assert abs(grad(f)(theta)).max() < 1e-7
    H = hessian(f)(theta)
    values = np.linalg.eigvalsh(H)
    assert abs(values[0]) < 1e-12 < values[1] and np.isclose(values, alpha, rtol=1e-9).sum() >= 4
    v = np.cos(np.arange(15.0))
    np.testing.assert_allclose(hvp(f, [theta], [v])[0], H @ v, rtol=1e-10, atol=1e-12)
    exact = theta - np.linalg.pinv(H, rcond=1e-9, hermitian=True) @ grad(f)(theta)    # Newton's last step
    np.testing.assert_allclose(theta, exact, atol=1e-5)


@pytest.mark.parametrize("c, factor", [(3, 1), (5, 1), (2, 2)])
def test_the_numbers_of_logistic_regression(c, factor):
    "Of two classes scikit-learn has one vector of weights where we have two of half the length: half of the squares"
    X, y = blobs(c=c, seed=c)
    ours = SoftmaxClassifier(alpha=0.01, tol=1e-9).fit(X, y)
    theirs = LogisticRegression(C=factor / (len(X) * 0.01), tol=1e-9, max_iter=10_000).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    if c > 2: np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-5)
    if c > 2: np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-5)
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=1e-5)


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "SLSQP", "Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"])
def test_scipys_optimisers_take_value_and_grad_as_it_is(method):
    from scipy.optimize import minimize
    args = (X, y, 0.1, np.full(120, 1 / 120))
    hessp = lambda theta, v, *args: hvp(lambda theta: objective(theta, *args), [theta], [v])[0]
    more = dict(hessp=hessp) if method[:5] in ("trust", "Newto") else {}
    found = minimize(value_and_grad(objective), np.zeros(15), args=args, jac=True, method=method, tol=1e-9, **more)
    np.testing.assert_allclose(found.x, flat(SoftmaxClassifier(alpha=0.1, tol=1e-9).fit(X, y)), atol=1e-4)


def test_weights_of_observations_are_repetitions():
    weight = np.random.default_rng(0).integers(0, 4, 120)
    a = SoftmaxClassifier(alpha=0.01, tol=1e-9).fit(X, y, sample_weight=weight)
    b = SoftmaxClassifier(alpha=0.01, tol=1e-9).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(flat(a), flat(b), atol=1e-5)
    theirs = LogisticRegression(C=1 / (120 * 0.01), class_weight="balanced", tol=1e-9, max_iter=10_000).fit(X, y)    # balanced weights sum to n
    np.testing.assert_allclose(SoftmaxClassifier(alpha=0.01, tol=1e-9, class_weight="balanced").fit(X, y).coef_, theirs.coef_, atol=1e-5)


@pytest.mark.parametrize("weight", [np.full(120, -1.0), np.zeros(120), np.full(119, 1.0), np.full((120, 1), 1.0), np.full(120, np.nan), -1, np.inf], ids=str)
def test_malformed_weights(weight):
    with pytest.raises(ValueError, match="sample_weight"): SoftmaxClassifier().fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("weight", [{0: -1.0, 1: 1.0, 2: 1.0}, {0: 0.0, 1: 0.0, 2: 0.0}, {0: np.nan}], ids=str)
def test_malformed_class_weights(weight):
    with pytest.raises(ValueError, match="class_weight"): SoftmaxClassifier(class_weight=weight).fit(X, y)


@pytest.mark.parametrize("weight", [1e-320, 1e-300, 1e308])
def test_only_the_ratios_of_weights_count(weight):
    np.testing.assert_array_equal(flat(SoftmaxClassifier().fit(X, y, sample_weight=np.full(120, weight))), flat(SoftmaxClassifier().fit(X, y)))


def test_warm_start_begins_where_the_last_fit_ended():
    cold = SoftmaxClassifier(warm_start=True).fit(X, y)
    steps = cold.n_iter_
    assert cold.fit(X, y).n_iter_ < steps / 2
    with pytest.raises(ValueError, match="warm_start"): cold.fit(X, y + 1)
    with pytest.raises(ValueError, match="params"): cold.fit(X[:, :2], y)


def test_too_few_steps_are_told():
    with pytest.warns(ConvergenceWarning, match="max_iter"): SoftmaxClassifier(max_iter=2).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="max_iter"): MLPClassifier(max_iter=2).fit(X, y)


@pytest.mark.filterwarnings("ignore:.*encountered in (matmul|reduce)")
@pytest.mark.parametrize("classifier, huge", [(SoftmaxClassifier(), 1e200), (SoftmaxClassifier(), 1e308), (MLPClassifier(random_state=0), 1e308)])
def test_an_overflow_is_an_error(classifier, huge):
    with pytest.raises(FloatingPointError): classifier.fit(np.sign(X) * huge, y)


# ---------------------------------------------------------------- labels and dtypes

LABELS = {"text": ["b", "a", "ccc"], "negative": [-5, 7, 100], "unsigned": np.array([3, 200, 7], np.uint8), "booleans": [True, False], "objects": np.array(["x", "yy", "z"], object)}


@quiet
@pytest.mark.parametrize("make", [SoftmaxClassifier, lambda: MLPClassifier(8, max_iter=60, learning_rate_init=0.03, random_state=0)])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_any_labels(make, labels):
    labels = np.asarray(labels)
    X, t = blobs(c=len(labels), spread=4)
    fitted = make().fit(X, labels[t])
    assert fitted.classes_.dtype == labels.dtype and sorted(labels) == fitted.classes_.tolist()
    assert fitted.score(X, labels[t]) > 0.9
    best = fitted.predict_proba(X).argmax(axis=1)
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[best])
    np.testing.assert_allclose(np.exp(fitted.predict_log_proba(X)), fitted.predict_proba(X), rtol=1e-6)


@quiet
@pytest.mark.parametrize("make", [SoftmaxClassifier, lambda: MLPClassifier(8, max_iter=3)])
def test_float32_stays_float32(make):
    fitted = make().fit(X.astype(np.float32), y)
    assert {a.dtype for a in fitted.params_.values()} == {np.dtype(np.float32)} and fitted.predict_proba(X).dtype == np.float32
    assert {a.dtype for a in make().fit(X.astype(int), y).params_.values()} == {np.dtype(np.float64)}


# ---------------------------------------------------------------- the network

SMALL = dict(hidden_layer_sizes=8, max_iter=5, learning_rate_init=0.01, batch_size=16)


def same(a, b): return a.params_.keys() == b.params_.keys() and all(np.array_equal(a.params_[k], b.params_[k]) for k in a.params_)


@quiet
def test_random_state_is_honoured():
    fit = lambda state: MLPClassifier(**SMALL, random_state=state).fit(X, y)
    assert same(fit(0), fit(0)) and not same(fit(0), fit(1)) and same(fit(np.random.RandomState(0)), fit(0))
    state = np.random.RandomState(0)
    assert not same(fit(state), fit(state))
    again = []
    for _ in range(2):
        np.random.seed(7)
        again.append(fit(None))
    assert same(*again) and not same(fit(None), fit(None))
    repeated = MLPClassifier(**SMALL, random_state=4)
    first = copy.deepcopy(repeated.fit(X, y))
    assert same(first, repeated.fit(X, y))


@quiet
def test_the_order_of_the_rows():
    "Of those asked about it is the order of the answers; of those learned from it matters to a network, and not to the optimum of the linear one"
    order = np.random.default_rng(0).permutation(120)
    fitted = MLPClassifier(**SMALL, random_state=0).fit(X, y)
    np.testing.assert_array_equal(fitted.predict(X[order]), fitted.predict(X)[order])
    np.testing.assert_allclose(fitted.predict_proba(X[order]), fitted.predict_proba(X)[order], rtol=1e-12)
    np.testing.assert_allclose(np.concatenate([fitted.predict_proba(X[i:i + 1]) for i in range(120)]), fitted.predict_proba(X), rtol=1e-12)
    np.testing.assert_allclose(flat(SoftmaxClassifier(tol=1e-9).fit(X[order], y[order])), flat(SoftmaxClassifier(tol=1e-9).fit(X, y)), atol=1e-3)


@quiet
def test_partial_fit_is_one_epoch_of_fit():
    whole = MLPClassifier(**SMALL | dict(max_iter=3), random_state=0).fit(X, y)
    parts = MLPClassifier(**SMALL, random_state=0)
    for _ in range(3): parts.partial_fit(X, y, classes=[0, 1, 2])
    assert same(whole, parts) and parts.n_iter_ == 3 and parts.loss_curve_ == whole.loss_curve_
    revived = pickle.loads(pickle.dumps(parts))
    assert same(revived.partial_fit(X, y), parts.partial_fit(X, y)) and same(revived, whole.partial_fit(X, y))


def test_partial_fit_refuses_what_does_not_belong():
    with pytest.raises(ValueError, match="classes: expected all"): MLPClassifier().partial_fit(X, y)
    begun = MLPClassifier(**SMALL, random_state=0).partial_fit(X, y, classes=[0, 1, 2])
    before = copy.deepcopy(begun)
    with pytest.raises(ValueError, match="y: expected labels among .* got 3"): begun.partial_fit(X, y + 1)
    with pytest.raises(ValueError, match="classes: expected those"): begun.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="features"): begun.partial_fit(X[:, :2], y)
    with pytest.raises(ValueError, match="y: expected labels among"): MLPClassifier().partial_fit(X, y, classes=[0, 1])
    assert same(begun, before)


@quiet
def test_early_stopping_keeps_the_best_epoch():
    X, y = blobs(400, seed=5, spread=0.8)
    fitted = MLPClassifier(64, early_stopping=True, learning_rate_init=0.05, batch_size=16, n_iter_no_change=4, random_state=1).fit(X, y)
    column = fitted.history_["validation_accuracy"]
    best = int(np.argmax(column))
    assert best < fitted.n_iter_ - 1 and fitted.n_iter_ < 200
    shorter = MLPClassifier(64, early_stopping=True, learning_rate_init=0.05, batch_size=16, max_iter=best + 1, random_state=1).fit(X, y)
    assert same(fitted, shorter)


def test_it_stops_when_the_loss_no_longer_falls():
    fitted = MLPClassifier(8, tol=0.5, n_iter_no_change=3, random_state=0).fit(X, y)
    assert fitted.n_iter_ < 20


@quiet
def test_solvers():
    a = MLPClassifier(**SMALL, solver="sgd", random_state=0).fit(X, y)
    b = MLPClassifier(**SMALL, solver=lambda params, lr: SGD(params, lr=lr, momentum=0.9), random_state=0).fit(X, y)
    assert same(a, b) and not same(a, MLPClassifier(**SMALL, random_state=0).fit(X, y))


@quiet
def test_warm_start_of_a_network():
    warm = MLPClassifier(**SMALL, warm_start=True, random_state=0).fit(X, y)
    first = evaluate(warm.model_, (X, y))[0]
    assert evaluate(warm.fit(X, y).model_, (X, y))[0] < first
    with pytest.raises(ValueError, match="params"): warm.set_params(hidden_layer_sizes=9).fit(X, y)


def test_an_interrupt_goes_through():
    class Impatient(SGD):
        def step(self, grads): raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt): MLPClassifier(solver=Impatient).fit(X, y)


def test_divergence_is_an_error():
    with pytest.raises(FloatingPointError): MLPClassifier(solver="sgd", learning_rate_init=1e30, random_state=0).fit(X, y)


# ---------------------------------------------------------------- settings

WRONG = {"alpha": [-1, np.nan, np.inf, "1", None, True, [1]], "tol": [-1, np.nan, "x"], "max_iter": [0, -1, 2.5, "10", None, True], "batch_size": [0, 2.5, "auto"], "learning_rate_init": [0, -1, np.inf, None],
         "n_iter_no_change": [0, 1.5], "validation_fraction": [0, 1, -0.1, np.nan, "a"], "hidden_layer_sizes": [0, (8, -1), 2.5, "8", None, (True,), {8}], "solver": ["lbfgs", None, 3, ["adam"]],
         "random_state": ["a", -1, 2.5]}


@pytest.mark.parametrize("name, value", [(name, value) for name, values in WRONG.items() for value in values], ids=str)
def test_a_wrong_setting_is_named_when_fitting(name, value):
    for make in (SoftmaxClassifier, MLPClassifier):
        if name not in make().get_params(): continue
        with pytest.raises((TypeError, ValueError), match=name if name != "random_state" else None): make(**{name: value}).fit(X, y)


@pytest.mark.parametrize("settings", [dict(alpha=np.float32(0.1), max_iter=np.int64(3)), dict(alpha=0, max_iter=2)], ids=str)
@quiet
def test_numpys_numbers_do_as_settings(settings):
    for make in (SoftmaxClassifier, MLPClassifier): make(**settings).fit(X.astype(np.float32), y).params_


@pytest.mark.parametrize("bad", [np.zeros((0, 4)), np.zeros(120), np.full((120, 4), np.nan), np.full((120, 4), np.inf), np.full((120, 4), "a"), np.ones((120, 4), complex), np.ones((120, 2, 2)), X[:5], None], ids=lambda x: str(np.shape(x)))
@pytest.mark.parametrize("make", [SoftmaxClassifier, MLPClassifier])
def test_malformed_observations(make, bad):
    with pytest.raises((TypeError, ValueError)): make().fit(bad, y)


@pytest.mark.parametrize("bad", [None, y[:5], np.full(120, np.nan), np.zeros(120), np.linspace(0, 1, 120), np.stack([y, y], 1), y + 0j], ids=lambda x: f"{getattr(x, 'dtype', x)}{np.shape(x)}")
@pytest.mark.parametrize("make", [SoftmaxClassifier, MLPClassifier])
def test_malformed_labels(make, bad):
    with pytest.raises((TypeError, ValueError)): make().fit(X, bad)


# ---------------------------------------------------------------- parameters in and out

@pytest.fixture(scope="module")
def fitted():
    with warnings.catch_warnings(action="ignore"):
        return {make: make(**more).fit(X, np.array(["a", "bb", "c"])[y]) for make, more in ((SoftmaxClassifier, {}), (MLPClassifier, dict(hidden_layer_sizes=(6, 5), max_iter=3, random_state=0)))}


@pytest.mark.parametrize("make", [SoftmaxClassifier, MLPClassifier])
def test_there_and_back(make, fitted, tmp_path):
    one = fitted[make]
    one.save(tmp_path / "c.npz")
    with np.load(tmp_path / "c.npz", allow_pickle=False) as held: assert set(held.files) == {"classes", *one.params_}
    for again in (make.from_params(one.params_, one.classes_), make.load(tmp_path / "c.npz"), make.load(str(tmp_path / "c.npz"))):
        assert same(one, again) and again.n_features_in_ == 4
        np.testing.assert_array_equal(again.predict_proba(X), one.predict_proba(X))
        np.testing.assert_array_equal(again.predict(X), one.predict(X))
        assert not any(np.shares_memory(again.params_[k], one.params_[k]) for k in one.params_)
    if make is MLPClassifier:
        assert again.hidden_layer_sizes == (6, 5)
        assert not same(again.partial_fit(X, one.predict(X)), one) and again.n_iter_ == 1
    with warnings.catch_warnings(action="ignore"): clone(again).fit(X, y)


BAD_PARAMS = [{}, {"W": np.ones((2, 3))}, {"W": np.ones((2, 3)), "b": np.ones(2)}, {"W": np.ones(3), "b": np.ones(3)}, {"W": np.ones((2, 3)), "b": np.full(3, np.nan)}, {"W": np.ones((2, 3), np.float32), "b": np.ones(3)},
              {"W": np.ones((2, 3)), "b": np.ones(3), "c": 1.0}, {"W": np.ones((2, 3), int), "b": np.ones(3, int)}, {"W": np.ones((2, 3)) + 0j, "b": np.ones(3) + 0j}, {"W": np.ones((0, 3)), "b": np.ones(3)}, {"W": [["a"]], "b": ["a"]},
              {"W1": np.ones((2, 4)), "b1": np.ones(4), "W2": np.ones((5, 3)), "b2": np.ones(3)}, {"W1": np.ones((2, 4)), "b1": np.ones(4), "W3": np.ones((4, 3)), "b3": np.ones(3)}, [1], None, "W", {1: 2}]


@pytest.mark.parametrize("params", BAD_PARAMS, ids=lambda p: str(type(p).__name__))
@pytest.mark.parametrize("make", [SoftmaxClassifier, MLPClassifier])
def test_malformed_params(make, params):
    with pytest.raises((TypeError, ValueError), match="params|sizes"): make.from_params(params, [0, 1, 2])


@pytest.mark.parametrize("classes", [[0, 1], [0, 2, 1], [0, 0, 1], [[0, 1, 2]], [None, 1, 2], 3, [0, 1, np.nan], []], ids=str)
def test_malformed_classes(classes):
    with pytest.raises((TypeError, ValueError), match="classes"): SoftmaxClassifier.from_params({"W": np.ones((2, 3)), "b": np.ones(3)}, classes)


def test_files_that_are_something_else(fitted, tmp_path):
    path = tmp_path / "c.npz"
    one = fitted[SoftmaxClassifier]
    one.save(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="c.npz"): SoftmaxClassifier.load(path)
    for k in range(0, len(whole), 11):    # a byte is wrong: refused, or where it does not matter the same numbers
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 0xFF]) + whole[k + 1:])
        try: assert same(SoftmaxClassifier.load(path), one)
        except ValueError as error: assert "c.npz" in str(error)
    np.savez(path, W=np.ones((2, 3)), b=np.ones(3))
    with pytest.raises(ValueError, match="classes"): SoftmaxClassifier.load(path)
    np.savez(path, W=np.array([object()]), classes=[0, 1])
    with pytest.raises(ValueError, match="c.npz.*pickle"): SoftmaxClassifier.load(path)
    np.save(tmp_path / "c.npy", np.ones(3))
    with pytest.raises(ValueError, match="c.npy"): SoftmaxClassifier.load(tmp_path / "c.npy")
    for name, data in dict(array=(tmp_path / "c.npy").read_bytes(), pickle=pickle.dumps(one), nothing=b"").items():
        path.write_bytes(data)
        with pytest.raises(ValueError, match="c.npz: expected a .npz file that `save` made; it is cut short, or something else"): SoftmaxClassifier.load(path)
    for wrong in (None, 7, b"c.npz"):
        with pytest.raises(TypeError, match="path: expected a path, got"): SoftmaxClassifier.load(wrong)
    with pytest.raises(IsADirectoryError, match="is a folder"): SoftmaxClassifier.load(tmp_path)
    fitted[MLPClassifier].save(path)
    with pytest.raises(ValueError, match="c.npz: params: expected those of SoftmaxClassifier"): SoftmaxClassifier.load(path)
    with pytest.raises(FileNotFoundError): SoftmaxClassifier.load(tmp_path / "nothing.npz")
    with pytest.raises(OSError): one.save(tmp_path / "no" / "c.npz")


def test_what_cannot_be_saved_leaves_the_earlier_file(fitted, tmp_path):
    path = tmp_path / "c.npz"
    fitted[SoftmaxClassifier].save(path)
    before = path.read_bytes()
    with pytest.raises(NotFittedError): SoftmaxClassifier().save(path)
    odd = copy.deepcopy(fitted[SoftmaxClassifier])
    odd.classes_ = np.array([None, "a", 3], object)
    with pytest.raises(TypeError, match="classes"): odd.save(path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["c.npz"]


# ---------------------------------------------------------------- ONNX

def run_onnx(made, X):
    return pytest.importorskip("onnx.reference").ReferenceEvaluator(made).run(None, {"X": X})


@quiet
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("make", [SoftmaxClassifier, *[lambda sizes=sizes: MLPClassifier(sizes, max_iter=3, random_state=0) for sizes in ((), 7, (6, 5, 4))]], ids=["linear", "mlp0", "mlp1", "mlp3"])
def test_onnx_says_the_same(make, labels, dtype):
    pytest.importorskip("onnx")
    labels = np.asarray(labels)
    X, t = blobs(c=len(labels), dtype=dtype)
    one = make().fit(X, labels[t])
    label, probabilities, logits = run_onnx(to_onnx(one), X)
    assert label.tolist() == one.predict(X).tolist() and probabilities.dtype == dtype
    np.testing.assert_allclose(probabilities, one.predict_proba(X), rtol=1e-5 if dtype == np.float32 else 1e-12)
    np.testing.assert_allclose(logits, one.logits(X), rtol=1e-4 if dtype == np.float32 else 1e-11, atol=1e-5 if dtype == np.float32 else 1e-12)
    assert run_onnx(to_onnx(one), X[:1])[0].tolist() == one.predict(X[:1]).tolist()    # any number of rows


@pytest.mark.parametrize("model", [SoftmaxRegression(4, 3, scale=1.0), MLP((4, 8, 3)), MLP((4, 3, 1), dtype=np.float64)], ids=repr)
def test_onnx_of_a_model(model, tmp_path):
    onnx = pytest.importorskip("onnx")
    to_onnx(model, tmp_path / "m.onnx")
    label, *_ = run_onnx(onnx.load(tmp_path / "m.onnx"), X.astype(next(iter(model.params.values())).dtype))
    np.testing.assert_array_equal(label, model.predict(X.astype(next(iter(model.params.values())).dtype)))


def test_onnx_refuses_what_it_cannot_write(monkeypatch, fitted):
    with pytest.raises(NotFittedError): to_onnx(MLPClassifier())
    for other in (None, 3, LogisticRegression(), lambda x: x, Tensor(1.0)):
        with pytest.raises(TypeError, match="model: expected"): to_onnx(other)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"autodiffnb\[onnx\]"): to_onnx(fitted[SoftmaxClassifier])


