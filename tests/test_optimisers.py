"""Optimisers against their definitions in forty digits, against algebra and against PyTorch where it is installed; schedules, clipping, weight decay, and states that go on bit for bit."""
import copy
import json
import math
import pickle
import re

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings as rules, strategies as st

from autodiffnb import optimisers as O
from autodiffnb.backward import gradients
from autodiffnb.optimisers import SGD, Adam, AdamW, Cosine, RMSProp, Staircase, Warmup, clip_by_norm, global_norm
from autodiffnb.tensor import Tensor
from autodiffnb.training import MLP, SoftmaxRegression, fit, load, save


# ---------------------------------------------------------------- trajectories

def exact(x): return np.array([mpmath.mpf(float(v)) for v in np.ravel(x)], dtype=object).reshape(np.shape(x))
def root(x): return np.array([mpmath.sqrt(v) for v in np.ravel(x)], dtype=object).reshape(np.shape(x))
def summed(values, keep): return sum(mpmath.mpf(keep)**i * x for i, x in enumerate(values[::-1]))

def way_of(kind, gs, *, momentum=0.0, nesterov=False, rho=0.99, betas=(0.9, 0.999), eps=1e-8, **shared):
    "What the last step subtracts, per unit of the learning rate, from all gradients so far: sums over them, and no recursion"
    if kind is SGD:
        v = summed(gs, momentum)
        return gs[-1] + momentum * v if nesterov else v
    if kind is RMSProp:
        ways = [gs[k] / (root((1 - mpmath.mpf(rho)) * summed([g * g for g in gs[:k + 1]], rho)) + eps) for k in range(len(gs))]
        return summed(ways, momentum)
    k, (b1, b2) = len(gs), map(mpmath.mpf, betas)
    mean, square = (1 - b1) * summed(gs, b1) / (1 - b1**k), (1 - b2) * summed([g * g for g in gs], b2) / (1 - b2**k)
    return mean / (root(square) + eps)

def by_definition(kind, first, grads, *, lr, weight_decay=None, clip=None, schedule=None, **settings):
    "The parameters after all steps, in forty digits"
    if weight_decay is None: weight_decay = 0.01 if kind is AdamW else 0.0
    with mpmath.workdps(40):
        w, seen = [exact(x) for x in first], [[] for _ in first]
        for k, gs in enumerate(grads):
            gs = [exact(g) for g in gs]
            norm = mpmath.sqrt(sum(np.sum(g * g) for g in gs))
            if clip is not None and norm > clip: gs = [g * (clip / norm) for g in gs]
            rate = lr * (1 if schedule is None else mpmath.mpf(schedule(k)))
            for i, g in enumerate(gs):
                decay = weight_decay.get(f"p{i}", 0.0) if isinstance(weight_decay, dict) else weight_decay
                if kind is AdamW: w[i] = w[i] * (1 - rate * decay)
                seen[i].append(g if kind is AdamW else g + decay * w[i])
                w[i] = w[i] - rate * way_of(kind, seen[i], **settings)
        return [np.array(x, dtype=float) for x in w]

CASES = {
    "plain": (SGD, dict(lr=0.03)), "momentum": (SGD, dict(lr=0.03, momentum=0.8)), "nesterov": (SGD, dict(lr=0.03, momentum=0.8, nesterov=True)),
    "plain, decaying": (SGD, dict(lr=0.03, weight_decay=0.2)), "nesterov, decaying, clipped": (SGD, dict(lr=0.03, momentum=0.9, nesterov=True, weight_decay=0.1, clip=1.5)),
    "rmsprop": (RMSProp, dict(lr=0.02)), "rmsprop, other settings": (RMSProp, dict(lr=0.02, rho=0.6, eps=0.01, momentum=0.7, weight_decay=0.1)),
    "adam": (Adam, dict(lr=0.02)), "adam, other settings": (Adam, dict(lr=0.1, betas=(0.5, 0.7), eps=0.1)), "adam, decaying": (Adam, dict(lr=0.02, weight_decay=0.3)),
    "adamw": (AdamW, dict(lr=0.02)), "adamw, decaying": (AdamW, dict(lr=0.02, weight_decay=0.5, betas=(0.8, 0.9))), "adamw, one decays": (AdamW, dict(lr=0.02, weight_decay={"p1": 0.5})),
    "sgd, cosine": (SGD, dict(lr=0.03, schedule=Cosine(10, end=0.2))), "adamw, warm, stairs, clipped": (AdamW, dict(lr=0.05, weight_decay=0.3, clip=0.5, schedule=Warmup(4, Staircase(3, 0.5)))),
}
def makes(name): kind, settings = CASES[name]; return lambda p: kind(p, **settings)
def one_parameter(name): kind, settings = CASES[name]; return lambda p: kind(p, **settings | (dict(weight_decay=0.5) if isinstance(settings.get("weight_decay"), dict) else {}))

