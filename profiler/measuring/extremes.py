"""Rows made of the values at which runtimes part: the ends of each type, and where a narrower type would end. Pure."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.backends.base import Tensors
from models.catalog import Family, TensorSpec
from models.padding import is_mask
from models.tolerances import is_tame

_EDGES = (7, 8, 15, 16, 24, 31, 32, 53, 63, 64)
"""Powers of two next to which some type's whole numbers end."""

_MODERATE = (
    1 / 3,
    -1 / 3,
    1.0,
    -1.0,
    0.0,
    -0.0,
    2.5,
    -0.5,
    1.0 + 2**-52,
    1.0 + 2**-23,
    1.0 + 2**-10,
    7.0,
    -255.5,
)
"""Fractions that tell how many bits are kept."""

_MOST_INPUTS = 4
"""Of families with more inputs, all are extreme at once only."""


def extreme_rows(family: Family) -> Iterator[Tensors]:
    """Batches of one: every input at its extremes, then each alone, the others being zeros.

    Where a row holds fewer values than a sequence has, there are as many rows as show them all. Inputs begin at
    different places of it: they are not to be equal everywhere.
    """
    specs = family.inputs
    fills = [_fills(spec, shift) for shift, spec in enumerate(specs)]
    for k in range(max(map(len, fills))):
        yield {s.name: _row(s, fill[k % len(fill)]) for s, fill in zip(specs, fills, strict=True)}
    if not 1 < len(specs) <= _MOST_INPUTS:
        return
    for one, fill in zip(specs, fills, strict=True):
        for values in fill:
            yield {s.name: _row(s, values) if s is one else _zeros(s) for s in specs}


def is_edge(row: Tensors) -> bool:
    """Whether it holds floats whose squares are not finite: sums of products overflow as they happen to be added."""
    return not all(map(is_tame, row.values()))


def _fills(spec: TensorSpec, shift: int) -> list[NDArray[np.generic]]:
    """What fills this input's rows, repeated: the first of every sequence before the second of any."""
    size = math.prod(spec.shape[1:])
    found: list[tuple[int, NDArray[np.generic]]] = []
    for pattern in _patterns(spec):
        starts = range(0, len(pattern), max(1, size))
        rolled = (np.roll(pattern, -start - shift) for start in starts)
        found += list(enumerate(rolled))
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def _row(spec: TensorSpec, values: NDArray[np.generic]) -> NDArray[np.generic]:
    """Made when it is wanted: rows may be large."""
    size = math.prod(spec.shape[1:])
    return np.tile(values, -(-size // len(values)))[:size].reshape(1, *spec.shape[1:])


def _zeros(spec: TensorSpec) -> NDArray[np.generic]:
    return np.zeros((1, *spec.shape[1:]), spec.dtype)


def _patterns(spec: TensorSpec) -> list[NDArray[np.generic]]:
    """Sequences that fill a row of this input, repeated."""
    dtype = spec.dtype
    if dtype.kind == "b" or is_mask(
        spec.name
    ):  # of what a mask weighs, other values make sums of nothing
        return [np.array([1, 0], dtype), np.array([1], dtype)]
    return _floats(dtype) if dtype.kind == "f" else _whole(dtype)


def _whole(dtype: np.dtype[np.generic]) -> list[NDArray[np.generic]]:
    limits = np.iinfo(dtype.name)
    low, high = int(limits.min), int(limits.max)
    near = {sign * (1 << k) + d for k in _EDGES for d in (-1, 0, 1) for sign in (1, -1)}
    inside = sorted(
        {v for v in near | {0, 1, 2, 3, 5, -1, -2, low + 1, high - 1} if low <= v <= high}
    )
    rows = [[high, low], inside, inside[::-1], [high], [low], [3, 1, 2], [high // 2, high // 3]]
    return [np.array(row, dtype) for row in rows]


def _floats(dtype: np.dtype[np.generic]) -> list[NDArray[np.generic]]:
    """The values of a row are of like size, for they are compared by the largest."""
    limits = np.finfo(dtype.name)
    high, tiny = float(limits.max), float(limits.tiny)
    root = high**0.5
    rows = [
        list(_MODERATE),
        [high, -high],
        [-0.7, -0.2, -3.0],
        [0.6, 0.1, 2.0],
        [root, -root / 3],
        [tiny, -tiny, tiny * 4],
        [1e3, -1e3 / 7, 65504.0 / 64],
        [1e-4, -6e-5, 3e-5],
        [-10.1, 9.3, -4.7],
        [float("nan"), 1.0, -1.0],
        [float("inf"), float("-inf"), 1.0],
    ]
    return [np.array(row, dtype) for row in rows]
