"""The benchmark runs, everyone in it computes the same, and it would notice if somebody did not. What it measures is no test."""
import json, subprocess, sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
STORED = sorted((BENCHMARKS / "results").glob("*.json"))
sys.path.append(str(BENCHMARKS))  # not in front: no name there may take that of another module

import jobs, ladder, peers, run, show, worker

pytestmark = pytest.mark.exhaustive

SMALL = dict(softmax=dict(n=5), mlp=dict(n=4), contraction=dict(d=3, j=2), chain=dict(n=20), hvp=dict(n=6), epoch=dict(n=10, size=4), elements=dict(n=50))
OURS = [(v.name, kind) for v in peers.VARIANTS if not v.packages for kind in peers.load(v)[1]]


def bench(folder, *args):
    "Run the command without peers, as small as it goes; its report and what it printed"
    done = subprocess.run([sys.executable, BENCHMARKS / "run.py", "--peers=none", "--casts=1", "--rounds=2", "--block-seconds=0", "--budget=0", "--most=1000",
                           f"--output={folder}", *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "bench.json").read_text()), done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    "Everything but the long epoch, once"
    folder = tmp_path_factory.mktemp("bench") / "new"
    return *bench(folder, "--jobs=softmax,mlp,contraction,chain,hvp"), folder


def keys(x):
    "The names in nested dicts; of a list, those of its first entry"
    if isinstance(x, dict): return {k: keys(v) for k, v in x.items()}
    return [keys(x[0])] if isinstance(x, list) and x else None


def test_it_runs_prints_and_writes(fresh):
    report, text, folder = fresh
    assert [job["job"] for job in report["jobs"]] == [job.name for job in jobs.JOBS if job.kind != "epoch"]
    assert all(job["job"] in text and set(job["milliseconds"]) >= {"hand-written", "autodiffnb"} and set(job["rounds"].values()) <= {1, 2} for job in report["jobs"])
    assert report["environment"]["numpy"] == np.__version__ and report["environment"]["threads"] == 1
    assert {p.name for p in folder.iterdir()} == {"bench.json", "ratios.png", "growth.png", "ladder.png"}
    for what, curve in report["growth"].items():
        assert all([n for n, _ in curve[v]["points"]] == [100, 1000] for v in ("hand-written", "autodiffnb")), what
    assert [l["batch"] for l in report["ladder"]["ladders"]] == list(ladder.BATCHES)
    assert run.processors() < 2 or [r["job"] for r in report["threads"]] == [job.name for job in jobs.JOBS if job.kind not in ("chain", "epoch")]
    assert all(r[how].keys() == {"hand-written", "autodiffnb"} for r in report["threads"] for how in ("milliseconds", "alone", "beside"))
    assert not report["threads"] or f"with {run.processors()} threads" in text


def test_the_goals_are_those_whose_sides_took_part(fresh):
    report, text, _ = fresh
    for job, row in zip(jobs.JOBS, report["jobs"]):
        ran = row["milliseconds"].keys()
        assert [(g["who"], g["than"], g["asked"]) for g in row["goals"]] == [tuple(g) for g in job.goals if g.who in ran and g.than in ran]
        assert row["peak_bytes"].keys() == ran
    assert "at most" in text


def test_stored_results_have_the_same_form(fresh):
    assert {path.name for path in STORED} <= {"bench.json", "parallel.json", "sparse.json"} and STORED[0].name == "bench.json"
    stored, report = json.loads(STORED[0].read_text()), fresh[0]
    assert stored.keys() == report.keys() and keys(stored["ladder"]) == keys(report["ladder"]) and stored["environment"].keys() == report["environment"].keys()
    assert [(j["job"], j["kind"], j["sizes"]) for j in stored["jobs"]] == [(j.name, j.kind, j.sizes) for j in jobs.JOBS]
    assert {"hand-written", "autodiffnb", "JAX", "PyTorch", "MyGrad", "HIPS autograd"} <= stored["variants"].keys() and stored["skipped"] == {}
    for job in stored["jobs"]: assert {"hand-written", "autodiffnb"} <= job["milliseconds"].keys() and job.keys() == report["jobs"][0].keys()
    for v in ("hand-written", "autodiffnb"):
        assert [stored["growth"][what][v]["points"][-1][0] for what in ("nodes", "elements")] == [10**6, 10**8]


