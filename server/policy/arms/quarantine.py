"""Which arms are out of use because they fail, hang or crawl, and when they are tried again. Pure.

A frozen state and an event in, the state after it and verdicts out. The shell tells what befell an arm and carries the
verdicts out. An input can fail on any arm, so a failed batch counts against the arm only where the shell's canary (a
row of known-good input) failed there too.

A run is *slow* when its own time, without what it waited for a CPU, is many times its prediction and so long that it
breaks promises: half of what the most urgent of its requests may take is gone. It counts against its arm unless others
suffer the same at the same time, and, where it came back, only if it is not the only one of late. What takes an arm out
may still be a hiccup of a shared machine: so the first time out is short, a probe decides, and an arm that passes its
probe is soon forgiven.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import NamedTuple

from server.policy.arms.incidents import (
    Back,
    Event,
    Failed,
    Free,
    Hung,
    Out,
    Overdue,
    Probed,
    Ran,
    Returned,
    RunCanary,
    Stay,
    Verdict,
)
from server.policy.decision import Arm

SLOW_FACTOR = 8.0
"""A batch that takes this multiple of its prediction is slow: drift follows what is less, and believes it."""
SLOW_SHARE = 0.5
"""And longer by this share of what its most urgent request may take: the rest is for another arm to answer it in."""
SLOW_RUNS, SLOW_AMONG = 2, 4
"""So many slow ones among an arm's last batches take it out: one that came back after all may be a hiccup."""
SUFFERS_FACTOR, SUFFERS_SHARE = 2.0, 0.25
"""Another arm's batch suffers the same if it takes this multiple of its prediction and is late by this share of how
late the slow one is: what a machine withholds is time, whatever the batch that it is withheld from should take."""
HUNG_FACTOR, HUNG_LEAST_S = 10.0, 2.0
"""A run is hung after this multiple of its prediction and this long (s): it is given up even on the last arm."""
PROBE_FACTOR, PROBE_SLACK_S = 3.0, 0.002
"""A probe may take this multiple of its prediction or this much longer (s): its caches are cold."""
PROBE_SHARE = 0.5
"""Or longer by this share of what took its arm out as slow: what is less breaks no promise."""
FIRST_S, MOST_S = 0.1, 60.0
"""An arm's first time out and its longest (s); each offence and each bad probe doubles it."""
MERCY_S = 30.0
"""So long in use (s) without an offence halves the next time out."""
MERCY_BOUNDS = 40.0
"""After slowness, so many latency bounds do: a machine that is shared has a hiccup now and then, an ill arm at once."""
GOOD_PROBES = 3
"""In a row, before an arm that offended again comes back; after a first offence one is enough."""
PROBE_REST_S = 0.05
PATIENCE_S = 2.0
"""A probe due for so long (s) goes ahead of waiting requests: a server that is never idle must get its arms back."""
LAST_RESORT_S = 1.0
"""Where no arm is in use, each is tried this often (s): nobody is kept waiting by it."""
FLUKES, FLUKES_WITHIN_S = 3, 10.0
"""So many batches that failed though the canary and each of their jobs passed alone: the arm cannot batch."""
REMEMBERED = 16
"""Batches that tell whether the machine as a whole is slow."""
SLOWNESS = frozenset({"slow", "overdue"})
"""Reasons that a busy machine may have a part in."""


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
    """Every known arm's case, and the latest batches, oldest first."""

    cases: Mapping[Arm, Case] = field(default_factory=dict[Arm, Case])
    recent: tuple[TimedBatch, ...] = ()


Step = tuple[Cases, tuple[Verdict, ...]]
"""The state after an event, and what is to be done; mostly nothing."""


def with_arms(state: Cases, arms: Iterable[Arm]) -> Cases:
    """The state that knows exactly these arms; those it knew keep their cases."""
    return replace(state, cases={arm: state.cases.get(arm, Case()) for arm in arms})


def out(state: Cases) -> dict[Arm, Case]:
    """The arms not in use now."""
    return {arm: case for arm, case in state.cases.items() if case.reason}


def slow_after_s(predicted_s: float, bound_s: float) -> float:
    """From how long on (s) a batch is slow whose most urgent request may take `bound_s` in all."""
    return max(SLOW_FACTOR * predicted_s, predicted_s + SLOW_SHARE * bound_s)


