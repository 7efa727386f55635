"""`python -m autodiffnb train`: train a model from the command line. Written by hand, like `__init__`: it derives nothing and only hands arguments on to `fit`."""
import argparse
import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import autodiffnb as ad
from autodiffnb.data import DatasetNotFound
from autodiffnb.training import Diverged, regular

DONE, FAILED, MISUSED, DIVERGED, INTERRUPTED, UNREAD = 0, 1, 2, 3, 130, 141
EPILOG = """Standard output gets one line of JSON for each epoch, written when the epoch is over and before it is saved; standard error gets the bar and the messages.

exit codes: 0 done; 1 the data or a file could not be read or written, or do not fit together; 2 the command line is wrong;
3 the loss became nan or infinite; 130 interrupted with Ctrl-C (OUT has the last whole epoch); 141 nobody reads the output any more

examples:
  python -m autodiffnb train --data sample --epochs 20
  python -m autodiffnb train --model mlp --optimizer adam --lr 0.002 --schedule cosine --compile --out run.npz > run.jsonl
  python -m autodiffnb train --model mlp --optimizer adam --lr 0.002 --schedule cosine --compile --out run.npz --resume >> run.jsonl"""

MODELS = dict(softmax=lambda shape, c, a: ad.SoftmaxRegression(math.prod(shape), c, seed=a.seed, dtype=a.dtype), mlp=lambda shape, c, a: ad.MLP((math.prod(shape), *(a.hidden or [128]), c), seed=a.seed, dtype=a.dtype),
              cnn=lambda shape, c, a: ad.CNN(image=pictured(shape), classes=c, seed=a.seed, dtype=a.dtype))
OPTIMIZERS = dict(sgd=ad.SGD, rmsprop=ad.RMSProp, adam=ad.Adam, adamw=ad.AdamW)
NAMES = ("train_images", "train_labels", "test_images", "test_labels"), ("x_train", "y_train", "x_test", "y_test")


def whole(least: int) -> Callable:
    def check(text):
        try: number = int(text)
        except ValueError: raise argparse.ArgumentTypeError(f"expected an integer, got {text!r}") from None
        if number < least: raise argparse.ArgumentTypeError(f"expected {least} or more, got {text}")
        return number
    return check


