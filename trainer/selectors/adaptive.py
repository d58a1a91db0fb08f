"""AdaptSB: selection by loss whose priority curve is searched for while training runs. Pure.

With wrong labels the highest losses are the worst to train on; which losses pay depends on the data and on the stage
of training. So intervals of training are judged by what they did for held-out examples, and the better shape stays.
How an interval went is mostly chance, though, and wrong labels do harm at once. They show on held-out examples too: a
network that has not seen them contradicts them flatly. The more of these there are, beyond what hard examples
explain, the nearer the curve comes to MIDDLE, which leaves out the highest losses (small-loss selection: Han et al.,
"Co-teaching", 2018) and, as Selective-Backprop does, most of the lowest. But a network that does not know its data yet
cannot tell wrong labels from hard ones by the loss: while many other held-out answers are wrong, all are kept instead.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from trainer.selectors.base import Ids, Kept, Losses, State
from trainer.selectors.options import SWITCH, Option, read
from trainer.selectors.search import Search, Verdict, from_arrays, judge, propose, to_arrays
from trainer.selectors.selective import LOOKS, Looks, Selective, looks
from trainer.selectors.shapes import EVERYTHING, HARDEST, MIDDLE, Shape

OPTIONS = {
    "y1": Option(HARDEST.y1, 0, 1),
    "y2": Option(HARDEST.y2, 0, 1),
    "y3": Option(HARDEST.y3, 0, 1),
    "wins": Option(2, 1, 10, whole=True),
    "n": Option(1, 1, 1000, whole=True),
    "reuse": SWITCH,
} | LOOKS


HARD = 0.08
"""Up to this share of held-out labels is contradicted although right: on Fashion-MNIST 0.02 to 0.07 mostly are."""
WRONG = 0.12
"""From this share on labels are wrong: with 20 % of them drawn anew it is 0.19 to 0.23 there."""
LEARNT = 0.15
"""So many held-out answers beside these may be wrong where wrong labels have the highest losses."""
UNLEARNT = 0.2
"""From this share on the highest losses say nothing of labels: CIFAR-10 after six epochs still."""


class Adaptive(Selective):
    """Begins with the shape `start`, by default Selective-Backprop's, and stays with it unless it is judged.

    A judgement takes effect at once: it must not fall between `unknown` and `keep` of one batch of candidates, nor
    into the primed epochs, whose intervals say nothing about any shape.
    """

    name = "adaptive"
    adapts = True

    def __init__(self, n: int, start: Shape, looks: Looks, wins: int = 2) -> None:
        super().__init__(n, start, looks)
        self.verdict: Verdict = "undecided"
        self._wins = wins
        self._search = Search(start, rests=1)
        self._doubt, self._unlearnt = 0.0, 0.0

    @property
    def shape(self) -> Shape:
        """In force now: the incumbent or its challenger."""
        return self._search.in_force

    @property
    def incumbent(self) -> Shape:
        """The best shape so far."""
        return self._search.incumbent

    def keep(self, ids: Ids, losses: Losses, rng: Generator) -> Kept:
        kept = super().keep(ids, losses, rng)
        self._search = propose(self._search, rng)
        return kept

    def doubted(self, contradicted: float, wrong: float) -> None:
        self._doubt = _between(HARD, contradicted, WRONG)
        self._unlearnt = _between(LEARNT, wrong - contradicted, UNLEARNT)
        self._follow_shape()

    def judged(self, improvement_per_unit: float) -> None:
        if self._priming or self._doubt == 1.0:  # the interval says nothing about the shape
            return
        self._search, self.verdict = judge(self._search, improvement_per_unit, self._wins)
        self._follow_shape()

    def state(self) -> State:
        return (
            super().state()
            | to_arrays(self._search)
            | {"doubt": np.array([self._doubt, self._unlearnt])}
        )

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        super().restore(state)
        self._search = from_arrays(state)
        self._doubt, self._unlearnt = state["doubt"].tolist()
        self._follow_shape()

    def _follow_shape(self) -> None:
        """So far as it is not doubted."""
        trusted = MIDDLE.towards(EVERYTHING, self._unlearnt)
        self._follow(self.shape.towards(trusted, self._doubt))


def _between(low: float, value: float, high: float) -> float:
    """How far on the way, 0 to 1."""
    return min(1.0, max(0.0, (value - low) / (high - low)))


def adaptive(n: int, options: Mapping[str, float]) -> Adaptive:
    """The shape to begin with is y1, y2, y3; `wins` rounds in a row replace it; `n` and `reuse` as for `stale`."""
    chosen = read(Adaptive.name, options, OPTIONS)
    start = Shape(chosen["y1"], chosen["y2"], chosen["y3"])
    return Adaptive(n, start, looks(chosen), int(chosen["wins"]))