@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 2e-5)])
def test_trajectory(name, dtype, tolerance):
    rng = np.random.default_rng(3)
    first = [rng.normal(size=(4, 3)).astype(dtype), rng.normal(size=3).astype(dtype), np.asarray(rng.normal(), dtype)]
    grads = [[rng.normal(size=x.shape).astype(dtype) for x in first] for _ in range(12)]
    params = {f"p{i}": Tensor(x) for i, x in enumerate(first)}
    optimizer = makes(name)(params)
    for g in grads: optimizer.step({name: np.asarray(x) for name, x in zip(params, g)})
    kind, settings = CASES[name]
    for p, expected in zip(params.values(), by_definition(kind, first, grads, **settings)):
        assert p.dtype == dtype and p.shape == expected.shape
        np.testing.assert_allclose(p.value, expected, rtol=tolerance, atol=tolerance)
    assert optimizer.steps == 12
    assert all(x.dtype == dtype for xs in optimizer.slots.values() for x in xs.values())

@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True), (0.99, True)])
def test_a_thousand_steps_in_one_leap(momentum, nesterov):
    "On a quadratic a step is a linear map, and a thousand steps its thousandth power"
    rng = np.random.default_rng(1)
    curvature = np.diag([1.0, 3.0, 20.0])
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    H, lr, eye, start = turn @ curvature @ turn.T, 0.01, np.eye(3), rng.normal(size=3)
    way = [(1 + momentum) * H, momentum**2 * eye] if nesterov else [H, momentum * eye]
    M = np.block([[eye - lr * way[0], -lr * way[1]], [H, momentum * eye]])
    w = Tensor(start)
    optimizer = SGD({"w": w}, lr=lr, momentum=momentum, nesterov=nesterov)
    for _ in range(1000): optimizer.step({"w": gradients(0.5 * (w @ H @ w), w)})
    np.testing.assert_allclose(w.value, (np.linalg.matrix_power(M, 1000) @ np.concatenate([start, np.zeros(3)]))[:3], rtol=1e-9, atol=1e-12)

TORCH = {
    "plain": ("SGD", dict(lr=0.03)), "nesterov, decaying": ("SGD", dict(lr=0.03, momentum=0.9, nesterov=True, weight_decay=0.1)), "momentum": ("SGD", dict(lr=0.03, momentum=0.9)),
    "rmsprop": ("RMSprop", dict(lr=0.02, rho=0.9)), "rmsprop, momentum, decaying": ("RMSprop", dict(lr=0.02, rho=0.9, momentum=0.7, weight_decay=0.1)),
    "adam": ("Adam", dict(lr=0.02)), "adam, decaying": ("Adam", dict(lr=0.02, betas=(0.8, 0.9), weight_decay=0.1)), "adamw": ("AdamW", dict(lr=0.02, weight_decay=0.2)),
}
@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("schedule", [None, Cosine(40, end=0.1), Staircase(15, 0.3)])
def test_trajectory_of_pytorch(name, schedule):
    "A loss that is no quadratic, its gradients from each one's own tape"
    torch = pytest.importorskip("torch")
    (kind, settings), rng = TORCH[name], np.random.default_rng(5)
    start, X, y = rng.normal(size=(6, 2)), rng.normal(size=(20, 6)), rng.normal(size=(20, 2))
    theirs = torch.tensor(start, requires_grad=True)
    opt = getattr(torch.optim, kind)([theirs], **{{"rho": "alpha"}.get(k, k): v for k, v in settings.items()})
    slow = {type(None): lambda: None, Cosine: lambda: torch.optim.lr_scheduler.CosineAnnealingLR(opt, 40, eta_min=0.1 * settings["lr"]), Staircase: lambda: torch.optim.lr_scheduler.StepLR(opt, 15, 0.3)}[type(schedule)]()
    ours = Tensor(start)
    mine = dict(SGD=SGD, RMSprop=RMSProp, Adam=Adam, AdamW=AdamW)[kind]({"w": ours}, schedule=schedule, **settings)
    for _ in range(40):
        opt.zero_grad()
        ((torch.tanh(torch.tensor(X) @ theirs) - torch.tensor(y))**2).mean().backward()
        opt.step()
        if slow: slow.step()
        mine.step({"w": gradients(((np.tanh(X @ ours) - y)**2).mean(), ours)})
    np.testing.assert_allclose(ours.value, theirs.detach().numpy(), rtol=1e-9, atol=1e-11)

@pytest.mark.parametrize("name", CASES)
def test_python_numbers_are_parameters_too(name):
    params = {"x": Tensor(2.0)}
    optimizer, (kind, settings) = one_parameter(name)(params), CASES[name]
    for g in (1.0, -0.5, 3.0): optimizer.step({"x": g})
    if isinstance(settings.get("weight_decay"), dict): settings = settings | dict(weight_decay=0.5)
    expected, = by_definition(kind, [np.array(2.0)], [[np.array(g)] for g in (1.0, -0.5, 3.0)], **settings)
    assert type(params["x"].value) is float and params["x"].value == pytest.approx(float(expected), rel=1e-12)

