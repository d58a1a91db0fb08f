"""Where rows come at once, the first waits a moment for the rest."""

from dataclasses import replace

import pytest

from server.policy.decision import Outlook, Run, WaitUntil
from server.policy.dispatch.choose import adaptive
from tests.support.builders import a_profile, a_ticket, three_arms, tickets


def test_the_first_of_a_clump_waits_a_moment_for_the_rest():
    policy, clumped = adaptive(three_arms()), Outlook(60.0, clump_rows=8.0)

    step = policy(tickets(1, slo_s=0.2), clumped, 0.0)

    assert isinstance(step, WaitUntil)
    assert 0.0 < step.at_s <= 0.25 * 0.003  # of what the fastest takes for a row
    assert isinstance(policy(tickets(1, slo_s=0.2), clumped, step.at_s), Run)
    assert isinstance(policy(tickets(15, slo_s=0.2), clumped, 0.0), WaitUntil)
    assert isinstance(policy(tickets(1, slo_s=0.2), Outlook(60.0, burst_rows=8.0), 0.0), Run)


def test_a_clump_in_step_begins_with_a_part_of_it():
    policy, waiting = adaptive(three_arms()), tickets(12, slo_s=0.05)
    at_random = Outlook(60.0, workers=4, clump_rows=12.0, burst_rows=12.0, boldness=1.0)

    assert isinstance(policy(waiting, at_random, 0.0), WaitUntil)
    assert isinstance(policy(waiting, replace(at_random, burst_rows=1.0), 0.0), Run)


@pytest.mark.parametrize("rows", [4, 8])
def test_a_request_of_many_rows_is_not_thought_to_be_shared(rows: int):
    arms = three_arms()
    needs_s = min(arm.upper_s[rows] for arm in arms)
    waiting = [a_ticket(rows=rows, slo_s=1.01 * needs_s)]

    step = adaptive(arms)(waiting, Outlook(60.0, workers=8, clump_rows=8.0), 0.0)

    assert isinstance(step, Run)


def test_nobody_waits_once_each_worker_has_the_largest_batch_or_all_that_it_has_time_for():
    arms, clumped = three_arms(), Outlook(60.0, workers=2, clump_rows=100.0)
    policy, most = adaptive(arms), max(arm.max_batch for arm in arms)
    needs_s = min(arm.upper_s[most // 2] for arm in arms)

    assert isinstance(policy(tickets(2 * most, slo_s=2.0), clumped, 0.0), Run)
    assert isinstance(policy(tickets(2 * most - 2, slo_s=2.0), clumped, 0.0), WaitUntil)
    assert isinstance(policy(tickets(most, slo_s=1.25 * needs_s), clumped, 0.0), Run)
    assert isinstance(policy(tickets(most, slo_s=1.5 * needs_s), clumped, 0.0), WaitUntil)


def test_of_a_large_clump_the_worker_that_comes_last_takes_as_much_as_those_before_it():
    policy, waiting = adaptive(three_arms()), tickets(12, slo_s=0.05)
    free = Outlook(60.0, workers=4, clump_rows=40.0)
    busy = replace(free, busy_s=0.09)

    steps = [policy(waiting, outlook, 0.002) for outlook in (free, busy)]

    rows = [step.rows for step in steps if isinstance(step, Run)]
    accuracy = [step.profile.accuracy for step in steps if isinstance(step, Run)]
    assert rows[1] > rows[0]
    assert accuracy[1] <= accuracy[0]


def test_nobody_waits_for_company_who_would_be_late_for_it():
    policy, clumped = adaptive(three_arms()), Outlook(60.0, clump_rows=8.0)
    hurried = a_ticket(slo_s=0.004)
    old_behind = [a_ticket(1, arrival_s=0.1, slo_s=0.02), a_ticket(0, arrival_s=0.0, slo_s=0.3)]

    assert isinstance(policy([hurried], clumped, 0.0), Run)
    assert isinstance(policy(old_behind, clumped, 0.1), Run)


def test_a_policy_that_expects_clumps_keeps_its_batches_shorter():
    arms = [a_profile("fast", 0.77, 0.004, 0.001), a_profile("fine", 0.80, 0.020, 0.001)]
    calm, clumped = Outlook(60.0), Outlook(60.0, clump_rows=12.0)

    steps = [adaptive(arms)(tickets(1, slo_s=0.05), outlook, 0.002) for outlook in (calm, clumped)]

    assert [s.profile.arm.variant for s in steps if isinstance(s, Run)] == ["fine", "fast"]
