"""What a long batch risks where rows come in clumps."""

from itertools import pairwise

import numpy as np

from server.policy.decision import Outlook, Run, WaitUntil
from server.policy.dispatch.choose import adaptive
from server.policy.dispatch.clumps import clumping
from tests.support.builders import a_profile, a_ticket, three_arms, tickets

LENGTHS_S = np.array([0.0, 0.005, 0.02, 0.05])


def lost(rows: float, rate_rps: float = 100.0, workers: int = 1) -> list[float]:
    found = clumping(Outlook(rate_rps, workers, clump_rows=rows), 0.002 / workers, 0.05)
    return [] if found is None else found.lost(LENGTHS_S).tolist()


def test_independent_arrivals_risk_nothing():
    assert lost(1.0) == []


def test_a_longer_batch_risks_more_and_none_risks_nothing():
    risks = lost(5.0)

    assert risks[0] == 0.0
    assert all(a < b for a, b in pairwise(risks))


def test_larger_clumps_and_more_of_them_risk_more():
    assert lost(10.0)[2] > lost(3.0)[2]
    assert lost(5.0, rate_rps=200.0)[2] == 2.0 * lost(5.0, rate_rps=100.0)[2]


def test_more_workers_risk_less_each():
    assert lost(5.0, workers=4)[2] < lost(5.0)[2] / 4


def test_the_first_of_a_clump_waits_a_moment_for_the_rest():
    policy, clumped = adaptive(three_arms()), Outlook(60.0, clump_rows=8.0)

    step = policy(tickets(1, slo_s=0.2), clumped, 0.0)

    assert isinstance(step, WaitUntil)
    assert 0.0 < step.at_s <= 0.25 * 0.003  # of what the fastest takes for a row
    assert isinstance(policy(tickets(1, slo_s=0.2), clumped, step.at_s), Run)
    assert isinstance(policy(tickets(15, slo_s=0.2), clumped, 0.0), Run)
    assert isinstance(policy(tickets(14, slo_s=0.2), clumped, 0.0), WaitUntil)
    assert isinstance(policy(tickets(1, slo_s=0.2), Outlook(60.0, burst_rows=8.0), 0.0), Run)


def test_nobody_waits_for_company_who_would_be_late_for_it():
    policy, clumped = adaptive(three_arms()), Outlook(60.0, clump_rows=8.0)
    hurried = a_ticket(slo_s=0.005)
    old_behind = [a_ticket(1, arrival_s=0.1, slo_s=0.02), a_ticket(0, arrival_s=0.0, slo_s=0.3)]

    assert isinstance(policy([hurried], clumped, 0.0), Run)
    assert isinstance(policy(old_behind, clumped, 0.1), Run)


def test_a_policy_that_expects_clumps_keeps_its_batches_shorter():
    arms = [a_profile("fast", 0.77, 0.004, 0.001), a_profile("fine", 0.80, 0.020, 0.001)]
    calm, clumped = Outlook(60.0), Outlook(60.0, clump_rows=12.0)

    steps = [adaptive(arms)(tickets(1, slo_s=0.05), outlook, 0.002) for outlook in (calm, clumped)]

    assert [s.profile.arm.variant for s in steps if isinstance(s, Run)] == ["fine", "fast"]
