"""A data set in memory, and the checks that every one passes whatever it was read from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.labels import as_labels, check_range
from trainer.errors import TrainError

_AT_ONCE = 4096  # images counted at once: counting widens every pixel to eight bytes


@dataclass(frozen=True, slots=True)
class Split:
    """`images` (n, channels, side, side) and `labels` (n,), writable and contiguous; label k is class k."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Both splits, the classes' names by label, and `source`: what it was read from, with sha256 of the files."""

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    source: str


def split(images: NDArray[np.uint8], labels: NDArray[Any], where: str) -> Split:
    """Images (n, channels, side, side) and their labels, copied. Raises TrainError, which names `where`.

    Refused: none at all, not as many labels as images, images that are not square, labels that are no whole numbers.
    """
    whole = as_labels(labels, where)
    if len(images) != len(whole):
        raise TrainError(
            f"{where} has {len(images)} images and {len(whole)} labels; get files that belong together"
        )
    if not images.size:
        raise TrainError(f"{where} is empty; both splits need at least one image")
    if images.shape[2] != images.shape[3]:
        height, width = images.shape[2:]
        raise TrainError(
            f"{where} has images {height} high and {width} wide; crop or pad them to squares"
        )
    return Split(np.array(images, np.uint8, order="C"), whole)


def together(
    name: str, splits: tuple[Split, Split], classes: Sequence[str] | None, source: str
) -> Dataset:
    """Train and test as one Dataset; without `classes` they are numbered, as many as there are different train labels.

    Raises TrainError where the splits' images differ in shape or a label is outside 0..classes-1.
    """
    train, test = splits
    if train.images.shape[1:] != test.images.shape[1:]:
        raise TrainError(
            f"{source}: train images are {_shape(train)}, test images {_shape(test)} (channels x height x width); "
            "convert them to the same"
        )
    names = tuple(classes or map(str, range(len(np.unique(train.labels)))))
    check_range(train.labels, len(names), f"train labels of {source}")
    check_range(test.labels, len(names), f"test labels of {source}")
    return Dataset(name, train, test, names, source)


def _shape(part: Split) -> str:
    return "x".join(map(str, part.images.shape[1:]))


def pixel_statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of every channel in pixel values 0..255; a constant channel's deviation is 1."""
    values = np.arange(256)
    means, deviations = list[float](), list[float]()
    for channel in range(images.shape[1]):
        share = _counts(images, channel) / images[:, channel].size
        mean = float(share @ values)
        means.append(mean)
        deviations.append(float(np.sqrt(share @ (values - mean) ** 2)) or 1.0)
    return tuple(means), tuple(deviations)


def _counts(images: NDArray[np.uint8], channel: int) -> NDArray[np.int64]:
    parts = (images[i : i + _AT_ONCE, channel] for i in range(0, len(images), _AT_ONCE))
    return np.sum([np.bincount(part.ravel(), minlength=256) for part in parts], axis=0)
