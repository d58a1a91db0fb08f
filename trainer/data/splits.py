"""Parts of a training split, stratified by class. Pure: the generator comes in."""

import numpy as np
from numpy.typing import NDArray


def held_out(
    labels: NDArray[np.int64], share: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices (training, validation), ascending; together every example of `labels` (n,) once.

    Validation gets share * n examples to the nearest whole one, and of every class its share to within one: examples
    stand in order of class and, inside a class, at random, and are taken at even distances (systematic sampling).
    Raises ValueError for a share outside 0 <= share < 1.
    """
    if not 0 <= share < 1:
        raise ValueError(f"validation share {share} is outside 0 <= share < 1; 0.1 is usual")
    order = np.lexsort((rng.random(len(labels)), labels))
    passed = np.floor(np.arange(len(labels) + 1) * share + 0.5)
    taken = np.zeros(len(labels), np.bool_)
    taken[order] = np.diff(passed) > 0
    return np.flatnonzero(~taken), np.flatnonzero(taken)