@pytest.mark.parametrize("name", CASES)
def test_arrays_that_cannot_be_written_to_are_replaced(name):
    "Dask's arrays are values: the same numbers, never computed on the way"
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(0)
    first, gs = rng.normal(size=(6, 4)), [rng.normal(size=(6, 4)) for _ in range(3)]
    lazy, plain = Tensor(da.from_array(first, chunks=(3, 4))), Tensor(first)
    if CASES[name][1].get("clip") is not None: pytest.skip("clipping reads the norm")
    one, two = one_parameter(name)({"w": lazy}), one_parameter(name)({"w": plain})
    for g in gs: one.step({"w": da.from_array(g, chunks=(3, 4))}), two.step({"w": g})
    assert isinstance(lazy.value, da.Array)
    np.testing.assert_allclose(lazy.value.compute(), plain.value, rtol=1e-12)

@given(st.floats(0, 0.99), st.integers(1, 12), st.integers(0, 2**32 - 1))
@rules(max_examples=30, deadline=None)
def test_velocity_is_the_weighted_sum_of_all_gradients(momentum, steps, seed):
    gs = np.random.default_rng(seed).normal(size=(steps, 3))
    optimizer = SGD({"w": Tensor(np.zeros(3))}, lr=1.0, momentum=momentum)
    for g in gs: optimizer.step({"w": g})
    velocity = optimizer.slots["velocity"]["w"] if momentum else gs[-1]
    np.testing.assert_allclose(velocity, sum(momentum**(steps - i) * g for i, g in enumerate(gs, 1)), atol=1e-12)

@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", [(), (3,)])
def test_sixteen_bits_remember_in_thirty_two(name, shape):
    "The squares of these gradients are zero in float16, and so is Adam's eps"
    make, (kind, settings) = one_parameter(name), CASES[name]
    if isinstance(settings.get("weight_decay"), dict): settings = settings | dict(weight_decay=0.5)
    params, g = {"w": Tensor(np.ones(shape, np.float16))}, np.full(shape, 1e-4, np.float16)
    optimizer = make(params)
    for _ in range(5): optimizer.step({"w": g})
    expected, = by_definition(kind, [np.ones(shape)], [[g.astype(float)]] * 5, **settings)
    assert params["w"].dtype == np.float16 and params["w"].shape == shape
    np.testing.assert_allclose(params["w"].value.astype(float), expected, atol=3e-3)
    assert all(x.dtype == np.float32 for xs in optimizer.slots.values() for x in xs.values())
    again = make({"w": Tensor(np.ones(shape, np.float16))})
    again.load_state_dict(optimizer.state_dict())
    assert again.steps == 5


# ---------------------------------------------------------------- what a step may touch

@pytest.mark.parametrize("name", CASES)
def test_steps_write_to_arrays_of_their_own_only(name):
    given_array = np.arange(3.0)
    given_array.flags.writeable = False
    p, g = Tensor(given_array), np.ones(3)
    g.flags.writeable = False
    optimizer = one_parameter(name)({"w": p})
    own = p.value
    optimizer.step({"w": g})
    assert p.value is own and not np.shares_memory(own, given_array)
    assert given_array.tolist() == [0, 1, 2] and g.tolist() == [1, 1, 1]
    optimizer.step({"w": g})
    state, kept = optimizer.state_dict(), optimizer.state_dict()
    optimizer.step({"w": g})
    for slot in state["slots"]: assert np.array_equal(state["slots"][slot]["w"], kept["slots"][slot]["w"])

@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("shape", [(7, 5), (1, 40), (40,), (3, 4, 5), (5, 0), (0,)])
def test_pieces_have_the_bits_of_the_whole(name, shape, monkeypatch):
    rng = np.random.default_rng(0)
    first, gs = rng.normal(size=shape).astype(np.float32), [np.asfortranarray(rng.normal(size=shape).astype(np.float32)) for _ in range(4)]
    results = []
    for block in (2**16, 8):
        monkeypatch.setattr(O, "BLOCK", block)
        w = Tensor(first)
        optimizer = one_parameter(name)({"w": w})
        w.value = np.asfortranarray(w.value)    # a reader may replace it by an array of any layout
        for g in gs: optimizer.step({"w": g})
        results.append((w.value.tobytes(), {slot: x["w"].tobytes() for slot, x in optimizer.slots.items()}))
    assert results[0] == results[1]

