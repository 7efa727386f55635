"""The command line: what it prints, what it leaves, and the codes that it exits with."""
import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import autodiffnb
from autodiffnb import CNN, Adam, AdamW, Cosine, MLP, SoftmaxRegression, Warmup, fashion_mnist, fit, load
from autodiffnb.__main__ import main

ROOT = Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 200)
IMAGES = (RNG.random((4, 12))[LABELS] + 0.3 * RNG.random((200, 12))).reshape(200, 3, 4).astype(np.float32)

@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x_train=IMAGES[:160], y_train=LABELS[:160], x_test=IMAGES[160:], y_test=LABELS[160:])
    return path

def rows(text): return [json.loads(line) for line in text.splitlines()]
def plain(text): return [{name: x for name, x in row.items() if name not in ("seconds", "lr", "epochs")} for row in rows(text)]
def spawn(*args, **how): return subprocess.Popen([sys.executable, "-m", "autodiffnb", "train", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | dict(PYTHONPATH=str(ROOT), OPENBLAS_NUM_THREADS="1"), **how)

def usage(capsys, *args):
    with pytest.raises(SystemExit) as left: main(["train", *map(str, args)])
    out, err = capsys.readouterr()
    return left.value.code, out, err


def test_help_names_every_argument_and_every_exit_code(capsys):
    code, out, err = usage(capsys, "--help")
    assert code == 0 and err == ""
    for word in "--model --epochs --batch --lr --seed --data --out --resume --optimizer --schedule --compile --progress".split(): assert word in out
    assert re.findall(r"(\d+) (?:done|the data|the command|the loss|interrupted|nobody)", out) == ["0", "1", "2", "3", "130", "141"]
    for words in (["--version"], []):
        with pytest.raises(SystemExit) as left: main(words)
        assert left.value.code == (0 if words else 2)
    assert autodiffnb.__version__ in capsys.readouterr().out

def test_a_line_of_json_for_each_epoch(data, capsys, tmp_path):
    "The run is that of `fit` with the same arguments, bit for bit"
    assert main(["train", "--data", str(data), "--model", "mlp", "--hidden", "8", "6", "--epochs", "3", "--batch", "20", "--optimizer", "adamw", "--lr", "0.01", "--weight-decay", "0.1", "--clip", "2", "--schedule", "cosine",
                 "--warmup", "4", "--seed", "5", "--compile", "--out", str(tmp_path / "run.npz")]) == 0
    out, err = capsys.readouterr()
    model = MLP((12, 8, 6, 4), seed=5)
    optimizer = AdamW(model.params, 0.01, weight_decay={"W1": 0.1, "W2": 0.1, "W3": 0.1}, clip=2.0, schedule=Warmup(4, Cosine(20)))
    history = fit(model, (IMAGES[:160], LABELS[:160]), (IMAGES[160:], LABELS[160:]), epochs=3, batch_size=20, optimizer=optimizer, shuffle=5, progress=False)
    assert plain(out) == history.rows and load(tmp_path / "run.npz").history.rows == history.rows
    assert all(row["epochs"] == 3 and row["seconds"] >= 0 for row in rows(out)) and rows(out)[-1]["lr"] == optimizer.rate
    assert all(load(tmp_path / "run.npz").params[name].tobytes() == p.value.tobytes() for name, p in model.params.items())
    assert err.startswith("autodiffnb: 3 epochs: train loss ") and f"saved in {tmp_path / 'run.npz'}" in err and err.count("\n") == 1

def test_the_defaults_are_those_of_fit(data, capsys):
    assert main(["train", "--data", str(data), "--no-shuffle", "--epochs", "2"]) == 0
    expected = fit(SoftmaxRegression(12, 4), (IMAGES[:160], LABELS[:160]), (IMAGES[160:], LABELS[160:]), epochs=2, progress=False)
    assert plain(capsys.readouterr().out) == expected.rows

@pytest.mark.parametrize("optimizer", ["sgd --momentum 0.9 --nesterov", "rmsprop --momentum 0.5", "adam", "adamw"])
def test_every_optimiser_resumes_bit_for_bit(optimizer, data, capsys, tmp_path):
    def go(epochs, *more):
        assert main(["train", "--data", str(data), "--model", "mlp", "--optimizer", *optimizer.split(), "--epochs", str(epochs), *more]) == 0
        return plain(capsys.readouterr().out)
    whole, out = go(4), str(tmp_path / "run.npz")
    assert go(1, "--out", out, "--resume") + go(4, "--out", out, "--resume") == whole and go(4, "--out", out, "--resume") == []

def test_the_sample_and_the_names_of_the_whole_set(capsys, tmp_path):
    sample = fashion_mnist(sample=True)
    assert main(["train", "--data", "sample", "--epochs", "1"]) == 0
    first = plain(capsys.readouterr().out)
    np.savez(tmp_path / "own.npz", **{name: getattr(sample, name) for name in ("train_images", "train_labels", "test_images", "test_labels")})
    assert main(["train", "--data", str(tmp_path / "own.npz"), "--epochs", "1"]) == 0
    assert plain(capsys.readouterr().out) == first
    np.savez(tmp_path / "bytes.npz", x_train=(sample.train_images * 255).round().astype(np.uint8), y_train=sample.train_labels.astype(np.uint8))
    assert main(["train", "--data", str(tmp_path / "bytes.npz"), "--epochs", "1"]) == 0
    row, = plain(capsys.readouterr().out)
    assert row.keys() == {"epoch", "train_loss"} and row["train_loss"] == pytest.approx(first[0]["train_loss"], rel=1e-5)

def test_a_convolutional_network(data, capsys, tmp_path):
    "Grey images are of one channel; those with channels are taken as they are; a flat one has no height. It is resumed as the others are."
    def trained(images, *more):
        np.savez(tmp_path / "images.npz", x_train=images, y_train=LABELS)
        code = main(["train", "--data", str(tmp_path / "images.npz"), "--model", "cnn", "--optimizer", "adam", "--batch", "50", *more])
        return code, *capsys.readouterr()
    code, out, _ = trained(IMAGES, "--epochs", "2", "--out", str(tmp_path / "run.npz"), "--compile")
    model = CNN(image=(3, 4, 1), classes=4)
    history = fit(model, (IMAGES, LABELS), epochs=2, batch_size=50, optimizer=Adam(model.params), shuffle=0, progress=False)
    assert code == 0 and plain(out) == history.rows and all(load(tmp_path / "run.npz").params[name].tobytes() == p.value.tobytes() for name, p in model.params.items())
    assert plain(trained(IMAGES[..., None], "--epochs", "2")[1]) == history.rows
    assert plain(trained(IMAGES, "--epochs", "3", "--out", str(tmp_path / "run.npz"), "--resume")[1]) == plain(trained(IMAGES, "--epochs", "3")[1])[2:]
    assert trained(np.repeat(IMAGES[..., None], 3, axis=-1), "--epochs", "1")[0] == 0
    for images in (IMAGES.reshape(200, 12), IMAGES[:, None, None]):
        code, out, err = trained(images, "--epochs", "1")
        assert code == 1 and out == "" and "--model cnn: expected images of shape (height, width) or (height, width, channels) in --data, got (" in err

def test_float64(data, capsys, tmp_path):
    assert main(["train", "--data", str(data), "--dtype", "float64", "--epochs", "1", "--out", str(tmp_path / "run.npz")]) == 0
    assert load(tmp_path / "run.npz").params["W"].dtype == np.float64

@pytest.mark.parametrize("args, words", [
    (["--epochs", "-1"], "--epochs: expected 0 or more, got -1"), (["--epochs", "many"], "--epochs: expected an integer, got 'many'"), (["--batch", "0"], "--batch: expected 1 or more"), (["--lr", "0"], r"--lr: expected a number in \(0, inf\), got 0"),
    (["--lr", "nan"], "--lr: .*got nan"), (["--lr", "fast"], "--lr: expected a number, got 'fast'"), (["--momentum", "1"], r"--momentum: expected a number in \[0, 1\), got 1"), (["--seed", "-3"], "--seed"), (["--model", "rnn"], "--model: invalid choice: 'rnn'"),
    (["--hidden", "8", "0"], "--hidden: expected 1 or more"), (["--clip", "-1"], "--clip"), (["--resume"], "--resume: expected --out"), (["--nesterov"], "--nesterov: expected --optimizer sgd and --momentum"), (["--optimizer", "adam", "--momentum", "0.5"], "--momentum: expected --optimizer sgd or rmsprop"),
    (["--hidden", "8"], "--hidden: expected --model mlp beside it, got softmax"), (["--out", "."], "--out: expected the name of a file, and . is a folder"),
    (["--learning-rate", "1"], "unrecognized arguments: --learning-rate")])
def test_misuse_is_two(args, words, capsys):
    code, out, err = usage(capsys, *args)
    assert code == 2 and out == "" and re.search(words, err)

@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs the pipes of POSIX")
def test_a_pipe_is_no_file_and_nobody_waits_for_it(data, tmp_path):
    os.mkfifo(tmp_path / "run.npz")
    for args, code in [(["--data", data, "--out", tmp_path / "run.npz"], 2), (["--data", data, "--out", tmp_path / "run.npz", "--resume"], 1), (["--data", tmp_path / "run.npz"], 1)]:
        process = spawn(*args)
        assert "is a device or a pipe" in process.communicate(timeout=60)[1] and process.returncode == code
    assert (tmp_path / "run.npz").is_fifo()

def test_an_earlier_run_is_not_written_over(data, capsys, tmp_path):
    out = tmp_path / "run.npz"
    assert main(["train", "--data", str(data), "--epochs", "1", "--out", str(out)]) == 0
    held = out.read_bytes()
    assert usage(capsys, "--data", data, "--out", out)[0] == 2 and out.read_bytes() == held
    assert main(["train", "--data", str(data), "--epochs", "2", "--lr", "0.5", "--out", str(out), "--resume"]) == 1
    assert "run.npz is of another run: lr was 0.01 and is 0.5" in capsys.readouterr().err and out.read_bytes() == held

@pytest.mark.parametrize("arrays, words", [
    (dict(x=np.ones(3)), "it holds x"), (dict(x_train=IMAGES), "it holds x_train"), (dict(x_train=IMAGES, y_train=LABELS, x_test=IMAGES), "expected in .* both x_test and y_test, or neither"),
    (dict(x_train=IMAGES, y_train=LABELS[:-1]), "train: expected as many labels as images"), (dict(x_train=IMAGES, y_train=LABELS * 1.0), "expected labels as integers of shape .n,., got float64"),
    (dict(x_train=IMAGES, y_train=LABELS - 1), "expected labels of 0 or more, got -1"), (dict(x_train=IMAGES, y_train=LABELS + 10**9), "got 10000000"), (dict(x_train=IMAGES[:0], y_train=LABELS[:0]), "got none"),
    (dict(x_train=np.where(IMAGES > 1.2, np.nan, IMAGES), y_train=LABELS), "train: expected finite numbers, got nan at index"), (dict(x_train=IMAGES.astype(str), y_train=LABELS), "train: expected images as numbers, got <U"),
    (dict(x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:, :2], y_test=LABELS), r"validation: X: expected a batch of shape \(n, 12\)"), (dict(x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS + 2), r"validation: labels: .*\[0, 4\)"),
    (dict(x_train=IMAGES[:, :0], y_train=LABELS), "expected images of one number or more"), (dict(x_train=np.array([{}] * 200), y_train=LABELS), "allow_pickle")])
