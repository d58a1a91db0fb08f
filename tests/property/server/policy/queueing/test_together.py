"""What comes together is taken in as one after the other would be, to the last bit."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from server.policy.decision import Ticket
from server.policy.queueing import forecast, promise
from server.policy.queueing.tickets import Queue

COUNTS = st.lists(st.integers(1, 40), min_size=1, max_size=40)
GROUPS = st.lists(st.tuples(st.floats(0.0, 2.0), COUNTS), max_size=20)
"""Times between groups (s), and the rows of each request."""


@given(GROUPS, st.sampled_from([0.002, 0.05, 2.0]))
def test_arrivals_that_come_together_are_seen_as_one_by_one(
    groups: list[tuple[float, list[int]]], slo_s: float
):
    together = apart = forecast.Arrivals(slo_s)
    now_s = 100.0
    for gap_s, counts in groups:
        now_s += gap_s - 0.1  # a clock may step back
        together = forecast.observe_together(together, counts, now_s)
        for rows in counts:
            apart = forecast.observe(apart, rows, now_s)

        assert together == apart


@given(GROUPS, st.sampled_from([0.0, 1e-4, 0.3]))
def test_what_is_offered_together_is_within_reach_as_one_by_one(
    groups: list[tuple[float, list[int]]], pace_s: float
):
    together = apart = promise.Reach()
    now_s = 100.0
    for gap_s, counts in groups:
        now_s += gap_s
        together = promise.offered_together(together, counts, now_s, 0.05, pace_s)
        for rows in counts:
            apart = promise.offered(apart, rows, now_s, 0.05, pace_s)

        assert together == apart


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0.0, 9.0), st.integers(1, 2)), min_size=1, max_size=9),
        max_size=5,
    ),
    st.booleans(),
)
def test_a_queue_is_extended_as_by_one_push_after_the_other(
    groups: list[list[tuple[float, int]]], in_order: bool
):
    together, ids = Queue(), iter(range(1000))
    given_: list[Ticket] = []
    for group in groups:
        due = sorted(group) if in_order else group
        tickets = [Ticket(next(ids), 0.0, at_s, rows) for at_s, rows in due]
        together.extend(tickets)
        given_ += tickets
    apart = reduce(_pushed, given_, Queue())

    assert list(together) == list(apart)
    for name in ("rows", "deadlines", "demands", "demand_of"):
        assert getattr(together, name) == getattr(apart, name)
    together.pop(given_)
    assert (len(together), together.rows, together.demands) == (0, 0, {})


def _pushed(queue: Queue, ticket: Ticket) -> Queue:
    queue.push(ticket)
    return queue
