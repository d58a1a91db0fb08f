"""What takes an arm out of use, what does not, and how it comes back."""

from math import inf

import pytest

from server.policy.arms import quarantine as q
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

A, B, C = Arm("a", "scripted"), Arm("b", "scripted"), Arm("c", "scripted")
ARMS = q.with_arms(q.Cases(), [A, B, C])
OK_S, SLOW_S, BOUND_S = 0.003, 0.03, 0.05
SLOW, OVERDUE = Ran(A, OK_S, SLOW_S, bound_s=BOUND_S), Overdue(A, OK_S, SLOW_S, bound_s=BOUND_S)


def after(state: q.Cases, *events: tuple[float, Event]) -> tuple[q.Cases, list[Verdict]]:
    """The state after these events, each at its time (s), and all verdicts."""
    verdicts: list[Verdict] = []
    for now_s, event in events:
        state, more = q.step(state, event, now_s)
        verdicts += more
    return state, verdicts


def failed(state: q.Cases = ARMS, arm: Arm = A, now_s: float = 0.0) -> q.Cases:
    """`arm` failed, and so did its canary."""
    return after(state, (now_s, Failed(arm, canary_passed=False)))[0]


def good_probe(now_s: float, arm: Arm = A) -> list[tuple[float, Event]]:
    """A worker is free, and the probe that it makes is good."""
    return [(now_s, Free(waiting=False)), (now_s, Probed(arm, True, OK_S, OK_S))]


def test_an_arm_whose_canary_fails_is_out_at_once():
    _, verdicts = after(ARMS, (5.0, Failed(A, canary_passed=False)))

    assert verdicts == [Out(A, "failed", pytest.approx(5.0 + q.FIRST_S))]


def test_the_last_arm_is_out_too_when_it_fails():
    state, verdicts = after(q.with_arms(q.Cases(), [A]), (0.0, Failed(A, canary_passed=False)))

    assert [type(v) for v in verdicts] == [Out]
    assert q.next_due_s(state) == pytest.approx(q.FIRST_S)


def test_an_input_that_fails_by_itself_is_not_the_arms_fault():
    state, verdicts = after(ARMS, *((i / 100, Failed(A, True)) for i in range(50)))

    assert (verdicts, q.out(state)) == ([], {})


def test_batches_that_fail_though_all_in_them_passes_alone_count_in_the_end():
    fluke = Failed(A, canary_passed=True, alone=True)

    _, apart = after(ARMS, (0.0, fluke), (20.0, fluke), (40.0, fluke), (60.0, fluke))
    _, together = after(ARMS, (0.0, fluke), (1.0, fluke), (2.0, fluke))

    assert apart == []
    assert together == [Out(A, "flaky", pytest.approx(2.0 + q.FIRST_S))]


def test_slow_batches_take_their_arm_out_and_one_alone_does_not():
    once, verdicts = after(ARMS, (1.0, Ran(B, OK_S, OK_S)), (1.03, SLOW))
    _, twice = after(once, (1.06, SLOW))
    _, later = after(once, *[(1.1 + i, Ran(A, OK_S, OK_S)) for i in range(4)], (6.0, SLOW))

    assert (verdicts, later) == ([], [])
    assert twice == [Out(A, "slow", pytest.approx(1.06 + q.FIRST_S))]


@pytest.mark.parametrize("bound_s", [0.05, 0.5])
def test_a_run_is_slow_once_half_of_its_requests_time_is_gone(bound_s: float):
    predicted_s = 0.0003
    least_s = predicted_s + bound_s / 2

    assert q.slow_after_s(predicted_s, bound_s) == pytest.approx(least_s)
    assert q.slow_after_s(bound_s, bound_s) == q.SLOW_FACTOR * bound_s


def test_the_quanta_that_a_burning_neighbour_takes_put_no_arm_out():
    """Batches of 0.3 ms that are held up for 4 to 20 ms, on one arm and then on another; the bound is 50 ms."""
    quanta_s = [0.004, 0.0, 0.02, 0.012, 0.0, 0.02, 0.016, 0.008]
    batches = [
        (i / 50, Ran(arm, 0.0003, 0.0003 + quanta_s[(i + k) % 8], bound_s=0.05))
        for i in range(1000)
        for k, arm in enumerate((A, B))
    ]

    assert after(ARMS, *batches)[1] == []


def test_when_all_arms_are_slow_it_is_the_machine_and_they_go_on():
    other = Ran(B, OK_S, SLOW_S, bound_s=BOUND_S)

    state, verdicts = after(
        ARMS, (1.0, OVERDUE), (1.005, Returned(A)), (1.01, other), (1.02, other)
    )

    assert verdicts[1:] == [Back(A, pytest.approx(0.02))]
    assert q.out(state) == {}


def test_a_slow_arm_is_not_to_blame_while_others_are_held_up_by_as_much():
    """What a machine withholds is time: a batch that should take longer is late by fewer times its prediction."""
    held_up = Ran(B, 0.004, 0.02, bound_s=BOUND_S)
    on_time = Ran(B, 0.004, 0.005, bound_s=BOUND_S)

    _, together = after(ARMS, (1.0, held_up), (1.01, OVERDUE))
    _, alone = after(ARMS, (1.0, on_time), (1.01, OVERDUE))
    _, long_ago = after(ARMS, (0.5, held_up), (1.01, OVERDUE))

    assert together == []
    assert [type(v) for v in (*alone, *long_ago)] == [Out, Out]


