"""What the quarantine keeps of each arm and of the latest batches, and how long it lets an arm wait. Pure values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple

from server.policy.decision import Arm

FIRST_S, MOST_S = 0.1, 60.0
"""An arm's first time out after a failure and its longest of all (s); each offence and each bad probe doubles it.

How long what ails an arm lasts (memory short, a driver that starts anew) is the hardware's affair and not the SLO's;
and an operator who has mended it wants to see it back within a minute.
"""
FIRST_SLOS = 2.0
"""Its first time out for slowness, in latency bounds: a hiccup that breaks a promise is over in a few of them."""
MERCY_S = 30.0
"""So long in use (s) without an offence halves the next time out."""
MERCY_BOUNDS = 40.0
"""After slowness, so many latency bounds do: a machine that is shared has a hiccup now and then, an ill arm at once."""
PROBE_REST_S = 0.05
"""Between good probes of an arm that failed (s): a runtime that recovers does so at its own pace."""
PROBE_REST_SLOS = 1.0
"""And of one that was slow, in latency bounds."""
PROBE_SLACK_S = 0.002
"""A probe may take this much longer than predicted (s): caches are as cold and threads as late whatever the SLO."""
PATIENCE_S = 2.0
"""A probe due for so long (s) goes ahead of waiting requests: a server that is never idle must get its arms back, and
an operator waits for it."""
LAST_RESORT_S = 1.0
"""Where no arm is in use, each is tried this often (s): nobody is kept waiting by it, and people see an outage."""
FLUKES_WITHIN_S = 10.0
"""Batches that fail only together count where so near each other (s): a fault of the runtime, which knows no SLO."""
REMEMBERED = 16
"""Batches that tell whether the machine as a whole is slow."""


@dataclass(frozen=True, slots=True)
class Delays:
    """What is measured by the clock (s) as people and hardware do, not in latency bounds: each is as its constant says.

    An input: on a machine whose times are all k times as long, with these k times as long, the same is decided.
    """

    first_s: float = FIRST_S
    most_s: float = MOST_S
    mercy_s: float = MERCY_S
    probe_rest_s: float = PROBE_REST_S
    probe_slack_s: float = PROBE_SLACK_S
    patience_s: float = PATIENCE_S
    last_resort_s: float = LAST_RESORT_S
    flukes_within_s: float = FLUKES_WITHIN_S


@dataclass(frozen=True, slots=True)
class Case:
    """One arm's record. `reason` is empty while it is in use; `since_s`: when that changed; `stuck`: runs given up.

    `backoff_s` is its last time out, 0 if there was none; `flukes`: when (s) the last ones were. `bound_s`: what took
    it out as slow was held to this, 0 for other reasons.
    """

    reason: str = ""
    since_s: float = 0.0
    until_s: float = 0.0
    backoff_s: float = 0.0
    probing: bool = False
    good: int = 0
    stuck: int = 0
    flukes: tuple[float, ...] = ()
    bound_s: float = 0.0


class TimedBatch(NamedTuple):
    """What one batch tells of the machine, and of its arm once it has `ended`."""

    arm: Arm
    predicted_s: float
    took_s: float
    at_s: float
    slow: bool
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Cases:
    """Every known arm's case, and the latest batches, oldest first. `slo_s`: the family's latency bound."""

    cases: Mapping[Arm, Case] = field(default_factory=dict[Arm, Case])
    recent: tuple[TimedBatch, ...] = ()
    slo_s: float = 0.05
    delays: Delays = field(default_factory=Delays)


def with_arms(state: Cases, arms: Iterable[Arm]) -> Cases:
    """The state that knows exactly these arms; those it knew keep their cases."""
    return replace(state, cases={arm: state.cases.get(arm, Case()) for arm in arms})


def out(state: Cases) -> dict[Arm, Case]:
    """The arms not in use now."""
    return {arm: case for arm, case in state.cases.items() if case.reason}


def bound_s(state: Cases, arm: Arm) -> float:
    """What a probe of the arm is held to (s): half of it is what makes a batch slow."""
    case = state.cases.get(arm)
    return case.bound_s if case is not None else 0.0


def due_s(state: Cases, arm: Arm) -> float:
    """When (s) an arm that is out is tried again; infinite while a run is stuck in it or a probe is under way."""
    case = state.cases[arm]
    if case.stuck or case.probing:
        return inf
    if any(not other.reason for other in state.cases.values()):
        return case.until_s
    return case.until_s - max(0.0, case.backoff_s - state.delays.last_resort_s)


def next_due_s(state: Cases) -> float:
    """When (s) the next probe is due; infinite where none is."""
    return min((due_s(state, arm) for arm in out(state)), default=inf)


def first_s(state: Cases, bound_s: float) -> float:
    """The first time out (s) for slowness against this bound, or, where that is 0, for a failure."""
    return FIRST_SLOS * state.slo_s if bound_s else state.delays.first_s


def mercy_s(state: Cases, bound_s: float) -> float:
    """The time in use (s) that halves the next time out."""
    most_s = state.delays.mercy_s
    return min(most_s, MERCY_BOUNDS * bound_s) or most_s


def rest_s(state: Cases, case: Case) -> float:
    """The time (s) from a good probe of an arm to the next."""
    return PROBE_REST_SLOS * state.slo_s if case.bound_s else state.delays.probe_rest_s


def with_batch(state: Cases, batch: TimedBatch) -> Cases:
    """With one more batch."""
    recent = (*state.recent[1 - REMEMBERED :], batch)
    return Cases(state.cases, recent, state.slo_s, state.delays)


def with_case(state: Cases, arm: Arm, case: Case) -> Cases:
    """With this case of an arm."""
    return replace(state, cases={**state.cases, arm: case})
