"""Synthetic label noise. Pure: the generator comes in."""

import numpy as np
from numpy.typing import NDArray


def shuffled(
    labels: NDArray[np.int64], share: float, classes: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """A copy of `labels` (n,) in which those of round(share * n) random examples are drawn anew, uniformly.

    The draw is over all classes, the right one among them: share / classes of the labels stay right by chance, so
    share * (1 - 1 / classes) are wrong in the mean. Raises ValueError for a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise ValueError(
            f"label noise {share} is outside 0..1; give the share of labels to replace"
        )
    noisy = labels.copy()
    chosen = rng.choice(len(labels), round(share * len(labels)), replace=False)
    noisy[chosen] = rng.integers(classes, size=len(chosen))
    return noisy
