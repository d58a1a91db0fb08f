"""The queue: order, removal, counting."""

import pytest

from server.policy.queueing.tickets import Queue
from tests.support.builders import a_ticket


def test_the_earliest_deadline_comes_first_whatever_the_order_of_arrival():
    queue = Queue()

    for id_, slo_s in ((1, 0.3), (2, 0.1), (3, 0.2)):
        queue.push(a_ticket(id=id_, slo_s=slo_s))

    assert [t.id for t in queue] == [2, 3, 1]


def test_equal_deadlines_keep_the_order_of_their_ids():
    queue = Queue()

    for id_ in (5, 1, 3):
        queue.push(a_ticket(id=id_))

    assert [t.id for t in queue] == [1, 3, 5]


def test_a_cancelled_ticket_leaves_and_its_rows_with_it():
    queue = Queue()
    gone, kept = a_ticket(id=1, rows=4), a_ticket(id=2, rows=2)
    queue.push(gone)
    queue.push(kept)

    assert queue.remove(gone)
    assert not queue.remove(gone)
    assert list(queue) == [kept]
    assert queue.rows == 2


def test_pop_takes_scattered_tickets():
    queue = Queue()
    all_of_them = [a_ticket(id=i, slo_s=0.1 + i) for i in range(8)]
    for ticket in all_of_them:
        queue.push(ticket)

    queue.pop([all_of_them[i] for i in (6, 0, 1, 3)])

    assert [t.id for t in queue] == [2, 4, 5, 7]


@pytest.mark.parametrize("wrong", [[0, 9], [0, 0]])
def test_pop_of_what_does_not_wait_or_comes_twice_takes_nothing(wrong: list[int]):
    queue = Queue()
    queue.push(a_ticket(id=0))

    with pytest.raises(KeyError):
        queue.pop([a_ticket(id=i) for i in wrong])

    assert len(queue) == 1


def test_a_ticket_waits_once():
    queue = Queue()
    queue.push(a_ticket(id=1))
    queue.push(a_ticket(id=2))

    with pytest.raises(ValueError, match="already waits"):
        queue.push(a_ticket(id=1))

    assert a_ticket(id=1) in queue
    assert "1" not in queue
