"""What rows cost at best."""

from math import inf

from server.policy.dispatch.costs import costs, quickest
from tests.support.builders import a_profile


def test_the_least_time_per_row_is_taken_at_a_batch_that_fits_the_slo():
    arm = a_profile(first_s=0.010, more_s=0.001)

    assert costs([arm], slo_s=0.032, share=0.5).row_s == arm.mean_s[5] / 5


def test_an_arm_too_slow_for_any_batch_still_has_a_cost():
    assert costs([a_profile(first_s=1.0)], slo_s=0.1, share=0.5).row_s == 1.0


def test_the_quickest_is_among_those_that_hold_the_rows():
    arms = [a_profile(max_batch=1), a_profile("wide", first_s=0.01, max_batch=2, p95=1.0)]

    assert quickest(arms, 2) == 0.02
    assert quickest(arms, 3) == inf
