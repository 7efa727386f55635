"""What can happen to a training run, done to it: killed at any moment, the disk full, files damaged or foreign, data that are not data, ten thousand steps."""
import errno
import gc
import io
import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from autodiffnb import training as T
from autodiffnb.optimisers import Cosine
from autodiffnb.training import MLP, SGD, Adam, SoftmaxRegression, fit, load, save

ROOT = Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 400)
IMAGES = (RNG.random((4, 48))[LABELS] + 0.3 * RNG.random((400, 48))).astype(np.float32)
posix = pytest.mark.skipif(os.name != "posix", reason="needs the signals and forks of POSIX")

def net(seed=0): return MLP((48, 32, 4), seed=seed)
def bits(arrays): return {name: (x.dtype, x.shape, x.tobytes()) for name, x in arrays.items()}
def values(model): return bits({name: p.value for name, p in model.params.items()})


# ---------------------------------------------------------------- killed

def command(folder, epochs, out): return [sys.executable, "-m", "autodiffnb", "train", "--data", str(folder / "data.npz"), "--model", "mlp", "--hidden", "256", "--epochs", str(epochs), "--batch", "50",
                                          "--optimizer", "adamw", "--lr", "0.002", "--schedule", "cosine", "--warmup", "10", "--compile", "--out", str(out), "--resume", "--no-progress"]

def started(folder, epochs, out): return subprocess.Popen(command(folder, epochs, out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, env=os.environ | dict(PYTHONPATH=str(ROOT), OPENBLAS_NUM_THREADS="1"))

def rows_in(text):
    "The lines of JSON without what differs between runs; a line that a kill has cut is none."
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [{name: x for name, x in row.items() if name not in ("seconds", "epochs", "lr")} for row in lines]

@posix
def test_killed_at_random_moments_and_resumed(tmp_path, long):
    "A kill between two lines of output, in the middle of a step or of a save, or before the first step: the file is whole, one epoch at most is lost, and the numbers are those of the run that nobody killed"
    epochs, kills, moments = 200, 100 if long else 10, random.Random(int.from_bytes(os.urandom(4)))
    np.savez(tmp_path / "data.npz", x_train=IMAGES[:300], y_train=LABELS[:300], x_test=IMAGES[300:], y_test=LABELS[300:])
    whole, out = tmp_path / "whole.npz", tmp_path / "run.npz"
    undisturbed, errors = (process := started(tmp_path, epochs, whole)).communicate()
    assert process.returncode == 0, errors
    expected, last = rows_in(undisturbed), load(whole)
    assert len(expected) == epochs and expected == last.history.rows
    done = killed = unfinished = 0
    while killed < kills or done < epochs:
        process, after = started(tmp_path, epochs, out), 0
        if killed < kills:
            first = process.stdout.readline() if moments.random() < 0.8 else ""    # else it may not even have begun
            time.sleep(moments.random() * 0.3)
            process.kill()
            text = first + process.stdout.read()
        else: text = process.communicate()[0]
        told = rows_in(text)
        process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
        killed += process.returncode < 0
        unfinished += len(list(tmp_path.glob(".*.partial")))
        held = load(out).history.rows if out.exists() else []
        assert held == expected[:len(held)] and told == expected[done:done + len(told)]
        assert len(held) >= done + len(told) - 1, "more than one epoch was lost"
        if process.returncode == 0:
            found = load(out)
            assert found.history.rows == expected and bits(found.params) == bits(last.params) and found.optimizer["steps"] == last.optimizer["steps"]
            for slot in ("mean", "square"): assert bits(found.optimizer["slots"][slot]) == bits(last.optimizer["slots"][slot])
            assert found.rng.bit_generator.state == last.rng.bit_generator.state
            if killed < kills: out.unlink()    # once more from the beginning
        done = len(held) if out.exists() else 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.npz", "run.npz", "whole.npz"], "unfinished files were left"

def killing_child(work):
    "The wait status of a fork that does `work`"
    pid = os.fork()
    if pid: return os.waitpid(pid, 0)[1]
    try: work(); os._exit(0)
    except BaseException: os._exit(1)

@pytest.mark.exhaustive
@posix
def test_killed_at_every_line_of_saving(tmp_path):
    path, old, new = tmp_path / "run.npz", net(), net(seed=1)
    lines, codes = 0, {T.save.__code__, T.write_atomically.__code__, np.lib._npyio_impl._savez.__code__, *(c for c in T.save.__code__.co_consts if hasattr(c, "co_code"))}
    outcomes = []
    while True:
        path.unlink(missing_ok=True)
        save(path, old)
        def work():
            seen = 0
            def trace(frame, event, arg):
                nonlocal seen
                if frame.f_code not in codes: return None
                if event == "line":
                    seen += 1
                    if seen > lines: os.kill(os.getpid(), signal.SIGKILL)
                return trace
            sys.settrace(trace)
            save(path, new, Adam(new.params))
        status = killing_child(work)
        found = bits(load(path).params)
        assert found in (values(old), values(new))
        outcomes.append(found == values(new))
        if status == 0: break
        assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
        lines += 1
    assert lines > 15 and outcomes == sorted(outcomes) and not outcomes[0] and outcomes[-1], "the old file, and from one line on the new one"
    save(path, old)
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"], "the unfinished files of the dead are removed"

@posix
def test_an_unfinished_file_of_the_living_is_left_alone(tmp_path):
    path, host = tmp_path / "run.npz", T.platform.node()
    names = [f".run.npz.{host}.{os.getppid()}.partial", f".run.npz.elsewhere.{2**22 + 1}.partial", f".run.npz.{host}.notes.partial", f".other.npz.{host}.{2**22 + 1}.partial"]
    for name in names: (tmp_path / name).touch()
    (tmp_path / f".run.npz.{host}.{2**22 + 1}.partial").touch()    # beyond the greatest number of a process
    save(path, net())
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*names, "run.npz"])

