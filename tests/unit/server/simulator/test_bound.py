"""The clairvoyant bound where its value is known, and against a linear programme over slots of time."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from server.policy.dispatch.choose import adaptive
from server.simulator.arrivals import poisson
from server.simulator.bound import bound_awg
from server.simulator.engine import simulate, tickets_at
from server.simulator.noise import Noise
from server.simulator.setup import Setup
from tests.support.builders import a_profile, three_arms

ROUNDING = 1e-9


def test_requests_that_come_one_at_a_time_all_get_the_best_arm():
    assert bound_awg(three_arms(), [0.0, 1.0, 2.0], 0.1, 1) == pytest.approx(0.8)


def test_a_bound_shorter_than_every_batch_leaves_nothing():
    assert bound_awg(three_arms(), [0.0, 1.0], 0.002, 1) == 0.0


def test_two_at_once_share_the_time_there_is_for_one_and_a_half():
    arm = a_profile(accuracy=0.8, first_s=0.010, max_batch=1)

    assert bound_awg([arm], [0.0, 0.0], 0.015, 1) == pytest.approx(0.75 * 0.8)


def test_a_second_worker_answers_the_second_request():
    arm = a_profile(accuracy=0.8, first_s=0.010, max_batch=1)

    assert bound_awg([arm], [0.0, 0.0], 0.015, 2) == pytest.approx(0.8)


def test_time_is_charged_at_the_price_of_the_batch_that_could_be_shared():
    arm = a_profile(accuracy=0.8, first_s=0.010, more_s=0.0, max_batch=4)

    assert bound_awg([arm], [0.0, 0.0, 0.0, 0.0], 0.010, 1) == pytest.approx(0.8)


def test_requests_too_far_apart_for_one_batch_pay_for_one_each():
    arm = a_profile(accuracy=0.8, first_s=0.010, more_s=0.0, max_batch=2)

    together = bound_awg([arm], [0.0, 0.005], 0.015, 1)
    apart = bound_awg([arm], [0.0, 0.006], 0.015, 1)

    assert together == pytest.approx(0.8)
    assert apart == pytest.approx(0.8 * (0.010 + 0.010) / 0.020)


def test_time_that_passed_before_a_request_came_does_not_serve_it():
    arm = a_profile(accuracy=0.8, first_s=0.010, max_batch=1)

    assert bound_awg([arm], [0.0, 1.0, 1.0], 0.010, 1) == pytest.approx(0.8 * 2 / 3)


def test_a_request_that_demands_more_than_any_arm_has_counts_as_offered_and_no_more():
    floors = np.array([0.0, 0.9])

    assert bound_awg(three_arms(), [0.0, 1.0], 0.1, 1, floors) == pytest.approx(0.4)


def test_a_demand_for_accuracy_takes_the_cheap_arms_away():
    times = [0.0] * 4
    free = bound_awg(three_arms(), times, 0.020, 1)
    demanding = bound_awg(three_arms(), times, 0.020, 1, np.full(4, 0.78))

    assert demanding < free


def test_one_bound_for_each_request_means_the_same_as_one_for_all():
    times = poisson(300.0, 1.0, 3)
    each = np.full(times.size, 0.05)

    assert bound_awg(three_arms(), times, each, 1) == bound_awg(three_arms(), times, 0.05, 1)


def test_a_short_bound_between_long_ones_costs_what_it_cannot_share():
    times = poisson(300.0, 1.0, 3)
    mixed = np.where(np.arange(times.size) % 2, 0.02, 0.08)

    short, long = (bound_awg(three_arms(), times, slo_s, 1) for slo_s in (0.02, 0.08))

    assert short < bound_awg(three_arms(), times, mixed, 1) <= long


def test_nothing_offered_is_nothing_missed():
    assert bound_awg(three_arms(), [], 0.1, 1) == 1.0


def test_times_that_go_back_are_refused():
    with pytest.raises(ValueError, match="sort"):
        bound_awg(three_arms(), [1.0, 0.5], 0.1, 1)


def test_no_arms_are_refused():
    with pytest.raises(ValueError, match="arms"):
        bound_awg([], [0.0], 0.1, 1)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_programme_over_slots_is_never_tighter_and_comes_closer_as_they_shrink(workers: int):
    rng = np.random.default_rng(5)
    times = np.sort(rng.uniform(0.0, 0.4, 80 * workers))
    arm = a_profile(accuracy=0.7, first_s=0.005, max_batch=1)

    exact = bound_awg([arm], times, 0.02, workers)
    coarse, fine, finest = (_slotted(times, 0.02, workers, n) for n in (1, 4, 32))

    assert coarse >= fine - ROUNDING
    assert fine > finest + 1e-3
    assert finest >= exact - ROUNDING
    assert finest == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("rate_rps", [60.0, 200.0, 600.0])
def test_a_simulated_policy_stays_below_the_bound_when_batches_take_their_mean(rate_rps: float):
    times = poisson(rate_rps, 3.0, 1)
    quiet = Setup(0.05, noise=Noise(cv=0.0, outlier_share=0.0))

    ran = simulate(three_arms(), adaptive, tickets_at(times.tolist(), 0.05), quiet)

    assert ran.awg() <= bound_awg(three_arms(), times, 0.05, 1)


def _slotted(times: NDArray[np.float64], slo_s: float, workers: int, per_slo: int) -> float:
    """The bound for one arm (0.7, 5 ms, no batches) by HiGHS: work placed in whole slots that a window touches."""
    slot_s = slo_s / per_slo
    first = np.floor(times / slot_s).astype(int)
    pairs = [(i, f + k) for i, f in enumerate(first) for k in range(per_slo + 1)]
    count, slots = len(times), int(first.max()) + per_slo + 1
    limits = np.zeros((count + slots, len(pairs)))
    for column, (request, slot) in enumerate(pairs):
        limits[request, column] = limits[count + slot, column] = 1.0
    most = np.concatenate((np.full(count, 0.005), np.full(slots, workers * slot_s)))
    solved = linprog(np.full(len(pairs), -0.7 / 0.005), A_ub=limits, b_ub=most, method="highs")
    return float(-solved.fun) / count
