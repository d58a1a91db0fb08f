"""What is known of one arm's speed beside the machine's: a frozen value, one batch at a time. Pure.

Errors are logarithms of measured over predicted latency. An arm has its own offset and curve, its own scatter and
margin, and its own two-sided CUSUM (Page, 1954), by which a change of this arm alone is told from one of the machine.
"""

from math import log
from typing import NamedTuple

from profiler.speed import curve as curves
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
UPPER_TAIL = 0.05
"""Share of batches allowed above the upper estimate, as in profiles: what is more seldom is told of as stalls."""
UPPER_STEP = 0.007
"""How far (log) a batch above the estimate lifts it; those below lower it, in balance (Robbins and Monro, 1951)."""
OWN_SHARE = 0.3
"""Share of that step by which an arm's own part moves: with fewer batches to go by, more gently."""
UPPER_MIN, UPPER_MAX = log(1.02), log(4.0)
WIDE_KEPT = 0.9
"""Share of a widened margin that is left after each batch of the arm: 12 % after twenty."""
MOST_PATIENCE = 64.0
"""An arm that was tried again so often in vain is not tried more seldom any more."""
EASED_LEAST = 0.05
"""What was eased by less than this (log) while the arm did not run proves nothing when it does."""

Sums = tuple[float, float]
"""A two-sided CUSUM in spreads: (rising, falling)."""


class Doubt(NamedTuple):
    """Batches one after the other that were far off to the same side: the least error (log) of them, and how many."""

    error: float = 0.0
    batches: int = 0

    def confirmed_by(self, error: float) -> bool:
        """Whether a batch that is far off says the same."""
        return error * self.error > 0.0

    def after(self, error: float) -> "Doubt":
        """With one more that was far off: to the same side, or it begins anew."""
        if not self.confirmed_by(error):
            return Doubt(error, 1)
        return Doubt(min(self.error, error, key=abs), self.batches + 1)


NO_DOUBT = Doubt()


class Watch(NamedTuple):
    """An arm's CUSUM: zero until the machine's batch number `since`; `last_z` is its last error in spreads."""

    sums: Sums = (0.0, 0.0)
    since: int = 0
    last_z: float = 0.0


class Margin(NamedTuple):
    """What an arm's upper estimate has beside the machine's (log): learnt `extra`, and `wide` for the time being."""

    extra: float = 0.0
    wide: float = 0.0


class Idleness(NamedTuple):
    """Of an arm that does not run: the share `kept` of what is held against it, 1 while it runs.

    `patience`: how many times as long as at first that takes; twice as long each time it was tried in vain.
    """

    kept: float = 1.0
    patience: float = 1.0


class ArmSpeed(NamedTuple):
    """One arm: log `offset` and `curve` beside the machine's level, `spread` of a calm error, `gain` of its offset.

    `doubt`: its last batches if they were far off. `last`: the machine's batch number of its last.
    What is held against it (a slow offset, curve or margin) is believed as far as `idleness` says: read it `eased`.
    """

    offset: float = 0.0
    curve: Curve = FLAT
    gain: float = CALM_GAIN
    spread: float = 0.05
    doubt: Doubt = NO_DOUBT
    watch: Watch = Watch()
    margin: Margin = Margin()
    last: int = 0
    idleness: Idleness = Idleness()


def eased(arm: ArmSpeed) -> ArmSpeed:
    """The arm as it is believed to be now: what is held against it has faded while it did not run."""
    kept = arm.idleness.kept
    if kept == 1.0:
        return arm
    return arm._replace(
        offset=_eased(arm.offset, kept),
        curve=curves.eased(arm.curve, kept),
        margin=arm.margin._replace(extra=_eased(arm.margin.extra, kept)),
    )


def held_back(arm: ArmSpeed) -> bool:
    """Whether something is held against it."""
    against = max(arm.offset, 0.0) + max(arm.margin.extra, 0.0) + max(0.0, *arm.curve.bends)
    return against > EASED_LEAST


def idle(arm: ArmSpeed, halvings: float) -> ArmSpeed:
    """The arm after so many half-lives without a batch: what is held against it halves in each, patience apart."""
    return arm._replace(
        idleness=arm.idleness._replace(kept=0.5 ** (max(halvings, 0.0) / arm.idleness.patience))
    )


def tried(arm: ArmSpeed, off_level: float, rows: int) -> ArmSpeed:
    """The arm when it runs again, a batch of `rows` rows being `off_level` (log) its profile at the machine's level.

    Either what was held against it is still true, or it is over: whichever is nearer. What to think of the rest is for
    the batches that follow.
    """
    now = eased(arm)
    as_held, as_eased = (
        off_level - one.offset - curves.bend(one.curve, rows) for one in (arm, now)
    )
    if abs(as_held - as_eased) < EASED_LEAST:
        return now._replace(idleness=Idleness(1.0, arm.idleness.patience))
    if abs(as_held) <= abs(as_eased):
        return arm._replace(idleness=Idleness(1.0, min(2.0 * arm.idleness.patience, MOST_PATIENCE)))
    return now._replace(idleness=Idleness(), gain=JUMP_GAIN)


def _eased(held: float, kept: float) -> float:
    return held * kept if held > 0.0 else held


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
    return arm._replace(doubt=NO_DOUBT, watch=Watch(), gain=CALM_GAIN)
