"""The price of time follows the load."""

from server.policy.plan import Planner
from server.policy.tuning import DEFAULT
from server.policy.waiting import reader
from tests.builders import an_outlook, three_arms, tickets


def price(count: int = 1, first: int = 0, rate_rps: float = 0.0, workers: int = 1) -> float:
    arms = three_arms()
    view = reader(arms)(tickets(count))
    return Planner(arms, DEFAULT).plan(view, first, an_outlook(rate_rps, workers), 0.0).price


def test_time_is_dearer_the_more_is_expected():
    assert price(rate_rps=0) < price(rate_rps=100) < price(rate_rps=300)


def test_time_is_dearer_the_more_wait():
    assert price(1) < price(12) < price(24)


def test_time_is_cheaper_with_more_workers():
    assert price(rate_rps=300, workers=4) < price(rate_rps=300)


def test_when_some_are_shed_time_is_as_dear_as_it_gets():
    assert price(8, first=1) == price(8, rate_rps=1e6)


def test_serving_a_waiting_row_is_always_worth_something():
    arms = three_arms()
    view = reader(arms)(tickets(8))

    assert Planner(arms, DEFAULT).plan(view, 1, an_outlook(1e6), 0.0).stay > 0