@pytest.mark.parametrize("name", CASES)
def test_a_state_put_back_goes_on_bit_for_bit(name):
    make, rng = one_parameter(name), np.random.default_rng(0)
    gs = [{"w": rng.normal(size=5).astype(np.float32)} for _ in range(8)]
    whole, part = Tensor(np.ones(5, np.float32)), Tensor(np.ones(5, np.float32))
    one = make({"w": whole})
    for g in gs: one.step(g)
    first = make({"w": part})
    for g in gs[:4]: first.step(g)
    second = make({"w": part})
    second.lr, second.weight_decay, second.clip = 123.0, 9.0, 1e-3
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), default=lambda x: x.tolist()), object_hook=lambda d: {k: np.array(v, np.float32) if isinstance(v, list) else v for k, v in d.items()}))
    for g in gs[4:]: second.step(g)
    assert whole.value.tobytes() == part.value.tobytes() and second.settings == one.settings and second.steps == 8

FIT = {
    "nesterov": lambda p: SGD(p, 0.05, 0.9, nesterov=True, weight_decay={"W1": 0.01}), "rmsprop": lambda p: RMSProp(p, 0.005, momentum=0.5, clip=1.0), "adam": lambda p: Adam(p, 0.01, weight_decay=0.01),
    "adamw": lambda p: AdamW(p, 0.01, clip=2.0, schedule=Warmup(8, Cosine(20, end=0.1))), "stairs": lambda p: SGD(p, 0.1, 0.9, schedule=Staircase(7, 0.5)), "own": lambda p: Adam(p, 0.01, schedule=halving),
}
def halving(step): return 0.5 ** (step / 10)

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 96)
IMAGES = (RNG.random((4, 12))[LABELS] + 0.3 * RNG.random((96, 12))).astype(np.float32)

def trained(name, epochs, **more):
    model = MLP((12, 5, 4))
    history = fit(model, (IMAGES, LABELS), epochs=epochs, batch_size=20, optimizer=FIT[name](model.params), shuffle=3, progress=False, **more)
    return history.rows, {name: p.value.tobytes() for name, p in model.params.items()}

@pytest.mark.parametrize("name", FIT)
def test_trained_compiled_and_resumed_the_bits_are_the_same(name, tmp_path):
    whole = trained(name, 5)
    assert trained(name, 5, compile=True) == whole and whole[0][-1]["train_loss"] < whole[0][0]["train_loss"]
    for epochs in (1, 3, 5): resumed = trained(name, epochs, checkpoint=tmp_path / "run.npz")
    assert resumed == whole

def test_another_schedule_or_decay_is_another_run(tmp_path):
    trained("adamw", 1, checkpoint=tmp_path / "run.npz")
    model = MLP((12, 5, 4))
    for settings, words in [(dict(schedule=Cosine(20)), r"schedule was 'Warmup\(steps=8, then=Cosine\(steps=20, end=0.1\)\)' and is 'Cosine\(steps=20, end=0.0\)'"), (dict(weight_decay=0.5), "weight_decay was 0.01 and is 0.5"), (dict(clip=None), "clip was 2.0 and is None")]:
        with pytest.raises(ValueError, match=words):
            fit(model, (IMAGES, LABELS), epochs=2, batch_size=20, shuffle=3, checkpoint=tmp_path / "run.npz", progress=False,
                optimizer=AdamW(model.params, 0.01, **dict(clip=2.0, schedule=Warmup(8, Cosine(20, end=0.1))) | settings))

def test_a_callback_may_change_settings_of_a_scheduled_run(tmp_path):
    def go(epochs, path):
        model = SoftmaxRegression(12, 4)
        optimizer = AdamW(model.params, 0.1, schedule=Cosine(20))
        def change(m, o, h): o.lr, o.weight_decay, o.clip = o.lr / 2, o.weight_decay + 0.1, 1.0 / len(h)
        return fit(model, (IMAGES, LABELS), epochs=epochs, optimizer=optimizer, checkpoint=path, callbacks=[change], progress=False).rows, model.params["W"].value.tobytes(), optimizer.settings
    go(2, tmp_path / "run.npz")
    assert go(4, tmp_path / "run.npz") == go(4, None)


# ---------------------------------------------------------------- schedules

@given(st.integers(1, 400), st.floats(0, 1), st.integers(0, 1000))
@rules(max_examples=200, deadline=None)
def test_cosine(steps, end, at):
    f = Cosine(steps, end)
    assert f(0) == pytest.approx(1) and f(steps) == f(steps + at) == pytest.approx(end, abs=1e-15)
    assert sum(map(f, range(steps))) == pytest.approx((1 + end) / 2 * steps + (1 - end) / 2)
    assert f(at) >= f(at + 1) - 1e-15 and end - 1e-15 <= f(at) <= 1

