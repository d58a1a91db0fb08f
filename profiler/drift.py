"""How fast the machine runs now, against its profile: a frozen state, one batch at a time. Pure.

Everything is the logarithm of measured over predicted latency. A level shared by all arms, plus
each arm's own offset, follow it slowly. A small change is noticed by a two-sided CUSUM (Page, 1954),
which raises the gain until the level has caught up; a large one by two batches that are far off in
the same direction, one after the other: the level then jumps by what they agree on. What is left
over gives the margin that nearly all stay below.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import copysign, exp, inf, log

CALM_GAIN = 0.05
"""Share of an error the level takes when nothing has changed: a memory of some 20 batches."""
JUMP_GAIN = 0.5
"""Share it takes right after a change (and at the start); decays to CALM_GAIN."""
GAIN_DECAY = 0.8
ARM_SHARE = 0.3
"""Share of the level's step that the arm's own offset takes on top of it."""
ARM_LEAK = 0.002
"""Offsets fade unless their arm goes on earning them; what all arms share is the level's."""
CLIP_SPREADS = 3.0
"""A calm error counts as this many spreads at most: one hiccup moves nothing."""
CLIP_JUMP = log(2.0)
"""While the gain is raised, an error counts as a factor of two at most."""
CUSUM_SLACK = 1.0
CUSUM_BAR = 8.0
"""In spreads: a change of two spreads is noticed in eight batches; noise alone needs thousands to reach it."""
FAR = 4.5
"""In spreads: an error beyond this is a hiccup or a new speed; the next batch tells which."""
SPREAD_GAIN = 0.02
SPREAD_FLOOR = 0.02
"""Two per cent: batches repeat no better than that."""
UPPER_TAIL = 0.02
"""Share of batches allowed above the upper estimate."""
UPPER_STEP = 0.015
"""How far (log) a batch above the estimate lifts it; those below lower it, in balance (Robbins and Monro, 1951)."""
UPPER_MIN, UPPER_MAX = log(1.02), log(4.0)
HEDGE = 0.75
"""Share of a doubt that is acted on at once where acting late would cost more than acting in vain."""
TRUSTED_AFTER = 50
"""Batches after which the margin seen here replaces the profile's own upper quantile."""


@dataclass(frozen=True, slots=True)
class SpeedScale:
    """Present speed, in logarithms: the machine's `level`, `arms` offsets, the `upper` margin.

    `spread` is the size of a calm error, `sums` the CUSUM's (rising, falling), `doubt` the error of
    the last batch if it was far off, else 0; `seen` counts the batches.
    """

    level: float = 0.0
    arms: Mapping[str, float] = field(default_factory=dict[str, float])
    gain: float = JUMP_GAIN
    spread: float = 0.05
    sums: tuple[float, float] = (0.0, 0.0)
    doubt: float = 0.0
    upper: float = log(1.15)
    seen: int = 0


def observe(state: SpeedScale, arm_key: str, predicted_s: float, measured_s: float) -> SpeedScale:
    """The state after one batch: the unscaled profile's mean `predicted_s` against what it took."""
    if not (0.0 < predicted_s < inf and 0.0 < measured_s < inf):
        return state
    offset = state.arms.get(arm_key, 0.0)
    error = log(measured_s / predicted_s) - state.level - offset
    if abs(error) <= FAR * state.spread:
        return _followed(state, arm_key, error, 0.0)
    if error * state.doubt > 0.0:
        return _jumped(state, error)
    return _followed(state, arm_key, error, error)


def overdue(state: SpeedScale, arm_key: str, predicted_s: float, elapsed_s: float) -> SpeedScale:
    """The state given a batch that still runs after `elapsed_s`: the same, unless it confirms a doubt.

    A doubt is confirmed by the least that such a batch will take. When it ends, `observe` it as usual.
    """
    error = log(elapsed_s / predicted_s) - state.level - state.arms.get(arm_key, 0.0)
    if state.doubt > 0.0 and error > FAR * state.spread:
        return _jumped(state, error)
    return state


