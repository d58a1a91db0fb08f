"""Whether unlike rows may be padded to one size: believed of the usual transformers, once it was tried."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.adding.sizing import Sizes
from models.adding.trial import Arrays
from models.build.errors import BuildError
from models.catalog import Family, TensorSpec
from models.padding import cropped, padded

FILLS = {
    "input_ids": 0.0,
    "attention_mask": 0.0,
    "input_mask": 0.0,
    "token_type_ids": 0.0,
    "segment_ids": 0.0,
}
"""Inputs of transformers, and what fills them up: what the mask says not to look at."""
_MASKS = {"attention_mask", "input_mask"}
TOLERANCE = 1e-4
"""Of the norm of an answer: padding that changes it by more is not done."""
TRIED = ((0.3, 1.0), (0.8, 0.85), (1.0, 2.0))
"""Sizes that are padded, and to which, in typical ones."""


def filled(
    family: Family, rows_of: Callable[[Sizes], Arrays], run: Callable[[Arrays], Arrays]
) -> Family:
    """The family, its inputs padded where they are called as transformers' are and that changes no answer.

    `rows_of`: rows of these sizes. `run` raises BuildError.
    """
    sized = [spec for spec in family.inputs if spec.sizes]
    if not sized or any(spec.name.lower() not in FILLS for spec in sized):
        return family
    inputs = tuple(
        replace(spec, pad=FILLS[spec.name.lower()]) if spec.sizes else spec
        for spec in family.inputs
    )
    made = replace(family, inputs=inputs)
    return made if made.pads and _changes_nothing(made, rows_of, run) else family


def _changes_nothing(
    family: Family, rows_of: Callable[[Sizes], Arrays], run: Callable[[Arrays], Arrays]
) -> bool:
    for share, of in TRIED:
        small, large = _sizes(family, share), _sizes(family, of)
        rows = _looked_at(family.inputs, rows_of(small))
        try:
            own, others = run(rows), run(padded(rows, family, large))
        except BuildError:
            return False
        if not all(
            _alike(own[spec.name], cropped(others[spec.name], spec, small))
            for spec in family.outputs
        ):
            return False
    return True


def _sizes(family: Family, share: float) -> dict[str, int]:
    return {s.name: min(s.most, max(1, round(share * s.typical))) for s in family.sizes}


def _looked_at(inputs: Sequence[TensorSpec], rows: Arrays) -> Arrays:
    """The rows with masks that hide nothing."""
    masks = {spec.name for spec in inputs if spec.name.lower() in _MASKS}
    return {name: np.ones_like(a) if name in masks else a for name, a in rows.items()}


def _alike(own: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    if own.shape != other.shape or own.dtype.kind != "f":
        return bool(np.array_equal(own, other))
    a, b = own.astype(np.float64), other.astype(np.float64)
    return float(np.linalg.norm(a - b)) <= TOLERANCE * float(np.linalg.norm(a))
