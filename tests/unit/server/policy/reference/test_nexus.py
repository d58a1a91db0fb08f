"""Nexus' early drop: the head gives way to a larger batch behind it, and to nothing less."""

import pytest

from server.policy.decision import Idle, Run, Ticket
from server.policy.queueing.tickets import Queue
from server.policy.reference.drop import with_nexus_drop
from server.policy.reference.fixed import fixed
from server.policy.registry import names, policy
from server.simulator import arrivals
from server.simulator.engine import simulate, tickets_at
from server.simulator.setup import Setup
from tests.support.builders import a_profile, an_outlook, three_arms

SLO_S = 0.040
ARM = a_profile("only", 0.8, 0.010, 0.001, max_batch=16)
"""10 ms a batch and 1 ms a row: nine rows (upper estimate) take half the bound."""


def waiting(*slacks_s: float, min_accuracy: float = 0.0) -> Queue:
    """One ticket for each time left (s) at 0, which had SLO_S when they came."""
    return Queue.of(
        [
            Ticket(i, slack_s - SLO_S, slack_s, min_accuracy=min_accuracy)
            for i, slack_s in enumerate(slacks_s)
        ]
    )


def decided(queue: Queue) -> Run:
    """What is run at 0, by one arm."""
    step = with_nexus_drop(fixed())([ARM])(queue, an_outlook(), 0.0)
    assert isinstance(step, Run)
    return step


def test_a_head_with_time_for_few_gives_way_to_the_larger_batch_behind_it():
    step = decided(waiting(0.0135, 0.030, 0.030, 0.030, 0.030, 0.030))

    assert [drop.ticket.id for drop in step.dropped] == [0]
    assert {drop.reason for drop in step.dropped} == {"shed"}
    assert [ticket.id for ticket in step.tickets] == [1, 2, 3, 4, 5]


def test_a_head_is_kept_where_the_batch_behind_it_would_be_no_larger():
    step = decided(waiting(0.0135, 0.030, 0.030))

    assert step.dropped == ()
    assert step.tickets[0].id == 0


def test_no_head_gives_way_for_more_than_the_planned_batch():
    enough_for_half_the_bound = 0.021

    step = decided(waiting(enough_for_half_the_bound, *[0.039] * 15))

    assert step.dropped == ()


def test_what_no_batch_can_answer_in_time_is_late_not_shed():
    step = decided(waiting(0.002, 0.0135, 0.030, 0.030, 0.030, 0.030))

    assert {drop.ticket.id: drop.reason for drop in step.dropped} == {0: "late", 1: "shed"}


def test_a_queue_of_late_tickets_goes_whole():
    step = with_nexus_drop(fixed())([ARM])(waiting(0.001, 0.002), an_outlook(), 0.0)

    assert isinstance(step, Idle)
    assert [drop.reason for drop in step.dropped] == ["late", "late"]


def test_where_demands_differ_only_late_tickets_are_dropped():
    queue = waiting(0.002, 0.0135, 0.030, 0.030, 0.030, 0.030)
    queue.push(Ticket(9, 0.0, 0.035, min_accuracy=0.79))

    assert [drop.ticket.id for drop in decided(queue).dropped] == [0]


def test_the_registry_offers_it_where_batches_are_as_large_as_the_slack():
    known = names(three_arms())

    assert {"fixed:small+nexus", "maxbatch+nexus", "slackfit+nexus"} <= set(known)
    assert "clipper+nexus" not in known
    assert "ramsis+nexus" not in known


@pytest.mark.parametrize("load", [1.2, 1.6])
def test_on_bursts_it_is_a_stronger_rival_than_plain_early_drop(load: float):
    rate_rps = load * 16 / ARM.mean_s[16]
    times = arrivals.redrawn(rate_rps, 30.0, arrivals.Redraws(), seed=1)
    tickets, setup = tickets_at(times.tolist(), SLO_S), Setup(SLO_S, follow="profile")

    plain, nexus = (
        simulate([ARM], policy(f"fixed:only+{drop}"), tickets, setup).attainment()
        for drop in ("drop", "nexus")
    )

    assert nexus > plain + 0.03
