"""How the policy reads the queue."""

from server.policy.waiting import LOOK_AHEAD, reader
from tests.builders import a_profile, a_ticket, three_arms, tickets


def test_plain_tickets_accept_every_arm():
    view = reader(three_arms())(tickets(3))

    assert view.plain
    assert view.uniform
    assert view.common == 0b111


def test_a_demand_and_a_pin_leave_the_arms_that_meet_both():
    view = reader(three_arms())(
        [
            a_ticket(0, min_accuracy=0.75),
            a_ticket(1, variant="small"),
            a_ticket(2, variant="small", min_accuracy=0.75),
            a_ticket(3, variant="gone"),
        ]
    )

    assert list(view.masks) == [0b110, 0b001, 0, 0]
    assert not view.uniform
    assert view.common == 0


def test_equal_demands_are_uniform_and_rows_are_counted():
    view = reader(three_arms())([a_ticket(i, rows=i + 1, min_accuracy=0.75) for i in range(3)])

    assert view.uniform
    assert not view.plain
    assert list(view.ends) == [0, 1, 3, 6]


def test_it_looks_two_of_the_largest_batches_ahead_and_no_further():
    assert len(reader(three_arms())(tickets(1000)).tickets) == LOOK_AHEAD
    assert len(reader([a_profile(max_batch=256)])(tickets(1000)).tickets) == 512
