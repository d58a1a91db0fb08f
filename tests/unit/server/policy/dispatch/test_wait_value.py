"""What tickets left waiting can still get."""

import numpy as np

from server.policy.dispatch.wait_value import wait_value
from tests.support.builders import a_profile, three_arms


def at(rows: int, slack_s: float) -> float:
    found = wait_value(three_arms(), slo_s=0.1, share=0.5)
    return float(found.at(np.array([rows]), np.array([slack_s]))[0])


def test_with_time_enough_it_is_the_best_arm():
    assert at(1, 0.05) == 0.80


def test_with_less_time_it_is_an_arm_that_is_in_time():
    assert at(1, 0.010) == 0.75
    assert at(1, 0.005) == 0.70


def test_more_rows_need_more_time_for_the_same_arm():
    assert at(1, 0.016) == 0.80
    assert at(8, 0.016) < 0.80


def test_rows_beyond_the_efficient_batch_can_take_turns():
    assert at(6, 0.05) == at(1000, 0.05)


def test_where_nothing_is_in_time_the_least_accuracy_stands():
    assert at(1, 0.0) == at(1, -1.0) == 0.70


def test_a_variant_of_unknown_accuracy_is_still_worth_something():
    assert wait_value([a_profile(accuracy=0.0)], 0.1, 0.5).least > 0.0
