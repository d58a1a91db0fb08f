"""The speed of the machine and its arms against their profiles, as learnt by `drift`: the state, and reading it. Pure.

Everything is the logarithm of measured over predicted latency.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import NamedTuple

from profiler.speed import curve
from profiler.speed.arm_speed import (
    JUMP_GAIN,
    NO_DOUBT,
    UPPER_MAX,
    ArmSpeed,
    Doubt,
    Margin,
    Sums,
    eased,
)

TRUSTED_AFTER = 50
"""Batches after which the margin seen here replaces the profile's own upper quantile."""
SELDOM = 0.005
"""Less than this share of the batches being far off is not told: one in hundreds is no rule."""
STALL_LEAST = log(2.0)
"""A stalled batch takes twice as long at least: upper estimates and guards are for others."""


class Scatter(NamedTuple):
    """What an arm that has not run starts from: `spread`, the size of a calm error; `upper`, the log margin that
    nearly all batches stay below; `wide`, what is added to it for the time being."""

    spread: float = 0.05
    upper: float = log(1.15)
    wide: float = 0.0


class LoneClaim(NamedTuple):
    """What rests on the word of `key` alone, as no other arm has run since: itself it has, `batches` times.

    The level was `level` before. `given`: what was put down to the arm itself after a while, and may be all arms'.
    """

    key: Hashable
    level: float
    batches: int = 0
    given: float = 0.0


class Stalled(NamedTuple):
    """The share of batches that took far longer for once, and how far off they were."""

    share: float = 0.0
    error: float = 0.0


NEVER_STALLED = Stalled()


@dataclass(frozen=True, slots=True)
class SpeedScale:
    """Present speed, in logarithms: the machine's `level`, and by arm what it has beside that.

    `sums` is the machine's CUSUM, `doubt` the last batches if they were far off, `hiccups` the share of batches that
    were and meant nothing, `stalled` tells of the slow ones; `seen` counts the batches; `claim` is set while one arm
    alone has told of a change.
    """

    level: float = 0.0
    arms: Mapping[Hashable, ArmSpeed] = field(default_factory=dict[Hashable, ArmSpeed])
    gain: float = JUMP_GAIN
    scatter: Scatter = field(default_factory=Scatter)
    sums: Sums = (0.0, 0.0)
    doubt: Doubt = NO_DOUBT
    seen: int = 0
    claim: LoneClaim | None = None
    hiccups: float = 0.0
    stalled: Stalled = NEVER_STALLED


def scale(state: SpeedScale, key: Hashable, rows: int | None = None) -> float:
    """Multiply the profile's latency of this arm by this; with `rows`, for batches of that size."""
    arm = state.arms.get(key)
    if arm is None:
        return exp(state.level)
    arm = eased(arm)
    bend = 0.0 if rows is None else curve.bend(arm.curve, rows)
    return exp(state.level + arm.offset + bend)


def stalls(state: SpeedScale) -> tuple[float, float]:
    """(share of the batches that take far longer for once, how many times as long they take); none: (0, 1)."""
    share, error = state.stalled
    return (share, exp(error)) if share >= SELDOM else (0.0, 1.0)


def evidence(state: SpeedScale, key: Hashable, rows: int) -> float:
    """How many recent batches of about `rows` rows the arm's speed rests on, a few dozen at most."""
    return curve.evidence(arm_of(state, key).curve, rows)


def upper_factor(state: SpeedScale, key: Hashable = None) -> float:
    """Multiply the scaled mean by this: all but UPPER_TAIL of the batches (of that arm, if named) stay below."""
    margin = Margin(0.0, state.scatter.wide) if key is None else eased(arm_of(state, key)).margin
    return exp(min(state.scatter.upper + margin.extra + margin.wide, UPPER_MAX))


def adjusted(
    state: SpeedScale, key: Hashable, mean_s: Sequence[float], upper_s: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A profile's mean and upper tables at the present speed; not monotone where batches taught otherwise.

    The upper one comes from what was seen here; until that is enough, the profile's counts too.
    """
    factor, margin, own = factors(state, key)
    shape = eased(arm_of(state, key)).curve
    mean_s, upper_s = curve.bent(shape, mean_s), curve.bent(shape, upper_s)
    pairs = zip(mean_s, upper_s, strict=True)
    return tuple([m * factor for m in mean_s]), tuple([max(m * margin, u * own) for m, u in pairs])


def factors(
    state: SpeedScale, key: Hashable, rows: int | None = None
) -> tuple[float, float, float]:
    """(f, g, h): a mean m becomes f m; its upper estimate, u in the profile, the larger of g m and h u."""
    factor = scale(state, key, rows)
    trusted = state.seen >= TRUSTED_AFTER
    return factor, factor * upper_factor(state, key), 0.0 if trusted else factor


def arm_of(state: SpeedScale, key: Hashable) -> ArmSpeed:
    """The arm, or one that has not run: it scatters as the others do."""
    arm = state.arms.get(key)
    if arm is not None:
        return arm
    return ArmSpeed(spread=state.scatter.spread, margin=Margin(0.0, state.scatter.wide))
