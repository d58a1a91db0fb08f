"""When measured costs make the plan be redone: rarely, for good reason, and with the costs that were measured."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.sharing.planner.feedback import (
    EVIDENCE_S,
    LASTING_S,
    MARGIN,
    SILENCE_S,
    Keep,
    Memory,
    Own,
    Recalibrate,
    Spent,
    Stretch,
    Usage,
    look,
    moved,
)
from server.sharing.planner.workload import NetworkCosts

COSTS = NetworkCosts({0: 0.0, 2: 0.01, 5: 0.03}, {("a", 2): 0.02, ("b", 5): 0.01})
FACTORS = st.floats(0.2, 5.0)


def a_second(times: float, frames: float = 10.0, lost: float = 0.0) -> Usage:
    """Everything `times` as dear as planned."""
    spent: dict[Stretch | Own, Spent] = {
        Stretch(0, 2): Spent(frames, frames * 0.01 * times),
        Stretch(2, 5): Spent(frames, frames * 0.02 * times),
        Own("a", 2): Spent(frames, frames * 0.02 * times),
        Own("b", 5): Spent(frames, frames * 0.01 * times),
    }
    busy_s = sum(part.seconds for part in spent.values())
    return Usage(spent, busy_s, planned=2 * frames + lost, analysed=2 * frames, lost=lost)


def verdicts(seen: list[Usage]) -> list[tuple[float, Recalibrate]]:
    """One look a second, with the costs last decided on."""
    state, costs = Memory(), COSTS
    told: list[tuple[float, Recalibrate]] = []
    for second, one in enumerate(seen):
        state, verdict = look(state, one, costs, float(second))
        if isinstance(verdict, Recalibrate):
            told.append((float(second), verdict))
    return told


@given(st.lists(st.floats(1 - MARGIN + 0.01, 1 + MARGIN - 0.01), min_size=1, max_size=60))
def test_within_the_margin_nothing_is_redone(times: list[float]):
    assert verdicts([a_second(t) for t in times]) == []


@given(FACTORS.filter(lambda f: abs(f - 1) > MARGIN + 0.01))
def test_what_lasts_beyond_the_margin_is_redone_with_the_costs_measured(times: float):
    (_, first), *_ = verdicts([a_second(times)] * 20)

    for point, through in COSTS.stem.items():
        assert abs(first.costs.stem[point] - through * times) < 1e-9
    for cut, cost in COSTS.heads.items():
        assert abs(first.costs.heads[cut] - cost * times) < 1e-9


def test_once_redone_with_true_costs_there_is_peace():
    state, costs, told = Memory(), COSTS, 0
    for second in range(100):
        state, verdict = look(state, a_second(3.0), costs, float(second))
        if isinstance(verdict, Recalibrate):
            costs, told = verdict.costs, told + 1

    assert told == 1


@given(st.integers(0, int(LASTING_S) - 1))
def test_a_short_burst_is_sat_out(length: int):
    assert verdicts([a_second(1.0)] * 30 + [a_second(1.3)] * length + [a_second(1.0)] * 30) == []


@given(st.lists(FACTORS, min_size=1, max_size=30))
def test_too_little_evidence_says_nothing(times: list[float]):
    few = EVIDENCE_S / 0.06 / 5 / 31

    assert verdicts([a_second(t, frames=few) for t in times]) == []


@given(FACTORS.filter(lambda f: abs(f - 1) > MARGIN + 0.01), st.floats(0.001, 0.02))
def test_on_a_device_that_is_hardly_used_evidence_gathers_for_longer(times: float, busy_s: float):
    seen = a_second(times, frames=busy_s / 0.06 / times)
    (at_s, _), *_ = verdicts([seen] * 250)

    assert at_s <= EVIDENCE_S / busy_s + LASTING_S + 2


def test_a_segment_that_was_taken_to_cost_nothing_does_not_do_so_for_ever():
    costs = NetworkCosts({0: 0.0, 2: 0.03, 5: 0.03}, COSTS.heads)
    state, told = Memory(), 0
    for second in range(100):
        state, verdict = look(state, a_second(1.5), costs, float(second))
        if isinstance(verdict, Recalibrate):
            costs, told = verdict.costs, told + 1

    assert told == 1
    assert abs(costs.segment(2, 5) - 0.03) < 1e-9


def test_where_redoing_does_not_help_the_silence_doubles():
    told = [second for second, _ in verdicts([a_second(3.0)] * 200)]
    gaps = [b - a for a, b in pairwise(told)]

    assert len(gaps) >= 3
    assert gaps[0] >= SILENCE_S
    assert all(b >= 2 * a - 1 for a, b in pairwise(gaps))


def test_frames_lost_though_costs_look_right_make_all_dearer():
    (_, first), *_ = verdicts([a_second(1.0, lost=20.0)] * 20)

    assert first.costs.stem[5] > 1.8 * COSTS.stem[5]
    assert all(cost > 1.8 * COSTS.heads[cut] for cut, cost in first.costs.heads.items())


def test_a_stream_that_sends_too_much_and_loses_it_says_nothing_of_costs():
    seen = a_second(1.0, lost=20.0)
    sped = Usage(seen.spent, seen.busy_s, planned=20.0, analysed=seen.analysed, lost=seen.lost)

    assert verdicts([sped] * 20) == []


@given(st.floats(1.0, 40.0))
def test_frames_that_come_late_to_an_idle_device_say_nothing_of_costs(lost: float):
    seen = a_second(1.0, frames=5.0, lost=lost)

    assert verdicts([replace(seen, seconds=1.0)] * 60) == []


def test_work_between_the_networks_is_charged_to_them():
    seen = a_second(1.0)
    heavy = Usage(seen.spent, 2 * seen.busy_s, seen.planned, seen.analysed)
    (_, first), *_ = verdicts([heavy] * 20)

    assert abs(moved(heavy, first.costs) - 1) < 1e-9


@given(st.lists(FACTORS, min_size=1, max_size=40))
def test_recalibrated_stems_never_fall_with_depth(times: list[float]):
    for _, verdict in verdicts([a_second(t) for t in times]):
        stem = [verdict.costs.stem[point] for point in sorted(verdict.costs.stem)]
        assert stem == sorted(stem)
        assert stem[0] == 0


def test_costs_unknown_to_the_feedback_leave_it_calm():
    gone: dict[Stretch | Own, Spent] = {Own("gone", 2): Spent(10, 9.0)}

    assert look(Memory(), Usage(gone, 9.0), COSTS, 0.0)[1] == Keep()
