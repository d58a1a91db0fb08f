"""What a family can be asked for with these arms: rows in one request, requests at a time. Pure."""

from collections.abc import Iterable, Sequence
from math import inf

from server.policy.decision import ArmProfile
from server.policy.queueing.admission import MARGIN, row_s

SPREAD = 1.05
"""Costs that move by less are not told to the policy: what is offered must still be in time then."""


def most_rows(
    arms: Iterable[ArmProfile],
    variant: str | None = None,
    least: float = 0.0,
    within_s: float = inf,
) -> int:
    """The most rows of one request that an arm answers, by itself and within so long (s); 0: not even one.

    Only arms count that have this accuracy at `least`, and that run `variant` where one is pinned.
    """
    most = 0
    for arm in arms:
        if arm.accuracy >= least and variant in (None, arm.arm.variant):
            larger = range(arm.max_batch, most, -1)
            most = next((n for n in larger if arm.upper_s[n] * SPREAD <= within_s), most)
    return most


def most_waiting(arms: Sequence[ArmProfile], workers: float, within_s: float) -> float:
    """How many requests of one row, all to be answered within so long (s), may wait before another is refused."""
    pace_s = row_s(arms) / workers
    return MARGIN * within_s / pace_s if pace_s else inf
