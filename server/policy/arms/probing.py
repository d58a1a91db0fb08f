"""Which arm to run as a shadow while nobody could wait for it: those whose cost is no longer known well. Pure.

A shadow run answers nobody; it is observed as any batch (`retune.LatencySample.shadow`). Also what measures
anew, point by point, after the hardware changed (`retune.renewed`).
"""

from math import exp, hypot, sqrt
from typing import NamedTuple

from profiler.speed import drift
from server.policy.arms.retune import Known
from server.policy.decision import Arm, ArmProfile
from server.policy.dispatch.hull import Point, hull

UNSEEN = 0.1
"""How uncertain (log) an arm is that has not run since the start or since the hardware changed."""
DRIFTING, DRIFTING_MOST = 0.02, 0.3
"""How uncertain it gets in DRIFTS_SLOS without a run, with the square root of time (a random walk), and at most."""
DRIFTS_SLOS = 1200.0
"""Counted in latency bounds, as `retune` counts how beliefs fade: what a stale belief costs goes by how many are
decided on with it."""
RESPONSE = 0.25
"""Share of the machine's change since its last run that an arm may follow differently from the others."""
SIZE_UNSEEN = 0.08
"""How uncertain a batch size is on which no batch told; it falls with the square root of their number."""
STALE = 0.06
"""An uncertainty (log) beyond this is worth a run: about retune.NEWS, what the policy would be told."""
SIGMAS = 2.0
"""An arm counts where it might be worth choosing if it were faster by so many times its uncertainty."""
RISK = 0.05
"""The chance allowed that a request comes and finds no idle worker before the shadow run is over."""
SHARE = 0.01
"""Share of all workers' time that shadow runs may take."""
GAP_SLOS = 5.0
"""Shadow runs begin at least so many latency bounds after one another ended: each takes the chance RISK that somebody
waits for it."""


class Probe(NamedTuple):
    """Run `rows` rows on this arm as a shadow. The first run of a cold arm tells little: keep the second."""

    arm: Arm
    rows: int
    expected_s: float


class Slack(NamedTuple):
    """How idle a family is: arrivals expected (rows/s), its workers, those idle, rows waiting, latency bound (s)."""

    rate_rps: float
    workers: int
    idle: int
    waiting: int
    slo_s: float


class ShadowBudget(NamedTuple):
    """What shadow runs have cost: none before `free_s`, by when their share of time is made up for."""

    free_s: float = 0.0


class Stale(NamedTuple):
    """An arm's cost as known: `idle_s` since it last ran (None: never), how far (log) the machine `moved` since, and
    how `uncertain` (log) that leaves it, whatever the batch size."""

    arm: Arm
    idle_s: float | None
    moved: float
    uncertain: float


def stale(known: Known, now_s: float) -> tuple[Stale, ...]:
    """How well each arm's cost is known now, the least certain first."""
    found = [_stale(known, arm, now_s) for arm in known.profiled]
    return tuple(sorted(found, key=lambda s: -s.uncertain))


def next_probe(known: Known, slack: Slack, spent: ShadowBudget, now_s: float) -> Probe | None:
    """The most uncertain point that could change decisions and that nobody could have to wait for; None: run nothing.

    Sizes are powers of two, up to the largest that takes at most half the latency bound.
    """
    if slack.waiting or not slack.idle or now_s < spent.free_s:
        return None
    points = [
        (hypot(one.uncertain, _of_size(known, one.arm, rows)), -rows, one.arm)
        for one in _worthy(known, slack.slo_s, now_s)
        for rows in sizes(known.effective[one.arm], slack.slo_s)
        if risk(slack, known.effective[one.arm].upper_s[rows]) <= RISK
    ]
    uncertain, rows, arm = max(points, key=lambda p: p[:2], default=(0.0, 0, None))
    if arm is None or uncertain <= STALE:
        return None
    return Probe(arm, -rows, known.effective[arm].mean_s[-rows])


def after(took_s: float, workers: int, ended_s: float, slo_s: float = 0.05) -> ShadowBudget:
    """What is spent once a shadow run ended that took a worker `took_s`, whether or not its result was kept."""
    return ShadowBudget(ended_s + max(GAP_SLOS * slo_s, took_s / (SHARE * workers)))


def sizes(arm: ArmProfile, slo_s: float) -> tuple[int, ...]:
    """The batch sizes worth knowing: powers of two that take at most half the bound, one row at least."""
    powers = [1 << k for k in range(arm.max_batch.bit_length())]
    return (1, *[b for b in powers[1:] if arm.upper_s[b] <= 0.5 * slo_s])


def risk(slack: Slack, takes_s: float) -> float:
    """The chance that as many rows come in this time as there are idle workers, the shadow's own included (Poisson)."""
    expected = slack.rate_rps * takes_s
    term = total = 1.0
    for k in range(1, slack.idle):
        term *= expected / k
        total += term
    return 1.0 - exp(-expected) * total


def _stale(known: Known, arm: Arm, now_s: float) -> Stale:
    last = known.last.get(arm)
    if last is None:
        return Stale(arm, None, 0.0, UNSEEN)
    idle_s, moved = max(0.0, now_s - last.ended_s), known.speed.level - last.level
    if (claim := known.speed.claim) is not None and claim.key != arm:
        moved += claim.given
    walked = min(DRIFTING * sqrt(idle_s / (DRIFTS_SLOS * known.slo_s)), DRIFTING_MOST)
    return Stale(arm, idle_s, moved, hypot(walked, RESPONSE * moved))


def _of_size(known: Known, arm: Arm, rows: int) -> float:
    return SIZE_UNSEEN / sqrt(1.0 + drift.evidence(known.speed, arm, rows))


def _worthy(known: Known, slo_s: float, now_s: float) -> list[Stale]:
    """The arms that are worth choosing at some load, or would be if they were faster by what is not known of them."""
    costs = {arm: _point(profile, slo_s) for arm, profile in known.effective.items()}
    return [one for one in stale(known, now_s) if _matters(costs, one)]


def _matters(costs: dict[Arm, Point], one: Stale) -> bool:
    mine = costs[one.arm]
    doubt = hypot(one.uncertain, SIZE_UNSEEN)
    best = Point(mine.cost_s * exp(-SIGMAS * doubt), mine.accuracy)
    return best in hull([best, *(point for arm, point in costs.items() if arm != one.arm)])


def _point(arm: ArmProfile, slo_s: float) -> Point:
    """Time a row takes in the best batch worth knowing, and what it is worth."""
    return Point(min(arm.mean_s[b] / b for b in sizes(arm, slo_s)), arm.accuracy)
