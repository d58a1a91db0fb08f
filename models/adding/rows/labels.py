"""Labels of rows, as class numbers or names, and the numbers that they stand for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.build.errors import BuildError
from models.build.narrowing.calibration import Inputs
from surroundings.documents import text_at

Labels = Sequence[int | str]

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Rows by input and their labels, if they have some; `remarks`: how they were made. `chosen`: where not all rows
    were taken, or in another order, their places among the `count` that there are."""

    inputs: Inputs
    count: int
    labels: Labels | None = None
    remarks: tuple[str, ...] = ()
    chosen: Sequence[int] | None = None

    def of_chosen(self, labels: Labels) -> Labels:
        """Of labels for all rows, those of the rows that were taken."""
        return labels if self.chosen is None else [labels[i] for i in self.chosen]


def read_labels(path: Path) -> Labels:
    """One label a row: lines of text, or a .npy array of numbers or texts. Raises BuildError."""
    try:
        if path.suffix.lower() == ".npy":
            return _array(path)
        lines = [line.strip() for line in text_at(path).strip().split("\n")]
    except (OSError, ValueError, EOFError) as error:
        raise BuildError(
            f"{path} cannot be read: {error}; give one class number or name a line, or a .npy array"
        ) from error
    if "" in lines:
        raise BuildError(f"{path}, line {lines.index('') + 1}: no label; give one a row")
    return lines


def numbered(
    labels: Labels, known: tuple[str, ...]
) -> tuple[NDArray[np.int64], tuple[str, ...], tuple[str, ...]]:
    """(class numbers; the classes' names where they were named here; what is to be said). `known`: the model's own.

    Numbers are numbers; names are the model's, or numbered in alphabetical order. Raises BuildError.
    """
    texts = [str(label) for label in labels]
    if all(text.isascii() and text.isdecimal() for text in texts):
        return np.array([int(text) for text in texts], np.int64), (), ()
    names = known or tuple(sorted(set(texts)))
    numbers = {name: number for number, name in enumerate(names)}
    if odd := sorted(set(texts) - numbers.keys()):
        raise BuildError(
            f"label {odd[0]!r} is none of the model's {len(known)} classes ({_shown(known)}); "
            "call the classes as the model does, or give their numbers"
        )
    said = () if known else (f"classes are numbered in alphabetical order: {_shown(names)}",)
    found = np.array([numbers[text] for text in texts], np.int64)
    return found, () if known else names, said


def _array(path: Path) -> Labels:
    array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype.kind not in "iuU":
        raise ValueError("it is no array of one class number or name a row")
    return array.tolist()


def _shown(names: Sequence[str]) -> str:
    shown = ", ".join(f"{number} {name}" for number, name in enumerate(names[:_SHOWN]))
    return f"{shown}, ..." if len(names) > _SHOWN else shown
