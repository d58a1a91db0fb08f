"""What an answer to a class is worth."""

import pytest

from server.policy.queueing.fairness import Attainment, Fairness, observe, values


def seen(weights: dict[str, float], **tallies: tuple[float, float]) -> dict[str, float]:
    news = {name: Attainment(ended, in_time) for name, (ended, in_time) in tallies.items()}
    return dict(values(observe(Fairness(weights), news, 1.0)))


def test_with_one_class_there_is_nothing_to_weigh():
    assert seen({}, only=(100, 50)) == {}


def test_equal_classes_that_fare_alike_are_worth_the_same():
    assert seen({}, a=(100, 60), b=(100, 60)) == pytest.approx({"a": 1.0, "b": 1.0})


def test_a_class_that_fares_worse_is_worth_more():
    worth = seen({}, a=(100, 90), b=(100, 30))

    assert worth["b"] > 2.5 * worth["a"]


def test_values_balance_where_attainment_follows_the_weights():
    worth = seen({"gold": 2.0}, gold=(998, 798), plain=(998, 398))

    assert worth["gold"] == pytest.approx(worth["plain"])


def test_a_neglected_class_is_worth_much_but_not_without_bound():
    worth = seen({}, a=(1e6, 1e6), b=(1e6, 0))

    assert worth["b"] / worth["a"] == pytest.approx(100.0)


def test_values_are_one_on_average_over_what_came():
    worth = seen({"gold": 3.0}, gold=(98, 98), plain=(298, 298))

    assert 0.25 * worth["gold"] + 0.75 * worth["plain"] == pytest.approx(1.0)


def test_what_is_long_past_is_forgotten():
    state = observe(Fairness(), {"a": Attainment(1000, 0), "b": Attainment(1000, 1000)}, 0.0)

    later = values(observe(state, {"a": Attainment(100, 100), "b": Attainment(100, 100)}, 30.0))

    assert later["a"] == pytest.approx(later["b"], rel=0.01)