@given(st.integers(1, 50), st.floats(0.01, 0.99), st.integers(0, 200))
@rules(max_examples=100, deadline=None)
def test_staircase(every, factor, at):
    expected = 1.0
    for _ in range(at // every): expected *= factor
    assert Staircase(every, factor)(at) == pytest.approx(expected, rel=1e-10)

@given(st.integers(1, 50), st.integers(0, 200))
@rules(max_examples=100, deadline=None)
def test_warmup(steps, at):
    flat, then = Warmup(steps), Warmup(steps, Cosine(100))
    assert flat(at) == (1.0 if at >= steps else pytest.approx((at + 1) / steps)) and flat(0) > 0
    assert then(at) == (Cosine(100)(at - steps) if at >= steps else flat(at))

def test_schedules_are_data():
    warm = Warmup(10, Staircase(5, 0.5))
    assert warm == Warmup(10, Staircase(5, 0.5)) != Warmup(10, Staircase(6, 0.5)) and hash(warm) == hash(Warmup(10, Staircase(5, 0.5)))
    assert pickle.loads(pickle.dumps(warm)) == copy.deepcopy(warm) == warm and repr(warm) == "Warmup(steps=10, then=Staircase(every=5, factor=0.5))"
    optimizer = SGD({"w": Tensor(np.ones(2))}, lr=0.5, schedule=warm)
    assert optimizer.settings["schedule"] == repr(warm) and optimizer.rate == 0.05 and repr(optimizer) == f"SGD(lr=0.5, schedule={warm!r})"
    optimizer.step({"w": np.ones(2)})
    assert optimizer.rate == 0.1 and optimizer.lr == 0.5
    assert SGD({"w": Tensor(1.0)}, schedule=halving).settings["schedule"] == "halving"

@pytest.mark.parametrize("factor", [math.nan, math.inf, -0.1, "half", None])
def test_a_schedule_that_gives_no_factor(factor):
    w = Tensor(np.ones(2))
    optimizer = SGD({"w": w}, schedule=lambda step: factor)
    with pytest.raises((ValueError, TypeError), match="schedule: expected a number"): optimizer.step({"w": np.ones(2)})
    assert w.value.tolist() == [1, 1] and optimizer.steps == 0

@pytest.mark.parametrize("make, error, words", [
    (lambda: Cosine(0), ValueError, "steps: expected an integer of 1 or more, got 0"), (lambda: Cosine(1.5), TypeError, "steps: .*1.5"), (lambda: Cosine(True), TypeError, "steps: .*True"), (lambda: Cosine(9, end=-1), ValueError, "end: .*-1"),
    (lambda: Cosine(9, end=math.nan), ValueError, "end"), (lambda: Staircase(0), ValueError, "every"), (lambda: Staircase(5, 0), ValueError, "factor: .*got 0"), (lambda: Staircase(5, "half"), TypeError, "factor: expected a number, got 'half'"),
    (lambda: Warmup(-3), ValueError, "steps: .*-3"), (lambda: Warmup(3, 0.1), TypeError, "then: expected a schedule, got 0.1"), (lambda: SGD({"w": Tensor(1.0)}, schedule=0.1), TypeError, "schedule: expected a function of the number of steps, got 0.1")])
def test_schedules_that_cannot_be_meant(make, error, words):
    with pytest.raises(error, match=words): make()


# ---------------------------------------------------------------- clipping

@given(st.lists(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=4), min_size=1, max_size=3), st.floats(1e-6, 1e6))
@rules(max_examples=300, deadline=None)
def test_clipping_keeps_the_direction_and_bounds_the_length(numbers, limit):
    grads = {f"{i}": np.array(x) for i, x in enumerate(numbers)}
    kept = {name: g.copy() for name, g in grads.items()}
    with mpmath.workdps(40): norm = float(mpmath.sqrt(sum(mpmath.mpf(v)**2 for x in numbers for v in x)))
    assert global_norm(grads) == pytest.approx(norm, rel=1e-12)
    shorter = clip_by_norm(grads, limit)
    assert all(np.array_equal(grads[name], kept[name]) for name in grads)
    if global_norm(grads) <= limit: assert shorter is grads
    else:
        assert global_norm(shorter) == pytest.approx(limit, rel=1e-9)
        for name in grads: np.testing.assert_allclose(shorter[name], grads[name] * (limit / norm), rtol=1e-9, atol=1e-300)

@pytest.mark.parametrize("dtype, size", [(np.float16, 6e4), (np.float16, 6e-8), (np.float32, 3e38), (np.float32, 1e-44), (np.float64, 1.7e308), (np.float64, 5e-324)])
def test_the_norm_survives_large_and_small_numbers(dtype, size):
    g = np.full((2, 8), size, dtype)
    with np.errstate(all="raise", under="ignore"): norm = global_norm({"w": g[0], "b": g[1]}) if size < 1e308 else global_norm({"w": g[0, :1]})
    assert norm == pytest.approx(float(g[0, 0]) * (4 if size < 1e308 else 1), rel=1e-3, abs=1e-323)
    assert clip_by_norm({"w": g}, 1e-3)["w"].dtype == dtype

