"""What the policy is told of each arm's cost: its profile at the present speed, and when a change is news. Pure.

A frozen state in and out: the live tuner and the simulator feed it every finished batch, shadow runs too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple

from profiler.speed import curve, drift, switching
from profiler.speed import overhead as serving
from server.policy.decision import Arm, ArmProfile, StallRisk

NEWS = 0.05
"""Relative change of an arm's cost that is worth new tables: about what repeated batches differ by."""
STALLS_NEWS = 0.3
"""Relative change of how often batches stall, or of how long they then take, that is news."""
URGENT = 0.2
"""A change that is not made to wait for REST_SLOS."""
IDLE_SLOS = 25.0
"""An arm that has not run for so many latency bounds is idle: what is held against it begins to fade."""
HALF_SLOS = 75.0
"""And halves in so many of them: a slow arm is tried again within seconds, and then the more seldom the longer it is
slow."""
FADE_SLOS = 5.0
"""Fading is reckoned so often: less is not felt."""
STARVED_SLOS = 10.0
"""So many latency bounds nothing may run before that is put down to what was learnt."""
REST_SLOS = 1.0
"""At least so many latency bounds between two rebuilds: making tables costs a few decisions' time."""
HEARD_SLOS = 1.0 / 400.0
"""Of batches that are far shorter than this part of the latency bound, one in so long is learnt from: hundreds within
the bound tell no more of it, and learning from each would cost more than running it."""
SHORT = 0.25
"""So much shorter than that."""
OWN_LEAST = 0.25
"""Share of what a batch took that is the arm's own at least, whatever switches are believed to cost."""


class RunningBatch(NamedTuple):
    """A batch that has been in the backend for `elapsed_s`, and still is."""

    arm: Arm
    rows: int
    elapsed_s: float


class LatencySample(NamedTuple):
    """A batch that ended at `ended_s`: `took_s` in the backend, its worker busy with it for `busy_s`.

    A `shadow` run answers nobody: it tells of the arm's speed and of nothing else. `after`: the arm that its worker ran
    before, None where that is not known.
    """

    arm: Arm
    rows: int
    took_s: float
    busy_s: float
    ended_s: float
    shadow: bool = False
    after: Arm | None = None


class LastRun(NamedTuple):
    """When (s) an arm last ran, and the machine's level (log) then."""

    ended_s: float
    level: float


@dataclass(frozen=True, slots=True)
class Known:
    """`profiled`: each arm's stored tables, unscaled; `effective`: the tables the policy decides with.

    `estimated` are those before they were made monotone. `speed`, `overhead` and `switches` are what was learnt since,
    `last` tells when from whom; before `rested_s` only urgent news counts. `slo_s`: the latency bound, by which
    times are measured; what is held against arms that do not run fades again at `fades_s`.
    """

    slo_s: float = 0.05
    profiled: Mapping[Arm, ArmProfile] = field(default_factory=dict[Arm, ArmProfile])
    estimated: Mapping[Arm, ArmProfile] = field(default_factory=dict[Arm, ArmProfile])
    effective: Mapping[Arm, ArmProfile] = field(default_factory=dict[Arm, ArmProfile])
    speed: drift.SpeedScale = field(default_factory=drift.SpeedScale)
    overhead: serving.Overhead = field(default_factory=serving.Overhead)
    last: Mapping[Arm, LastRun] = field(default_factory=dict[Arm, LastRun])
    rested_s: float = 0.0
    fades_s: float = 0.0
    switches: switching.Switches = field(default_factory=switching.Switches)


def with_arms(state: Known, arms: Iterable[ArmProfile]) -> Known:
    """The state that knows these profiles too; what was learnt of the machine's speed holds for them."""
    state = replace(
        state, profiled={**state.profiled, **{profile.arm: profile for profile in arms}}
    )
    return _telling(state, state.speed)


def without_arms(state: Known, arms: Iterable[Arm]) -> Known:
    """The state that does not know these arms any more, nor their speed; what they taught of the machine stays."""
    gone = set(arms)
    kept = {arm: profile for arm, profile in state.profiled.items() if arm not in gone}
    last = {arm: run for arm, run in state.last.items() if arm not in gone}
    switches = switching.without(state.switches, list(gone))
    speed = drift.without(state.speed, gone)
    state = replace(state, profiled=kept, last=last, speed=speed, switches=switches)
    return _telling(state, state.speed)