def test_two_that_save_at_once_leave_one_whole_file(tmp_path):
    path, models = tmp_path / "run.npz", [net(seed) for seed in range(2)]
    code = "import sys; from autodiffnb.training import MLP, save\nm = MLP((48, 32, 4), seed=int(sys.argv[2]))\nfor _ in range(60): save(sys.argv[1], m)"
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), str(seed)], env=os.environ | dict(PYTHONPATH=str(ROOT))) for seed in range(2)]
    seen = set()
    while any(p.poll() is None for p in both):
        if path.exists(): seen.add([values(m) for m in models].index(bits(load(path).params)))
    assert [p.wait() for p in both] == [0, 0] and [p.name for p in tmp_path.iterdir()] == ["run.npz"] and seen


# ---------------------------------------------------------------- no room

def trained(path, epochs, **more):
    model = net()
    return fit(model, (IMAGES, LABELS), epochs=epochs, optimizer=Adam(model.params, 0.01), shuffle=1, checkpoint=path, progress=False, **more), model

@posix
def test_a_limit_on_the_size_of_files(tmp_path):
    "The kernel itself refuses to write on, in the middle of an array"
    import resource
    path = tmp_path / "run.npz"
    first, model = trained(path, 2)
    size, held = path.stat().st_size, path.read_bytes()
    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        try: trained(path, 4)
        except OSError as error: os._exit(7 if error.errno == errno.EFBIG else 8)
    assert os.waitstatus_to_exitcode(killing_child(work)) == 7
    assert path.read_bytes() == held and [p.name for p in tmp_path.iterdir()] == ["run.npz"]
    assert trained(path, 4)[0].rows == trained(None, 4)[0].rows

FULL = """
mount -t tmpfs -o size=256k none "$1" || exit 77
cd "$1"
"$2" -m autodiffnb train --data "$3" --model mlp --hidden 128 --epochs 2 --out run.npz --no-progress >/dev/null || exit 78
cp run.npz before.npz
dd if=/dev/zero of=filler bs=1k count=1000 2>/dev/null
"$2" -m autodiffnb train --data "$3" --model mlp --hidden 128 --epochs 4 --out run.npz --resume --no-progress >/dev/null 2>"$4/message"
[ $? = 1 ] || exit 79
cmp run.npz before.npz || exit 80
[ "$(ls -A | wc -l)" = 3 ] || exit 81
rm filler before.npz
"$2" -m autodiffnb train --data "$3" --model mlp --hidden 128 --epochs 4 --out run.npz --resume --no-progress >"$4/rows" || exit 82
"""