def test_what_is_not_finite_is_not_made_zero():
    for bad in (np.nan, np.inf, -np.inf):
        grads = {"w": np.array([1.0, bad]), "b": np.ones(2)}
        with np.errstate(invalid="ignore"): assert not np.isfinite(global_norm(grads)) and not np.isfinite(clip_by_norm(grads, 1.0)["w"][1])
    assert global_norm({}) == 0 and global_norm({"w": np.zeros((0, 3))}) == 0 and clip_by_norm({"w": np.zeros(3)}, 1.0)["w"].tolist() == [0, 0, 0]
    assert global_norm({"x": -3.0, "y": np.float32(4)}) == 5
    for limit in (0, -1, math.nan, "long"):
        with pytest.raises((ValueError, TypeError), match="limit: expected a number"): clip_by_norm({"w": np.ones(2)}, limit)


# ---------------------------------------------------------------- what is wrong is said

@pytest.mark.parametrize("params, error, words", [
    ([Tensor(1.0)], TypeError, "params: expected a dict"), ({}, ValueError, "params: expected at least one"), ({"w": np.ones(2)}, TypeError, "under 'w', got ndarray"),
    ({"w": Tensor(1.0) * 2}, ValueError, "params: expected a leaf under 'w', got a result of multiply"), ({"w": Tensor(1j)}, TypeError, "real numbers under 'w', got complex128")])
def test_parameters_that_cannot_be_trained(params, error, words):
    for make in (SGD, RMSProp, Adam, AdamW):
        with pytest.raises(error, match=words): make(params)

@pytest.mark.parametrize("make, error, words", [
    (lambda p: SGD(p, lr=0), ValueError, r"lr: expected a number in \(0, inf\), got 0"), (lambda p: SGD(p, lr=-1), ValueError, "lr: .*got -1"),
    (lambda p: SGD(p, lr=math.nan), ValueError, "lr: .*got nan"), (lambda p: SGD(p, lr=math.inf), ValueError, "lr"), (lambda p: SGD(p, lr="fast"), TypeError, "lr: expected a number, got 'fast'"),
    (lambda p: SGD(p, momentum=1), ValueError, r"momentum: expected a number in \[0, 1\), got 1"), (lambda p: SGD(p, momentum=-0.1), ValueError, "momentum"), (lambda p: SGD(p, nesterov=True), ValueError, "nesterov: expected momentum above 0"),
    (lambda p: Adam(p, lr=0), ValueError, "lr"), (lambda p: Adam(p, betas=(0.9, 1.0)), ValueError, "betas: .*got 1.0"), (lambda p: Adam(p, betas=0.9), TypeError, "betas: expected two numbers, got 0.9"),
    (lambda p: Adam(p, eps=0), ValueError, "eps"), (lambda p: RMSProp(p, rho=1.0), ValueError, "rho"), (lambda p: RMSProp(p, eps=-1), ValueError, "eps"), (lambda p: RMSProp(p, momentum=2), ValueError, "momentum"),
    (lambda p: AdamW(p, weight_decay=-0.1), ValueError, r"weight_decay: expected a number in \[0, inf\), got -0.1"), (lambda p: SGD(p, weight_decay={"v": 0.1}), ValueError, r"weight_decay: expected names of parameters \(w\), got 'v'"),
    (lambda p: SGD(p, weight_decay={"w": math.nan}), ValueError, r"weight_decay\['w'\]: .*nan"), (lambda p: SGD(p, weight_decay=[0.1]), TypeError, "weight_decay: expected a number"), (lambda p: Adam(p, clip=0), ValueError, "clip"),
    (lambda p: Adam(p, clip="much"), TypeError, "clip: expected a number, got 'much'"), (lambda p: Adam(p, decay=1), TypeError, "decay")])
def test_settings_out_of_range(make, error, words):
    with pytest.raises(error, match=words): make({"w": Tensor(np.ones(2))})

@pytest.mark.parametrize("grads", [{}, {"v": np.ones(2)}, {"w": np.ones(2), "v": np.ones(2)}, {"w": np.ones(())}, {"w": np.ones((1, 2))}, {"w": 1.0}])
def test_wrong_gradients_change_nothing(grads):
    p = Tensor(np.ones(2))
    for name in CASES:
        optimizer = one_parameter(name)({"w": p})
        with pytest.raises(ValueError, match="grads: expected one for each parameter, of shapes"): optimizer.step(grads)
        assert p.value.tolist() == [1, 1] and optimizer.steps == 0

def test_a_state_of_something_else_changes_nothing():
    adam = Adam({"w": Tensor(np.ones(2))}, lr=0.5)
    for other, words in [(SGD({"w": Tensor(np.ones(2))}), "expected that of Adam, got that of SGD"), (AdamW({"w": Tensor(np.ones(2))}), "got that of AdamW"), (Adam({"w": Tensor(np.ones(3))}), r"float64 \(3,\)"),
                         (Adam({"w": Tensor(np.ones(2, np.float32))}), "float32"), (Adam({"v": Tensor(np.ones(2))}), "'v'")]:
        with pytest.raises(ValueError, match="state: .*" + words): adam.load_state_dict(other.state_dict())
    assert adam.lr == 0.5 and adam.steps == 0
    with pytest.raises(ValueError, match="state"): SGD({"w": Tensor(1.0)}, momentum=0.9).load_state_dict(SGD({"w": Tensor(1.0)}).state_dict())