def like(state: Known, other: Known) -> Known:
    """`state` with the arms that `other` knows: those that came and went meanwhile."""
    state = without_arms(state, [arm for arm in state.profiled if arm not in other.profiled])
    return with_arms(state, [p for arm, p in other.profiled.items() if arm not in state.profiled])


def measured(state: Known, arms: Iterable[ArmProfile]) -> Known:
    """The state with these profiles measured just now: what was learnt against the former ones is forgotten."""
    kept = Known(state.slo_s, state.profiled, overhead=state.overhead, switches=state.switches)
    return with_arms(kept, arms)


def is_starved(state: Known, slo_s: float) -> bool:
    """Whether what was learnt keeps everybody out: by it no arm answers a row within `slo_s`, by its profile one does.

    Nothing would ever run then, and nothing be learnt that says otherwise.
    """
    effective = [arm.upper_s[1] for arm in state.effective.values()]
    profiled = [arm.upper_s[1] for arm in state.profiled.values()]
    return bool(effective) and min(effective) > slo_s >= min(profiled)


def revived(state: Known, slo_s: float, now_s: float) -> Known | None:
    """The state that believes the profiles again, where what was learnt has kept everybody out for STARVED_SLOS latency
    bounds; None where it has not."""
    if not is_starved(state, slo_s) or now_s - last_ran_s(state) < STARVED_SLOS * slo_s:
        return None
    return forgotten(state)


def refused(state: Known, now_s: float) -> tuple[Known, tuple[ArmProfile, ...] | None]:
    """The state after a request was refused, and all arms anew where their costs have faded enough to tell the policy.

    While anything runs, batches tell. Where nothing has run for IDLE_SLOS, what is held against the machine fades as
    what is held against its arms does: it may keep out all who ask for less time than the SLO allows.
    """
    idle_s, begin_s = now_s - last_ran_s(state), IDLE_SLOS * state.slo_s
    if now_s < state.fades_s or not begin_s < idle_s < inf:
        return state, None
    last = max(state.last.values(), key=lambda run: run.ended_s)
    kept = 0.5 ** ((idle_s - begin_s) / (HALF_SLOS * state.slo_s))
    state, _ = _faded(state, now_s)
    state = replace(state, speed=drift.resting(state.speed, kept * last.level))
    if not any(_is_news(state, arm) for arm in state.profiled):
        return state, None
    state = replace(_telling(state, state.speed), rested_s=now_s + REST_SLOS * state.slo_s)
    return state, tuple(state.effective.values())


def last_ran_s(state: Known) -> float:
    """When (s) the last batch or shadow ended; minus infinity where there was none."""
    return max((run.ended_s for run in state.last.values()), default=-inf)


def forgotten(state: Known) -> Known:
    """The state that has learnt nothing: every arm costs what its profile says."""
    return with_arms(Known(state.slo_s), state.profiled.values())


def arms_now(state: Known) -> tuple[ArmProfile, ...]:
    """Every known arm at the present speed, with what serving adds to a batch."""
    return tuple(_telling(state, state.speed).effective.values())


def renewed(state: Known, factor: float) -> Known:
    """The state on hardware that has changed: old costs for now, with margins `factor` (>= 1) wider, no arm known well.

    Live batches and shadow runs narrow the margins again; see `probing` for what to run first.
    """
    state = replace(state, speed=drift.widened(state.speed, factor), last={})
    return _telling(state, state.speed)


