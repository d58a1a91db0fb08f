"""A batch size counts as far as the frontier moves within its interval."""

from math import inf, log

import pytest

from profiler.measuring.stakes import CONTESTED, ArmPoint, cost_of, stakes


def a_point(
    name: str, p50_s: float, accuracy: float, half: float = 0.1, batch: int = 1
) -> ArmPoint:
    return ArmPoint(name, accuracy, batch, p50_s * (1 - half), p50_s, p50_s * (1 + half))


WIDTH = log(1.1 / 0.9)


def test_accuracy_between_two_arms_costs_a_mix_of_both():
    points = [(0.002, 0.7), (0.010, 0.8)]

    assert cost_of(0.75, points) == pytest.approx(0.006)
    assert cost_of(0.35, points) == pytest.approx(0.001)
    assert cost_of(0.81, points) == inf


def test_an_arm_below_the_hull_is_no_way_to_buy_accuracy():
    assert cost_of(0.75, [(0.002, 0.7), (0.009, 0.71), (0.010, 0.8)]) == pytest.approx(0.006)


def test_no_decision_hangs_on_an_arm_that_is_off_the_hull_at_its_best():
    found = stakes([a_point("fast", 0.002, 0.7), a_point("slow", 0.005, 0.7)])

    assert found == [pytest.approx(WIDTH), 0.0]


def test_a_close_race_counts_more_than_a_cost_that_is_certain_to_be_paid():
    close = [a_point("x", 0.0050, 0.8), a_point("y", 0.0051, 0.8)]

    cheap, x, y = stakes([a_point("cheap", 0.001, 0.7), *close])

    assert cheap == pytest.approx(WIDTH)
    assert x == pytest.approx(CONTESTED * log(0.0051 / 0.0045))
    assert x > y > 0


def test_a_batch_that_gains_nothing_counts_only_for_what_fits():
    points = [a_point("a", 0.005, 0.7), a_point("a", 0.060, 0.7, batch=8)]

    one, eight = stakes(points)

    assert 0 < eight < one


def test_what_is_known_exactly_is_at_stake_no_more():
    assert stakes([a_point("a", 0.005, 0.7, half=0.0)]) == [0.0]
