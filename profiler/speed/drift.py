"""How fast the machine runs now, against its profile: a frozen state, one batch at a time. Pure.

Everything is the logarithm of measured over predicted latency. A level shared by all arms, plus each arm's own offset
and curve in the batch size, follow it slowly. A small change is noticed by a two-sided CUSUM (Page, 1954), which raises
the gain until it is caught up with; a large one by two batches that are far off in the same direction: one after the
other, the level jumps by what they agree on; with others on time between them, the arm's offset does. What was changed
on one arm's word alone is given back to that arm when the next one contradicts it.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from math import ceil, copysign, inf, log

from profiler.speed import curve
from profiler.speed.arm_speed import (
    CALM_GAIN,
    CUSUM_SLACK,
    GAIN_DECAY,
    JUMP_GAIN,
    NO_DOUBT,
    ArmSpeed,
    Doubt,
    eased,
    held,
    held_back,
    hurried,
    idle,
    margin_after,
    quiet,
    seen,
    spread_after,
    tried,
    upper_step,
    watched,
)
from profiler.speed.state import (
    SELDOM,
    STALL_LEAST,
    LoneClaim,
    Scatter,
    SpeedScale,
    Stalled,
    adjusted,
    arm_of,
    evidence,
    factors,
    scale,
    stalls,
    upper_factor,
)

__all__ = [
    "SpeedScale",
    "adjusted",
    "evidence",
    "factors",
    "idling",
    "is_held_back",
    "observe",
    "overdue",
    "resting",
    "scale",
    "stalls",
    "suspecting",
    "upper_factor",
    "widened",
    "without",
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
RARE = 0.008
"""Where no more than this share of batches is far off for once, the next that is as far off makes a new speed."""
CHANCE = 7e-5
"""Batches after which hiccups alone may be taken for a new speed."""
HICCUP_GAIN = 0.002
HICCUP_START = 0.004
"""Memory of their share: some hundreds of batches; of the first few each counts for more."""
STALL_START = 0.02
"""The same for the slow ones, by which the policy goes: it is better to be careful early."""
STALL_GAIN = 0.1
"""Memory of how far off they are."""
CLAIM_LEAST = 0.05
"""What the level moved by on one arm's word is not worth giving back below this (log)."""
CLAIM_BATCHES = 3
"""An arm that has said so often that everything is slow, and no other arm ran, is itself held to be slow: by what it
says nothing else may fit any more, and then nobody could contradict it."""
WIDE_KEPT = 0.99
"""Share of a widened margin left, after each batch of any arm, for arms that have not run since the start."""


def observe(
    state: SpeedScale, key: Hashable, predicted_s: float, measured_s: float, rows: int = 1
) -> SpeedScale:
    """The state after a batch of `rows` rows on the arm `key`: its unscaled profile's mean against what it took."""
    if not (0.0 < predicted_s < inf and 0.0 < measured_s < inf):
        return state
    arm, off = arm_of(state, key), log(measured_s / predicted_s)
    if arm.idleness.kept < 1.0:
        arm = tried(arm, off - state.level, rows)
        state = replace(state, arms={**state.arms, key: arm})
    if state.claim is not None:
        state = _weighed(state, state.claim, key, off - arm.offset - curve.bend(arm.curve, rows))
        arm = arm_of(state, key)
    error = off - arm.offset - curve.bend(arm.curve, rows) - state.level
    if abs(error) <= FAR * arm.spread:
        return _followed(state, key, error, rows, NO_DOUBT)
    needed = _needed(state)
    doubt = state.doubt.after(error)
    if doubt.batches >= needed:
        return _jumped(state, key, doubt, state.doubt == arm.doubt)
    own = arm.doubt.after(error)
    if own.batches >= needed:
        return _arm_jumped(state, key, arm, own)
    return _followed(state, key, error, rows, own)