def bound_s(state: Cases, arm: Arm) -> float:
    """What a probe of the arm is held to (s): half of it is what makes a batch slow."""
    case = state.cases.get(arm)
    return case.bound_s if case is not None else 0.0


def hung_after_s(predicted_s: float) -> float:
    """From how long on (s) a run is hung."""
    return max(HUNG_FACTOR * predicted_s, HUNG_LEAST_S)


def due_s(state: Cases, arm: Arm) -> float:
    """When (s) an arm that is out is tried again; infinite while a run is stuck in it or a probe is under way."""
    case = state.cases[arm]
    if case.stuck or case.probing:
        return inf
    if any(not other.reason for other in state.cases.values()):
        return case.until_s
    return case.until_s - max(0.0, case.backoff_s - LAST_RESORT_S)


def next_due_s(state: Cases) -> float:
    """When (s) the next probe is due; infinite where none is."""
    return min((due_s(state, arm) for arm in out(state)), default=inf)


def step(state: Cases, event: Event, now_s: float) -> Step:
    """The state after `event`. What befalls an arm that is not known (any more) changes nothing."""
    if isinstance(event, Free):
        return _free(state, event.waiting, now_s)
    if event.arm not in state.cases:
        return state, ()
    return _befell(state, event, now_s)


def _befell(
    state: Cases, event: Ran | Failed | Overdue | Hung | Probed | Returned, now_s: float
) -> Step:
    match event:
        case Ran():
            return _ran(state, event, now_s)
        case Failed():
            return _failed(state, event, now_s)
        case Overdue():
            return _overdue(state, event, now_s)
        case Hung():
            return _hung(state, event, now_s)
        case Probed():
            return _probed(state, event, now_s)
        case Returned(arm):
            stuck = max(0, state.cases[arm].stuck - 1)
            return _with(state, arm, replace(state.cases[arm], stuck=stuck)), ()


def _ran(state: Cases, ran: Ran, now_s: float) -> Step:
    if ran.retried:
        return state, ()
    slow = ran.took_s >= slow_after_s(ran.predicted_s, ran.bound_s)
    batch = TimedBatch(ran.arm, ran.predicted_s, ran.took_s, now_s, slow)
    state = _seen(state, batch)
    if not slow or sum(_own(state, ran.arm)[-SLOW_AMONG:]) < SLOW_RUNS:
        return state, ()
    return _blamed(state, batch, "slow", ran.bound_s)


def _own(state: Cases, arm: Arm) -> list[bool]:
    """Which of the arm's latest batches since it is in use were slow, oldest first."""
    since_s = state.cases[arm].since_s
    ours = [seen for seen in state.recent if seen.arm == arm and seen.ended]
    return [seen.slow for seen in ours if seen.at_s >= since_s]


def _overdue(state: Cases, run: Overdue, now_s: float) -> Step:
    """A retried job's run is given up only where the arm is out anyway: one input must not take out arm after arm."""
    verdicts: tuple[Verdict, ...] = ()
    if state.cases[run.arm].probing:
        state, verdicts = _stay(state, run.arm, now_s)
    elif not run.retried:
        batch = TimedBatch(run.arm, run.predicted_s, run.took_s, now_s, slow=True, ended=False)
        state, verdicts = _blamed(_seen(state, batch), batch, "overdue", run.bound_s)
    return (_stuck(state, run.arm) if state.cases[run.arm].reason else state), verdicts


def _hung(state: Cases, run: Hung, now_s: float) -> Step:
    state = _stuck(state, run.arm)
    if run.retried or state.cases[run.arm].reason:
        return state, ()
    return _put_out(state, run.arm, "hung", now_s)


def _failed(state: Cases, failed: Failed, now_s: float) -> Step:
    case = state.cases[failed.arm]
    if case.reason or (failed.canary_passed and not failed.alone):
        return state, ()
    if not failed.canary_passed:
        return _put_out(state, failed.arm, "failed", now_s)
    flukes = (*(at_s for at_s in case.flukes if at_s > now_s - FLUKES_WITHIN_S), now_s)
    if len(flukes) >= FLUKES:
        return _put_out(state, failed.arm, "flaky", now_s)
    return _with(state, failed.arm, replace(case, flukes=flukes)), ()


