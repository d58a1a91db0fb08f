"""Which arms meet a demand, and the price of time."""

from server.policy.dispatch.pricing import Planner
from server.policy.dispatch.tuning import DEFAULT
from tests.support.builders import an_outlook, three_arms

ALL = 0b111


def price(rows: int = 1, rate_rps: float = 0.0, workers: int = 1) -> float:
    planner = Planner(three_arms(), DEFAULT)
    table = planner.costs(ALL, 0.1)
    return planner.pricing(table, 0.1, rows, an_outlook(rate_rps, workers), 0.0).price


def test_a_demand_and_a_pin_leave_the_arms_that_meet_both():
    mask = Planner(three_arms(), DEFAULT).mask

    assert mask(0.0, None) == ALL
    assert mask(0.75, None) == 0b110
    assert mask(0.0, "small") == 0b001
    assert mask(0.75, "small") == 0
    assert mask(0.0, "gone") == 0
    assert mask(0.99, None) == 0


def test_time_is_dearer_the_more_is_expected():
    assert price(rate_rps=0) < price(rate_rps=100) < price(rate_rps=300)


def test_time_is_dearer_the_more_wait():
    assert price(1) < price(12) < price(24)


def test_time_is_cheaper_with_more_workers():
    assert price(rate_rps=300, workers=4) < price(rate_rps=300)


def test_when_more_wait_than_can_be_served_time_is_as_dear_as_it_gets():
    assert price(0) == price(8, rate_rps=1e6)


def test_serving_a_waiting_row_is_always_worth_something():
    planner = Planner(three_arms(), DEFAULT)

    assert planner.pricing(planner.costs(ALL, 0.1), 0.1, 0, an_outlook(1e6), 0.0).stay > 0
