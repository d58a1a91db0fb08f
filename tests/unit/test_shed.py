"""Who is late, and how many must go when not all can be served."""

from collections.abc import Sequence

from server.policy.decision import ArmProfile, Ticket
from server.policy.plan import Planner
from server.policy.shed import Backlog, backlog, late
from server.policy.tuning import Tuning
from server.policy.waiting import reader
from tests.builders import a_profile, a_ticket, tickets

EXACT = Tuning(shed_cost=1.0, lag=0.0)
ARM = a_profile(first_s=0.010, p95=1.0)


def planned(
    waiting: Sequence[Ticket], now_s: float, workers: int = 1, arm: ArmProfile = ARM
) -> Backlog:
    return backlog(reader([arm])(waiting), Planner([arm], EXACT), workers, now_s)


def test_only_those_no_arm_answers_in_time_are_late():
    waiting = [a_ticket(0, slo_s=0.005), a_ticket(1, slo_s=0.011), a_ticket(2, slo_s=0.019, rows=2)]

    assert late(reader([ARM])(waiting), Planner([ARM], EXACT), 0.0) == [0, 2]


def test_what_can_be_served_one_after_the_other_all_stays():
    assert planned(tickets(10, slo_s=0.1001), 0.0).first == 0


def test_as_many_go_as_are_too_many():
    assert planned(tickets(13, slo_s=0.1001), 0.0).first == 3


def test_one_always_stays():
    assert planned(tickets(5, slo_s=0.001), 0.0).first == 4


def test_the_spare_time_is_that_of_the_tightest_ticket_behind():
    known = planned([a_ticket(0, slo_s=0.05), a_ticket(1, slo_s=0.06)], 0.0)

    assert [round(s, 6) for s in known.spare_s] == [0.04, 0.05]


def test_two_workers_reach_further_though_a_batch_still_takes_its_time():
    assert planned(tickets(13, slo_s=0.1001), 0.0, workers=2).first == 0
