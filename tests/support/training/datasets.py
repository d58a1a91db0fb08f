"""Writes tiny data sets in the formats that the trainer reads, and says how they are refused."""

import gzip
import io
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainer.data import load
from trainer.errors import TrainError


def some_images(count: int, channels: int = 1, side: int = 4, seed: int = 0) -> np.ndarray:
    """Random pixels (count, channels, side, side)."""
    shape = (count, channels, side, side)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def some_labels(count: int, classes: int = 3) -> np.ndarray:
    """0, 1, 2, 0, 1, 2, ... as bytes."""
    return (np.arange(count) % classes).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, train: int = 6, test: int = 3) -> Path:
    """Training files plain, test files gzip."""
    folder.mkdir(parents=True, exist_ok=True)
    images, labels = some_images(train + test)[:, 0], some_labels(train + test)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(images[:train]))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(labels[:train]))
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images[train:])))
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels[train:])))
    return folder


CIFAR_FILES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")


def write_cifar(folder: Path, each: int = 2, protocol: int = 2) -> Path:
    """All six batches, with text keys as Python 3 writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(CIFAR_FILES):
        pixels = some_images(each, 3, 32, seed=number).reshape(each, -1)
        batch = {"data": pixels, "labels": [number] * each, "batch_label": name.encode()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    return folder


def write_npz(path: Path, **replaced: np.ndarray) -> Path:
    arrays = {
        "xtr": some_images(6)[:, 0],
        "ytr": some_labels(6),
        "xte": some_images(3, seed=1)[:, 0],
        "yte": some_labels(3),
    }
    np.savez_compressed(path, **(arrays | replaced))
    return path


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    """One image (channels, height, width) as a file's bytes."""
    file = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(file, form)
    return file.getvalue()


def write_jpegs(folder: Path, train: int = 6, test: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", train), ("test", test)):
        files = [encoded(image, "JPEG") for image in some_images(count, 3, 8)]
        content = np.frombuffer(b"".join(files), np.uint8)
        offset = np.cumsum([0, *map(len, files)]).astype(np.uint32)
        np.savez(folder / f"{name}.npz", jpeg=content, offset=offset, label=some_labels(count))
    return folder


def write_pictures(root: Path, counts: dict[str, int], channels: int = 3, side: int = 6) -> Path:
    """`root`/CLASS/0.png and so on, `counts` of each class."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for index, image in enumerate(some_images(count, channels, side, seed=number)):
            (root / name / f"{index}.png").write_bytes(encoded(image))
    return root


def refused(path: Path | str, *words: str) -> None:
    """`load` raises TrainError whose message has every one of `words`."""
    with pytest.raises(TrainError) as raised:
        load(path)
    assert [word for word in words if word not in str(raised.value)] == [], str(raised.value)
