"""Whether unlike rows may be padded to one size: believed of the usual transformers, once it was tried."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.adding.reading import Arrays
from models.adding.sizing import Sizes
from models.build.errors import BuildError
from models.catalog import Family
from models.padding import MASKS, cropped, looked_at, padded

FILLS = {
    "input_ids": 0.0,
    "attention_mask": 0.0,
    "input_mask": 0.0,
    "token_type_ids": 0.0,
    "segment_ids": 0.0,
}
"""Inputs of transformers, and what fills them up: what the mask says not to look at."""
TOLERANCE = 1e-4
"""Of the norm of an answer: padding that changes it by more is not done."""
PADDED_ROWS = 8
"""So many rows of each size are padded."""
SHORT = (1, 2, 3)
"""Rows as short as can be are tried, too: of a long one a maximum hides what is filled in."""
LONGER = ((0.3, 1.0), (0.8, 0.85), (1.0, 2.0))
"""Sizes that are padded, and to which, in typical ones."""


def filled(
    family: Family, rows_of: Callable[[Sizes], Arrays], run: Callable[[Arrays], Arrays]
) -> Family:
    """The family, its inputs padded where they are called as transformers' are, one says what is to be looked at, and
    padding changes no answer.

    `rows_of`: rows of these sizes. `run` raises BuildError.
    """
    sized = [spec for spec in family.inputs if spec.sizes]
    names = {spec.name.lower() for spec in sized}
    if not names & MASKS or not names <= FILLS.keys():
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
    """Of rows as they are made, of rows without what they are filled up with, and of rows that are partly hidden."""
    typical = {s.name: s.typical for s in family.sizes}
    tried = [({n: min(k, t) for n, t in typical.items()}, typical) for k in SHORT]
    tried += [(_sizes(family, share), _sizes(family, of)) for share, of in LONGER]
    for small, large in tried:
        made = looked_at(rows_of(small))
        others = {
            n: a if n.lower() in MASKS else np.where(a == 0, 1, a).astype(a.dtype)
            for n, a in made.items()
        }
        for rows in (made, others, _partly_hidden(others)):
            try:
                own, filled_up = run(rows), run(padded(rows, family, large))
            except BuildError:
                return False
            cut = {s.name: cropped(filled_up[s.name], s, small) for s in family.outputs}
            if not all(_alike(own[name], array) for name, array in cut.items()):
                return False
    return True


def _sizes(family: Family, share: float) -> dict[str, int]:
    return {s.name: min(s.most, max(1, round(share * s.typical))) for s in family.sizes}


def _partly_hidden(rows: Arrays) -> Arrays:
    """The rows with all but the first token hidden."""
    return {
        name: np.concatenate([a[:, :1], np.zeros_like(a[:, 1:])], axis=1)
        if name.lower() in MASKS
        else a
        for name, a in rows.items()
    }


def _alike(own: NDArray[np.generic], other: NDArray[np.generic]) -> bool:
    if own.shape != other.shape or own.dtype.kind != "f":
        return bool(np.array_equal(own, other))
    a, b = own.astype(np.float64), other.astype(np.float64)
    return float(np.linalg.norm(a - b)) <= TOLERANCE * float(np.linalg.norm(a))
