"""Rows made larger than they are, so that unlike ones run together, and their answers cut back. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from models.catalog import Family, TensorSpec

Arrays = Mapping[str, NDArray[np.generic]]

MASKS = frozenset({"attention_mask", "input_mask"})
"""Inputs, in small letters, that say which tokens are to be looked at."""


def is_mask(name: str) -> bool:
    """Whether an input of this name says which tokens are to be looked at: by ones among zeros."""
    return name.lower() in MASKS


def padded(
    rows: Arrays, family: Family, sizes: Mapping[str, int]
) -> dict[str, NDArray[np.generic]]:
    """The rows, of no larger sizes, at these; filled behind what there is with what the family's inputs say (`pad`)."""
    return {
        spec.name: _filled(rows[spec.name], spec.at(sizes).shape[1:], spec.pad or 0.0)
        for spec in family.inputs
    }


def hides_all(rows: Arrays) -> bool:
    """Whether a mask hides all of a row: what is looked at then is no more than what is filled in."""
    masks = [array for name, array in rows.items() if name.lower() in MASKS]
    return any(not array.any(axis=tuple(range(1, array.ndim))).all() for array in masks)


def looked_at(rows: Arrays) -> Arrays:
    """The rows with masks that hide nothing."""
    return {n: np.ones_like(a) if n.lower() in MASKS else a for n, a in rows.items()}


def cropped(
    array: NDArray[np.generic], spec: TensorSpec, sizes: Mapping[str, int]
) -> NDArray[np.generic]:
    """An output of padded rows as it is for rows of these sizes."""
    dims = spec.at(sizes).shape[1:]
    if dims == array.shape[1:]:
        return array
    return np.ascontiguousarray(array[(slice(None), *(slice(d) for d in dims))])


def _filled(array: NDArray[np.generic], dims: Sequence[int], value: float) -> NDArray[np.generic]:
    if array.shape[1:] == tuple(dims):
        return array
    whole = np.full((len(array), *dims), value, array.dtype)
    whole[tuple(slice(n) for n in array.shape)] = array
    return whole
