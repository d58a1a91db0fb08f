"""Labels: whole numbers in 0..classes-1, and replacements for a training split's own (CIFAR-10N's, for instance)."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.reading import arrays_of
from trainer.errors import TrainError


def replacement(path: Path, key: str, *, count: int, classes: int) -> NDArray[np.int64]:
    """The `count` labels under `key` of the npz file at `path`, in the order of the training split.

    Raises TrainError where the file or the key is missing or damaged, the number of labels is another, or one is
    outside 0..classes-1.
    """
    where = f"{path}, key {key!r}"
    labels = as_labels(arrays_of(path, (key,))[0], where)
    if len(labels) != count:
        raise TrainError(
            f"{where} has {len(labels)} labels for {count} training examples; give the file made for this data set"
        )
    check_range(labels, classes, where)
    return labels


def as_labels(values: NDArray[Any], where: str) -> NDArray[np.int64]:
    """`values`, (n,) or (n, 1) whole numbers, copied as (n,). Raises TrainError, which names `where`."""
    if (
        values.dtype.kind not in "iu"
        or values.ndim not in (1, 2)
        or values.shape[1:] not in ((), (1,))
    ):
        shape = "x".join(map(str, values.shape))
        raise TrainError(
            f"{where} has labels of type {values.dtype} and shape {shape}; one whole number an example is wanted"
        )
    return values.reshape(-1).astype(np.int64)


def check_range(labels: NDArray[np.int64], classes: int, where: str) -> None:
    """Raise TrainError, naming the first of them, if labels are outside 0..classes-1."""
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        first = int(outside.argmax())
        raise TrainError(
            f"{where}: label {labels[first]} of example {first} is outside 0..{classes - 1} ({classes} classes, "
            f"numbered without gaps; {outside.sum()} such labels); correct or renumber the labels"
        )
