"""The quarantine under any order of events: nobody is out for ever, and neither input nor load empties the server."""

from collections.abc import Sequence
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from server.policy.arms import quarantine as q
from server.policy.arms.incidents import (
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
)
from server.policy.decision import Arm
from tests.support.scaling import POWERS, scaled

ARMS = tuple(Arm(f"v{i}", "scripted") for i in range(3))
ARM = st.sampled_from(ARMS)
TOOK_S = st.sampled_from([0.001, 0.003, 0.05, 0.5])
BOUND_S = st.sampled_from([0.0, 0.05, 2.0])
SLOWNESS = st.one_of(
    st.builds(Ran, ARM, st.just(0.003), TOOK_S, st.booleans(), BOUND_S),
    st.builds(Overdue, ARM, st.just(0.003), TOOK_S, st.booleans(), BOUND_S),
)
POISON = st.one_of(
    st.builds(Failed, ARM, st.just(True), st.just(False)),
    st.builds(Ran, ARM, st.just(0.003), TOOK_S, st.just(True), BOUND_S),
    st.builds(Overdue, ARM, st.just(0.003), TOOK_S, st.just(True), BOUND_S),
    st.builds(Hung, ARM, st.just(True)),
)
ANY = st.one_of(
    SLOWNESS,
    POISON,
    st.builds(Failed, ARM, st.booleans(), st.booleans()),
    st.builds(Hung, ARM, st.booleans()),
    st.builds(Returned, ARM),
    st.builds(Free, st.booleans()),
    st.builds(Probed, ARM, st.booleans(), st.just(0.003), TOOK_S),
)
GAP_S = st.sampled_from([0.0, 0.001, 0.05, 1.0, 100.0])


def timed(events: st.SearchStrategy[Event]) -> st.SearchStrategy[list[tuple[float, Event]]]:
    """(seconds since the one before, event)."""
    return st.lists(st.tuples(GAP_S, events), max_size=40)


def played(
    events: Sequence[tuple[float, Event]], begin: q.Cases | None = None
) -> list[tuple[q.Cases, tuple[object, ...], float]]:
    """(state, verdicts, time (s)) after each event."""
    state, now_s = q.with_arms(begin or q.Cases(), ARMS), 0.0
    told: list[tuple[q.Cases, tuple[object, ...], float]] = [(state, (), now_s)]
    for gap_s, event in events:
        now_s += gap_s
        state, verdicts = q.step(state, event, now_s)
        told.append((state, verdicts, now_s))
    return told


@given(timed(ANY))
def test_no_arm_is_out_for_ever(events: list[tuple[float, Event]]):
    state, _, now_s = played(events)[-1]

    for arm, case in state.cases.items():  # what hangs returns in the end, and probes end
        for _ in range(case.stuck):
            state, _ = q.step(state, Returned(arm), now_s)
        if case.probing:
            state, _ = q.step(state, Probed(arm, True, 0.003, 0.003), now_s)
    for _ in range(q.GOOD_PROBES * len(ARMS)):
        due_s = q.next_due_s(state)
        if due_s == inf:
            break
        now_s = max(now_s, due_s + q.PATIENCE_S)
        state, (probe,) = q.step(state, Free(waiting=True), now_s)
        assert isinstance(probe, RunCanary)
        state, _ = q.step(state, Probed(probe.arm, True, 0.003, 0.003), now_s)

    assert q.out(state) == {}


@given(timed(SLOWNESS))
def test_slowness_leaves_an_arm_in_use(events: list[tuple[float, Event]]):
    for state, _, _ in played(events):
        assert len(q.out(state)) < len(ARMS)


@given(timed(POISON))
def test_poison_takes_no_arm_out(events: list[tuple[float, Event]]):
    for state, verdicts, _ in played(events):
        assert verdicts == ()
        assert q.out(state) == {}


@given(timed(ANY))
def test_the_time_out_is_bounded(events: list[tuple[float, Event]]):
    for state, verdicts, now_s in played(events):
        for verdict in verdicts:
            if isinstance(verdict, Out):
                assert verdict.until_s - now_s + 1e-9 >= q.FIRST_S
        for case in q.out(state).values():
            assert case.until_s <= now_s + q.MOST_S + 1e-9


@given(timed(ANY))
def test_it_is_deterministic(events: list[tuple[float, Event]]):
    assert played(events) == played(events)


@given(timed(ANY), st.sampled_from(POWERS))
def test_verdicts_do_not_hang_on_the_unit_of_time(events: list[tuple[float, Event]], power: int):
    k = 2.0**power
    begin = q.Cases(slo_s=0.05 * k, delays=scaled(q.Delays(), k))
    others = played([(gap_s * k, scaled(event, k)) for gap_s, event in events], begin)

    for (state, verdicts, now_s), (other, same, at_s) in zip(played(events), others, strict=True):
        assert (same, at_s) == (scaled(verdicts, k), now_s * k)
        assert q.next_due_s(other) == q.next_due_s(state) * k


@given(timed(ANY))
def test_verdicts_tell_exactly_which_arms_are_out(events: list[tuple[float, Event]]):
    out: set[Arm] = set()

    for state, verdicts, _ in played(events):
        for verdict in verdicts:
            match type(verdict).__name__:
                case "Out":
                    assert verdict.arm not in out  # pyright: ignore[reportAttributeAccessIssue]
                    out.add(verdict.arm)
                case "Back":
                    out.remove(verdict.arm)
                case _:
                    pass
        assert out == set(q.out(state))