@pytest.mark.parametrize("name, kind", OURS)
def test_every_job_of_ours_computes_what_hand_written_numpy_does(name, kind):
    variant = next(v for v in peers.VARIANTS if v.name == name)
    module, table = peers.load(variant)
    data = jobs.data_of(kind, SMALL[kind])
    worker.agree(jobs.BY_HAND[kind](**data), table[kind](**data), module.host, name)


@pytest.mark.parametrize("variant", [v for v in peers.VARIANTS if v.packages], ids=lambda v: v.name)
def test_peers_compute_the_same_where_they_are_installed(variant):
    for package in variant.packages: pytest.importorskip(package)
    module, table = peers.load(variant)
    for kind in table:
        data = jobs.data_of(kind, SMALL[kind])
        worker.agree(jobs.BY_HAND[kind](**data), table[kind](**data), module.host, variant.name)


@pytest.mark.parametrize("kind", sorted(SMALL.keys() - {"hvp", "epoch", "chain"}))
def test_by_hand_is_the_derivative(kind):
    "By differences in float64, along one direction for each array that is differentiated by"
    data = {k: v.astype(np.float64) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v for k, v in jobs.data_of(kind, SMALL[kind]).items()}
    rng, names = np.random.default_rng(1), dict(contraction="AB", elements="x").get(kind)
    if names is None: data["params"] = [p.astype(np.float64) + 0.01 * rng.normal(size=p.shape) for p in data["params"]]
    side = jobs.BY_HAND[kind](**data)
    value, *grads = (side.gradients or side.step)()
    arrays = data["params"] if names is None else [data[n] for n in names]
    for i, (x, g) in enumerate(zip(arrays, grads, strict=True)):
        v, h = rng.normal(size=x.shape), 1e-6
        def at(t):
            moved = [y + t * v if i == k else y for k, y in enumerate(arrays)]
            side = jobs.BY_HAND[kind](**data | (dict(params=moved) if names is None else dict(zip(names, moved))))
            y = (side.gradients or side.step)()[0]
            return (y * data["Q"]).sum() if kind == "contraction" else y
        assert np.isclose((at(h) - at(-h)) / (2 * h), (g * v).sum(), rtol=1e-5, atol=1e-7)


def test_the_hand_written_hessian_is_that_of_the_gradient():
    data = jobs.data_of("hvp", SMALL["hvp"])
    X, W, V = data["X"].astype(np.float64), [p.astype(np.float64) for p in data["params"]], [t.astype(np.float64) for t in data["tangents"]]
    products = jobs.hvp(X, data["labels"], W, V).step()
    at = lambda t: jobs.loss_and_gradients([w + t * v for w, v in zip(W, V)], X, data["labels"])[1]
    for product, up, down in zip(products, at(1e-6), at(-1e-6), strict=True): assert np.allclose(product, (up - down) / 2e-6, rtol=1e-5, atol=1e-8)


def test_the_hand_written_chain():
    x, g = jobs.chain(0.5, -0.7, 2).step()
    assert (x, g) == ((0.25 - 0.7)**2 - 0.7, 2 * (0.25 - 0.7) * 2 * 0.5)


@pytest.mark.parametrize("wrong", [lambda x: x * 1.01, lambda x: x[:1], lambda x: x * np.nan], ids=["value", "shape", "nan"])
@pytest.mark.parametrize("what", ["step", "gradients"])
def test_a_side_that_differs_is_an_error(wrong, what):
    data = jobs.data_of("softmax", SMALL["softmax"])
    side = jobs.training(**data)
    def off():
        loss, W, b = getattr(side, what)()
        return loss, wrong(W), b
    with pytest.raises(AssertionError, match=f"they: number 1 of its {what} differs"):
        worker.agree(jobs.training(**data), side._replace(**{what: off}), np.asarray, "they")


def test_a_gradient_too_few_is_an_error():
    data = jobs.data_of("elements", SMALL["elements"])
    with pytest.raises(AssertionError, match="2 step by hand, 1 here"):
        worker.agree(jobs.elements(**data), jobs.Side(lambda: jobs.elements(**data).step()[:1]), np.asarray, "they")


