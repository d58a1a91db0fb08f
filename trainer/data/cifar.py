"""CIFAR-10 as its authors publish it for Python: pickles, read without trusting them.

Each holds a dictionary: `data`, (n, 3072) unsigned bytes in the order channel, row, column, and `labels`, n numbers.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.dataset import Dataset, Split, split, together
from trainer.data.pickles import ByteArray, unpickled
from trainer.data.reading import described
from trainer.errors import TrainError

_TRAIN, _TEST = tuple(f"data_batch_{i}" for i in range(1, 6)), ("test_batch",)
_SIDE = 32
_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def matches(path: Path) -> bool:
    """Whether it is a folder with one of the batches."""
    return any((path / name).is_file() for name in _TRAIN + _TEST)


def read(folder: Path) -> Dataset:
    """The data set in `folder`: data_batch_1 to data_batch_5 and test_batch. Raises TrainError."""
    splits = _split(folder, _TRAIN), _split(folder, _TEST)
    source = described(folder, [folder / name for name in _TRAIN + _TEST])
    return together("cifar10", splits, _CLASSES, source)


def _split(folder: Path, names: tuple[str, ...]) -> Split:
    parts = [_batch(folder / name) for name in names]
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return split(images, labels, f"{folder}, {names[0]} to {names[-1]}")


def _batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 3, 32, 32) and labels (n,)."""
    if not path.is_file():
        raise TrainError(f"{path} is missing; put all six files of CIFAR-10 for Python there")
    match unpickled(path):
        case {b"data": ByteArray(elements=np.ndarray() as pixels), b"labels": list() as labels}:
            pass
        case {"data": ByteArray(elements=np.ndarray() as pixels), "labels": list() as labels}:
            pass
        case _:
            raise TrainError(
                f"{path} holds no array `data` with a list `labels`; get the file again"
            )
    if pixels.shape != (len(labels), 3 * _SIDE**2):
        raise TrainError(
            f"{path}: `data` is of shape {pixels.shape} for {len(labels)} labels, not "
            f"({len(labels)}, {3 * _SIDE**2}); get the file again"
        )
    return pixels.reshape(-1, 3, _SIDE, _SIDE), _whole(labels, path)


def _whole(labels: list[Any], path: Path) -> NDArray[np.int64]:
    if not set(map(type, labels)) <= {int}:
        raise TrainError(f"{path}: `labels` are not whole numbers; get the file again")
    try:
        return np.array(labels, np.int64)
    except OverflowError as error:
        raise TrainError(f"{path}: `labels` exceed 64 bits; get the file again") from error
