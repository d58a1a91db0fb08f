"""SlackFit: which bucket, and what in it."""

from collections.abc import Sequence

from server.policy.decision import Run, Ticket
from server.policy.reference.slackfit import slackfit
from tests.support.builders import a_profile, a_ticket, an_outlook, tickets

ARMS = [
    a_profile("small", 0.7, 0.0100, 0.0021, p95=1.0),  # 10, 12.1, 14.2, ... ms
    a_profile("large", 0.8, 0.0205, 0.0100, p95=1.0),  # 20.5, 30.5, 40.5, ... ms
]


def _run(waiting: Sequence[Ticket], now_s: float = 0.0) -> tuple[str, int]:
    """With buckets 10 ms wide from 10 ms on."""
    step = slackfit(width=1.0)(ARMS)(waiting, an_outlook(), now_s)
    assert isinstance(step, Run)
    return step.profile.arm.variant, step.rows


def test_the_bucket_is_the_one_just_below_the_slack():
    assert _run(tickets(16, slo_s=0.0301)) == ("small", 10)  # of 20 to 30 ms: 28.9 ms
    assert _run(tickets(16, slo_s=0.0299)) == ("small", 5)  # of 10 to 20 ms: 18.4 ms


def test_with_little_waiting_the_high_buckets_hold_the_accurate_arm():
    assert _run(tickets(1, slo_s=0.0301)) == ("large", 1)
    assert _run(tickets(2, slo_s=0.0401)) == ("large", 2)


def test_an_empty_bucket_counts_as_the_next_lower_one():
    assert _run(tickets(2, slo_s=0.5)) == ("large", 2)


def test_a_head_with_too_little_slack_gets_the_lowest_bucket_although_late():
    assert _run(tickets(16, slo_s=0.1), now_s=0.099) == ("small", 5)
    assert _run(tickets(16, slo_s=0.1), now_s=0.2) == ("small", 5)


def test_of_equal_batches_in_a_bucket_the_most_accurate_arm_runs():
    arms = [a_profile("worse", 0.7, 0.010), a_profile("better", 0.75, 0.011)]

    step = slackfit(width=1.0)(arms)(tickets(1), an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert step.profile.arm.variant == "better"


def test_an_arm_that_another_matches_in_everything_is_never_run():
    useless = a_profile("useless", 0.75, 0.025, 0.010, p95=1.0)

    for waiting in range(1, 17):
        for slack_s in (0.01, 0.02, 0.03, 0.05, 0.1):
            step = slackfit()([*ARMS, useless])(tickets(waiting, slack_s), an_outlook(), 0.0)
            assert isinstance(step, Run)
            assert step.profile.arm.variant != "useless"


def test_a_demanding_head_is_served_from_buckets_of_the_arms_it_accepts():
    assert _run([a_ticket(min_accuracy=0.75, slo_s=0.015)]) == ("large", 1)