@posix
def test_a_disk_that_is_full(tmp_path):
    "A file system of 256 KB, mounted in a name space of its own"
    if not shutil.which("unshare"): pytest.skip("no unshare here")
    (tmp_path / "disk").mkdir()
    np.savez(tmp_path / "data.npz", x_train=IMAGES, y_train=LABELS)
    run = subprocess.run(["unshare", "-rm", "sh", "-c", FULL, "sh", str(tmp_path / "disk"), sys.executable, str(tmp_path / "data.npz"), str(tmp_path)], capture_output=True, text=True, env=os.environ | dict(PYTHONPATH=str(ROOT)))
    if run.returncode in (1, 77): pytest.skip(f"may not mount here: {run.stderr.strip()}")
    assert run.returncode == 0, (run.returncode, run.stderr)
    assert "error: " in (tmp_path / "message").read_text() and os.strerror(errno.ENOSPC) in (tmp_path / "message").read_text()
    whole = subprocess.run([sys.executable, "-m", "autodiffnb", "train", "--data", str(tmp_path / "data.npz"), "--model", "mlp", "--hidden", "128", "--epochs", "4", "--no-progress"], capture_output=True, text=True, env=os.environ | dict(PYTHONPATH=str(ROOT)))
    assert rows_in((tmp_path / "rows").read_text()) == rows_in(whole.stdout)[2:]

@posix
def test_a_folder_that_may_not_be_written_to(tmp_path):
    if os.geteuid() == 0: pytest.skip("root may write anywhere")
    save(tmp_path / "run.npz", net())
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match="run.npz"): trained(tmp_path / "run.npz", 2, history=T.History())
    finally: tmp_path.chmod(0o700)
    assert bits(load(tmp_path / "run.npz").params) == values(net())


# ---------------------------------------------------------------- damaged and foreign files

def content(path):
    found = load(path)
    return (bits(found.params), found.optimizer and (found.optimizer["settings"], found.optimizer["steps"], {slot: bits(xs) for slot, xs in found.optimizer["slots"].items()}),
            found.history and (found.history.rows, found.history.settings), found.rng and found.rng.bit_generator.state)

def damaged(whole, dice):
    "The bytes with something wrong: bits turned, a piece cut out, doubled, overwritten, or the end missing"
    data, at, n = bytearray(whole), dice.randrange(len(whole)), dice.choice([1, 2, 7, 64, 1000])
    kind = dice.choice(["bit", "bit", "cut", "double", "noise", "zeros", "end", "front", "swap"])
    if kind == "bit": data[at] ^= 1 << dice.randrange(8)
    if kind == "cut": del data[at:at + n]
    if kind == "double": data[at:at] = data[at:at + n]
    if kind == "noise": data[at:at + n] = dice.randbytes(len(data[at:at + n]))
    if kind == "zeros": data[at:at + n] = bytes(len(data[at:at + n]))
    if kind == "end": del data[at:]
    if kind == "front": del data[:at]
    if kind == "swap": data[at:at + n], data[:n] = data[:n], data[at:at + n]
    return bytes(data)

def test_damage_is_found_or_harmless(tmp_path, long):
    "A file says that it is damaged, or its contents are what they were: dates and the like of the zip format are not checked, and need not be. Never another error, never another number."
    path, model = tmp_path / "run.npz", SoftmaxRegression(12, 4)
    optimizer, refused = Adam(model.params), 0
    optimizer.step({name: np.ones_like(p.value) for name, p in model.params.items()})
    save(path, model, optimizer, T.History([{"epoch": 1, "train_loss": 0.5}], dict(lr=0.1)), np.random.default_rng(3))
    whole, expected, tries = path.read_bytes(), content(path), 20_000 if long else 1_500
    for seed in range(tries):
        path.write_bytes(damaged(whole, random.Random(seed)))
        other = SoftmaxRegression(12, 4, seed=9)
        before = values(other)
        try: found = content(path)
        except ValueError as error:
            refused += 1
            assert str(path) in str(error) and "expected an autodiffnb checkpoint" in str(error), seed
            with pytest.raises(ValueError): load(path, other)
            assert values(other) == before, seed
        else: assert found == expected, seed
    assert refused > 0.8 * tries

class Trap:
    "Writes a file when it is unpickled."
    def __init__(self, path): self.path = path
    def __reduce__(self): return open, (str(self.path), "w")

def archive(**entries):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as z:
        for name, data in entries.items(): z.writestr(name, data)
    return stream.getvalue()

def npy(x, **how):
    stream = io.BytesIO()
    np.save(stream, x, **how)
    return stream.getvalue()

