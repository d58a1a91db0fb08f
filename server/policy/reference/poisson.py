"""Poisson arrivals at a queue: how many in a span of time, and how long the queue is after it."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 1e-12
"""Expected arrivals below this count as this many."""


def arriving(means: Floats, most: int) -> Floats:
    """Probabilities of 0, 1, ... `most` or more arrivals (a last axis of `most` + 1) for each mean number of them."""
    logs = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, most + 1)))))
    means = np.maximum(means, LEAST)[..., None]
    shares = np.exp(np.arange(most + 1) * np.log(means) - means - logs)
    shares[..., -1] = np.maximum(0.0, 1.0 - shares[..., :-1].sum(axis=-1))
    return shares


def growing(shares: Floats) -> Floats:
    """From probabilities (..., n + 1) of arrivals those (..., n + 1, n + 1) of queues, by length before and after.

    What exceeds n counts as n.
    """
    size = shares.shape[-1]
    grown = np.zeros((*shares.shape, size))
    for before in range(size):
        grown[..., before, before:] = shares[..., : size - before]
        grown[..., before, -1] += shares[..., size - before :].sum(axis=-1)
    return grown