def real(low: float, high: float = math.inf, open: bool = False) -> Callable:
    def check(text):
        try: number = float(text)
        except ValueError: raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
        if not low <= number < high or open and number == low: raise argparse.ArgumentTypeError(f"expected a number in {'(' if open else '['}{low:g}, {high:g}), got {text}")
        return number
    return check


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m autodiffnb", description=ad.__doc__)
    top.add_argument("--version", action="version", version=f"autodiffnb {ad.__version__}")
    train = top.add_subparsers(required=True, metavar="command").add_parser("train", help="train a classifier and save it", description="Train a classifier of images.",
                                                                            epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    train.set_defaults(run=run_train)
    add = train.add_argument
    add("--data", default="fashion", help="'fashion' for FashionMNIST wherever it is found (default), 'sample' for the 5,000 images that come with the package, a folder with its four files, "
                                          f"or a .npz with arrays {', '.join(NAMES[0])} or {', '.join(NAMES[1])}; the last two may be missing, and bytes are divided by 255")
    add("--model", choices=MODELS, default="softmax", help="softmax regression (default), a multilayer perceptron, or a convolutional network of two layers, for images of shape (height, width) or (height, width, channels)")
    add("--hidden", type=whole(1), nargs="+", metavar="UNITS", help="units of each hidden layer of mlp (default: one layer of 128)")
    add("--epochs", type=whole(0), default=10, metavar="N", help="that the run has in the end, those before --resume counted (default 10)")
    add("--batch", type=whole(1), default=32, metavar="ROWS", help="rows in a step (default 32)")
    add("--optimizer", choices=OPTIMIZERS, default="sgd", help="default sgd")
    add("--lr", type=real(0, open=True), metavar="RATE", help="learning rate (default: 0.01 for sgd and rmsprop, 0.001 for adam and adamw)")
    add("--momentum", type=real(0, 1), metavar="MU", help="for sgd and rmsprop (default 0)")
    add("--nesterov", action="store_true", help="for sgd with momentum: look ahead")
    add("--weight-decay", type=real(0), metavar="LAMBDA", help="of the weights, not the biases (default 0; 0.01 for adamw)")
    add("--clip", type=real(0, open=True), metavar="NORM", help="the greatest norm of all gradients together (default: none)")
    add("--schedule", choices=["constant", "cosine"], default="constant", help="cosine: down to zero over all epochs (default constant)")
    add("--warmup", type=whole(0), default=0, metavar="STEPS", help="steps in which the learning rate rises at first (default 0)")
    add("--seed", type=whole(0), default=0, metavar="N", help="of the first weights and of the shuffling (default 0)")
    add("--no-shuffle", dest="shuffle", action="store_false", help="take the rows in the order of the data in each epoch")
    add("--dtype", choices=["float32", "float64"], default="float32", help="of parameters and images (default float32)")
    add("--out", type=Path, metavar="FILE", help="checkpoint (.npz), written after each epoch; a file that is there already is refused without --resume")
    add("--resume", action="store_true", help="go on with the run in OUT, bit for bit as if it had not been stopped; begin if there is no such file")
    add("--compile", action="store_true", help="replay the step as a program: faster, with the same numbers")
    add("--progress", action=argparse.BooleanOptionalAction, help="a bar with tqdm, lines without (default: if standard error is a terminal)")
    return top


def data_of(where: str, dtype: str) -> tuple[tuple, tuple | None]:
    "((images, labels) to train with, the same to validate with or None)"
    if where in ("fashion", "sample"): found = ad.fashion_mnist(sample=where == "sample")[:4]
    elif Path(where).suffix == ".npz": found = read_npz(where)
    else: found = ad.fashion_mnist(where)[:4]
    scaled = lambda x: x.astype(dtype, copy=False) / np.dtype(dtype).type(255) if x.dtype == np.uint8 else x.astype(dtype, copy=False) if x.dtype.kind in "biuf" else x
    found = [*map(lambda x, image: scaled(x) if image else x, found, (True, False, True, False))]
    return tuple(found[:2]), tuple(found[2:]) or None


def read_npz(path: str) -> list[np.ndarray]:
    "Two or four arrays. Raises `ValueError` naming the file, what it should hold and what it holds."
    try:
        with np.load(regular(path), allow_pickle=False) as held:
            if not hasattr(held, "files"): raise ValueError("it is a single array")
            names = next((names for names in NAMES if set(names[:2]) <= set(held.files)), None)
            if names is None: raise ValueError(f"it holds {', '.join(held.files) or 'nothing'}")
            found = [held[name] for name in names if name in held.files]
    except FileNotFoundError: raise
    except Exception as error: raise ValueError(f"--data: expected in {path} arrays named {', '.join(NAMES[0])} or {', '.join(NAMES[1])} (the last two may be missing); {error or 'it is no .npz'}") from None
    if len(found) == 3: raise ValueError(f"--data: expected in {path} both {' and '.join(names[2:])}, or neither")
    return found


def classes_in(labels: np.ndarray) -> int:
    if labels.dtype.kind not in "iu" or labels.ndim != 1: raise ValueError(f"--data: expected labels as integers of shape (n,), got {labels.dtype} of shape {labels.shape}")
    if not labels.size or labels.min() < 0: raise ValueError(f"--data: expected labels of 0 or more, got {'none' if not labels.size else labels.min()}")
    if labels.max() >= max(1000, labels.size): raise ValueError(f"--data: expected labels in [0, classes), got {labels.max()} among {labels.size} rows")
    return max(2, int(labels.max()) + 1)


def pictured(shape: tuple[int, ...]) -> tuple[int, ...]:
    "The shape of an image with its channels, of which a grey one has a single one."
    if len(shape) not in (2, 3): raise ValueError(f"--model cnn: expected images of shape (height, width) or (height, width, channels) in --data, got {shape}")
    return shape if len(shape) == 3 else (*shape, 1)


def optimizer_of(args, model, steps: int):
    "The optimiser that the arguments describe; what was not given is left to its defaults."
    cosine = ad.Cosine(max(1, steps - args.warmup)) if args.schedule == "cosine" else None
    decay = args.weight_decay if args.weight_decay is not None else 0.01 if args.optimizer == "adamw" else 0.0
    decay = {name: decay for name, p in model.params.items() if p.ndim > 1} if decay else None
    settings = dict(lr=args.lr, momentum=args.momentum, nesterov=args.nesterov or None, weight_decay=decay, clip=args.clip, schedule=ad.Warmup(args.warmup, cosine) if args.warmup else cosine)
    return OPTIMIZERS[args.optimizer](model.params, **{name: x for name, x in settings.items() if x is not None})


def run_train(args, out) -> int:
    train, validation = data_of(args.data, args.dtype)
    shape, classes = train[0].shape[1:], classes_in(train[1])
    if math.prod(shape) < 1: raise ValueError(f"--data: expected images of one number or more, got shape {train[0].shape}")
    model, history = MODELS[args.model](shape, classes, args), None
    optimizer, before = optimizer_of(args, model, args.epochs * math.ceil(len(train[1]) / args.batch)), time.monotonic()
    def tell(model, optimizer, history):
        nonlocal before
        now, line = time.monotonic(), {name: x if math.isfinite(x) else None for name, x in history[-1].items()}
        print(json.dumps(line | dict(epochs=args.epochs, lr=optimizer.rate, seconds=round(now - before, 3))), file=out, flush=True)
        before = now
    with contextlib.redirect_stdout(sys.stderr): # for `fit`'s lines where there is no tqdm
        history = ad.fit(model, train, validation, epochs=args.epochs, batch_size=args.batch, optimizer=optimizer, shuffle=args.seed if args.shuffle else None, checkpoint=args.out,
                         compile=args.compile, progress=sys.stderr.isatty() if args.progress is None else args.progress, callbacks=[tell])
    saved = f"; saved in {args.out}" if args.out and len(history) else ""
    if history.interrupted:
        kept = f"; {args.out} has the last whole epoch, and --resume goes on from there" if args.out and args.out.exists() else ""
        return said(f"interrupted after {len(history)} of {args.epochs} epochs{kept}", INTERRUPTED)
    last = ", ".join(f"{name.replace('_', ' ')} {x:.4f}" for name, x in (history[-1] if len(history) else {}).items() if name != "epoch")
    return said(f"{len(history)} epochs{': ' * bool(last)}{last}{saved}", DONE)


def said(message, code: int) -> int:
    print(f"autodiffnb: {message}", file=sys.stderr)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    "Run the command line, and return the exit code."
    top = parser()
    args = top.parse_args(argv)
    if args.resume and not args.out: top.error("--resume: expected --out beside it, which names the run to go on with")
    if args.hidden and args.model != "mlp": top.error(f"--hidden: expected --model mlp beside it, got {args.model}")
    if args.out and not args.resume and args.out.exists() and not args.out.is_file(): top.error(f"--out: expected the name of a file, and {args.out} is a {'folder' if args.out.is_dir() else 'device or a pipe'}")
    if args.out and args.out.exists() and not args.resume: top.error(f"--out: {args.out} is there already; give --resume to go on with it, or another name")
    if args.momentum is not None and args.optimizer not in ("sgd", "rmsprop"): top.error(f"--momentum: expected --optimizer sgd or rmsprop beside it, got {args.optimizer}")
    if args.nesterov and not (args.optimizer == "sgd" and args.momentum): top.error("--nesterov: expected --optimizer sgd and --momentum above 0 beside it")
    try: return args.run(args, sys.stdout)
    except KeyboardInterrupt: return said("interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()) # or Python complains once more when it flushes at exit
        return UNREAD
    except Diverged as error: return said(f"error: {error}", DIVERGED)
    except DatasetNotFound as error: return said(f"error: {error}\n  Here: --data sample, --data FOLDER", FAILED)
    except (OSError, ValueError, TypeError) as error: return said(f"error: {error}", FAILED)
    except MemoryError as error: return said(f"error: not enough memory: {error}", FAILED)


if __name__ == "__main__": sys.exit(main())
