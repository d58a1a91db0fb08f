"""What the policy is told of each arm's cost: its profile at the present speed, and when a change is news. Pure.

A frozen state in and out: the live tuner and the simulator feed it every finished batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from profiler import drift
from profiler import overhead as serving
from server.policy.decision import Arm, ArmProfile

NEWS = 0.05
"""Relative change of an arm's cost that is worth new tables: about what repeated batches differ by."""
URGENT = 0.2
"""A change that is not made to wait for REST_S."""
REST_S = 0.05
"""At least this long between two rebuilds (s): making tables costs a few decisions' time."""


class Running(NamedTuple):
    """A batch that has been in the backend for `elapsed_s`, and still is."""

    arm: Arm
    rows: int
    elapsed_s: float


class Ran(NamedTuple):
    """A batch that ended at `ended_s`: `took_s` in the backend, its worker busy with it for `busy_s`."""

    arm: Arm
    rows: int
    took_s: float
    busy_s: float
    ended_s: float


@dataclass(frozen=True, slots=True)
class Known:
    """`profiled`: each arm's stored tables, unscaled; `told`: the tables the policy decides with.

    `speed` and `overhead` are what was learnt since; before `rested_s` only urgent news counts.
    """

    profiled: Mapping[Arm, ArmProfile] = field(default_factory=dict[Arm, ArmProfile])
    told: Mapping[Arm, ArmProfile] = field(default_factory=dict[Arm, ArmProfile])
    speed: drift.SpeedScale = field(default_factory=drift.SpeedScale)
    overhead: serving.Overhead = field(default_factory=serving.Overhead)
    rested_s: float = 0.0


def with_arms(state: Known, arms: Iterable[ArmProfile]) -> Known:
    """The state that knows these profiles too; what was learnt of the machine's speed holds for them."""
    state = replace(
        state, profiled={**state.profiled, **{profile.arm: profile for profile in arms}}
    )
    return replace(state, told={arm.arm: arm for arm in arms_now(state)})


def arms_now(state: Known) -> tuple[ArmProfile, ...]:
    """Every known arm at the present speed, with what serving adds to a batch."""
    return _arms(state, state.speed)


def observe(
    state: Known, ran: Ran, running: Sequence[Running] | None = None
) -> tuple[Known, tuple[ArmProfile, ...] | None]:
    """The state after a batch, and all arms anew where their costs have moved enough to tell the policy.

    `running`: what other workers are at, None where that is not known. An overdue batch tells of a slow-down before
    it ends; where there is no other, one batch that took far too long is believed until the next says otherwise.
    Raises KeyError for an arm that was never made known.
    """
    mean_s = state.profiled[ran.arm].mean_s[ran.rows]
    speed = drift.observe(state.speed, ran.arm.variant, mean_s, ran.took_s)
    if running and speed.doubt > 0.0:
        speed = _with_overdue(speed, state.profiled, running)
    believed = drift.suspecting(speed) if running == () else speed
    added_s = ran.busy_s - ran.took_s
    added = state.overhead
    if added_s or added.weight:
        added = serving.observe(added, ran.rows, added_s)
    state = Known(state.profiled, state.told, speed, added, state.rested_s)
    moved = _moved(state, believed, ran)
    if moved <= NEWS or (moved <= URGENT and ran.ended_s < state.rested_s):
        return state, None
    arms = _arms(state, believed)
    told = {arm.arm: arm for arm in arms}
    return replace(state, told=told, rested_s=ran.ended_s + REST_S), arms


def scale(state: Known, arm: Arm) -> float:
    """Latency of `arm` now over its profile's, serving's own share left out."""
    return drift.scale(state.speed, arm.variant)


def predicted_s(state: Known, arm: Arm, rows: int) -> float:
    """What such a batch is expected to take in the backend now."""
    return state.profiled[arm].mean_s[rows] * scale(state, arm)


def _with_overdue(
    speed: drift.SpeedScale, profiled: Mapping[Arm, ArmProfile], running: Iterable[Running]
) -> drift.SpeedScale:
    for batch in running:
        mean_s = profiled[batch.arm].mean_s[batch.rows]
        speed = drift.overdue(speed, batch.arm.variant, mean_s, batch.elapsed_s)
    return speed


def _arms(state: Known, speed: drift.SpeedScale) -> tuple[ArmProfile, ...]:
    line = serving.line(state.overhead)
    return tuple([_now(profile, speed, line) for profile in state.profiled.values()])


def _moved(state: Known, speed: drift.SpeedScale, ran: Ran) -> float:
    """How far (relative) the cost of such a batch is from what the policy was told, mean or upper estimate."""
    told, profile, rows = state.told[ran.arm], state.profiled[ran.arm], ran.rows
    factor, margin, own = drift.factors(speed, ran.arm.variant)
    added_s = 0.0
    if state.overhead.weight:
        added_s = serving.at(serving.line(state.overhead), rows)
    mean_s = profile.mean_s[rows]
    upper_s = max(mean_s * margin, profile.upper_s[rows] * own)
    mean = abs((mean_s * factor + added_s) / told.mean_s[rows] - 1.0)
    return max(mean, abs((upper_s + added_s) / told.upper_s[rows] - 1.0))


def _now(profile: ArmProfile, speed: drift.SpeedScale, line: tuple[float, float]) -> ArmProfile:
    mean_s, upper_s = drift.adjusted(speed, profile.arm.variant, profile.mean_s, profile.upper_s)
    added_s = (0.0, *(serving.at(line, rows) for rows in range(1, len(mean_s))))
    return ArmProfile(profile.arm, profile.accuracy, _sum(mean_s, added_s), _sum(upper_s, added_s))


def _sum(a: Sequence[float], b: Sequence[float]) -> tuple[float, ...]:
    return tuple([x + y for x, y in zip(a, b, strict=True)])
