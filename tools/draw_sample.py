"""Draw the sample that the package carries: 400 training and 100 test images of each class.

    python tools/draw_sample.py [OUTPUT.npz]

Every image gets a random 64-bit ticket, and in each class the smallest tickets win; the winners keep the order of the full set. The tickets come
from a bit generator rather than from a method of `Generator` because NumPy promises that the former's stream never changes. The full set is looked
for where `fashion_mnist()` looks.
"""
import sys
from pathlib import Path

import numpy as np

from autodiffnb.data import FashionMNIST, fashion_mnist

SEED = 20170825
PER_CLASS = {"train": 400, "test": 100}
SAMPLE = Path(__file__).resolve().parent.parent / "autodiffnb" / "fashion_mnist_sample.npz"


def winners(
    tickets: np.ndarray, # (n,) one for each image
    labels: np.ndarray, # (n,) its class
    per_class: int, # how many win in each class
) -> np.ndarray: # (classes * per_class,) rows, rising
    "The rows that hold the smallest tickets of their class."
    rows = np.argsort(tickets, kind="stable")
    return np.sort(np.concatenate([rows[labels[rows] == label][:per_class] for label in np.unique(labels)]))


def draw(
    data: FashionMNIST, # the full set
    seed: int = SEED, # of the tickets
) -> dict[str, np.ndarray]: # images (n, 28, 28) and labels (n,), uint8 as in the publisher's files
    "The sample's arrays by name."
    tickets, arrays = np.random.PCG64(seed), {}
    for split, per_class in PER_CLASS.items():
        images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
        rows = winners(tickets.random_raw(len(labels)), labels, per_class)
        arrays[f"{split}_images"] = np.rint(images[rows] * 255).astype(np.uint8)
        arrays[f"{split}_labels"] = labels[rows].astype(np.uint8)
    return arrays


if __name__ == "__main__":
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLE
    data = fashion_mnist()
    np.savez_compressed(output, **draw(data))
    print(f"{output}: {output.stat().st_size:,} bytes, drawn from {data.source} with seed {SEED}")
