"""Selective-Backprop: the higher an example's loss among the last ones, the likelier it is trained on. Pure.

Jiang et al., Accelerating Deep Learning by Focusing on the Biggest Losers, 2019 (arXiv 1910.00762).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.selectors.options import Option, read
from trainer.selectors.selective import LOOKS, Selective, looks

OPTIONS = {"beta": Option(2.0, 0.0, 64.0)} | LOOKS


@dataclass(frozen=True, slots=True)
class Power:
    """percentile ** beta: for losses without ties about 1/(beta + 1) of the examples are kept."""

    beta: float

    def at(self, percentiles: NDArray[np.float64]) -> NDArray[np.float64]:
        return percentiles**self.beta


class SelectiveBackprop(Selective):
    """Every loss is computed just before it decides: a selection forward for each example in each epoch."""

    name = "selective_backprop"


def selective_backprop(n: int, options: Mapping[str, float]) -> SelectiveBackprop:
    """P(keep) = max(floor, CDF_R(loss) ** beta)."""
    chosen = read(SelectiveBackprop.name, options, OPTIONS)
    return SelectiveBackprop(n, Power(chosen["beta"]), looks(chosen))