def overdue(
    state: SpeedScale, key: Hashable, predicted_s: float, elapsed_s: float, rows: int = 1
) -> SpeedScale:
    """The state given a batch that still runs after `elapsed_s`: the same, unless it confirms a doubt.

    A doubt is confirmed by the least that such a batch will take. When it ends, `observe` it as usual.
    """
    arm = eased(arm_of(state, key))
    error = log(elapsed_s / predicted_s) - state.level - arm.offset - curve.bend(arm.curve, rows)
    if state.doubt.error <= 0.0 or error <= FAR * arm.spread:
        return state
    doubt = state.doubt.after(error)
    return _jumped(state, key, doubt, alone=False) if doubt.batches >= _needed(state) else state


def suspecting(state: SpeedScale) -> SpeedScale:
    """The state if the last batch, far too slow, is the beginning of more: to decide with, not to keep.

    The less, the more hiccups there were before it: giving up on those who wait at each of them costs more than knowing
    of a slow-down one batch earlier saves.
    """
    if state.doubt.error <= 0.0:
        return state
    few = 2.0 * _hiccup_gain(state.seen)
    hedge = HEDGE * (few / max(state.hiccups, few)) ** 2
    return replace(state, level=state.level + hedge * min(state.doubt.error, CLIP_JUMP))


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


def resting(state: SpeedScale, level: float) -> SpeedScale:
    """The state in which nothing has run for so long that only this much is left of a slow machine's level.

    It is a guess, and the next batches count in full.
    """
    if not 0.0 < level < state.level:
        return state
    return replace(state, level=level, gain=JUMP_GAIN, doubt=NO_DOUBT, claim=None)


def without(state: SpeedScale, keys: Iterable[Hashable]) -> SpeedScale:
    """The state that knows nothing of these arms; what they taught of the machine stays."""
    gone = set(keys)
    return replace(state, arms={k: arm for k, arm in state.arms.items() if k not in gone})


def is_held_back(state: SpeedScale, key: Hashable) -> bool:
    """Whether something is held against the arm that may be over."""
    return held_back(arm_of(state, key))


def idling(state: SpeedScale, halvings: Iterable[tuple[Hashable, float]]) -> SpeedScale:
    """The state in which these arms have not run for so many half-lives: what is held against them fades."""
    arms = {key: idle(arm_of(state, key), times) for key, times in halvings}
    return replace(state, arms={**state.arms, **arms})


def _followed(
    state: SpeedScale, key: Hashable, error: float, rows: int, doubt: Doubt
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
        state.doubt.after(error) if doubt.batches else NO_DOUBT,
        now,
        state.claim,
        _hiccups(state, doubt),
        _stalled(state, key, doubt, error),
    )


def _needed(state: SpeedScale) -> int:
    """How many batches one after the other must be far off before that is a new speed: two where that is rare.

    So many that mere hiccups, which come independently, agree in fewer than CHANCE of all batches.
    """
    return max(2, ceil(log(CHANCE) / log(min(max(state.hiccups, RARE), 0.5))))


def _hiccups(state: SpeedScale, doubt: Doubt) -> float:
    """The share of batches that are far off for once, with one more batch; those that `doubt` ends in were such."""
    gain = _hiccup_gain(state.seen)
    return state.hiccups + gain * (float(doubt.batches > 0) - state.hiccups)


def _hiccup_gain(seen: int) -> float:
    """What one hiccup adds to their share where so many batches were seen."""
    return max(HICCUP_GAIN, 1.0 / (seen + 1.0 / HICCUP_START))


def _stalled(state: SpeedScale, key: Hashable, doubt: Doubt, error: float) -> Stalled:
    """What is known of stalls with one batch more, which is one where there is a `doubt` and it took long enough.

    The first batch of an arm, whose caches are cold, is none. The first one of a lasting slow-down is one: slow spells
    that come and go are stalls, too.
    """
    share, known = state.stalled
    gain = max(HICCUP_GAIN, 1.0 / (state.seen + 1.0 / STALL_START))
    if not doubt.batches or error < STALL_LEAST or key not in state.arms:
        return Stalled(share * (1.0 - gain), known)
    known = known + STALL_GAIN * (error - known) if share >= SELDOM else error
    return Stalled(share + gain * (1.0 - share), known)


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


def _standing(state: SpeedScale) -> LoneClaim | None:
    """The claim that moved the level, if it still does."""
    claim = state.claim
    return claim if claim is not None and claim.batches < CLAIM_BATCHES else None


