"""What it means that two runtimes agree: how far answers may differ, by datatype and precision. Pure.

In fp32 a difference is that of one value, relative to the largest of its row, for a network's outputs add up what
cancels out. In narrower precisions single values are noise: there it is the whole row's, root mean squares compared.
Whole numbers are equal or they are not: a difference is the share of values that are not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.datatypes import BY_DTYPE, DATATYPES

Row = NDArray[np.generic]
"""One output for one row."""

_SMALLEST_SCALE = 1e-12
"""A row of zeros and of what a processor takes for zero (denormal numbers) has this scale at least,"""
_OF_OTHERS = 1e-6
"""and so much of what the output's rows commonly have."""

_FLOATS = {"fp16": 0.05, "bf16": 0.25, "int8": 0.6}
"""Narrower precision of the variant -> largest relative difference of floats that is agreement, whatever their type."""

_WHOLE = {"fp16": 0.05, "bf16": 0.1, "int8": 0.15}
"""The same for whole numbers and truth values: a class number may change where two classes were as good as alike."""

_LOOSEST = "int8"
"""What a precision that is not listed is taken for."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far apart answers are, and how far they may be; `where` names the output and says what is different."""

    value: float = 0.0
    allowed: float = 0.0
    where: str = ""

    @property
    def agrees(self) -> bool:
        """Whether that is agreement."""
        return self.value <= self.allowed


def is_tame(array: NDArray[np.generic]) -> bool:
    """Whether all of it are numbers, and floats have finite squares."""
    if array.dtype.kind != "f" or not array.size:
        return True
    most = float(np.finfo(array.dtype.name).max) ** 0.5
    return -most <= float(array.min()) and float(array.max()) <= most  # NaN is neither


def tolerance(dtype: np.dtype[np.generic], precision: str) -> float:
    """The largest difference that is agreement, for outputs of this type of a variant of this precision."""
    if precision == "fp32":
        return BY_DTYPE.get(dtype.name, DATATYPES["FP32"]).tolerance
    narrower = _FLOATS if dtype.kind == "f" else _WHOLE
    return narrower.get(precision, narrower[_LOOSEST])


def compared(
    name: str, expected: Sequence[Row], found: Sequence[Row], precision: str
) -> Difference:
    """The largest difference among rows of the output called `name`, which must be alike in shape and type.

    Values that are not finite must be the same at the same places. In narrower precisions the reference may have one
    where the other has a number: it adds up in another order.
    """
    for e, f in zip(expected, found, strict=True):
        if e.shape != f.shape or e.dtype != f.dtype:
            kinds = f"{f.dtype} {list(f.shape)} instead of {e.dtype} {list(e.shape)}"
            return Difference(float("inf"), where=f"output {name!r} is {kinds}")
    pairs = list(zip(expected, found, strict=True))
    if not pairs:
        return Difference()
    allowed = tolerance(pairs[0][0].dtype, precision)
    if pairs[0][0].dtype.kind != "f":
        return _whole(name, pairs, allowed)
    least = max(_OF_OTHERS * _common([_largest(e) for e, _ in pairs]), _SMALLEST_SCALE)
    values = [_relative(e, f, least, single=precision == "fp32") for e, f in pairs]
    worst = int(np.argmax(values))
    return Difference(values[worst], allowed, f"output {name!r}: {_pair(*pairs[worst])}")


def _whole(name: str, pairs: Sequence[tuple[Row, Row]], allowed: float) -> Difference:
    unlike = [float(np.mean(e != f)) if e.size else 0.0 for e, f in pairs]
    worst = int(np.argmax(unlike))
    sizes = [e.size for e, _ in pairs]
    share = sum(u * n for u, n in zip(unlike, sizes, strict=True)) / max(1, sum(sizes))
    return Difference(share, allowed, f"output {name!r}: {_pair(*pairs[worst])}")


def _common(sizes: Sequence[float]) -> float:
    """What rows commonly have, those at the ends of their type left out of account."""
    return sorted(sizes)[len(sizes) // 4]


def _largest(row: Row) -> float:
    values = np.abs(row.astype(np.float64))
    return float(values.max(initial=0.0, where=np.isfinite(values)))


def _relative(expected: Row, found: Row, least: float, *, single: bool) -> float:
    """A row's difference, of single values or of all together; infinite where only one of the two is finite.

    `least` is the smallest value to which it is relative.
    """
    e, f = expected.astype(np.float64).ravel(), found.astype(np.float64).ravel()
    both = np.isfinite(e) & np.isfinite(f)
    rest = ~both & ~((e == f) | (np.isnan(e) & np.isnan(f)))
    lost = rest if single else rest & np.isfinite(e)
    if lost.any():
        return float("inf")
    if not both.any():
        return 0.0
    e, f = e[both], f[both]
    scale = max(float(np.abs(e).max()), least)
    apart = np.abs(e / scale - f / scale)
    if single:
        return float(apart.max())
    return float(np.linalg.norm(apart) / max(float(np.linalg.norm(e / scale)), 1.0))


def _pair(expected: Row, found: Row) -> str:
    """The pair of values that differ most, for a reader."""
    e, f = expected.ravel(), found.ravel()
    if not e.size:
        return "nothing to compare"
    if e.dtype.kind == "f":
        with np.errstate(all="ignore"):
            apart = np.abs(e.astype(np.float64) - f.astype(np.float64))
        same = (e == f) | (np.isnan(e) & np.isnan(f))
        apart = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
        at = int(np.argmax(apart))
    else:
        at = int(np.argmax(e != f))
    return f"{f[at]} instead of {e[at]}"