JUNK = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.integers(), st.floats(), st.sampled_from(["", "0.1", "much", (), (0.9,), (0.9, 0.99), (0.9, "x"), [1], {}, {"w": 0.1}, {"w": None}, {1: 1}, np.ones(2), np.float32(0.5), np.array(0.1), 1j, object(), abs, max, Cosine(5), Cosine, float]))

@given(st.sampled_from([SGD, RMSProp, Adam, AdamW]), st.dictionaries(st.sampled_from(["lr", "momentum", "nesterov", "rho", "eps", "betas", "weight_decay", "clip", "schedule", "decay"]), JUNK, max_size=3))
@rules(max_examples=200, deadline=None)
def test_any_settings_work_or_are_refused(kind, settings):
    w = Tensor(np.ones(2))
    with np.errstate(all="ignore"):
        try: optimizer = kind({"w": w}, **settings)
        except (TypeError, ValueError) as error: assert any(name in str(error) for name in settings), error
        else:
            assert isinstance(repr(optimizer), str) and json.dumps(optimizer.settings)
            try: optimizer.step({"w": np.array([0.5, -0.5])})
            except (TypeError, ValueError): assert "schedule" in settings and w.value.tolist() == [1, 1]    # a function that gives no factor
            else: assert optimizer.steps == 1

@given(st.sampled_from([(Cosine, 2), (Staircase, 2), (Warmup, 2), (clip_by_norm, 2)]), st.lists(JUNK, min_size=1, max_size=2))
@rules(max_examples=150, deadline=None)
def test_any_schedule_works_or_is_refused(make, arguments):
    try: schedule = make[0](*arguments) if make[0] is not clip_by_norm else clip_by_norm({"w": np.ones(2)}, arguments[0])
    except (TypeError, ValueError) as error: assert re.search(r"^\w+: expected|argument", str(error)), error
    else: assert isinstance(schedule, dict) or callable(schedule) and isinstance(repr(schedule), str) and isinstance(hash(schedule) if arguments[1:2] in ([], [1.0]) else 0, int)

def test_a_saved_optimiser_comes_back(tmp_path):
    model = MLP((12, 5, 4))
    optimizer = AdamW(model.params, 0.01, weight_decay={"W1": 0.1, "W2": 0.2}, clip=3.0, schedule=Cosine(9))
    optimizer.step({name: np.ones_like(p.value) for name, p in model.params.items()})
    save(tmp_path / "m.npz", model, optimizer)
    fresh = AdamW(model.params, schedule=Cosine(9))
    load(tmp_path / "m.npz", optimizer=fresh)
    assert fresh.settings == optimizer.settings and fresh.steps == 1 and fresh.rate == optimizer.rate


# ---------------------------------------------------------------- what a step, a state and a setting may not be

def pair(): return {"w": Tensor(np.ones((2, 3), np.float32)), "b": Tensor(0.5)}

@pytest.mark.parametrize("wrong", [True, "0.1", b"1", np.True_, 10**400])
def test_settings_that_only_look_like_numbers(wrong):
    for make in (lambda: SGD(pair(), lr=wrong), lambda: Adam(pair(), clip=wrong), lambda: AdamW(pair(), weight_decay=wrong), lambda: RMSProp(pair(), eps=wrong)):
        with pytest.raises((TypeError, ValueError), match="(lr|clip|weight_decay|eps): expected a number"): make()
    with pytest.raises(TypeError, match="nesterov: expected True or False, got 'no'"): SGD(pair(), momentum=0.9, nesterov="no")

def test_a_class_is_no_schedule():
    for make in (lambda: SGD(pair(), schedule=Cosine), lambda: Warmup(3, Cosine)):
        with pytest.raises(TypeError, match="(schedule|then): expected a .*got <class"): make()

def test_one_tensor_under_two_names_would_take_two_steps():
    x = Tensor(np.ones(2))
    with pytest.raises(ValueError, match="params: expected each Tensor once, got the same under 'a' and 'b'"): SGD({"a": x, "b": x})

@pytest.mark.parametrize("bad, words", [
    ("1", "str under 'b'"), (None, "NoneType under 'b'"), (np.array("1"), "<U1 under 'b'"), (np.array(1j), "complex128 under 'b'"), (np.array(1.0, object), "object under 'b'"), (Tensor(1.0), "a Tensor under 'b'; its .value is one"), ([], "list under 'b'")])
@pytest.mark.parametrize("clip", [None, 0.1])
def test_a_step_that_fails_changes_nothing(bad, words, clip):
    "All gradients are looked at before the first parameter is written to"
    params = pair()
    optimizer = SGD(params, momentum=0.9, clip=clip)
    with pytest.raises(TypeError, match=f"grads: expected .*{words}"): optimizer.step({"w": np.ones((2, 3), np.float32), "b": bad})
    assert optimizer.steps == 0 and (params["w"].value == 1).all() and params["b"].value == 0.5 and not optimizer.slots["velocity"]["w"].any()

