"""How far a narrower network's answers are from fp32's, relative to how much fp32's differ from row to row. Pure."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CONSTANT = 1e-5
"""A column that differs by less than this share of its size differs by rounding."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Of each column of an output: the error relative to how much the column differs, and how much that is.

    `lost`: fp32's differs from row to row, the copy's does not.
    """

    errors: Floats
    spreads: Floats
    lost: NDArray[np.bool_]


def relative_error(full: Floats, made: Floats) -> float:
    """The copy's error over all values, or over all columns alike where that is larger.

    What is small in numbers, a confidence beside positions in pixels, counts as much as what is large. A column that
    is off by more than it differs is as good as lost, and counts as that.
    """
    if not full.size:
        return 1.0
    spread = float(np.linalg.norm(full - full.mean(axis=0)))
    whole = float(np.linalg.norm(made - full)) / (spread or float(np.linalg.norm(full)) or 1.0)
    errors = np.minimum(columns_of(full, made).errors, 1.0)
    return max(whole, float(np.sqrt(np.mean(errors**2))))


def columns_of(full: Floats, made: Floats) -> Columns:
    """Column by column: a column that is the same on all rows is compared with its size instead."""
    ours, theirs = _as_columns(made), _as_columns(full)
    size, spread = _norms(theirs), _norms(theirs - theirs.mean(axis=0))
    differs = spread > _CONSTANT * size
    scale = np.where(differs, spread, size)
    scale = np.maximum(scale, _CONSTANT * scale.max(initial=0.0))
    off = _norms(ours - theirs)
    errors = np.divide(off, scale, out=(off > 0).astype(np.float64), where=scale > 0)
    lost = differs & (_norms(ours - ours.mean(axis=0)) <= _CONSTANT * _norms(ours))
    return Columns(errors, spread, lost)


def _as_columns(array: NDArray[Any]) -> Floats:
    """[rows, values, columns]: of several axes the shortest holds values of unlike kinds, as positions and scores."""
    if array.ndim < 3:
        return array.reshape(len(array), 1, -1)
    shortest = 1 + int(np.argmin(array.shape[1:]))
    moved = np.moveaxis(array, shortest, -1)
    return moved.reshape(len(array), -1, array.shape[shortest])


def _norms(columns: Floats) -> Floats:
    return np.asarray(np.sqrt((columns**2).sum(axis=(0, 1))))