def _blamed(state: Cases, batch: TimedBatch, reason: str, bound_s: float) -> Step:
    """A slow batch: the arm goes out, unless it is the last in use or others suffer; then those out for it return.

    Others suffer the same at the same time where most of the batches that other arms ran since twice the time that this
    one took were late too.
    """
    now_s, since_s = batch.at_s, batch.at_s - 2.0 * batch.took_s
    others = [seen for seen in state.recent if seen.arm != batch.arm and seen.at_s >= since_s]
    if 2 * sum(_suffers(other, batch) for other in others) > len(others):
        return _all_back(state, since_s, now_s)
    in_use = [known for known, case in state.cases.items() if not case.reason]
    if batch.arm not in in_use or len(in_use) == 1:
        return state, ()
    return _put_out(state, batch.arm, reason, now_s, bound_s)


def _suffers(other: TimedBatch, batch: TimedBatch) -> bool:
    late_s = SUFFERS_SHARE * (batch.took_s - batch.predicted_s)
    least_s = max(SUFFERS_FACTOR * other.predicted_s, other.predicted_s + late_s)
    return other.took_s >= least_s


def _all_back(state: Cases, since_s: float, now_s: float) -> Step:
    """It was the machine: whoever went out as slow since then is in use again."""
    verdicts: list[Verdict] = []
    for arm, case in out(state).items():
        if case.reason in SLOWNESS and case.since_s >= since_s and not case.stuck:
            state = _with(state, arm, _returning(case, now_s))
            verdicts.append(Back(arm, now_s - case.since_s))
    return state, tuple(verdicts)


def _free(state: Cases, waiting: bool, now_s: float) -> Step:
    """The arm due longest is probed: at once where nobody waits or no arm is in use, else after some patience."""
    cases = out(state)
    patience_s = PATIENCE_S if waiting and len(cases) < len(state.cases) else 0.0
    due = min(cases, key=lambda arm: due_s(state, arm), default=None)
    if due is None or due_s(state, due) + patience_s > now_s:
        return state, ()
    return _with(state, due, replace(cases[due], probing=True)), (RunCanary(due),)


def _probed(state: Cases, probed: Probed, now_s: float) -> Step:
    arm, case = probed.arm, replace(state.cases[probed.arm], probing=False)
    state = _with(state, arm, case)
    if not case.reason:  # it came back meanwhile
        return state, ()
    slack_s = max(PROBE_SLACK_S, PROBE_SHARE * SLOW_SHARE * case.bound_s)
    most_s = max(PROBE_FACTOR * probed.predicted_s, probed.predicted_s + slack_s)
    if not probed.ok or probed.took_s > most_s:
        return _stay(state, arm, now_s)
    good = case.good + 1
    if good >= (GOOD_PROBES if case.backoff_s > FIRST_S else 1):
        return _with(state, arm, _returning(case, now_s)), (Back(arm, now_s - case.since_s),)
    return _with(state, arm, replace(case, good=good, until_s=now_s + PROBE_REST_S)), ()


def _put_out(state: Cases, arm: Arm, reason: str, now_s: float, bound_s: float = 0.0) -> Step:
    case = state.cases[arm]
    mercy_s = min(MERCY_S, MERCY_BOUNDS * bound_s) or MERCY_S
    forgiven_s = case.backoff_s * 0.5 ** ((now_s - case.since_s) / mercy_s)
    backoff_s = min(MOST_S, max(FIRST_S, 2.0 * forgiven_s))
    until_s = now_s + backoff_s
    gone = Case(reason, now_s, until_s, backoff_s, stuck=case.stuck, bound_s=bound_s)
    return _with(state, arm, gone), (Out(arm, reason, until_s),)


def _stay(state: Cases, arm: Arm, now_s: float) -> Step:
    case = state.cases[arm]
    backoff_s = min(MOST_S, 2.0 * case.backoff_s)
    until_s = now_s + backoff_s
    longer = replace(case, until_s=until_s, backoff_s=backoff_s, probing=False, good=0)
    return _with(state, arm, longer), (Stay(arm, case.reason, until_s),)


def _returning(case: Case, now_s: float) -> Case:
    return Case(since_s=now_s, backoff_s=case.backoff_s, stuck=case.stuck)


def _stuck(state: Cases, arm: Arm) -> Cases:
    case = state.cases[arm]
    return _with(state, arm, replace(case, stuck=case.stuck + 1))


def _seen(state: Cases, seen: TimedBatch) -> Cases:
    return Cases(state.cases, (*state.recent[1 - REMEMBERED :], seen))


def _with(state: Cases, arm: Arm, case: Case) -> Cases:
    return replace(state, cases={**state.cases, arm: case})
