"""The benchmark runs, both of its sides compute the same, and it would notice if they did not. What it measures is no test."""
import json, subprocess, sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    "The benchmark's two files, imported"
    monkeypatch.syspath_prepend(BENCHMARKS)
    import jobs, step
    return jobs, step


def keys_of(report):
    "The names in a report, sorted, and the type of what stands under each"
    rows = [{k: type(v).__name__ for k, v in row.items() if v is not None} for row in report["jobs"]]
    return sorted(report), sorted(report["environment"]), rows[0]


def test_it_runs_and_writes_what_the_stored_results_have(tmp_path):
    file = tmp_path / "new" / "step.json"
    run = subprocess.run([sys.executable, BENCHMARKS / "step.py", "--threads=1", "--blocks=2", "--block-seconds=0", f"--output={file}"],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    report = json.loads(file.read_text())
    names = [row["job"] for row in report["jobs"]]
    assert len(names) == len(set(names)) == 5 and all(name in run.stdout for name in names)
    assert all(row["blocks"] == 2 and row["steps_in_a_block"] == 1 for row in report["jobs"])
    assert report["environment"]["numpy"] == np.__version__ and report["environment"]["threads"] == 1
    stored = [json.loads(path.read_text()) for path in (BENCHMARKS / "results").glob("*.json")]
    assert stored
    for s in stored:
        assert keys_of(s) == keys_of(report) and [row["job"] for row in s["jobs"]] == names
        assert not s["environment"]["commit"].endswith("-dirty")


@pytest.mark.parametrize("wrong", [lambda x: x * 1.001, lambda x: x[:1], lambda x: x.astype(np.float64), lambda x: x * np.nan],
                         ids=["value", "shape", "dtype", "nan"])
def test_sides_that_differ_are_an_error(modules, wrong):
    jobs, step = modules
    job = jobs.JOBS[0]
    by_hand, ours = job.prepare(np.random.default_rng(0))
    step.agree(job, by_hand, ours)
    def off():
        loss, W, b = ours()
        return loss, wrong(W), b
    with pytest.raises(AssertionError, match="result 1 of step 0 differs"): step.agree(job, by_hand, off)


def test_memory_is_the_peak_above_what_was_there(modules):
    _, step = modules
    there = np.ones(10**6)
    assert 8 * 10**6 <= step.peak(lambda: there + 1) < 8.1 * 10**6
    assert 16 * 10**6 <= step.peak(lambda: (there + 1) * (there + 2)) < 24.1 * 10**6


@pytest.mark.parametrize("args", [["--threads=0"], ["--blocks=1"], ["--block-seconds=-1"]])
def test_wrong_settings_are_an_error(modules, args, capsys):
    with pytest.raises(SystemExit): modules[1].main(args)
    assert "expected --threads from 1" in capsys.readouterr().err


def test_the_threads_can_only_be_set_before_numpy(modules, capsys):
    with pytest.raises(SystemExit): modules[1].main([])
    assert "NumPy is imported already" in capsys.readouterr().err
