"""The command behind the records of the chapters on convolution and attention: it runs with small budgets and writes what the stored records hold."""
import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

import autodiffnb

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

import networks


@pytest.fixture
def run(tmp_path, monkeypatch):
    "Run one of the commands in this process; its record and the stored one."
    def command(what, **settings):
        args = Namespace(results=tmp_path, threads=[1], epochs=None, rounds=1, python=sys.executable)
        vars(args).update(settings)
        getattr(networks, what)(args)
        return tuple(json.loads((folder / f"{what}.json").read_text()) for folder in (tmp_path, BENCHMARKS / "results" / "networks"))
    monkeypatch.setattr(networks, "timed", lambda f: (f(), 1.0)[1])
    return command


def form(x):
    "A record without its numbers and settings: keys, and of a list the form of its first member."
    return {key: form(value) for key, value in x.items() if key != "settings"} if isinstance(x, dict) else [form(x[0])] if isinstance(x, list) else None


def test_the_cnn(run, monkeypatch):
    data = autodiffnb.fashion_mnist(sample=True)
    few = data._replace(train_images=data.train_images[:256], train_labels=data.train_labels[:256], test_images=data.test_images[:100], test_labels=data.test_labels[:100])
    monkeypatch.setattr(autodiffnb, "fashion_mnist", lambda: few)
    fresh, stored = run("cnn", epochs=2)
    assert form(fresh) == form(stored)
    assert [e["epoch"] for e in fresh["epochs"]] == [1, 2] and len(stored["epochs"]) == networks.EPOCHS
    same = {"lr": networks.LR, "lr_factor": networks.SLOWER, "batch_size": networks.BATCH}
    assert all(stored["settings"][key] == value == fresh["settings"][key] for key, value in same.items())
    assert fresh["settings"]["layers"] == stored["settings"]["layers"] and fresh["settings"]["parameters"] == stored["settings"]["parameters"]
    assert stored["settings"]["rows"] == 60_000
    assert stored["epochs"][-1]["validation_accuracy"] >= 0.91 and sum(e["seconds"] for e in stored["epochs"]) <= 1800


def test_the_sums(run, monkeypatch):
    monkeypatch.setattr(networks, "SUMS", 512)
    monkeypatch.setattr(networks, "TESTS", 200)
    fresh, stored = run("addition", epochs=1)
    assert form(fresh) == form(stored)
    assert fresh["test"]["sums"] == 200 and stored["test"]["sums"] == 10_000 and stored["settings"]["rows"] == 64_000
    assert sum(n for n, _ in fresh["test"]["by_carries"].values()) == 200


def test_the_layouts(run):
    fresh, stored = run("layouts")
    assert form(fresh) == form(stored)


def test_our_side_of_the_comparison_learns_and_repeats():
    losses = [[step(*batch) for batch in networks.batches()[:3]] for step in (networks.ours(1), networks.ours(1))]
    assert losses[0] == losses[1] and np.isfinite(losses).all() and losses[0][0] != losses[0][1]


def test_pytorch_computes_the_same_where_it_is_installed():
    pytest.importorskip("torch")
    first = [networks.ours(1)(*batch) for batch in networks.batches()[:1]]
    for last in (False, True): assert networks.torch(1, last)(*networks.batches()[0]) == pytest.approx(first[0], abs=1e-4)


def test_stored_ratios_are_within_the_goal():
    stored = json.loads((BENCHMARKS / "results" / "networks" / "peers.json").read_text())
    assert all(side["ratio"] <= 3 for sides in stored["threads"].values() for side in sides.values())
