"""What a family can be asked for with these arms: rows in one request, requests at a time. Pure."""

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

from server.policy.decision import ArmProfile
from server.policy.queueing import splitting
from server.policy.queueing.admission import MARGIN, row_s

SPREAD = 1.05
"""Costs that move by less are not told to the policy: what is offered must still be in time then."""


class Pieces(NamedTuple):
    """What bounds requests that run in several batches: the workers that share them, the rows of a whole request."""

    workers: int
    whole: int


def most_rows(
    arms: Iterable[ArmProfile],
    variant: str | None = None,
    least: float = 0.0,
    within_s: float = inf,
    pieces: Pieces | None = None,
) -> int:
    """The most rows of one request that an arm answers, by itself and within so long (s); 0: not even one.

    Only arms count that have this accuracy at `least`, and that run `variant` where one is pinned. With `pieces` a
    request may also be answered in several batches.
    """
    able = [a for a in arms if a.accuracy >= least and variant in (None, a.arm.variant)]
    most = 0
    for arm in able:
        larger = range(arm.max_batch, most, -1)
        most = next((n for n in larger if arm.upper_s[n] * SPREAD <= within_s), most)
    if pieces is None:
        return most
    return max(most, splitting.most_rows(able, pieces.workers, within_s / SPREAD, pieces.whole))


def most_waiting(arms: Sequence[ArmProfile], workers: float, within_s: float) -> float:
    """How many requests of one row, all to be answered within so long (s), may wait before another is refused."""
    pace_s = row_s(arms) / workers
    return MARGIN * within_s / pace_s if pace_s else inf
