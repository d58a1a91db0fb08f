"""How fast the machine runs now, against its profile: a frozen state, one batch at a time. Pure.

Everything is the logarithm of measured over predicted latency. A level shared by all arms, plus each arm's own offset
and curve in the batch size, follow it slowly. A small change is noticed by a two-sided CUSUM (Page, 1954), which raises
the gain until it is caught up with; a large one by two batches that are far off in the same direction: one after the
other, the level jumps by what they agree on; with others on time between them, the arm's offset does. What was changed
on one arm's word alone is given back to that arm when the next one contradicts it.
"""

from collections.abc import Hashable
from dataclasses import replace
from math import copysign, inf, log

from profiler.speed import curve
from profiler.speed.arm_speed import (
    CALM_GAIN,
    CUSUM_SLACK,
    GAIN_DECAY,
    JUMP_GAIN,
    ArmSpeed,
    held,
    hurried,
    margin_after,
    quiet,
    seen,
    spread_after,
    upper_step,
    watched,
)
from profiler.speed.state import (
    Claim,
    Scatter,
    SpeedScale,
    adjusted,
    arm_of,
    evidence,
    factors,
    scale,
    upper_factor,
)

__all__ = [
    "SpeedScale",
    "adjusted",
    "evidence",
    "factors",
    "observe",
    "overdue",
    "scale",
    "suspecting",
    "upper_factor",
    "widened",
]

ARM_SHARE = 0.3
"""Share of the level's step that the arm's own offset takes on top of it."""
ARM_LEAK = 0.002
"""Offsets fade unless their arm goes on earning them; what all arms share is the level's."""
CLIP_SPREADS = 3.0
"""A calm error counts as this many spreads at most: one hiccup moves nothing."""
CLIP_JUMP = log(2.0)
"""While the gain is raised, an error counts as a factor of two at most."""
FAR = 4.5
"""In spreads: an error beyond this is a hiccup or a new speed; the next batch tells which."""
HEDGE = 0.75
"""Share of a doubt that is acted on at once where acting late would cost more than acting in vain."""
CLAIM_LEAST = 0.05
"""What the level moved by on one arm's word is not worth giving back below this (log)."""
WIDE_KEPT = 0.99
"""Share of a widened margin left, after each batch of any arm, for arms that have not run since the start."""


def observe(
    state: SpeedScale, key: Hashable, predicted_s: float, measured_s: float, rows: int = 1
) -> SpeedScale:
    """The state after a batch of `rows` rows on the arm `key`: its unscaled profile's mean against what it took."""
    if not (0.0 < predicted_s < inf and 0.0 < measured_s < inf):
        return state
    arm = arm_of(state, key)
    off = log(measured_s / predicted_s) - arm.offset - curve.bend(arm.curve, rows)
    if state.claim is not None and state.claim.key != key:
        state = _judged(state, state.claim, off)
    error = off - state.level
    if abs(error) <= FAR * arm.spread:
        return _followed(state, key, error, rows, 0.0)
    if error * state.doubt > 0.0:
        return _jumped(state, key, error)
    if error * arm.doubt > 0.0:
        return _arm_jumped(state, key, arm, error)
    return _followed(state, key, error, rows, error)


def overdue(
    state: SpeedScale, key: Hashable, predicted_s: float, elapsed_s: float, rows: int = 1
) -> SpeedScale:
    """The state given a batch that still runs after `elapsed_s`: the same, unless it confirms a doubt.

    A doubt is confirmed by the least that such a batch will take. When it ends, `observe` it as usual.
    """
    arm = arm_of(state, key)
    error = log(elapsed_s / predicted_s) - state.level - arm.offset - curve.bend(arm.curve, rows)
    if state.doubt > 0.0 and error > FAR * arm.spread:
        return _jumped(state, key, error)
    return state


def suspecting(state: SpeedScale) -> SpeedScale:
    """The state if the last batch, far too slow, is the beginning of more: to decide with, not to keep."""
    if state.doubt <= 0.0:
        return state
    return replace(state, level=state.level + HEDGE * min(state.doubt, CLIP_JUMP))


def widened(state: SpeedScale, factor: float) -> SpeedScale:
    """With margins `factor` (>= 1) wider and every curve a mere guess: the hardware is not what it was.

    Each arm's own batches narrow its margin again.
    """
    wide = log(factor)
    arms = {
        key: arm._replace(margin=arm.margin._replace(wide=wide), curve=curve.forgotten(arm.curve))
        for key, arm in state.arms.items()
    }
    return replace(state, arms=arms, scatter=state.scatter._replace(wide=wide))