def test_a_peer_that_is_not_installed_is_skipped_by_name(monkeypatch, tmp_path, capsys):
    absent = peers.Variant("Nobody", "with_nobody", packages=("nobody",))
    monkeypatch.setattr(peers, "VARIANTS", [absent])
    (tmp_path / "with_nobody.py").write_text("import there_is_no_such_package\n")
    monkeypatch.setattr(peers, "__path__", [*peers.__path__, str(tmp_path)])
    said = []
    worker.serve(absent, 1, [], said.append)
    assert said == [dict(missing="there_is_no_such_package")]
    text = show.text(dict(jobs=[], growth={}, ladder={}, threads=[], variants={}, skipped={"Nobody": "there_is_no_such_package"}))
    assert text == "skipped: Nobody, because there_is_no_such_package is not installed"


def test_our_own_package_is_never_skipped(monkeypatch):
    def broken(variant): raise ImportError("something of ours is missing")
    monkeypatch.setattr(peers, "load", broken)
    ours = next(v for v in peers.VARIANTS if v.name == "autodiffnb")
    with pytest.raises(ImportError, match="something of ours"): worker.serve(ours, 1, [], lambda reply: pytest.fail("it answered"))


def test_an_error_in_a_process_names_its_variant():
    args, _, _ = run.parsed(["--peers=none"])
    with run.crew([v for v in peers.VARIANTS if v.name == "hand-written"], args, said := {}, {}) as workers:
        assert "softmax" in said["hand-written"]["kinds"] and said["hand-written"]["environment"]["numpy"] == np.__version__
        with pytest.raises(RuntimeError, match="hand-written: KeyError"): workers["hand-written"].ask("prepare", kind="nothing", sizes={})


def test_memory_is_the_peak_above_what_was_there():
    data = dict(x=np.ones(10**6))
    assert 7.99 * 10**6 <= worker.peak(lambda x: jobs.Side(lambda: x + 1), data) < 8.1 * 10**6
    assert 15.99 * 10**6 <= worker.peak(lambda x: jobs.Side(lambda: (x + 1) * (x + 2)), data) < 24.1 * 10**6
    def own(x, y=None): y = x.copy(); return jobs.Side(lambda: np.add(y, 1, out=y))
    assert worker.peak(own, data) < 10**5


def test_memory_that_a_step_keeps_for_the_next_one_counts():
    def job(x):
        buffer = []
        def step():
            if not buffer: buffer.append(np.empty_like(x))
            return np.add(x, 1, out=buffer[0])
        return jobs.Side(step)
    assert 7.99 * 10**6 <= worker.peak(job, dict(x=np.ones(10**6))) < 8.1 * 10**6


def test_ratios_are_of_the_rounds_in_which_both_took_part():
    assert run.paired([1.0, 2.0, None, 4.0], [2.0, None, 3.0, 2.0]) == [2.0, 0.5]
    assert run.spread([1.0, 2.0, 3.0]) == [1.5, 2.0, 2.5]
    job = jobs.Job("a job", "softmax", goals=(jobs.Goal("autodiffnb", "hand-written", 1.5), jobs.Goal("autodiffnb", "JAX", 1.0)))
    row = run.row(job, {"hand-written": [1.0, 2.0], "autodiffnb": [2.0, 3.0]}, {})
    assert row["ratios"] == {"autodiffnb": [1.625, 1.75, 1.875]} and [g["than"] for g in row["goals"]] == ["hand-written"]
    assert show.goals(dict(jobs=[row]))[1] == ["a job: autodiffnb / hand-written", "1.50", "1.750", "1.62 to 1.88", "no"]


def test_slopes_of_powers():
    assert run.slope([[10**k, 3 * 10**k] for k in range(5)]) == 1 and run.slope([[10**k, 100**k] for k in range(5)]) == 2
    assert run.slope([[10, 1.0]]) is None


@pytest.mark.parametrize("args, message", [(["--threads=0"], "--threads and --casts from 1"), (["--rounds=1"], "--rounds from 2"), (["--peers=numba"], "expected some of jax, torch"),
                                           (["--python=numba=python"], "NAME=PATH"), (["--parts=all,more"], "compare, growth, ladder")])
def test_wrong_settings_are_an_error(args, message, capsys):
    with pytest.raises(SystemExit): run.parsed(args)
    assert message in capsys.readouterr().err


def test_numbers_keep_three_digits():
    assert [show.digits(x) for x in (0.0447, 1.5, 12.34, 1_096.4, 0)] == ["0.0447", "1.50", "12.3", "1,096", "0"]