@pytest.mark.parametrize("where", ["the whole file", "an array", "about", "an entry of another kind"])
def test_no_file_runs_code(where, tmp_path):
    sprung, path = tmp_path / "sprung", tmp_path / "run.npz"
    trap = pickle.dumps(Trap(sprung))
    objects = np.empty(1, object)
    objects[0] = Trap(sprung)
    about = npy(np.array(json.dumps(dict(kind=T.KIND, version=T.VERSION, optimizer=None, history=None, rng=None))))
    path.write_bytes({"the whole file": trap, "an array": archive(**{"about.npy": about, "params/W.npy": npy(objects, allow_pickle=True)}), "about": archive(**{"about.npy": npy(objects, allow_pickle=True)}),
                      "an entry of another kind": archive(**{"about.npy": about, "params/W": trap})}[where])
    with pytest.raises(ValueError, match="expected an autodiffnb checkpoint"): load(path)
    with pytest.raises(ValueError): fit(net(), (IMAGES, LABELS), epochs=1, checkpoint=path, progress=False)
    assert not sprung.exists()
    pickle.loads(trap).close()
    assert sprung.exists(), "the trap would not have gone off"

OURS = dict(kind=T.KIND, version=T.VERSION, arrays=[], optimizer=None, history=None, rng=None)

@pytest.mark.parametrize("about, words", [
    ([], "of something else"), (dict(kind=T.KIND), "version None"), (OURS | dict(version="1"), "version 1"), ({k: v for k, v in OURS.items() if k != "rng"}, "incomplete .rng"), (OURS | dict(arrays=["params/W"]), "it should hold .'params/W'., and holds .."),
    *((OURS | wrong, "not as `save` writes it") for wrong in [dict(optimizer=3), dict(optimizer=dict(slots=3)), dict(optimizer=dict(slots=[])), dict(history=dict(columns=[1])), dict(history=dict(columns={"epoch": [1], "train_loss": []}, settings={})),
                                                            dict(rng=dict(bit_generator="Generator")), dict(rng=dict(bit_generator="seed")), dict(rng=dict(bit_generator="PCG64", state=1)), dict(rng=7)])])
def test_a_text_that_is_not_ours(about, words, tmp_path):
    path = tmp_path / "run.npz"
    np.savez(path, about=np.array(json.dumps(about)))
    with pytest.raises(ValueError, match=f"run.npz: expected an autodiffnb checkpoint.*{words}"): load(path)

def test_a_text_that_goes_too_deep(tmp_path):
    np.savez(tmp_path / "run.npz", about=np.array("[" * 100_000))
    with pytest.raises(ValueError, match="run.npz: expected an autodiffnb checkpoint.*its entry 'about' is not JSON"): load(tmp_path / "run.npz")

@pytest.mark.parametrize("data", [b"", b"\0" * 1000, b"PK\x05\x06" + bytes(18), b"\x93NUMPY\x01\x00", npy(np.ones(3)), archive(), archive(**{"data.pkl": pickle.dumps([1]), "version": b"3"}), json.dumps(dict(kind=T.KIND)).encode()])
def test_files_of_other_programs(data, tmp_path):
    (tmp_path / "run.npz").write_bytes(data)
    with pytest.raises(ValueError, match="run.npz: expected an autodiffnb checkpoint"): load(tmp_path / "run.npz")

def test_no_file_is_unpickled():
    "Every reading of an array says so itself, whatever NumPy's default is; and what reads files knows of no pickles"
    for path in (ROOT / "autodiffnb").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.count("np.load(") == sum("allow_pickle=False" in part.split("\n")[0] for part in text.split("np.load(")[1:]), path.name
        if path.stem in ("training", "data", "optimisers", "__main__"): assert "pickle" not in text.replace("allow_pickle=False", ""), path.name


# ---------------------------------------------------------------- data that are not data

def at(x, index, value):
    x = x.copy()
    x[index] = value
    return x