def _followed(
    state: SpeedScale, key: Hashable, error: float, rows: int, doubt: float
) -> SpeedScale:
    """After a batch that is no jump: level, offset, curve and scatter move a little towards its error."""
    arm, now = arm_of(state, key), state.seen + 1
    clip = CLIP_SPREADS * arm.spread
    calm = -clip if error < -clip else min(error, clip)
    z = calm / arm.spread
    sums, rings = watched(state.sums, z)
    since, arm = arm.watch.since, seen(arm, z, now)
    machine = max(state.gain * GAIN_DECAY, CALM_GAIN)
    if rings and not _is_alone(state, key, z, since):
        state, arm, machine = _alarmed(state, key, since), quiet(arm), JUMP_GAIN
    elif rings:
        arm = hurried(arm)
    gain = max(machine, arm.gain)
    step = calm * gain
    if gain > CALM_GAIN:
        step = (-CLIP_JUMP if error < -CLIP_JUMP else min(error, CLIP_JUMP)) * gain
    own = step if arm.gain > CALM_GAIN else step * ARM_SHARE
    shape, shift = curve.observe(arm.curve, rows, calm * (1.0 - gain))
    upper = state.scatter.upper
    arm = ArmSpeed(
        (arm.offset + own) * (1.0 - ARM_LEAK) + shift,
        shape,
        arm.gain,
        spread_after(arm.spread, error, 2.0 * clip),
        doubt,
        arm.watch,
        margin_after(arm.margin, upper, error),
        now,
    )
    return SpeedScale(
        state.level + step - own,
        {**state.arms, key: arm},
        machine,
        _scattered(state.scatter, error, 2.0 * clip),
        sums,
        doubt,
        now,
        state.claim,
    )


def _scattered(scatter: Scatter, error: float, most: float) -> Scatter:
    spread, upper, wide = scatter
    return Scatter(
        spread_after(spread, error, most),
        held(upper + upper_step(error > upper)),
        wide * WIDE_KEPT,
    )


def _others(state: SpeedScale, key: Hashable, since: int) -> list[float]:
    """The last errors, in spreads, of the other arms that ran after the machine's batch number `since`."""
    return [a.watch.last_z for k, a in state.arms.items() if k != key and a.last > since]


def _is_alone(state: SpeedScale, key: Hashable, z: float, since: int) -> bool:
    """Whether others ran since this arm's errors began, and were on time."""
    others = _others(state, key, since)
    return bool(others) and copysign(1.0, z) * sum(others) < CUSUM_SLACK * len(others)


def _alarmed(state: SpeedScale, key: Hashable, since: int) -> SpeedScale:
    """The machine has changed: find out fast. A claim, where since that batch nobody but this arm has run."""
    alone = not _others(state, key, since)
    claim = (state.claim or Claim(key, state.level)) if alone else None
    arms = {k: quiet(a) for k, a in state.arms.items()}
    return replace(state, arms=arms, gain=JUMP_GAIN, sums=(0.0, 0.0), doubt=0.0, claim=claim)


def _jumped(state: SpeedScale, key: Hashable, error: float) -> SpeedScale:
    """After a second batch that is as far off: the whole machine has changed by what both agree on."""
    agreed = min(abs(state.doubt), abs(error), CLIP_JUMP)
    twice = arm_of(state, key).doubt == state.doubt
    state = _alarmed(state, key, state.seen if twice else 0)
    return replace(state, level=state.level + copysign(agreed, error), seen=state.seen + 1)


def _arm_jumped(state: SpeedScale, key: Hashable, arm: ArmSpeed, error: float) -> SpeedScale:
    """After this arm's second batch that is as far off, others between them being on time: it alone has changed."""
    agreed = min(abs(arm.doubt), abs(error), CLIP_JUMP)
    moved = quiet(arm)._replace(
        offset=arm.offset + copysign(agreed, error), gain=JUMP_GAIN, last=state.seen + 1
    )
    return replace(
        state, arms={**state.arms, key: moved}, sums=(0.0, 0.0), doubt=0.0, seen=state.seen + 1
    )


def _judged(state: SpeedScale, claim: Claim, off: float) -> SpeedScale:
    """Now that another arm ran, `off` its own prediction before the level: was it the machine, or only the claimant?"""
    claimed, error = state.level - claim.level, off - state.level
    if error * claimed >= 0.0 or abs(error) < 0.5 * abs(claimed) or abs(claimed) < CLAIM_LEAST:
        return replace(state, claim=None)
    arm = arm_of(state, claim.key)
    given = {claim.key: arm._replace(offset=arm.offset + claimed)}
    return replace(
        state,
        level=claim.level,
        arms={**state.arms, **given},
        gain=CALM_GAIN,
        sums=(0.0, 0.0),
        doubt=0.0,
        claim=None,
    )