def _alarmed(state: SpeedScale, key: Hashable, since: int) -> SpeedScale:
    """The machine has changed: find out fast. A claim, where since that batch nobody but this arm has run."""
    alone = not _others(state, key, since)
    given = state.claim.given if state.claim is not None else 0.0
    claim = (_standing(state) or LoneClaim(key, state.level, given=given)) if alone else None
    arms = {k: quiet(a) for k, a in state.arms.items()}
    return replace(state, arms=arms, gain=JUMP_GAIN, sums=(0.0, 0.0), doubt=NO_DOUBT, claim=claim)


def _jumped(state: SpeedScale, key: Hashable, doubt: Doubt, alone: bool) -> SpeedScale:
    """After enough batches that are far off: the whole machine has changed by what they agree on.

    `alone`: all of them were this arm's.
    """
    agreed = min(abs(doubt.error), CLIP_JUMP)
    state = _alarmed(state, key, state.seen if alone else 0)
    level = state.level + copysign(agreed, doubt.error)
    return replace(state, level=level, seen=state.seen + 1)


def _arm_jumped(state: SpeedScale, key: Hashable, arm: ArmSpeed, doubt: Doubt) -> SpeedScale:
    """After enough batches of this arm that are far off, others between them being on time: it alone has changed."""
    agreed = min(abs(doubt.error), CLIP_JUMP)
    moved = quiet(arm)._replace(
        offset=arm.offset + copysign(agreed, doubt.error), gain=JUMP_GAIN, last=state.seen + 1
    )
    return replace(
        state, arms={**state.arms, key: moved}, sums=(0.0, 0.0), doubt=NO_DOUBT, seen=state.seen + 1
    )


def _weighed(state: SpeedScale, claim: LoneClaim, key: Hashable, off: float) -> SpeedScale:
    """A batch of `key` while one arm alone has told of a change: judged by another, believed for a while if its own."""
    if key != claim.key:
        return _judged(state, claim, off)
    if claim.batches > CLAIM_BATCHES:  # nothing hangs on how many more
        return state
    again = claim._replace(batches=claim.batches + 1)
    nobody_else = len(state.arms) == 1
    if (
        again.batches != CLAIM_BATCHES
        or abs(state.level - claim.level) < CLAIM_LEAST
        or nobody_else
    ):
        return replace(state, claim=again)
    given = claim.given + state.level - claim.level
    state = _given_back(state, claim)
    return replace(state, claim=LoneClaim(claim.key, state.level, CLAIM_BATCHES, given))


def _judged(state: SpeedScale, claim: LoneClaim, off: float) -> SpeedScale:
    """Now that another arm ran, `off` its own prediction before the level: was it the machine, or only the claimant?"""
    claimed, error = state.level - claim.level, off - state.level
    if abs(claim.given) >= CLAIM_LEAST and error / claim.given >= 0.5:
        arm = arm_of(state, claim.key)
        arms = _with_arm(state, claim.key, arm._replace(offset=arm.offset - claim.given))
        return replace(state, level=state.level + claim.given, arms=arms, claim=None)
    if error * claimed >= 0.0 or abs(error) < 0.5 * abs(claimed) or abs(claimed) < CLAIM_LEAST:
        return replace(state, claim=None)
    return _given_back(state, claim)


def _given_back(state: SpeedScale, claim: LoneClaim) -> SpeedScale:
    """What the level moved by on one arm's word is that arm's own."""
    arm = arm_of(state, claim.key)
    given = arm._replace(offset=arm.offset + state.level - claim.level)
    return replace(
        state,
        level=claim.level,
        arms=_with_arm(state, claim.key, given),
        gain=CALM_GAIN,
        sums=(0.0, 0.0),
        doubt=NO_DOUBT,
        claim=None,
    )


def _with_arm(state: SpeedScale, key: Hashable, arm: ArmSpeed) -> Mapping[Hashable, ArmSpeed]:
    """The arms with this one changed; as they are where it is gone."""
    return {**state.arms, key: arm} if key in state.arms else state.arms
