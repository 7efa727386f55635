"""FashionMNIST from bytes to minibatches. Nothing here reaches beyond 127.0.0.1: the addresses are those of a server in this process."""
import ast
import gzip
import hashlib
import importlib.util
import os
import pickle
import re
import signal
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from autodiffnb import data as D
from autodiffnb.data import DatasetNotFound, FashionMNIST, decode_idx, fashion_mnist, minibatches, read_idx

ROOT = Path(__file__).resolve().parent.parent
needs_full_set = pytest.mark.skipif(
    not all(Path(D.DEBIAN, f"{name}.gz").is_file() for name in D.FILES),
    reason="the full FashionMNIST set is not installed (Debian's package dataset-fashion-mnist)")


# ---------------------------------------------------------------- a small set, and a machine that has nothing else

def idx_bytes(array, code=0x08):
    "An idx file's bytes, written independently of the module that reads them."
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()

@pytest.fixture(autouse=True)
def lonely(monkeypatch, tmp_path):
    "No installed set, an empty cache under tmp_path, no proxy, no waiting between attempts, and no way to any other host."
    cache = tmp_path / "cache"
    monkeypatch.setattr(D, "DEBIAN", str(tmp_path / "not-installed"))
    monkeypatch.setattr(D, "ADDRESSES", ())
    monkeypatch.setattr(D, "_cache_folder", lambda: cache)
    monkeypatch.delenv("AUTODIFFNB_DATA", raising=False)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"): monkeypatch.delenv(name)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    real = socket.socket.connect
    def connect(self, address):
        assert self.family == getattr(socket, "AF_UNIX", None) or address[0] == "127.0.0.1", f"a test tried to reach {address}"
        return real(self, address)
    monkeypatch.setattr(socket.socket, "connect", connect)
    # pooch's name, not time.sleep itself: a library that is first imported meanwhile would keep the sleepless one for good
    monkeypatch.setattr(pytest.importorskip("pooch.core"), "time", SimpleNamespace(sleep=lambda seconds: None))
    return cache

def test_nobody_but_pooch_does_without_waiting():
    began = time.monotonic()
    sys.modules["pooch.core"].time.sleep(60)
    assert time.monotonic() - began < 10 and type(time.sleep) is type(len)      # the clock's own, written in C

@pytest.fixture
def contents(monkeypatch):
    "Bytes of a set of 20 and 10 images by file name; the table of expectations is made to fit."
    rng = np.random.default_rng(0)
    made, files = {}, {}
    for name, expected in D.FILES.items():
        shape = (20 if name.startswith("train") else 10, *expected.shape[1:])
        array = rng.integers(0, expected.largest, shape, dtype=np.uint8, endpoint=True)
        made[name] = idx_bytes(array)
        packed, unpacked = (hashlib.sha256(b).hexdigest() for b in (gzip.compress(made[name], mtime=0), made[name]))
        files[name] = D.Expected(shape, expected.largest, packed, unpacked)
    monkeypatch.setattr(D, "FILES", files)
    return made

def write(folder, contents, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / f"{name}{'.gz' * packed}").write_bytes(gzip.compress(data, mtime=0) if packed else data)
    return folder

def same(data, contents):
    images, labels, test_images, test_labels, names = data
    for array, raw in zip((images, labels, test_images, test_labels), contents.values()):
        start = 16 if array.ndim == 3 else 8
        wanted = np.frombuffer(raw[start:], np.uint8).reshape(array.shape)
        assert array.dtype == (np.float32 if array.ndim == 3 else np.int64)
        np.testing.assert_array_equal(array, wanted / np.float32(255) if array.ndim == 3 else wanted, strict=array.ndim == 3)
    assert names == D.CLASS_NAMES
    return True


# ---------------------------------------------------------------- idx