@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("which", ["train", "validation"])
@pytest.mark.parametrize("make, error, words", [
    (lambda X, t: (at(X, (37, 5), np.nan), t), ValueError, r"expected finite numbers, got nan at index \(37, 5\)"), (lambda X, t: (at(X, (0, 0), -np.inf), t), ValueError, r"expected finite numbers, got -inf at index \(0, 0\)"),
    (lambda X, t: (at(X.reshape(-1, 6, 8).astype(np.float16), (399, 5, 7), np.inf), t), ValueError, r"got inf at index \(399, 5, 7\)"), (lambda X, t: (X.astype(str), t), TypeError, "expected images as numbers, got <U"),
    (lambda X, t: ((X * 9).astype("M8[s]"), t), TypeError, r"expected images as numbers, got datetime64"), (lambda X, t: (X.astype(object), t), TypeError, "expected images as numbers, got object"),
    (lambda X, t: (np.ma.masked_greater(X, 1), t), TypeError, "expected images as a plain array, got MaskedArray"), (lambda X, t: (np.asmatrix(X), t), TypeError, "expected images as a plain array, got matrix"),
    (lambda X, t: (X + 0j, t), TypeError, "expected images that give real logits; complex64 gives complex64"), (lambda X, t: (X[:, :47], t), ValueError, r"X: expected a batch of shape \(n, 48\).*got shape \(400, 47\)"),
    (lambda X, t: (X[0], t), ValueError, r"expected as many labels as images, got shapes \(48,\) and \(400,\)"), (lambda X, t: (X, t[:399]), ValueError, r"expected as many labels as images, got shapes \(400, 48\) and \(399,\)"),
    (lambda X, t: (X[:0], t[:0]), ValueError, r"expected at least one row, got shapes \(0, 48\) and \(0,\)"), (lambda X, t: (X, at(t, 77, 4)), ValueError, r"labels: .*\[0, 4\), got 4 at index \(77,\)"),
    (lambda X, t: (X, at(t, 3, -1)), ValueError, r"labels: .*got -1 at index \(3,\)"), (lambda X, t: (X, t + 0.0), TypeError, "labels: expected integers .*got float64"), (lambda X, t: (X, t > 1), TypeError, "labels: expected integers .*got bool"),
    (lambda X, t: (X, t.astype(str)), TypeError, "labels: expected integers .*got <U"), (lambda X, t: (X, t[:, None]), ValueError, r"labels: expected shape \(400,\).*got \(400, 1\)"),
    (lambda X, t: (X, at(np.eye(4)[t], (9, 0), np.nan)), ValueError, r"labels: expected probabilities .*got nan at index \(9, 0\)"), (lambda X, t: X, TypeError, r"expected the pair \(images, labels\), got ndarray of 400"),
    (lambda X, t: (X, t, X, t), TypeError, r"expected the pair \(images, labels\), got tuple of 4"), (lambda X, t: ([[1.0], [1.0, 2.0]], [0, 1]), TypeError, r"expected the pair \(images, labels\)"), (lambda X, t: 7, TypeError, "got int")])
def test_wrong_data_are_named_before_the_first_step(which, make, error, words, tmp_path):
    model, good = net(), (IMAGES, LABELS)
    before = values(model)
    with pytest.raises(error, match=f"^{which}: .*{words}"): fit(model, **dict(train=good, validation=good) | {which: make(IMAGES, LABELS)}, epochs=1, checkpoint=tmp_path / "run.npz", progress=False)
    assert values(model) == before and not list(tmp_path.iterdir())

def test_looking_for_nan_takes_no_second_copy():
    images = np.ones((20_000, 48), np.float32)
    tracemalloc.start()
    T.check_images(images, "train")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes / 10


# ---------------------------------------------------------------- ten thousand steps

@pytest.mark.exhaustive
@pytest.mark.parametrize("compiled", [False, True])
def test_memory_is_flat_over_ten_thousand_steps(compiled):
    "The collector of cycles finds nothing, since what a step makes goes by itself; and neither the number of objects nor the memory of the process grows by more than the diary's 200 lines"
    model, found = SoftmaxRegression(48, 4), {}
    optimizer = Adam(model.params, schedule=Cosine(10_000), clip=5.0)
    def look(m, o, h):
        if o.steps in (2_000, 10_000): found[o.steps] = gc.collect(), sys.getallocatedblocks(), peak()
    gc.collect()
    gc.disable()
    try: fit(model, (IMAGES, LABELS), epochs=250, batch_size=10, optimizer=optimizer, compile=compiled, shuffle=0, callbacks=[look], progress=False)
    finally: gc.enable()
    (_, objects, size), (cycles, objects_then, size_then) = found[2_000], found[10_000]
    assert cycles == 0, "steps made cycles"
    assert objects_then - objects < 200 * 12, "a row is a dict, its keys are shared, and its numbers are few"
    assert size_then - size < 2**20

def peak():
    "The most memory that the process has had, in bytes; 0 where the system does not say."
    try: import resource
    except ImportError: return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
