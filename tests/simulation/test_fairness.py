"""What becomes of SLO classes when not all can be served."""

import pytest

from server.policy.registry import policy
from server.simulator.arrivals import poisson
from server.simulator.classes import SloClass, tickets_of
from server.simulator.engine import simulate
from server.simulator.setup import Setup
from tests.support.builders import cpu_arms

SLO_S = 0.0472
CAPACITY_RPS = 440.0  # of the smallest arm, in batches


def attainment(
    weights: dict[str, float], overload: float, shares: dict[str, float]
) -> dict[str, float]:
    """In time over offered, by class, when `overload` times what can be served is offered for ten seconds."""
    classes = [SloClass(name, share, SLO_S, weight=weights[name]) for name, share in shares.items()]
    times = poisson(overload * CAPACITY_RPS, 10.0, seed=3).tolist()
    tickets = tickets_of(classes, times, seed=3)
    outcomes = simulate(
        cpu_arms(), policy("adaptive"), tickets, Setup(SLO_S, weights=weights, seed=7)
    )
    told = outcomes.report()["classes"]
    return {name: told[name]["attainment"] for name in shares}


@pytest.mark.parametrize("overload", [1.5, 3.0])
def test_no_class_with_a_positive_weight_is_starved(overload: float):
    got = attainment({"gold": 100.0, "lead": 1.0}, overload, {"gold": 0.9, "lead": 0.1})

    assert got["gold"] > got["lead"] > 0.0


def test_classes_of_equal_weight_fare_alike():
    got = attainment({"a": 1.0, "b": 1.0}, 2.0, {"a": 0.7, "b": 0.3})

    assert got["a"] == pytest.approx(got["b"], abs=0.03)


def test_twice_the_weight_keeps_about_twice_the_attainment():
    got = attainment({"gold": 2.0, "plain": 1.0}, 2.0, {"gold": 0.5, "plain": 0.5})

    assert 1.5 < got["gold"] / got["plain"] < 2.7


def test_with_time_for_all_weights_take_nothing_from_anybody():
    got = attainment({"gold": 10.0, "plain": 1.0}, 0.5, {"gold": 0.5, "plain": 0.5})

    assert min(got.values()) > 0.99


def test_the_least_accuracy_asked_for_holds_in_overload():
    classes = [SloClass("fine", 0.5, SLO_S, min_accuracy=0.77), SloClass("any", 0.5, SLO_S)]
    tickets = tickets_of(classes, poisson(2.0 * CAPACITY_RPS, 5.0, seed=3).tolist(), seed=3)

    answers = simulate(cpu_arms(), policy("adaptive"), tickets, Setup(SLO_S, seed=7)).answers

    fine = [a for a, c in zip(answers.accuracy, answers.slo_class, strict=True) if c == "fine"]
    assert fine
    assert min(fine) >= 0.77
