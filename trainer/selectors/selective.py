"""Selection by loss: each example is kept with a probability that a curve gives for its loss's percentile. Pure.

What the selectors that use it differ in is the curve, and how old a loss may be before it is computed anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from trainer.selectors.base import EveryExample, Ids, Kept, Losses, State, finite, of_all
from trainer.selectors.history import RECENT, History
from trainer.selectors.options import SWITCH, Option

NEVER = -(2**30)
"""The epoch in which a loss that was never computed was computed."""
LOOKS = {
    "floor": Option(0.02, 1e-6, 1.0),
    "primed_epochs": Option(1, 0, 1000, whole=True),
    "importance": SWITCH,
}


class KeepCurve(Protocol):
    """How much an example is worth by the percentile, 0 to 1, of its loss."""

    def at(self, percentiles: NDArray[np.float64]) -> NDArray[np.float64]:
        """The probability of keeping each, before it is clipped to the floor and to 1."""
        ...


@dataclass(frozen=True, slots=True)
class Looks:
    """How examples are looked at, whatever the curve.

    `floor`: no probability is below it, so that no example is lost for ever. `every_epochs`: a loss older than that
    is computed anew; `reuse`: a loss that a training step gave is as good as that of a forward. `importance`: weights
    1/p, of mean 1 in each batch of candidates, in place of 1.
    """

    floor: float = 0.02
    primed_epochs: int = 1
    every_epochs: int = 1
    reuse: bool = False
    importance: bool = False


def looks(chosen: Mapping[str, float]) -> Looks:
    """How a selector's options have examples looked at: LOOKS, and `n` and `reuse` of those that remember losses."""
    return Looks(
        chosen["floor"],
        int(chosen["primed_epochs"]),
        int(chosen.get("n", 1)),
        bool(chosen.get("reuse", 0)),
        bool(chosen["importance"]),
    )


def probabilities(
    percentiles: NDArray[np.float64], curve: KeepCurve, floor: float
) -> NDArray[np.float64]:
    """P(keep) for each percentile: the curve, but in [floor, 1]."""
    return np.clip(curve.at(percentiles), floor, 1.0)


class Selective(EveryExample):
    """Keeps by the percentile of the loss among the last ones looked at.

    In the first `primed_epochs`, and while the curve is flat, no loss matters: no forward is asked for, and the
    training steps' losses fill history and memory for later.
    """

    name = "selective"

    def __init__(self, n: int, curve: KeepCurve, looks: Looks) -> None:
        super().__init__(n)
        self.looks = looks
        self._history = History()
        self._losses = np.full(n, np.nan, np.float32)
        self._computed = np.full(n, NEVER, np.int32)
        self._follow(curve)

    @property
    def keep_rate(self) -> float:
        return 1.0 if self._priming else self._rate

    def unknown(self, ids: Ids) -> NDArray[np.bool_]:
        if self._blind:
            return np.zeros(len(ids), np.bool_)
        return self.epoch - self._computed[ids] >= self.looks.every_epochs

    def keep(self, ids: Ids, losses: Losses, rng: Generator) -> Kept:
        chances = self._chances(ids, np.asarray(losses, np.float32))
        positions = np.flatnonzero(rng.random(len(ids)) < chances)
        weights = np.ones(len(positions), np.float32)
        if self.looks.importance and len(positions):
            inverse = 1 / chances[positions]
            weights = (inverse / inverse.mean()).astype(np.float32)
        return Kept(positions, weights)

    def trained(self, ids: Ids, losses: Losses) -> None:
        losses = finite(losses)
        self._losses[ids] = losses
        if self.looks.reuse and not self._priming:  # while priming, losses fall too fast to be kept
            self._computed[ids] = self.epoch
        if self._blind:
            self._history = self._history.with_more(losses)

    def state(self) -> State:
        return super().state() | {
            "history": self._history.losses.copy(),
            "losses": self._losses.copy(),
            "computed": self._computed.copy(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        super().restore(state)
        self._losses = of_all(state["losses"], self.n)
        self._computed = of_all(state["computed"], self.n)
        self._history = History(state["history"].copy())

    def _follow(self, curve: KeepCurve) -> None:
        chances = probabilities(np.arange(RECENT) / RECENT, curve, self.looks.floor)
        self._curve = curve
        self._flat = bool(np.ptp(chances) == 0)
        self._rate = float(chances.mean())

    @property
    def _priming(self) -> bool:
        return self.epoch < self.looks.primed_epochs

    @property
    def _blind(self) -> bool:
        return self._priming or self._flat

    def _chances(self, ids: Ids, losses: Losses) -> NDArray[np.float64]:
        if self._blind:
            return np.full(len(ids), self.keep_rate)
        self._remember(ids, losses)
        known = self._losses[ids]
        self._history = self._history.with_more(known)
        return probabilities(self._history.below(known), self._curve, self.looks.floor)

    def _remember(self, ids: Ids, losses: Losses) -> None:
        computed = self.unknown(ids) | ~np.isnan(losses)
        self._losses[ids[computed]] = finite(losses[computed])
        self._computed[ids[computed]] = self.epoch
