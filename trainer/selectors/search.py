"""Which shape trains best now: a challenger runs among intervals of the incumbent, and must win repeatedly. Pure.

Improvement per unit of cost falls as training goes on, and it is noisy, so scores of intervals far apart cannot be
compared. And what an interval leaves behind is credited to the next one: after a shape that prefers hard examples any
easier one looks good at first. So a challenger runs between intervals of the incumbent, A B A A, and B with the A that
closes it is compared with the A's before and after: all begin and end where an incumbent's interval ended. What these
two have in common is the geometric mean, which is what an exponential decay has between them; where one of the two is
not positive, the arithmetic one. Only the sign counts, for no scale of the noise is known: a challenger as good as the
incumbent wins about half of its rounds, so `wins` in a row with a probability of about 2^-wins, and does no harm then;
a clearly worse one hardly ever does. One lost round ends a challenge: it costs a single interval. An incumbent's last
interval of one challenge opens the next.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite, sqrt
from typing import Any, Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from trainer.selectors.base import State
from trainer.selectors.shapes import Shape, proposal

REFUSALS_PER_REST = 4
"""So many challengers refused in a row let the incumbent run one more interval before each further one."""
MOST_RESTS = 3

Verdict = Literal["undecided", "refused", "replaced"]


@dataclass(frozen=True, slots=True)
class Challenge:
    """`before`: the incumbent's score before; `during`: the challenger's, None while its interval runs.

    `closing`: the incumbent's right after it, None until that interval has run.
    """

    challenger: Shape
    before: float
    during: float | None = None
    closing: float | None = None
    won: int = 0


@dataclass(frozen=True, slots=True)
class Search:
    """Where the search stands. `upcoming` is the next challenger, None until one is proposed.

    `refusals`: in a row; `rests`: intervals that the incumbent runs before the next challenge; `drawn`: proposals.
    """

    incumbent: Shape
    challenge: Challenge | None = None
    upcoming: Shape | None = None
    refusals: int = 0
    rests: int = 0
    drawn: int = 0

    @property
    def in_force(self) -> Shape:
        """The shape of the interval that runs."""
        if self.challenge is not None and self.challenge.during is None:
            return self.challenge.challenger
        return self.incumbent


def propose(search: Search, rng: Generator) -> Search:
    """Has a challenger ready, other than the incumbent; where one is, nothing is drawn."""
    while search.upcoming is None:
        shape = proposal(search.incumbent, search.drawn, rng)
        upcoming = None if shape == search.incumbent else shape
        search = replace(search, upcoming=upcoming, drawn=search.drawn + 1)
    return search


def judge(search: Search, score: float, wins: int) -> tuple[Search, Verdict]:
    """What follows from the score of the interval just ended; `wins` rounds in a row replace the incumbent.

    Raises ValueError where the score is not finite.
    """
    if not isfinite(score):
        raise ValueError(f"an interval's improvement must be finite, not {score}")
    running = search.challenge
    if running is None:
        return _opened(search, score), "undecided"
    if running.during is None:
        return replace(search, challenge=replace(running, during=score)), "undecided"
    if running.closing is None:
        return replace(search, challenge=replace(running, closing=score)), "undecided"
    if (running.during + running.closing) / 2 > _between(running.before, score):
        return _won(search, running, score, wins)
    return _refused(search, score)


def _between(before: float, after: float) -> float:
    return sqrt(before * after) if min(before, after) > 0 else (before + after) / 2


def _opened(search: Search, score: float) -> Search:
    if search.upcoming is None or search.rests > 0:
        return replace(search, challenge=None, rests=max(0, search.rests - 1))
    return replace(search, challenge=Challenge(search.upcoming, score), upcoming=None)


def _refused(search: Search, score: float) -> tuple[Search, Verdict]:
    refusals = search.refusals + 1
    rests = min(refusals // REFUSALS_PER_REST, MOST_RESTS)
    return _opened(replace(search, refusals=refusals, rests=rests), score), "refused"


def _won(search: Search, won: Challenge, score: float, wins: int) -> tuple[Search, Verdict]:
    if won.won + 1 < wins:
        again = Challenge(won.challenger, score, won=won.won + 1)
        return replace(search, challenge=again), "undecided"
    return Search(won.challenger, rests=1, drawn=search.drawn), "replaced"


def to_arrays(search: Search) -> State:
    """The search as arrays: NaN stands for what is not there."""
    challenge = search.challenge
    shapes = (search.incumbent, challenge and challenge.challenger, search.upcoming)
    scores = (challenge.before, challenge.during, challenge.closing) if challenge else (None,) * 3
    return {
        "shapes": np.array([_row(shape) for shape in shapes]),
        "scores": np.array([np.nan if score is None else score for score in scores]),
        "counts": np.array(
            [challenge.won if challenge else 0, search.refusals, search.rests, search.drawn]
        ),
    }


def from_arrays(state: Mapping[str, NDArray[Any]]) -> Search:
    """The search that `to_arrays` was given."""
    incumbent, challenger, upcoming = (_shape(row) for row in state["shapes"])
    assert incumbent is not None, "there always is one"
    before, *rest = state["scores"].tolist()
    during, closing = (None if np.isnan(score) else score for score in rest)
    won, refusals, rests, drawn = state["counts"].tolist()
    challenge = None
    if challenger is not None:
        challenge = Challenge(challenger, before, during, closing, won)
    return Search(incumbent, challenge, upcoming, refusals, rests, drawn)


def _row(shape: Shape | None) -> tuple[float, float, float]:
    return (shape.y1, shape.y2, shape.y3) if shape else (np.nan, np.nan, np.nan)


def _shape(row: NDArray[np.float64]) -> Shape | None:
    return None if np.isnan(row).any() else Shape(*row.tolist())