@pytest.mark.parametrize("code, dtype", [(0x08, "u1"), (0x09, "i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3), (2, 3, 1, 2)])
def test_every_idx_type_and_shape(code, dtype, shape):
    array = np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape)
    got = decode_idx(idx_bytes(array, code))
    np.testing.assert_array_equal(got, array.astype(array.dtype.newbyteorder("=")), strict=True)
    assert got.dtype.isnative and got.flags.writeable

@pytest.mark.parametrize("bad, message", [
    (b"", "two zero bytes"),
    (b"\0\0\x08", "two zero bytes"),
    (b"\1\0\x08\x01\0\0\0\1\0", "two zero bytes"),
    (b"\0\0\x07\x01\0\0\0\1\0", "a type among"),
    (b"\0\0\x08\x02\0\0\0\1", "header of 12"),
    (b"\0\0\x08\x01\0\0\0\2\0", "expected 10 bytes.*shape \\(2,\\).*it has 9"),
    (b"\0\0\x08\x01\0\0\0\2\0\0\0", "expected 10 bytes.*it has 11"),
])
def test_not_idx(bad, message):
    with pytest.raises(ValueError, match=f"somewhere: .*{message}"): decode_idx(bad, "somewhere")

@pytest.mark.parametrize("name, packed", [("plain", False), ("plain.gz", True), ("unpacked-by-the-browser.gz", False), ("packed", True)])
def test_read_idx_looks_at_the_bytes_and_not_at_the_name(tmp_path, name, packed):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    (tmp_path / name).write_bytes(gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))
    np.testing.assert_array_equal(read_idx(tmp_path / name), array, strict=True)
    np.testing.assert_array_equal(read_idx(str(tmp_path / name)), array, strict=True)

def test_read_idx_of_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"): read_idx(tmp_path / "absent")


# ---------------------------------------------------------------- where it is looked for

@pytest.mark.parametrize("packed", [True, False])
def test_path(tmp_path, contents, packed):
    folder = write(tmp_path / "here", contents, packed)
    data = fashion_mnist(folder)
    assert same(data, contents) and data.source == str(folder)
    assert same(fashion_mnist(str(folder)), contents)

def test_plain_and_packed_files_may_be_mixed(tmp_path, contents):
    folder = write(tmp_path / "here", contents)
    name = "t10k-labels-idx1-ubyte"
    (folder / f"{name}.gz").unlink()
    (folder / name).write_bytes(contents[name])
    assert same(fashion_mnist(folder), contents)

def test_home_is_expanded(tmp_path, contents, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write(tmp_path / "mine", contents)
    assert fashion_mnist("~/mine").source == str(tmp_path / "mine")

def test_order_of_the_places(tmp_path, contents, monkeypatch, lonely):
    "Each place in turn is found, and then outranked by the one before it."
    places = {name: write(tmp_path / name, contents) for name in ("argument", "variable", "debian")}
    monkeypatch.setattr(D, "DEBIAN", str(places["debian"]))
    assert fashion_mnist().source == str(places["debian"])
    write(lonely, contents)
    assert fashion_mnist().source == str(lonely)
    monkeypatch.setenv("AUTODIFFNB_DATA", str(places["variable"]))
    assert fashion_mnist().source == str(places["variable"])
    assert fashion_mnist(places["argument"]).source == str(places["argument"])
    monkeypatch.setenv("AUTODIFFNB_DATA", "")
    assert fashion_mnist().source == str(lonely)

@pytest.mark.parametrize("named_by", ["path", "AUTODIFFNB_DATA"])
@pytest.mark.parametrize("lacking", ["folder", "file"])
def test_a_named_folder_is_never_passed_over(tmp_path, contents, monkeypatch, lonely, named_by, lacking):
    write(lonely, contents)
    folder = tmp_path / "named"
    if lacking == "file":
        write(folder, contents)
        (folder / "t10k-images-idx3-ubyte.gz").unlink()
    if named_by == "AUTODIFFNB_DATA": monkeypatch.setenv(named_by, str(folder))
    wanted = "there is no such folder" if lacking == "folder" else r"missing: t10k-images-idx3-ubyte$"
    with pytest.raises(FileNotFoundError, match=f"{named_by}: expected .* {re.escape(str(folder))}; {wanted}") as error:
        fashion_mnist(folder if named_by == "path" else None)
    assert not isinstance(error.value, DatasetNotFound)

def test_the_cache_is_the_users_own(monkeypatch, tmp_path):
    platformdirs = pytest.importorskip("platformdirs")
    monkeypatch.undo()
    assert D._cache_folder() == Path(platformdirs.user_cache_dir("autodiffnb")) / "fashion-mnist"


# ---------------------------------------------------------------- wrong files

def damaged(kind, name, raw):
    "The file's new bytes, and what the error must say."
    packed = gzip.compress(raw, mtime=0)
    header = 16 if "images" in name else 8
    return {
        "gzip cut short": (packed[:len(packed) // 2], "expected a whole gzip stream"),
        "gzip damaged": (packed[:20] + bytes(byte ^ 0xFF for byte in packed[20:24]) + packed[24:], "expected a whole gzip stream|expected FashionMNIST"),
        "gzip checksum": (packed[:-8] + b"\0\0\0\0" + packed[-4:], "expected a whole gzip stream"),
        "empty": (b"", "expected idx data"),
        "web page": (b"<!DOCTYPE html><html>", "expected idx data.*<!DO"),
        "magic": (gzip.compress(b"\0\0\x07" + raw[3:]), "expected idx data"),
        "cut short": (raw[:-1], "expected .* bytes"),
        "too long": (raw + b"\0", "expected .* bytes"),
        "count": (idx_bytes(np.zeros((3, *((28, 28) if "images" in name else ())), np.uint8)), r"expected uint8 of shape \(\d+,.*shape \(3,"),
        "size of image": (idx_bytes(np.zeros((20, 14, 56), np.uint8)), r"expected uint8 of shape .*\(20, 14, 56\)"),
        "type": (raw[:2] + b"\x09" + raw[3:], "expected uint8 .* int8"),
        "label": (raw[:header + 5] + b"\x0a" + raw[header + 6:], r"expected values from 0 to 9; at \(5,\) it holds 10"),
        "other data": (raw[:-1] + bytes([raw[-1] ^ 1]), "expected FashionMNIST, unpacked SHA-256"),
    }[kind]

BROKEN = ["gzip cut short", "gzip damaged", "gzip checksum", "empty", "web page", "magic", "cut short", "too long", "count", "type", "other data"]

@pytest.mark.parametrize("kind, name", [(kind, name) for name in D.FILES for kind in BROKEN]
    + [("label", name) for name in D.FILES if "labels" in name] + [("size of image", name) for name in D.FILES if "images" in name])
@pytest.mark.parametrize("place", ["path", "cache"])
def test_a_wrong_file_is_named(tmp_path, contents, lonely, kind, name, place):
    folder = write(lonely if place == "cache" else tmp_path / "here", contents)
    broken, message = damaged(kind, name, contents[name])
    file = folder / f"{name}.gz"
    file.write_bytes(broken)
    with pytest.raises(ValueError, match=f"^{re.escape(str(file))}: ({message})"):
        fashion_mnist(folder if place == "path" else None)

def test_images_and_labels_that_do_not_belong_together(tmp_path, contents):
    folder = write(tmp_path / "here", contents | {"train-labels-idx1-ubyte": contents["t10k-labels-idx1-ubyte"]})
    with pytest.raises(ValueError, match=r"train-labels.*expected uint8 of shape \(20,\); it holds uint8 of shape \(10,\)"): fashion_mnist(folder)


# ---------------------------------------------------------------- downloads, from a server in this process

class Publisher:
    "Serves files under /good/, and misbehaves as told, one instruction per request for a file, before it serves it."
    def __init__(self, files):
        self.files, self.misdeeds, self.asked = files, {}, []
        outer = self
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments): pass
            def do_GET(self):
                outer.asked.append(self.path)
                name = self.path.rsplit("/", 1)[1]
                misdeeds = outer.misdeeds.get(name, [])
                misdeed, body = misdeeds.pop(0) if misdeeds else None, outer.files[name]
                if isinstance(misdeed, int):
                    self.send_error(misdeed)
                    return
                if misdeed == "corrupt": body = body[:-1] + bytes([body[-1] ^ 1])
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if misdeed in ("hang up", "interrupt"):
                    self.wfile.write(body[:len(body) // 2])
                    self.wfile.flush()
                    if misdeed == "interrupt":
                        outer.half_written = outer.look()
                        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                        outer.done.wait(10)
                    return
                self.wfile.write(body)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/good/"
        self.done = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.done.set()
        self.server.shutdown()
        self.server.server_close()

@pytest.fixture
def publisher(contents, monkeypatch):
    server = Publisher({f"{name}.gz": gzip.compress(data, mtime=0) for name, data in contents.items()})
    monkeypatch.setattr(D, "ADDRESSES", (server.address,))
    yield server
    server.close()

def names_in(folder): return sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"

def test_download(publisher, contents, lonely, capfd):
    data = fashion_mnist()
    assert same(data, contents) and data.source == str(lonely)
    assert names_in(lonely) == sorted(publisher.files)
    assert "100%" in capfd.readouterr().err, "no progress bar was shown"
    asked = len(publisher.asked)
    assert asked == 4 and same(fashion_mnist(), contents) and len(publisher.asked) == asked, "a cached set was fetched again"

def test_a_partial_cache_is_completed(publisher, contents, lonely):
    name = "t10k-images-idx3-ubyte"
    write(lonely, {name: contents[name]})
    assert same(fashion_mnist(), contents)
    assert len(publisher.asked) == 3 and not any(name in path for path in publisher.asked)

@pytest.mark.parametrize("misdeed", [500, 503, "corrupt", "hang up"])
def test_a_passing_failure_is_tried_again(publisher, contents, lonely, misdeed):
    publisher.misdeeds[TRAIN_IMAGES] = [misdeed, misdeed]
    assert same(fashion_mnist(), contents)
    assert names_in(lonely) == sorted(publisher.files) and len(publisher.asked) == 6

@pytest.mark.parametrize("misdeed, message", [(500, "500 Server Error"), (404, "404 Client Error"), ("corrupt", "hash"), ("hang up", "")])
def test_a_lasting_failure(publisher, lonely, misdeed, message):
    "Three attempts, an error that says what happened, and nothing under the name of a file that did not arrive."
    publisher.misdeeds["train-labels-idx1-ubyte.gz"] = [misdeed] * 10
    with pytest.raises(DatasetNotFound, match=f"(?s)download from {re.escape(publisher.address)}: .*{message}"): fashion_mnist()
    assert names_in(lonely) == [TRAIN_IMAGES]
    assert len(publisher.asked) == 1 + 3

def test_the_second_address_completes_what_the_first_began(publisher, contents, lonely, monkeypatch):
    other = Publisher(publisher.files)
    try:
        monkeypatch.setattr(D, "ADDRESSES", (publisher.address, other.address))
        publisher.misdeeds["t10k-images-idx3-ubyte.gz"] = [500] * 10
        assert same(fashion_mnist(), contents)
        assert sorted(path.rsplit("/")[-1] for path in other.asked) == ["t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"]
    finally: other.close()

@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals cannot be sent to a thread on this system")
def test_an_interrupted_download_leaves_nothing_behind(publisher, contents, lonely):
    publisher.look = lambda: names_in(lonely)
    publisher.misdeeds[TRAIN_IMAGES] = ["interrupt"]
    with pytest.raises(KeyboardInterrupt): fashion_mnist()
    assert len(publisher.half_written) == 1 and publisher.half_written != [TRAIN_IMAGES], "the interruption came too early to mean anything"
    assert names_in(lonely) == []
    assert same(fashion_mnist(), contents)

def test_a_cache_that_cannot_be_written(publisher, lonely):
    lonely.write_text("a file where the folder should be")
    with pytest.raises(DatasetNotFound, match="download from"): fashion_mnist()
    assert lonely.read_text() == "a file where the folder should be"


# ---------------------------------------------------------------- nothing found

def test_nothing_found_lists_what_was_tried_and_the_ways_out(monkeypatch, lonely):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0)) # nobody listens: connections are refused
        addresses = tuple(f"http://127.0.0.1:{closed.getsockname()[1]}/{mirror}/" for mirror in "ab")
        monkeypatch.setattr(D, "ADDRESSES", addresses)
        with pytest.raises(DatasetNotFound) as error: fashion_mnist()
    message = str(error.value)
    assert isinstance(error.value, FileNotFoundError)
    for wanted in (f"the user's cache: .*{lonely}; there is no such folder", f"Debian's package dataset-fashion-mnist: .*{D.DEBIAN}; there is no such folder",
                   *(f"download from {address}: .*refused" for address in addresses),
                   r"fashion_mnist\(sample=True\)", "apt install dataset-fashion-mnist", r"pip install 'autodiffnb\[data\]'", "AUTODIFFNB_DATA"):
        assert re.search(wanted, message), f"{wanted!r} is not in:\n{message}"
    assert names_in(lonely) == []

@pytest.mark.parametrize("absent", ["pooch", "tqdm", "platformdirs"])
def test_without_the_extra(monkeypatch, lonely, absent):
    monkeypatch.setattr(D, "_cache_folder", lambda: lonely if D._extra("platformdirs") else None)
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(DatasetNotFound, match=rf"{absent} is not installed; pip install 'autodiffnb\[data\]' brings it"): fashion_mnist()

def test_the_installed_set_needs_no_extra(tmp_path, contents, monkeypatch):
    monkeypatch.setattr(D, "DEBIAN", str(write(tmp_path / "debian", contents)))
    monkeypatch.setattr(D, "_cache_folder", lambda: Path(D._extra("platformdirs").user_cache_dir("autodiffnb")))
    for module in ("pooch", "platformdirs", "tqdm"): monkeypatch.setitem(sys.modules, module, None)
    assert same(fashion_mnist(), contents)

def test_importing_needs_only_numpy_and_the_standard_library():
    tree = ast.parse(Path(D.__file__).read_text(encoding="utf-8"))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {"." * node.level + (node.module or "") for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= {"numpy"} | sys.stdlib_module_names


# ---------------------------------------------------------------- the sample

def test_sample_has_what_it_says():
    data = fashion_mnist(sample=True)
    train_images, train_labels, test_images, test_labels, class_names = data
    assert (train_images.shape, test_images.shape) == ((4000, 28, 28), (1000, 28, 28))
    for images, labels, per_class in ((train_images, train_labels, 400), (test_images, test_labels, 100)):
        assert images.dtype == np.float32 and labels.dtype == np.int64
        assert images.min() == 0 and images.max() == 1 and images.flags.writeable
        np.testing.assert_array_equal(np.bincount(labels), np.full(10, per_class), strict=True)
        assert len(np.unique(images.reshape(len(images), -1), axis=0)) > 0.99 * len(images), "an image was drawn twice"
    assert class_names == D.CLASS_NAMES and len(set(class_names)) == 10
    assert data.source == "embedded sample of 5,000 images"

def test_sample_is_small_and_its_notice_is_beside_it():
    package = Path(D.__file__).parent
    assert (package / "fashion_mnist_sample.npz").stat().st_size < 2.5e6
    notice = (package / "fashion_mnist_sample_LICENSE.txt").read_text(encoding="utf-8")
    assert "MIT License" in notice and "2017 Zalando SE" in notice and "Permission is hereby granted" in notice

def test_sample_goes_with_no_path(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="sample: expected False beside a path"): fashion_mnist(tmp_path, sample=True)
    monkeypatch.setenv("AUTODIFFNB_DATA", str(tmp_path))
    assert fashion_mnist(sample=True).source.startswith("embedded sample")

@pytest.fixture(scope="module")
def full_set(): return fashion_mnist(DEBIAN_FOLDER)

DEBIAN_FOLDER = D.DEBIAN # before any test puts another in its place

@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("draw_sample", ROOT / "tools" / "draw_sample.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

@needs_full_set
def test_redrawing_gives_the_same_sample(script, full_set):
    drawn = script.draw(full_set)
    with np.load(script.SAMPLE, allow_pickle=False) as kept:
        assert sorted(kept.files) == sorted(drawn)
        for name in drawn: np.testing.assert_array_equal(kept[name], drawn[name], strict=True)
    other = script.draw(full_set, seed=script.SEED + 1)
    assert not np.array_equal(other["train_images"], drawn["train_images"]), "the seed changes nothing"

@needs_full_set
def test_sample_is_part_of_the_full_set(full_set):
    sample = fashion_mnist(sample=True)
    for split in ("train", "test"):
        def pairs(data): return {(image.tobytes(), int(label)) for image, label in
                                 zip(getattr(data, f"{split}_images"), getattr(data, f"{split}_labels"))}
        assert pairs(sample) <= pairs(full_set)


# ---------------------------------------------------------------- the full set

@needs_full_set
def test_full_set(full_set):
    for images, labels, n in ((full_set.train_images, full_set.train_labels, 60_000), (full_set.test_images, full_set.test_labels, 10_000)):
        assert (images.dtype, images.shape) == (np.float32, (n, 28, 28)) and (images.min(), images.max()) == (0, 1)
        np.testing.assert_array_equal(np.bincount(labels), np.full(10, n // 10), strict=True)
        assert labels.dtype == np.int64
    assert full_set.source == DEBIAN_FOLDER

@needs_full_set
@pytest.mark.parametrize("name, packed_at, md5", [
    ("train-images-idx3-ubyte", 1504176606, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    ("train-labels-idx1-ubyte", 1504176606, "25c81989df183df01b3e8a0aad5dffbe"),
    ("t10k-images-idx3-ubyte", 1504176627, "bef4ecab320f06d8554ea6380940ec79"),
    ("t10k-labels-idx1-ubyte", 1504176627, "bb300cfdad3c16e7a12a480ee83cd310"),
])
def test_the_digests_are_the_publishers(name, packed_at, md5):
    """Debian's archives are the publisher's with name and time left out of the gzip header. Put back, they have the MD5 that the
    publisher prints on the set's page, so the SHA-256 of the result is the SHA-256 of what the publisher serves."""
    debian = Path(DEBIAN_FOLDER, f"{name}.gz").read_bytes()
    assert debian[3] == 0, "the header has optional fields already"
    publishers = debian[:3] + b"\x08" + struct.pack("<I", packed_at) + debian[8:10] + name.encode() + b"\0" + debian[10:]
    assert hashlib.md5(publishers).hexdigest() == md5
    assert hashlib.sha256(publishers).hexdigest() == D.FILES[name].packed


# ---------------------------------------------------------------- the named tuple

def test_repr_source_and_pickle(tmp_path, contents):
    folder = write(tmp_path / "here", contents)
    data = fashion_mnist(folder)
    assert repr(data).splitlines() == [
        f"FashionMNIST from {folder}",
        "  train_images  float32 (20, 28, 28)",
        "  train_labels  int64 (20,)",
        "  test_images   float32 (10, 28, 28)",
        "  test_labels   int64 (10,)",
        "  class_names   T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"]
    again = pickle.loads(pickle.dumps(data))
    assert type(again) is FashionMNIST and again.source == data.source and same(again, contents)
    assert data._fields == ("train_images", "train_labels", "test_images", "test_labels", "class_names")
    assert data._replace(train_labels=data.train_labels[::-1]).source == "arrays given by hand"


# ---------------------------------------------------------------- minibatches

@given(n=st.integers(1, 40), batch_size=st.integers(1, 45), seed=st.none() | st.integers(0, 9), drop_last=st.booleans())
def test_every_row_once(n, batch_size, seed, drop_last):
    a, b = np.arange(n * 2).reshape(n, 2), -np.arange(n)
    if drop_last and n < batch_size:
        with pytest.raises(ValueError, match=f"batch_size: expected at most {n}"): minibatches(a, b, batch_size=batch_size, drop_last=drop_last)
        return
    batches = list(minibatches(a, b, batch_size=batch_size, rng=seed, drop_last=drop_last))
    sizes = [len(piece) for piece, _ in batches]
    assert sizes == [batch_size] * (n // batch_size) + ([n % batch_size] if n % batch_size and not drop_last else [])
    for first, second in batches: np.testing.assert_array_equal(first[:, 0] // 2, -second, strict=True)
    seen = np.concatenate([-second for _, second in batches])
    assert len(set(seen.tolist())) == len(seen) == sum(sizes)
    if seed is None: np.testing.assert_array_equal(seen, np.arange(len(seen)), strict=True)
    else: np.testing.assert_array_equal(seen, np.random.default_rng(seed).permutation(n)[:len(seen)], strict=True)

def test_in_order_means_views():
    a = np.arange(10)
    assert all(np.shares_memory(piece, a) for piece, in minibatches(a, batch_size=3))
    assert not any(np.shares_memory(piece, a) for piece, in minibatches(a, batch_size=3, rng=0))

def test_generator_moves_on_and_a_seed_does_not():
    a = np.arange(100)
    def epoch(rng): return np.concatenate([piece for piece, in minibatches(a, batch_size=7, rng=rng)]).tolist()
    generator = np.random.default_rng(3)
    first, second = epoch(generator), epoch(generator)
    assert first != second and first == epoch(3) == epoch(np.int64(3)) == epoch(np.random.default_rng(3))

def test_rows_of_other_arrays():
    dask = pytest.importorskip("dask.array")
    a = np.arange(10.)
    for rng in (None, 1):
        lazy = list(minibatches(dask.from_array(a, chunks=4), a, batch_size=4, rng=rng))
        for piece, wanted in lazy:
            assert isinstance(piece, dask.Array)
            np.testing.assert_array_equal(piece.compute(), wanted, strict=True)

@pytest.mark.parametrize("arrays, options, error, message", [
    ((), dict(batch_size=1), TypeError, "arrays: expected at least one, got none"),
    (([1, 2],), dict(batch_size=1), TypeError, "arrays: expected an array .* at position 0, got list"),
    ((np.ones(2), np.float64(1)), dict(batch_size=1), TypeError, r"at position 1, got float64 of shape \(\)"),
    ((np.ones(2), np.ones((3, 1))), dict(batch_size=1), ValueError, r"as many rows in each, got shapes \(2,\), \(3, 1\)"),
    ((np.ones((0, 4)),), dict(batch_size=1), ValueError, r"at least one row, got shapes \(0, 4\)"),
    ((np.ones(2),), dict(batch_size=0), ValueError, "batch_size: expected 1 or more, got 0"),
    ((np.ones(2),), dict(batch_size=-3), ValueError, "batch_size: expected 1 or more, got -3"),
    ((np.ones(2),), dict(batch_size=1.0), TypeError, "batch_size: expected an integer, got 1.0"),
    ((np.ones(2),), dict(batch_size=3, drop_last=True), ValueError, "batch_size: expected at most 2, .*; got 3"),
    ((np.ones(2),), dict(batch_size=1, rng=True), TypeError, "rng: expected a numpy.random.Generator, .* got True"),
    ((np.ones(2),), dict(batch_size=1, rng="0"), TypeError, "rng: expected a numpy.random.Generator, .* got '0'"),
    ((np.ones(2),), dict(), TypeError, "batch_size"),
])
def test_mistakes_are_found_at_the_call(arrays, options, error, message):
    with pytest.raises(error, match=message): minibatches(*arrays, **options)