def test_a_learning_rate_set_later_is_checked_too():
    optimizer = SGD(pair())
    for wrong in (-0.1, math.nan, "0.1", None):
        optimizer.lr = wrong
        with pytest.raises((TypeError, ValueError), match="lr: expected a number"): optimizer.step({"w": np.ones((2, 3), np.float32), "b": 1.0})
    assert optimizer.params["b"].value == 0.5

@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("g, norm", [(np.array([200, 200], np.uint8), 200 * 2**0.5), (np.array([100_000] * 2, np.int32), 1e5 * 2**0.5), (np.array([-128, 0], np.int8), 128), (np.array([3j, 4]), 5), (np.array([3e-200j, 4e-200]), 5e-200), (np.array([3e200j, 4e200]), 5e200), (np.array([True] * 4), 2), (np.int8(-128), 128)])
def test_the_norm_of_any_numbers(g, norm):
    assert global_norm({"g": g}) == pytest.approx(norm, rel=1e-12)
    clipped = clip_by_norm({"g": g}, norm / 2)["g"]
    np.testing.assert_allclose(clipped, np.asarray(g).astype(complex if np.iscomplexobj(g) else float) / 2, rtol=1e-12)

@pytest.mark.parametrize("g", [None, "a", np.array(["a"]), [3, 4], Tensor(1.0)])
def test_the_norm_of_what_has_none(g):
    for call in (lambda: global_norm({"g": g}), lambda: clip_by_norm({"g": g}, 1.0)):
        with pytest.raises(TypeError, match="grads: expected .* under 'g'"): call()

def test_states_that_are_none():
    good = SGD(pair(), momentum=0.9).state_dict()
    for change, words in [(dict(kind=None), "'kind'"), (dict(slots=None), "'slots'"), (dict(settings=None), "'settings'"), (dict(steps="3"), "'steps' as int, got '3'"), (dict(steps=-3), "'steps' of 0 or more, got -3"), (dict(steps=True), "'steps'"), (dict(settings=dict(lr=-1)), "lr: .*got -1"),
                          (dict(settings=dict(lr="x")), "lr: expected a number, got 'x'"), (dict(settings=dict(momentum=math.nan)), "momentum: .*got nan"), (dict(settings=dict(weight_decay={"w": "much"})), "weight_decay: .*got 'much'")]:
        optimizer = SGD(pair(), momentum=0.9)
        with pytest.raises(ValueError, match=f"state: .*{words}"): optimizer.load_state_dict(good | change)
        assert optimizer.steps == 0 and optimizer.lr == 0.01
    for wrong in (None, 3, [1]):
        with pytest.raises(TypeError, match="state: expected a dict as from `state_dict`"): SGD(pair()).load_state_dict(wrong)
    with pytest.raises(ValueError, match="state: expected 'kind' as str"): SGD(pair()).load_state_dict({})


@pytest.mark.parametrize("make", [SGD, Adam, RMSProp])
def test_a_setting_that_is_not_there_is_not_set_in_silence(make):
    optimizer = make({"w": Tensor([1.0])})
    with pytest.raises(AttributeError, match=rf"{make.__name__} has no setting 'learning_rate'; expected one of lr, .*schedule"): optimizer.learning_rate = 0.1
    optimizer.lr, optimizer.schedule = 0.5, lambda step: 0.5
    assert optimizer.rate == 0.25
    twin = copy.deepcopy(optimizer)
    twin.lr = 1.0
    assert twin.rate == 0.5 and optimizer.rate == 0.25


@pytest.mark.parametrize("make", [SGD, RMSProp])
def test_momentum_for_which_nothing_is_remembered_is_refused(make):
    plain, heavy = make({"w": Tensor([1.0])}), make({"w": Tensor([1.0])}, momentum=0.5)
    with pytest.raises(ValueError, match=rf"momentum: expected 0, because this {make.__name__} was made without and remembers no velocity; make one with momentum=0.9"): plain.momentum = 0.9
    plain.momentum, heavy.momentum = 0.0, 0.9
    with pytest.raises(ValueError, match="momentum"): heavy.momentum = 1.5
    with pytest.raises(ValueError, match="weight_decay: expected names of parameters"): plain.weight_decay = {"W": 0.1}
    assert plain.momentum == 0 and heavy.momentum == 0.9 and plain.weight_decay == 0


def test_a_subclass_may_have_attributes_of_its_own():
    class Counting(SGD):
        def __init__(self, params):
            super().__init__(params)
            self.counter = 0
        def step(self, grads):
            super().step(grads)
            self.counter += 1
    optimizer = Counting({"w": Tensor([1.0])})
    optimizer.step({"w": np.ones(1)})
    assert optimizer.counter == 1 and copy.deepcopy(optimizer).counter == 1
