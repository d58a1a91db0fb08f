"""Those whose time is up and that are answered all the same."""

from dataclasses import replace

import pytest

from server.policy.decision import ArmProfile, Ticket
from server.policy.queueing.late_queue import HELD_UP, REASON, LateQueue
from tests.support.builders import a_profile

QUICK = a_profile("quick", 0.6, first_s=0.002, more_s=0.001)
SHARP = a_profile("sharp", 0.9, first_s=0.010, more_s=0.008)
SLO_S = 0.04


def late(*tickets: Ticket) -> LateQueue:
    queue = LateQueue()
    for ticket in tickets:
        queue.push(ticket)
    return queue


def plain(count: int, rows: int = 1) -> list[Ticket]:
    return [Ticket(i, 0.0, 1.0, rows) for i in range(count)]


def test_they_run_at_the_arm_that_costs_least_a_row_in_the_order_they_came():
    tickets = plain(5)

    run = late(*tickets).batch([SHARP, QUICK], SLO_S)

    assert run is not None
    assert (run.profile, run.tickets, run.reason) == (QUICK, tuple(tickets), REASON)


def test_no_batch_of_several_holds_up_who_comes_for_long():
    run = late(*plain(40)).batch([QUICK, SHARP], SLO_S)

    assert run is not None
    assert run.profile.mean_s[run.rows] <= HELD_UP * SLO_S < run.profile.mean_s[run.rows + 1]


def test_one_whose_own_batch_is_longer_runs_by_itself():
    run = late(*plain(2, rows=14)).batch([QUICK], SLO_S)

    assert run is not None
    assert run.rows == 14


def test_what_it_asks_for_is_heeded():
    demanding = replace(plain(1)[0], min_accuracy=0.8)

    run = late(demanding, *plain(3)[1:]).batch([QUICK, SHARP], SLO_S)

    assert run is not None
    assert run.profile is SHARP
    assert late(replace(demanding, variant="gone")).batch([QUICK, SHARP], SLO_S) is None
    assert late().batch([QUICK], SLO_S) is None


def test_where_rows_may_hang_on_each_other_one_request_makes_a_batch():
    run = late(*plain(3)).batch([replace(QUICK, separable=False)], SLO_S)

    assert run is not None
    assert len(run.tickets) == 1


@pytest.mark.parametrize(
    ("rows", "gone"), [(1, [0]), (3, [0, 1]), (6, [0, 1, 2]), (7, []), (0, [])]
)
def test_the_longest_late_give_way_first_and_only_where_that_helps(rows: int, gone: list[int]):
    queue = late(*plain(3, rows=2))

    assert [ticket.id for ticket in queue.give_way(rows)] == gone
    assert queue.rows == 2 * (3 - len(gone)) == 2 * len(queue)


def test_who_is_taken_out_is_not_run():
    tickets, arms = plain(2), list[ArmProfile]([QUICK])
    queue = late(*tickets)

    assert queue.remove(tickets[0])
    assert not queue.remove(tickets[0])
    run = queue.batch(arms, SLO_S)
    assert run is not None
    assert run.tickets == (tickets[1],)
