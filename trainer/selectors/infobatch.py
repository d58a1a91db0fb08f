"""InfoBatch: leaves out examples with small losses at random and weighs up those like them that stay. Pure.

Qin et al., InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning, ICLR 2024 (arXiv 2303.04947).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from trainer.selectors.base import EveryExample, Ids, Kept, Losses, State, finite, of_all
from trainer.selectors.options import Option, read

OPTIONS = {"r": Option(0.5, 0.0, 0.99), "full_last": Option(0.125, 0.0, 1.0)}


def weights(losses: Losses, r: float, rng: Generator) -> Losses:
    """A weight for each of the (n,) losses, 0 for those to leave out; the expected sum is n.

    Below the mean an example is left out with probability `r`, else it weighs 1/(1-r). The others, and those whose
    loss is not known (NaN), weigh 1.
    """
    known = ~np.isnan(losses)
    mean = losses[known].mean(dtype=np.float64) if known.any() else 0.0
    stays = np.where(rng.random(len(losses)) < r, 0.0, 1 / (1 - r))
    return np.where(losses < mean, stays, 1.0).astype(np.float32)


class InfoBatch(EveryExample):
    """Prunes an epoch before it begins, by the last training loss of each example: no forward is paid.

    The first epoch is full, for no loss is known, and so is every one that begins when only `full_last` of the budget
    is left, so that the last steps see all examples alike. All of `order` is kept: its length tells how much is pruned.
    """

    name = "infobatch"

    def __init__(self, n: int, r: float, full_last: float) -> None:
        super().__init__(n)
        self._r, self._full_last = r, full_last
        self._full = True
        self._losses = np.full(n, np.nan, np.float32)
        self._weights = np.ones(n, np.float32)

    def begin_epoch(self, epoch: int, share_spent: float) -> None:
        super().begin_epoch(epoch, share_spent)
        self._full = share_spent >= 1 - self._full_last

    def order(self, rng: Generator) -> Ids:
        r = 0.0 if self._full else self._r
        self._weights = weights(self._losses, r, rng)
        return rng.permutation(np.flatnonzero(self._weights))

    def keep(self, ids: Ids, losses: Losses, rng: Generator) -> Kept:
        del losses, rng  # the epoch was pruned before it began
        return Kept(np.arange(len(ids)), self._weights[ids])

    def trained(self, ids: Ids, losses: Losses) -> None:
        self._losses[ids] = finite(losses)

    def state(self) -> State:
        mine = {"losses": self._losses.copy(), "weights": self._weights.copy()}
        return super().state() | mine | {"full": np.array(self._full)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        super().restore(state)
        self._losses = of_all(state["losses"], self.n)
        self._weights = of_all(state["weights"], self.n)
        self._full = bool(state["full"])


def infobatch(n: int, options: Mapping[str, float]) -> InfoBatch:
    chosen = read(InfoBatch.name, options, OPTIONS)
    return InfoBatch(n, chosen["r"], chosen["full_last"])
