"""CIFAR-10 as its authors publish it for Python: pickles, read without trusting them.

Each holds a dictionary: `data`, (n, 3072) unsigned bytes in the order channel, row, column, and `labels`, n numbers.
"""

import io
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.dataset import Dataset, Split, split, together
from trainer.data.reading import content_of, described
from trainer.errors import TrainError

_TRAIN, _TEST = tuple(f"data_batch_{i}" for i in range(1, 6)), ("test_batch",)
_SIDE = 32
_CLASSES = ("airplane", "automobile", "bird", "cat", "deer",
            "dog", "frog", "horse", "ship", "truck")  # fmt: skip


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
        case {b"data": np.ndarray() as pixels, b"labels": list() as labels}:
            pass
        case {"data": np.ndarray() as pixels, "labels": list() as labels}:
            pass
        case _:
            raise TrainError(
                f"{path} holds no array `data` with a list `labels`; get the file again"
            )
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), 3 * _SIDE**2):
        raise TrainError(
            f"{path}: `data` is {pixels.dtype} of shape {pixels.shape} for {len(labels)} labels, not uint8 of shape "
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


_UNREADABLE = (pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
               AssertionError, MemoryError, RecursionError, struct.error)  # fmt: skip
"""What unpickling raises on damaged opcodes."""

_RECONSTRUCT = np.empty(0).__reduce__()[0]  # numpy's own, whatever it is called in this version


def _from_bytes(content: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """What pickles of protocol 5 make arrays with."""
    return np.frombuffer(content, dtype).reshape(shape, order=order)


def _encoded(text: Any, encoding: Any) -> bytes:
    """What pickles below protocol 3 make bytes with."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return str(text).encode("latin1")


_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encoded,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_bytes for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    """Knows what arrays are made of and no other name."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if found := _ALLOWED.get((module_name, global_name)):
            return found
        raise TrainError(
            f"it asks for {module_name}.{global_name}, and only arrays are read; "
            "use the files as CIFAR-10's authors publish them"
        )


def unpickled(path: Path) -> Any:
    """What a pickle of arrays and built-in values holds. Raises TrainError, also for one that asks for any code."""
    content = content_of(path)
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except TrainError as error:
        raise TrainError(f"{path} is refused: {error}") from error
    except _UNREADABLE as error:
        raise TrainError(
            f"{path} cannot be read as a pickle of arrays: {type(error).__name__}: {error}; get the file again"
        ) from error