def test_data_that_do_not_fit_are_one(arrays, words, capsys, tmp_path):
    np.savez(tmp_path / "data.npz", **arrays)
    assert main(["train", "--data", str(tmp_path / "data.npz"), "--out", str(tmp_path / "run.npz")]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("autodiffnb: error: ") and re.search(words, err) and not (tmp_path / "run.npz").exists()

def test_files_that_are_not_there_or_not_data_are_one(data, capsys, tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "bad.npz").write_bytes(data.read_bytes()[:-300])
    for args, words in [(["--data", "nowhere"], "nowhere"), (["--data", "nowhere.npz"], "nowhere.npz"), (["--data", tmp_path / "text.npz"], "text.npz"), (["--data", tmp_path / "bad.npz"], "bad.npz"), (["--data", data, "--out", tmp_path / "no" / "run.npz"], "there is no folder for"),
                        (["--data", data, "--out", tmp_path, "--resume"], "is a folder"), (["--data", data, "--out", data, "--resume"], "expected an autodiffnb checkpoint.*it is a .npz file of something else")]:
        assert main(["train", *map(str, args)]) == 1
        out, err = capsys.readouterr()
        assert out == "" and re.search(words, err) and err.startswith("autodiffnb: error: ")

def test_a_set_that_nobody_has(monkeypatch, capsys):
    def nobody(**how): raise autodiffnb.data.DatasetNotFound("not found")
    monkeypatch.setattr(autodiffnb, "fashion_mnist", nobody)
    assert main(["train"]) == 1 and "--data sample" in capsys.readouterr().err

def test_a_loss_that_diverges_is_three(data, capsys, tmp_path):
    assert main(["train", "--data", str(data), "--lr", "1e38", "--out", str(tmp_path / "run.npz")]) == 3
    assert "smaller learning rate" in capsys.readouterr().err and not (tmp_path / "run.npz").exists()

@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
def test_an_interrupt_is_130_and_the_run_goes_on(data, tmp_path):
    out = tmp_path / "run.npz"
    run = spawn("--data", data, "--epochs", 100_000, "--out", out, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    lines = [run.stdout.readline() for _ in range(3)]
    run.send_signal(signal.SIGINT)
    rest, err = run.communicate(timeout=60)
    assert run.returncode == 130 and "Traceback" not in err
    held, told = load(out).history, rows("".join(lines) + rest)
    assert re.fullmatch(rf"autodiffnb: interrupted after \d+ of 100000 epochs; {re.escape(str(out))} has the last whole epoch, and --resume goes on from there\n", err)
    assert len(told) - 1 <= len(held) <= len(told)
    assert main(["train", "--data", str(data), "--epochs", str(len(held) + 1), "--out", str(out), "--resume"]) == 0 and len(load(out).history) == len(held) + 1

def test_an_interrupt_before_the_first_step(data, monkeypatch, capsys):
    def interrupt(*args, **how): raise KeyboardInterrupt
    monkeypatch.setattr(np, "load", interrupt)
    assert main(["train", "--data", str(data)]) == 130 and capsys.readouterr() == ("", "autodiffnb: interrupted\n")

@pytest.mark.skipif(os.name != "posix", reason="needs POSIX pipes")
def test_a_reader_that_leaves(data):
    run = spawn("--data", data, "--epochs", 100_000)
    run.stdout.readline()
    run.stdout.close()
    assert run.wait(timeout=60) == 141 and run.stderr.read() == ""
    run.stderr.close()

def test_a_bar_and_lines_stay_out_of_the_way(data, capsys, monkeypatch):
    pytest.importorskip("tqdm")
    assert main(["train", "--data", str(data), "--epochs", "2", "--progress"]) == 0
    out, err = capsys.readouterr()
    assert len(rows(out)) == 2 and "10/10" in err and "epoch=2/2" in err
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert main(["train", "--data", str(data), "--epochs", "2", "--progress"]) == 0
    out, err = capsys.readouterr()
    assert len(rows(out)) == 2 and "epoch 2/2: train_loss" in err

def test_nothing_to_do(data, capsys):
    assert main(["train", "--data", str(data), "--epochs", "0"]) == 0 and capsys.readouterr() == ("", "autodiffnb: 0 epochs\n")

def test_as_a_module_from_anywhere(data, tmp_path):
    run = spawn("--data", "data.npz", "--epochs", "1", "--out", "run.npz", cwd=tmp_path)
    out, err = run.communicate()
    assert run.returncode == 0 and len(rows(out)) == 1 and (tmp_path / "run.npz").exists(), err


# ---------------------------------------------------------------- anything at all

OPTIONS = {
    "--data": ["sample", "", ".", "nowhere", "nowhere.npz", "\0", "x" * 300, "~", "-"], "--model": ["softmax", "mlp", "", "MLP"], "--hidden": ["1", "7", "0", "-4", "1e3", "99999999999999999999", ""], "--epochs": ["0", "1", "2", "-1", "1.5", "", "one"],
    "--batch": ["1", "7", "999999999999999999999999", "0", "nan"], "--optimizer": ["sgd", "rmsprop", "adam", "adamw", "lbfgs"], "--lr": ["0.1", "1e300", "1e-300", "0", "-1", "inf", "nan", "1e400", "0x10", "٣"], "--momentum": ["0", "0.9", "1", "0.999999"],
    "--weight-decay": ["0", "0.1", "1e30", "-0", "-1"], "--clip": ["1", "1e-300", "1e300", "0"], "--schedule": ["constant", "cosine", "line"], "--warmup": ["0", "3", "99999999999999999999999999", "-1"], "--seed": ["0", "123456789012345678901234567890", "-1", "0.5"],
    "--dtype": ["float32", "float64", "int8"], "--out": ["run.npz", "", ".", "no/run.npz", "\0", "x" * 300], "--nesterov": [], "--no-shuffle": [], "--resume": [], "--compile": [], "--progress": [], "--no-progress": [], "--": [], "extra": []}

@pytest.mark.filterwarnings("ignore:overflow|invalid:RuntimeWarning")
def test_any_command_line_ends_with_a_code_and_no_traceback(data, capsys, tmp_path, monkeypatch, long):
    monkeypatch.chdir(tmp_path)
    codes = set()
    for seed in range(5_000 if long else 150):
        dice = random.Random(seed)
        words = ["--data", "data.npz"]
        for name in dice.sample(sorted(OPTIONS), dice.randrange(7)): words += [name, *([dice.choice(OPTIONS[name][:2]) if dice.random() < 0.6 else dice.choice(OPTIONS[name])] if OPTIONS[name] else [])]
        if "--epochs" not in words: words += ["--epochs", "1"]
        try: code = main(["train", *words])
        except SystemExit as left: code = left.code
        out, err = capsys.readouterr()
        assert code in (0, 1, 2, 3), words
        assert (code == 0) == ("error: " not in err) and "Traceback" not in err and rows(out) is not None, words
        codes.add(code)
        (tmp_path / "run.npz").unlink(missing_ok=True)
    assert codes >= {0, 1, 2}
