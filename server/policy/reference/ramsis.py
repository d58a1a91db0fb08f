"""RAMSIS (Mendoza et al., EuroSys'24): policies solved beforehand from queue length and slack, one per arrival rate."""

from collections.abc import Sequence
from functools import lru_cache
from math import sqrt

from server.policy.decision import Arm, ArmProfile, Outlook, Policy, PolicyFactory, Ticket
from server.policy.reference.planned import BatchRule, serve_planned, sizes_within
from server.policy.reference.planning import ExpectedLoad, LoadMeter, Offline
from server.policy.reference.smdp import process, solve

SLACKS = 19
"""Slacks of the first ticket that are told apart, evenly spaced from none to the SLO."""
GUARD = 0.03
"""Share of the SLO kept free behind a batch's upper estimate. Kind: the paper has none."""
FINE = 10
"""Batches of fewer rows are all considered, of those up to twice as many every second, and so on."""
LONGEST = (16, 64)
"""Bounds of the longest queue told apart, which is else the arrivals of one SLO and three standard deviations."""


class PolicyTable:
    """What to run, by queue length and slack of the first ticket, solved for one load."""

    def __init__(self, arms: Sequence[ArmProfile], load: ExpectedLoad) -> None:
        self._slo_s = load.slo_s
        self._actions = _actions(arms, load.slo_s)
        arrivals = load.rate_rps * load.slo_s
        most = int(min(max(arrivals + 3.0 * sqrt(arrivals), LONGEST[0]), LONGEST[1]))
        game = process(self._actions, load, (most, SLACKS), GUARD * load.slo_s)
        self._best: list[list[int]] = solve(game).tolist()

    def at(self, waiting: int, slack_s: float) -> tuple[Arm, int] | None:
        """The arm and rows for `waiting` tickets (at least 1), the first with `slack_s` left; None: too late."""
        bucket = int(slack_s / self._slo_s * (SLACKS - 1))
        best = self._best[min(waiting, len(self._best)) - 1][max(0, min(bucket, SLACKS - 1))]
        if best < 0:
            return None
        arm, rows = self._actions[best]
        return arm.arm, rows


def ramsis() -> PolicyFactory:
    """The table of the next rate at or above the measured one says which arm runs how many rows.

    Kinder than the paper: tickets may be given up for a batch that is worth more without them, and workers that share
    a queue are modelled as such (decisions that many times as often) rather than as queues of their own. A table takes
    up to seconds to solve when its rate is first seen.
    """
    meter, tables = LoadMeter(), Offline(_solved)

    def build(arms: Sequence[ArmProfile]) -> Policy:
        known = {arm.arm: arm for arm in arms}

        def choose(near: Sequence[Ticket], outlook: Outlook, now_s: float) -> BatchRule:
            load = meter.load(near[0], outlook, now_s)
            found = tables.at(arms, load).at(len(near), near[0].deadline_s - now_s)
            if found is None:
                return BatchRule(min(arms, key=lambda arm: arm.upper_s[1]), 1)
            return BatchRule(known[found[0]], found[1], firm=True)

        return serve_planned(arms, choose)

    return build


def _solved(arms: Sequence[ArmProfile], load: ExpectedLoad) -> PolicyTable:
    return _remembered(tuple(arms), load)


_remembered = lru_cache(maxsize=128)(PolicyTable)
"""Solving is slow and its result depends on its arguments alone: a process that simulates much solves each once."""


def _actions(arms: Sequence[ArmProfile], slo_s: float) -> list[tuple[ArmProfile, int]]:
    """Every (arm, rows) within the SLO that no other arm matches in accuracy and time."""
    able = [
        (arm, rows)
        for arm in arms
        for rows in sizes_within(arm, slo_s)
        if rows % (1 + rows // FINE) == 0
    ]
    best: dict[int, list[ArmProfile]] = {}
    for arm, rows in sorted(able, key=lambda a: (a[0].upper_s[a[1]], -a[0].accuracy)):
        faster = best.setdefault(rows, [])
        if not faster or arm.accuracy > faster[-1].accuracy:
            faster.append(arm)
    return [(arm, rows) for rows, kept in best.items() for arm in kept]