def suspecting(state: SpeedScale) -> SpeedScale:
    """The state if the last batch, far too slow, is the beginning of more: to decide with, not to keep."""
    if state.doubt <= 0.0:
        return state
    return replace(state, level=state.level + HEDGE * min(state.doubt, CLIP_JUMP))


def scale(state: SpeedScale, arm_key: str) -> float:
    """Multiply the profile's latency of this arm by this."""
    return exp(state.level + state.arms.get(arm_key, 0.0))


def upper_factor(state: SpeedScale) -> float:
    """Multiply the scaled mean by this: all but UPPER_TAIL of the batches stay below."""
    return exp(state.upper)


def adjusted(
    state: SpeedScale, arm_key: str, mean_s: Sequence[float], upper_s: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A profile's mean and upper tables at the present speed.

    The upper one comes from what was seen here; until that is enough, the profile's counts too.
    """
    factor, margin, own = factors(state, arm_key)
    pairs = zip(mean_s, upper_s, strict=True)
    return tuple([m * factor for m in mean_s]), tuple([max(m * margin, u * own) for m, u in pairs])


def factors(state: SpeedScale, arm_key: str) -> tuple[float, float, float]:
    """(f, g, h): a mean m becomes f m; its upper estimate, u in the profile, the larger of g m and h u."""
    factor = scale(state, arm_key)
    trusted = state.seen >= TRUSTED_AFTER
    return factor, factor * upper_factor(state), 0.0 if trusted else factor


def _followed(state: SpeedScale, arm_key: str, error: float, doubt: float) -> SpeedScale:
    """After a batch that is no jump: level, offset and spread move a little towards its error."""
    clip = CLIP_SPREADS * state.spread
    calm = -clip if error < -clip else min(error, clip)
    gain, sums = _watched(state, calm / state.spread)
    if gain > CALM_GAIN:
        calm = -CLIP_JUMP if error < -CLIP_JUMP else min(error, CLIP_JUMP)
    step = gain * calm
    offset = state.arms.get(arm_key, 0.0) + step * ARM_SHARE
    spread = state.spread + SPREAD_GAIN * (min(abs(error), 2 * clip) - state.spread)
    return SpeedScale(
        state.level + step * (1 - ARM_SHARE),
        {**state.arms, arm_key: offset * (1 - ARM_LEAK)},
        gain,
        max(spread, SPREAD_FLOOR),
        sums,
        doubt,
        _upper(state.upper, error),
        state.seen + 1,
    )


def _jumped(state: SpeedScale, error: float) -> SpeedScale:
    """After a second batch that is as far off: the whole machine has changed by what both agree on."""
    agreed = min(abs(state.doubt), abs(error), CLIP_JUMP)
    return replace(
        state,
        level=state.level + copysign(agreed, error),
        gain=JUMP_GAIN,
        sums=(0.0, 0.0),
        doubt=0.0,
        seen=state.seen + 1,
    )


def _watched(state: SpeedScale, z: float) -> tuple[float, tuple[float, float]]:
    """(gain, CUSUM sums) after an error of `z` spreads."""
    rising = max(0.0, state.sums[0] + z - CUSUM_SLACK)
    falling = max(0.0, state.sums[1] - z - CUSUM_SLACK)
    if rising > CUSUM_BAR or falling > CUSUM_BAR:
        return JUMP_GAIN, (0.0, 0.0)
    return max(state.gain * GAIN_DECAY, CALM_GAIN), (rising, falling)


def _upper(upper: float, error: float) -> float:
    moved = upper + UPPER_STEP * ((1.0 - UPPER_TAIL) if error > upper else -UPPER_TAIL)
    return UPPER_MIN if moved < UPPER_MIN else min(moved, UPPER_MAX)
