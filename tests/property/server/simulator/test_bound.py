"""Whatever the arms and arrivals: no schedule exceeds the bound, and more of anything good never lowers it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.policy.decision import ArmProfile
from server.simulator.bound import bound_awg
from tests.support.builders import a_profile

ROUNDING = 1e-9
MS = 1e-3


@st.composite
def arm_sets(draw: st.DrawFn) -> list[ArmProfile]:
    """One or two arms of up to three rows."""
    return [
        a_profile(
            f"v{i}",
            draw(st.sampled_from([0.5, 0.7, 0.9])),
            draw(st.integers(1, 8)) * MS,
            draw(st.integers(0, 4)) * MS,
            draw(st.integers(1, 3)),
        )
        for i in range(draw(st.integers(1, 2)))
    ]


def arrivals(most: int) -> st.SearchStrategy[list[float]]:
    """Sorted times on a grid of half milliseconds, within 20 ms."""
    ticks = st.lists(st.integers(0, 40), min_size=1, max_size=most)
    return ticks.map(lambda found: sorted(0.5 * MS * tick for tick in found))


slos = st.integers(1, 16).map(lambda n: n * MS)


@given(arm_sets(), arrivals(6), slos)
@settings(max_examples=150, deadline=None)
def test_no_schedule_at_all_exceeds_the_bound(
    arms: list[ArmProfile], times: list[float], slo_s: float
):
    best = _best_schedule(arms, times, [slo_s] * len(times))

    assert bound_awg(arms, times, slo_s, 1) >= best - ROUNDING


@given(arm_sets(), st.lists(st.tuples(st.integers(0, 30), slos), min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
def test_no_schedule_of_mixed_bounds_exceeds_it_either(
    arms: list[ArmProfile], requests: list[tuple[int, float]]
):
    requests = sorted(requests)
    times = [0.5 * MS * tick for tick, _ in requests]
    each = [slo_s for _, slo_s in requests]

    best = _best_schedule(arms, times, each)

    assert bound_awg(arms, times, np.array(each), 1) >= best - ROUNDING


@given(arm_sets(), arrivals(25), slos, st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_another_worker_never_lowers_it(
    arms: list[ArmProfile], times: list[float], slo_s: float, workers: int
):
    fewer, more = (bound_awg(arms, times, slo_s, w) for w in (workers, workers + 1))

    assert more >= fewer - ROUNDING


@given(arm_sets(), arrivals(25), slos, st.floats(0.3, 1.0))
@settings(max_examples=60, deadline=None)
def test_a_faster_arm_never_lowers_it(
    arms: list[ArmProfile], times: list[float], slo_s: float, factor: float
):
    faster = [replace(arms[0], mean_s=tuple(factor * s for s in arms[0].mean_s)), *arms[1:]]

    assert bound_awg(faster, times, slo_s, 1) >= bound_awg(arms, times, slo_s, 1) - ROUNDING


@given(arm_sets(), arrivals(25), slos, st.floats(1.0, 5.0))
@settings(max_examples=60, deadline=None)
def test_more_time_never_lowers_it(
    arms: list[ArmProfile], times: list[float], slo_s: float, factor: float
):
    shorter, longer = (bound_awg(arms, times, s, 1) for s in (slo_s, factor * slo_s))

    assert longer >= shorter - ROUNDING


@given(arm_sets(), arrivals(25))
@settings(max_examples=60, deadline=None)
def test_with_all_the_time_in_the_world_every_answer_has_the_best_accuracy(
    arms: list[ArmProfile], times: list[float]
):
    best = max(arm.accuracy for arm in arms)

    assert abs(bound_awg(arms, times, 1e3, 1) - best) < ROUNDING


def _best_schedule(
    arms: Sequence[ArmProfile], times: Sequence[float], slos_s: Sequence[float]
) -> float:
    """The most accuracy per request on one worker, by trying every order of every batch."""

    @cache
    def best(left: frozenset[int], free_s: float) -> float:
        found = 0.0
        for arm, batch in _batches(arms, left):
            finish_s = max(free_s, *(times[i] for i in batch)) + arm.mean_s[len(batch)]
            if all(finish_s <= times[i] + slos_s[i] + ROUNDING for i in batch):
                gained = arm.accuracy * len(batch)
                found = max(found, gained + best(left - batch, round(finish_s, 9)))
        return found

    return best(frozenset(range(len(times))), 0.0) / len(times)


def _batches(
    arms: Sequence[ArmProfile], left: frozenset[int]
) -> Iterator[tuple[ArmProfile, frozenset[int]]]:
    for arm in arms:
        for rows in range(1, min(arm.max_batch, len(left)) + 1):
            yield from ((arm, frozenset(batch)) for batch in combinations(sorted(left), rows))