def observe(
    state: Known, ran: LatencySample, running: Sequence[RunningBatch] | None = None
) -> tuple[Known, tuple[ArmProfile, ...] | None]:
    """The state after a batch, and all arms anew where their costs have moved enough to tell the policy.

    `running`: what other workers are at, None where that is not known. An overdue batch tells of a slow-down before
    it ends; where there is no other, one batch that took far too long is believed until the next says otherwise.
    Raises KeyError for an arm that was never made known.
    """
    arm, rows = ran.arm, ran.rows
    if _tells_nothing(state, ran):
        return state, None
    switches, extra_s = _switches(state, ran)
    own_s = max(ran.took_s - extra_s, OWN_LEAST * ran.took_s)
    speed = drift.observe(state.speed, arm, state.profiled[arm].mean_s[rows], own_s, rows)
    if running and speed.doubt.error > 0.0:
        speed = _with_overdue(speed, state.profiled, running)
    believed = drift.suspecting(speed) if running == () else speed
    state = Known(
        state.slo_s,
        state.profiled,
        state.estimated,
        state.effective,
        speed,
        _overhead(state.overhead, ran),
        {**state.last, arm: LastRun(ran.ended_s, speed.level)},
        state.rested_s,
        state.fades_s,
        switches,
    )
    moved = _moved(state, believed, ran)
    if ran.ended_s >= state.fades_s:
        state, faded = _faded(state, ran.ended_s)
        if faded:
            moved, believed = inf, drift.suspecting(state.speed) if running == () else state.speed
    if moved <= NEWS or (moved <= URGENT and ran.ended_s < state.rested_s):
        return state, None
    state = replace(_telling(state, believed), rested_s=ran.ended_s + REST_SLOS * state.slo_s)
    return state, tuple(state.effective.values())


def _tells_nothing(state: Known, ran: LatencySample) -> bool:
    """Whether so short a batch begins so soon after one that was learnt from. How long it took has no part in that."""
    every_s = HEARD_SLOS * state.slo_s
    if state.profiled[ran.arm].mean_s[ran.rows] > SHORT * every_s or ran.shadow:
        return False
    last = state.last.get(ran.arm)
    return last is not None and ran.ended_s - ran.took_s < last.ended_s + every_s


def scale(state: Known, arm: Arm) -> float:
    """Latency of `arm` now over its profile's, over all batch sizes; serving's own share left out."""
    return drift.scale(state.speed, arm)


def predicted_s(state: Known, arm: Arm, rows: int) -> float:
    """What such a batch is expected to take in the backend now."""
    return state.profiled[arm].mean_s[rows] * drift.scale(state.speed, arm, rows)


def switch_s(state: Known, arm: Arm, after: Arm | None) -> float:
    """What a batch on `arm` is believed to take longer (s) on a worker that ran `after` before."""
    return 0.0 if after is None or after == arm else state.switches.cost_s


def _switches(state: Known, ran: LatencySample) -> tuple[switching.Switches, float]:
    """(what is known of switches after this batch, what was believed that it took longer (s) for one)."""
    switches, arm, after = state.switches, ran.arm, ran.after
    if after is None or ran.shadow or len(state.profiled) < 2:
        return switches, 0.0
    foreseen_s = predicted_s(state, arm, ran.rows)
    if after == arm:
        return switching.stayed(switches, arm, ran.took_s - foreseen_s), 0.0
    error_s = ran.took_s - foreseen_s
    learnt = switching.switched(switches, arm, error_s, foreseen_s, ran.ended_s)
    return learnt, switches.cost_s


def _faded(state: Known, now_s: float) -> tuple[Known, bool]:
    """(the state in which what is held against idle arms has faded up to now, whether the policy should be told)."""
    begin_s, half_s = IDLE_SLOS * state.slo_s, HALF_SLOS * state.slo_s
    halvings = {
        arm: (now_s - run.ended_s - begin_s) / half_s
        for arm, run in state.last.items()
        if now_s - run.ended_s > begin_s and drift.is_held_back(state.speed, arm)
    }
    switches = switching.idle(state.switches, (now_s - state.switches.last_s - begin_s) / half_s)
    state = replace(state, fades_s=now_s + FADE_SLOS * state.slo_s, switches=switches)
    if not halvings:
        return state, False
    state = replace(state, speed=drift.idling(state.speed, halvings.items()))
    return state, any(_is_news(state, arm) for arm in halvings)


def _is_news(state: Known, arm: Arm) -> bool:
    """Whether one row on `arm` costs so much less than the policy was told."""
    mean, upper = _cost_ratios(state, state.speed, arm, 1)
    return min(mean, upper) < 1.0 - NEWS


