"""What is known of one arm's speed beside the machine's: a frozen value, one batch at a time. Pure.

Errors are logarithms of measured over predicted latency. An arm has its own offset and curve, its own scatter and
margin, and its own two-sided CUSUM (Page, 1954), by which a change of this arm alone is told from one of the machine.
"""

from math import log
from typing import NamedTuple

from profiler.speed.curve import FLAT, Curve

CALM_GAIN = 0.05
"""Share of an error that is followed when nothing has changed: a memory of some 20 batches."""
JUMP_GAIN = 0.5
"""Share followed right after a change (and at the start); decays to CALM_GAIN."""
GAIN_DECAY = 0.8
CUSUM_SLACK = 1.0
CUSUM_BAR = 8.0
"""In spreads: a change of two spreads is noticed in eight batches; noise alone needs thousands to reach it."""
SPREAD_GAIN = 0.02
SPREAD_FLOOR = 0.02
"""Two per cent: batches repeat no better than that."""
UPPER_TAIL = 0.02
"""Share of batches allowed above the upper estimate."""
UPPER_STEP = 0.015
"""How far (log) a batch above the estimate lifts it; those below lower it, in balance (Robbins and Monro, 1951)."""
OWN_SHARE = 0.3
"""Share of that step by which an arm's own part moves: with fewer batches to go by, more gently."""
UPPER_MIN, UPPER_MAX = log(1.02), log(4.0)
WIDE_KEPT = 0.9
"""Share of a widened margin that is left after each batch of the arm: 12 % after twenty."""

Sums = tuple[float, float]
"""A two-sided CUSUM in spreads: (rising, falling)."""


class Watch(NamedTuple):
    """An arm's CUSUM: zero until the machine's batch number `since`; `last_z` is its last error in spreads."""

    sums: Sums = (0.0, 0.0)
    since: int = 0
    last_z: float = 0.0


class Margin(NamedTuple):
    """What an arm's upper estimate has beside the machine's (log): learnt `extra`, and `wide` for the time being."""

    extra: float = 0.0
    wide: float = 0.0


class ArmSpeed(NamedTuple):
    """One arm: log `offset` and `curve` beside the machine's level, `spread` of a calm error, `gain` of its offset.

    `doubt`: the error of its last batch if that was far off, else 0. `last`: the machine's batch number of its last.
    """

    offset: float = 0.0
    curve: Curve = FLAT
    gain: float = CALM_GAIN
    spread: float = 0.05
    doubt: float = 0.0
    watch: Watch = Watch()
    margin: Margin = Margin()
    last: int = 0


def watched(sums: Sums, z: float) -> tuple[Sums, bool]:
    """The CUSUM after an error of `z` spreads, and whether it rings; then it starts anew."""
    rising, falling = sums[0] + z - CUSUM_SLACK, sums[1] - z - CUSUM_SLACK
    if rising > CUSUM_BAR or falling > CUSUM_BAR:
        return (0.0, 0.0), True
    return (max(rising, 0.0), max(falling, 0.0)), False


def margin_after(margin: Margin, upper: float, error: float) -> Margin:
    """An arm's margin beside the machine's `upper` after a batch with this error: adaptive conformal inference.

    A step up by the share that should stay below, or down by the share allowed above (Gibbs and Candes, 2021): in the
    long run UPPER_TAIL of the arm's own batches are above, whatever their distribution.
    """
    total = upper + margin.extra
    moved = total + OWN_SHARE * upper_step(error > total)
    return Margin(held(moved) - upper, margin.wide * WIDE_KEPT)


def upper_step(above: bool) -> float:
    """How far an upper estimate moves after a batch above or below it."""
    return UPPER_STEP * (1.0 - UPPER_TAIL) if above else -UPPER_STEP * UPPER_TAIL


def held(upper: float) -> float:
    """An upper estimate within its bounds."""
    return UPPER_MIN if upper < UPPER_MIN else min(upper, UPPER_MAX)


def spread_after(spread: float, error: float, most: float) -> float:
    """The size of a calm error after one more; it counts as `most` at most."""
    return max(spread + SPREAD_GAIN * (min(abs(error), most) - spread), SPREAD_FLOOR)


def seen(arm: ArmSpeed, z: float, now: int) -> ArmSpeed:
    """The arm after an error of `z` spreads in the machine's batch number `now`: in a hurry if it alone has changed."""
    sums, rings = watched(arm.watch.sums, z)
    since = arm.watch.since if sums != (0.0, 0.0) else now
    gain = JUMP_GAIN if rings else max(arm.gain * GAIN_DECAY, CALM_GAIN)
    return arm._replace(gain=gain, watch=Watch(sums, since, z), last=now)


def hurried(arm: ArmSpeed) -> ArmSpeed:
    """The arm known to have changed alone."""
    return arm._replace(gain=JUMP_GAIN, watch=Watch((0.0, 0.0), arm.last, arm.watch.last_z))


def quiet(arm: ArmSpeed) -> ArmSpeed:
    """The arm after a change that explains its latest errors: nothing suspected."""
    return arm._replace(doubt=0.0, watch=Watch(), gain=CALM_GAIN)