def test_the_last_arm_in_use_is_never_out_for_slowness():
    state = failed(failed(), B)

    _, slow = after(state, (1.0, Ran(C, OK_S, 1.0)), (9.0, Overdue(C, OK_S, 0.5)))

    assert slow == []


def test_a_hanging_run_is_given_up_and_its_arm_not_tried_before_it_returns():
    state, verdicts = after(ARMS, (1.0, OVERDUE))
    _, too_early = after(state, (30.0, Free(waiting=False)))
    _, probed = after(state, (30.0, Returned(A)), (30.1, Free(waiting=False)))

    assert verdicts == [Out(A, "overdue", pytest.approx(1.1))]
    assert q.next_due_s(state) == inf
    assert (too_early, probed) == ([], [RunCanary(A)])


def test_even_the_last_arm_is_out_when_a_run_hangs():
    _, verdicts = after(q.with_arms(q.Cases(), [A]), (1.0, OVERDUE), (3.0, Hung(A)))

    assert [v.reason for v in verdicts if isinstance(v, Out)] == ["hung"]


def test_a_retried_input_takes_no_further_arm_out_by_being_slow():
    events = [
        (1.0, Ran(A, OK_S, 1.0, True)),
        (2.0, Overdue(B, OK_S, 0.03, True)),
        (5.0, Hung(C, True)),
    ]

    state, verdicts = after(ARMS, *events)

    assert (verdicts, q.out(state)) == ([], {})


def test_after_a_first_offence_one_good_probe_brings_an_arm_back():
    state, verdicts = after(failed(), *good_probe(0.2))

    assert verdicts == [RunCanary(A), Back(A, pytest.approx(0.2))]
    assert q.out(state) == {}


def test_only_one_worker_probes_an_arm():
    _, verdicts = after(failed(), (0.2, Free(waiting=False)), (0.2, Free(waiting=False)))

    assert verdicts == [RunCanary(A)]


def test_a_bad_probe_doubles_the_time_out():
    events = [(0.2, Free(waiting=False)), (0.2, Probed(A, False, OK_S, OK_S))]

    _, verdicts = after(failed(), *events)

    assert verdicts[1:] == [Stay(A, "failed", pytest.approx(0.2 + 2 * q.FIRST_S))]


def test_a_probe_that_is_slow_is_a_bad_one():
    _, verdicts = after(
        failed(), (0.2, Free(waiting=False)), (0.2, Probed(A, True, OK_S, 4 * OK_S))
    )

    assert isinstance(verdicts[-1], Stay)


def test_an_arm_that_offends_again_needs_three_good_probes():
    state, _ = after(failed(), *good_probe(0.2))
    state = failed(state, now_s=0.3)

    _, verdicts = after(state, *good_probe(1.0), *good_probe(1.1), *good_probe(1.2))

    assert [type(v) for v in verdicts] == [RunCanary, RunCanary, RunCanary, Back]


def test_time_in_use_without_an_offence_is_credited():
    state, _ = after(failed(), *good_probe(0.2))

    _, soon = after(state, (0.3, Failed(A, canary_passed=False)))
    _, later = after(state, (0.2 + 4 * q.MERCY_S, Failed(A, canary_passed=False)))

    assert soon == [Out(A, "failed", pytest.approx(0.3 + 2 * q.FIRST_S, rel=0.01))]
    assert later == [Out(A, "failed", pytest.approx(0.2 + 4 * q.MERCY_S + q.FIRST_S))]


def test_a_probe_of_a_slow_arm_may_be_held_up_by_half_of_what_took_it_out():
    state, _ = after(ARMS, (1.0, OVERDUE), (1.05, Returned(A)), (1.2, Free(waiting=False)))

    _, good = after(state, (1.22, Probed(A, True, 0.0003, 0.012)))
    _, bad = after(state, (1.22, Probed(A, True, 0.0003, 0.014)))

    assert [type(v) for v in (*good, *bad)] == [Back, Stay]


def test_an_arm_that_passes_its_probes_is_soon_forgiven_its_slowness():
    state, outs = ARMS, list[Verdict]()
    for number in range(10):
        begun_s = 1.0 + 5.0 * number
        due = [(begun_s, OVERDUE), (begun_s + 0.05, Returned(A)), *good_probe(begun_s + 0.3)]
        state, verdicts = after(state, *due)
        outs += [v for v in verdicts if isinstance(v, Out)]

    assert len(outs) == 10
    assert max(out.until_s - (1.0 + 5.0 * n) for n, out in enumerate(outs)) < 2 * q.FIRST_S


def test_nobody_waits_for_a_probe_unless_it_has_been_due_for_long():
    _, busy = after(failed(), (0.2, Free(waiting=True)))
    _, patient = after(failed(), (0.11 + q.PATIENCE_S, Free(waiting=True)))

    assert (busy, patient) == ([], [RunCanary(A)])


def test_where_no_arm_is_in_use_a_long_time_out_is_cut_short():
    state = q.with_arms(q.Cases({A: q.Case("failed", 0.0, 60.0, 60.0)}), [A])

    assert q.next_due_s(state) == pytest.approx(q.LAST_RESORT_S)
    assert q.next_due_s(q.with_arms(state, [A, B])) == pytest.approx(60.0)


def test_what_befalls_an_unknown_arm_changes_nothing():
    stranger = Arm("gone", "scripted")

    assert after(ARMS, (0.0, Failed(stranger, canary_passed=False))) == (ARMS, [])