def _with_overdue(
    speed: drift.SpeedScale, profiled: Mapping[Arm, ArmProfile], running: Iterable[RunningBatch]
) -> drift.SpeedScale:
    for batch in (b for b in running if b.arm in profiled):  # an arm that was let go may still run
        mean_s = profiled[batch.arm].mean_s[batch.rows]
        speed = drift.overdue(speed, batch.arm, mean_s, batch.elapsed_s, batch.rows)
    return speed


def _overhead(state: serving.Overhead, ran: LatencySample) -> serving.Overhead:
    added_s = ran.busy_s - ran.took_s
    if ran.shadow or not (added_s or state.weight):
        return state
    return serving.observe(state, ran.rows, added_s)


def _moved(state: Known, speed: drift.SpeedScale, ran: LatencySample) -> float:
    """How far (relative) the cost of such a batch is from what the policy was told, mean or upper estimate.

    From the estimate it was told of, that is: where monotone tables differ from it, telling again would not help.
    """
    mean, upper = _cost_ratios(state, speed, ran.arm, ran.rows)
    switch = abs(state.switches.cost_s - state.estimated[ran.arm].switch_s)
    switch /= state.estimated[ran.arm].mean_s[1]
    stalls = NEWS / STALLS_NEWS * _stalls_moved(state.estimated[ran.arm].stalls, speed)
    return max(abs(mean - 1.0), abs(upper - 1.0), switch, stalls)


def _stalls_moved(before: StallRisk, speed: drift.SpeedScale) -> float:
    """How far (relative, 1 at most) stalls are from those told `before`; no news while a batch is in doubt."""
    share, factor = drift.stalls(speed)
    if speed.doubt.batches or share == before.share:
        return 0.0
    by_share = abs(share - before.share) / max(share, before.share)
    return max(by_share, abs(factor - before.factor) / max(factor, before.factor))


def _cost_ratios(state: Known, speed: drift.SpeedScale, arm: Arm, rows: int) -> tuple[float, float]:
    """What such a batch costs over what the policy was told: (mean, upper estimate)."""
    estimated, profile = state.estimated[arm], state.profiled[arm]
    factor, margin, own = drift.factors(speed, arm, rows)
    added_s = 0.0
    if state.overhead.weight:
        added_s = serving.at(serving.line(state.overhead), rows)
    mean_s = profile.mean_s[rows]
    upper_s = max(mean_s * margin, profile.upper_s[rows] * own)
    mean = (mean_s * factor + added_s) / estimated.mean_s[rows]
    return mean, (upper_s + added_s) / estimated.upper_s[rows]


def _telling(state: Known, speed: drift.SpeedScale) -> Known:
    """The state in which the policy is told of all arms at this speed."""
    line = serving.line(state.overhead)
    cost_s, stalls = state.switches.cost_s, StallRisk(*drift.stalls(speed))
    estimated = {
        arm: replace(_now(profile, speed, line), switch_s=cost_s, stalls=stalls)
        for arm, profile in state.profiled.items()
    }
    effective = {arm: _risen(profile) for arm, profile in estimated.items()}
    return replace(state, estimated=estimated, effective=effective)


def _now(profile: ArmProfile, speed: drift.SpeedScale, line: tuple[float, float]) -> ArmProfile:
    mean_s, upper_s = drift.adjusted(speed, profile.arm, profile.mean_s, profile.upper_s)
    if line != (0.0, 0.0):
        added_s = (0.0, *[serving.at(line, rows) for rows in range(1, len(mean_s))])
        mean_s, upper_s = _sum(mean_s, added_s), _sum(upper_s, added_s)
    return replace(profile, mean_s=mean_s, upper_s=upper_s)


def _risen(arm: ArmProfile) -> ArmProfile:
    """A larger batch never costs less: monotone tables."""
    return replace(arm, mean_s=curve.risen(arm.mean_s), upper_s=curve.risen(arm.upper_s))


def _sum(a: Sequence[float], b: Sequence[float]) -> tuple[float, ...]:
    return tuple([x + y for x, y in zip(a, b, strict=True)])
