"""The two controls: all examples, and as many as a selector keeps but picked by chance. Pure."""

from collections.abc import Mapping

import numpy as np
from numpy.random import Generator

from trainer.selectors.base import EveryExample, Ids, Kept, Losses
from trainer.selectors.options import Option, read

RANDOM = {"rate": Option(1 / 3, 0.001, 1.0)}


class Random(EveryExample):
    """Keeps each example with probability `rate`, whatever its loss: what selection by loss must beat."""

    name = "random"

    def __init__(self, n: int, rate: float) -> None:
        super().__init__(n)
        self._rate = rate

    @property
    def keep_rate(self) -> float:
        return self._rate

    def keep(self, ids: Ids, losses: Losses, rng: Generator) -> Kept:
        del losses
        positions = np.flatnonzero(rng.random(len(ids)) < self._rate)
        return Kept(positions, np.ones(len(positions), np.float32))


def uniform(n: int, options: Mapping[str, float]) -> EveryExample:
    read("uniform", options, {})
    return EveryExample(n)


def random(n: int, options: Mapping[str, float]) -> Random:
    return Random(n, read("random", options, RANDOM)["rate"])
