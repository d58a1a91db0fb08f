"""What a long batch risks: rows in clumps, and rows that wait for a batch that stalls."""

from dataclasses import replace
from itertools import pairwise
from math import inf

import numpy as np
import pytest

from server.policy.decision import Outlook, Run, StallRisk
from server.policy.dispatch.alike.picking import weighed
from server.policy.dispatch.alike.scene import Scene
from server.policy.dispatch.choose import adaptive
from server.policy.dispatch.pricing import Planner
from server.policy.dispatch.risks import clumping, risks, stalling
from server.policy.dispatch.tuning import DEFAULT
from server.policy.queueing.tickets import Queue
from tests.support.builders import cpu_arms, three_arms, tickets

LENGTHS_S = np.array([0.0, 0.005, 0.02, 0.05])


def lost(rows: float, rate_rps: float = 100.0, workers: int = 1) -> list[float]:
    found = clumping(Outlook(rate_rps, workers, clump_rows=rows), 0.002 / workers, 0.05)
    return [] if found is None else found.lost_by_each(LENGTHS_S).tolist()


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


def behind(share: float, factor: float, workers: int = 1, rate_rps: float = 100.0) -> list[float]:
    arms = [replace(arm, stalls=StallRisk(share, factor)) for arm in three_arms()]
    found = stalling(Outlook(rate_rps, workers), 0.05, Planner(arms, DEFAULT))
    return [] if found is None else found.lost_by_each(LENGTHS_S).tolist()


def test_where_batches_do_not_stall_nothing_is_reckoned_with():
    assert behind(0.0, 1.0) == []


def test_a_batch_whose_stall_ends_in_time_risks_nothing_and_longer_ones_more():
    none, short, middling, long = behind(0.02, 4.0)

    assert none == short == 0.0  # 4.5 x 5 ms: well within 50 ms
    assert 0.0 < middling < long


def test_stalls_that_are_rarer_or_shorter_risk_less():
    assert behind(0.01, 4.0)[2] == pytest.approx(0.5 * behind(0.02, 4.0)[2])
    assert behind(0.02, 2.5)[3] < behind(0.02, 4.0)[3]


def test_where_another_worker_goes_on_only_the_batch_itself_is_at_risk():
    own = 0.02 * (1.0 + 25.0 * 0.05)

    assert behind(0.02, 4.0, workers=4)[3] == pytest.approx(own, rel=0.01)
    assert behind(0.02, 4.0, workers=1, rate_rps=25.0)[3] > 1.05 * own


def test_in_quiet_the_arm_is_chosen_whose_stall_is_still_in_time():
    arms, outlook = cpu_arms(), Outlook(10.0)
    stalling_arms = [replace(arm, stalls=StallRisk(0.015, 4.7)) for arm in arms]

    calm = adaptive(arms)(tickets(1, slo_s=0.0472), outlook, 0.0)
    wary = adaptive(stalling_arms)(tickets(1, slo_s=0.0472), outlook, 0.0)

    assert isinstance(calm, Run)
    assert isinstance(wary, Run)
    assert calm.profile.mean_s[1] * 4.7 > 0.0472 > wary.profile.mean_s[1] * 4.7


def test_rows_left_waiting_run_the_risk_of_a_stall_later():
    arms, waiting, outlook = cpu_arms(), Queue.of(tickets(3, slo_s=0.0472)), Outlook(40.0)
    wary = Planner([replace(arm, stalls=StallRisk(0.05, 20.0)) for arm in arms], DEFAULT)
    scene = Scene(waiting, wary.all, wary, outlook, (0.0, 0))

    worth = np.array(weighed(scene))

    scene.risks, scene.waiting = (), scene.pricing.stay
    without = np.array(weighed(scene))
    ones = scene.menu.size[: len(worth)] == 1
    kept = (without - worth)[ones].min()
    own = 0.05 * scene.pricing.lost  # 20 times as long is late for all
    assert kept > 2.0 * own  # those two that wait too


def test_rows_left_waiting_run_the_risk_of_a_clump_later():
    arms, waiting = cpu_arms(), Queue.of(tickets(6, slo_s=0.0472))
    outlook, planner = Outlook(200.0, clump_rows=30.0), Planner(arms, DEFAULT)
    scene = Scene(waiting, planner.all, planner, outlook, (0.0, 0))
    (clumping,) = scene.risks

    worth = np.array(weighed(scene))

    scene.risks, scene.waiting = (), scene.pricing.stay
    without = np.array(weighed(scene))
    size, mean_s = scene.menu.size[: len(worth)], scene.menu.mean_s[: len(worth)]
    own = scene.pricing.lost * clumping.lost_by_each(mean_s)
    all_of_them, one = ((size == n) & (worth > -inf) for n in (6, 1))
    assert (without - own)[all_of_them] == pytest.approx(worth[all_of_them])
    assert ((without - own)[one] > worth[one]).all()


def test_where_some_are_shed_stalls_cost_nothing():
    planner = Planner([replace(arm, stalls=StallRisk(0.02, 4.0)) for arm in three_arms()], DEFAULT)

    assert risks(Outlook(100.0), 0.002, 0.05, planner) != ()
    assert risks(Outlook(100.0), 0.002, 0.05, planner, shed=True) == ()
