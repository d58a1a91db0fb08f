"""What every selector offers the training loop, and the plain one that the others refine. Pure.

For each epoch the loop calls `begin_epoch` and `order`; for each batch of candidates `unknown`, then `keep`; after each
training step `trained`; after each interval that was validated `judged`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Ids = NDArray[np.intp]
Losses = NDArray[np.float32]
State = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What to train on of one batch of candidates: `positions` in it, ascending, and a weight for each, both (kept,).

    The weights are 1 unless the selector rescales; the step's loss is the mean over its batch of weight x loss.
    """

    positions: Ids
    weights: Losses


class Selector(Protocol):
    """Which of the examples 0..n-1 are worth a training step. Its state is all its memory: the rng is the loop's."""

    @property
    def name(self) -> str: ...

    @property
    def adapts(self) -> bool:
        """Whether it listens to `judged`: if not, held-out examples need not be paid for."""
        ...

    @property
    def keep_rate(self) -> float:
        """The expected share of the examples looked at now that are kept, of losses without ties."""
        ...

    def begin_epoch(self, epoch: int, share_spent: float) -> None:
        """Epochs count from 0; `share_spent` of the budget, 0 to 1, is gone."""
        ...

    def order(self, rng: Generator) -> Ids:
        """The examples to look at in this epoch, shuffled; a selector that prunes leaves some out."""
        ...

    def unknown(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of these need a selection forward before `keep` is asked about them."""
        ...

    def keep(self, ids: Ids, losses: Losses, rng: Generator) -> Kept:
        """Chooses among these. `losses` are NaN where no forward was run.

        Raises ValueError where a loss that was asked for by `unknown` is not finite.
        """
        ...

    def trained(self, ids: Ids, losses: Losses) -> None:
        """Learns the unweighted losses of a training step, which cost nothing; ValueError if one is not finite."""
        ...

    def doubted(self, contradicted: float, wrong: float) -> None:
        """Learns, before `judged`, the shares (0 to 1) of held-out labels contradicted flatly, and at all."""
        ...

    def judged(self, improvement_per_unit: float) -> None:
        """Learns how much validation improved for each unit spent since the last such call."""
        ...

    def state(self) -> State:
        """Everything that a bit-exact resume needs."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Becomes what `state` was taken from; ValueError if that had another number of examples."""
        ...


class EveryExample:
    """Looks at every example in every epoch, pays for no forward, keeps all and remembers only the epoch."""

    name = "uniform"
    adapts = False

    def __init__(self, n: int) -> None:
        if n < 1:
            raise ValueError(f"a selector needs at least one example, not {n}")
        self.n = n
        self.epoch = 0

    @property
    def keep_rate(self) -> float:
        return 1.0

    def begin_epoch(self, epoch: int, share_spent: float) -> None:
        del share_spent  # only those that plan for the end of training use it
        self.epoch = epoch

    def order(self, rng: Generator) -> Ids:
        return rng.permutation(self.n)

    def unknown(self, ids: Ids) -> NDArray[np.bool_]:
        return np.zeros(len(ids), np.bool_)

    def keep(self, ids: Ids, losses: Losses, rng: Generator) -> Kept:
        del losses, rng  # nothing is chosen
        return Kept(np.arange(len(ids)), np.ones(len(ids), np.float32))

    def trained(self, ids: Ids, losses: Losses) -> None:
        del ids
        finite(losses)

    def doubted(self, contradicted: float, wrong: float) -> None:
        del contradicted, wrong  # only a selector that adapts listens

    def judged(self, improvement_per_unit: float) -> None:
        del improvement_per_unit  # only a selector that adapts listens

    def state(self) -> State:
        return {"epoch": np.array(self.epoch)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.epoch = int(state["epoch"])


def finite(losses: Losses) -> Losses:
    """The same losses as float32; ValueError, with their count, if some are NaN or infinite."""
    losses = np.asarray(losses, np.float32)
    bad = losses.size - int(np.count_nonzero(np.isfinite(losses)))
    if bad:
        raise ValueError(
            f"{bad} of {losses.size} losses are not finite: training has diverged; lower the rate"
        )
    return losses


def of_all(values: NDArray[Any], n: int) -> NDArray[Any]:
    """A copy of what was kept for each of `n` examples; ValueError if it is of another number of them."""
    if values.shape != (n,):
        raise ValueError(
            f"the state is of {len(values)} examples, not of {n}: resume with the same data"
        )
    return values.copy()
