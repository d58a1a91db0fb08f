"""How fast the machine runs now, against its profile: a frozen state, one batch at a time. Pure.

Everything is the logarithm of measured over predicted latency. A level shared by all arms, plus
each arm's own offset, follow it slowly; a two-sided CUSUM notices a change of speed and raises the
gain until the level has caught up. What is left over gives the margin that nearly all stay below.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, inf, log

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
CUSUM_BAR = 5.5
"""In spreads: fires on three batches in a row that are far off, never on one or two."""
SPREAD_GAIN = 0.02
SPREAD_FLOOR = 0.02
"""Two per cent: batches repeat no better than that."""
UPPER_TAIL = 0.02
"""Share of batches allowed above the upper estimate."""
UPPER_STEP = 0.04
"""How far (log) a batch above the estimate lifts it; those below lower it, in balance."""
UPPER_MIN, UPPER_MAX = log(1.02), log(4.0)
TRUSTED_AFTER = 50
"""Batches after which the margin seen here replaces the profile's own upper quantile."""


@dataclass(frozen=True, slots=True)
class SpeedScale:
    """Present speed, in logarithms: the machine's `level`, `arms` offsets, the `upper` margin.

    `spread` is the size of a calm error, `rising` and `falling` the CUSUM sums, `seen` the batches.
    """

    level: float = 0.0
    arms: Mapping[str, float] = field(default_factory=dict[str, float])
    gain: float = JUMP_GAIN
    spread: float = 0.05
    rising: float = 0.0
    falling: float = 0.0
    upper: float = log(1.15)
    seen: int = 0


def observe(state: SpeedScale, arm_key: str, predicted_s: float, measured_s: float) -> SpeedScale:
    """The state after one batch: the unscaled profile's mean `predicted_s` against what it took."""
    if not (0.0 < predicted_s < inf and 0.0 < measured_s < inf):
        return state
    offset = state.arms.get(arm_key, 0.0)
    error = log(measured_s / predicted_s) - state.level - offset
    clip = CLIP_SPREADS * state.spread
    calm = -clip if error < -clip else min(error, clip)
    gain, rising, falling = _watched(state, calm / state.spread)
    if gain > CALM_GAIN:
        calm = -CLIP_JUMP if error < -CLIP_JUMP else min(error, CLIP_JUMP)
    step = gain * calm
    spread = state.spread + SPREAD_GAIN * (min(abs(error), 2 * clip) - state.spread)
    return SpeedScale(
        state.level + step * (1 - ARM_SHARE),
        {**state.arms, arm_key: (offset + step * ARM_SHARE) * (1 - ARM_LEAK)},
        gain,
        max(spread, SPREAD_FLOOR),
        rising,
        falling,
        _upper(state.upper, error),
        state.seen + 1,
    )


def scale(state: SpeedScale, arm_key: str) -> float:
    """Multiply the profile's latency of this arm by this."""
    return exp(state.level + state.arms.get(arm_key, 0.0))


def upper_factor(state: SpeedScale) -> float:
    """Multiply the scaled mean by this: all but UPPER_TAIL of the batches stay below."""
    return exp(state.upper)


def adjusted(
    state: SpeedScale, arm_key: str, mean_s: tuple[float, ...], upper_s: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A profile's mean and upper tables at the present speed.

    The upper one comes from what was seen here; until that is enough, the profile's counts too.
    """
    factor = scale(state, arm_key)
    margin = factor * upper_factor(state)
    mean = tuple([value * factor for value in mean_s])
    if state.seen >= TRUSTED_AFTER:
        return mean, tuple([value * margin for value in mean_s])
    pairs = zip(mean_s, upper_s, strict=True)
    return mean, tuple([max(m * margin, u * factor) for m, u in pairs])


def _watched(state: SpeedScale, z: float) -> tuple[float, float, float]:
    """(gain, rising sum, falling sum) after an error of `z` spreads."""
    rising = max(0.0, state.rising + z - CUSUM_SLACK)
    falling = max(0.0, state.falling - z - CUSUM_SLACK)
    if rising > CUSUM_BAR or falling > CUSUM_BAR:
        return JUMP_GAIN, 0.0, 0.0
    gain = state.gain * GAIN_DECAY
    return max(gain, CALM_GAIN), rising, falling


def _upper(upper: float, error: float) -> float:
    moved = upper + UPPER_STEP * ((1.0 - UPPER_TAIL) if error > upper else -UPPER_TAIL)
    return UPPER_MIN if moved < UPPER_MIN else min(moved, UPPER_MAX)
