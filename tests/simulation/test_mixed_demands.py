"""What becomes of demands and classes that differ, beside what a simple policy makes of them."""

from server.policy.registry import policy
from server.simulator.arrivals import poisson
from server.simulator.classes import SloClass, tickets_of
from server.simulator.engine import simulate
from server.simulator.outcomes import Outcomes
from server.simulator.setup import Setup
from tests.support.builders import cpu_arms

SLO_S = 0.0472
CAPACITY_RPS = 440.0  # of the smallest arm, in batches


def served(
    name: str, classes: list[SloClass], load: float, workers: int = 1, *, weighed: bool = False
) -> Outcomes:
    """Eight seconds at so many times what the workers can serve at best."""
    times = poisson(load * workers * CAPACITY_RPS, 8.0, seed=3).tolist()
    weights = {one.name: one.weight for one in classes} if weighed else {}
    setup = Setup(SLO_S, workers, seed=7, weights=weights)
    return simulate(cpu_arms(), policy(name), tickets_of(classes, times, seed=3), setup)


def attained(outcomes: Outcomes, name: str) -> float:
    return outcomes.report()["classes"][name]["attainment"]


def test_where_some_need_more_accuracy_no_less_is_earned_than_by_the_largest_batch_that_fits():
    classes = [SloClass("fine", 0.3, SLO_S, min_accuracy=0.77), SloClass("any", 0.7, SLO_S)]

    for load in (0.4, 0.7, 1.0):
        ours = served("adaptive", classes, load, 2)
        assert ours.awg() > served("maxbatch+drop", classes, load, 2).awg() - 0.003
        assert attained(ours, "fine") > 0.0


def test_a_light_class_in_haste_costs_a_heavy_one_no_more_than_a_point():
    heavy = SloClass("heavy", 0.5, SLO_S, weight=4.0)
    calm, hasty = (SloClass("light", 0.5, slo_s, weight=0.25) for slo_s in (SLO_S, SLO_S / 3.0))

    before = served("adaptive", [heavy, calm], 1.5, 2, weighed=True)
    after = served("adaptive", [heavy, hasty], 1.5, 2, weighed=True)

    assert attained(before, "heavy") > 0.97
    assert attained(after, "heavy") > attained(before, "heavy") - 0.01
    assert attained(after, "light") > 0.05


def test_no_long_batch_bars_those_in_haste():
    classes = [SloClass("patient", 0.5, SLO_S), SloClass("hasty", 0.5, SLO_S / 3.0)]

    assert attained(served("adaptive", classes, 0.3), "hasty") > 0.97


def test_those_who_take_long_cost_those_who_take_little_no_promise():
    classes = [
        SloClass("slow", 100.0, SLO_S, min_accuracy=0.776),
        SloClass("quick", 0.4 * 2 * CAPACITY_RPS, SLO_S),
    ]
    load = sum(one.share for one in classes) / (2 * CAPACITY_RPS)

    ours = served("adaptive", classes, load, 2)

    assert attained(ours, "quick") > 0.99
    assert attained(ours, "slow") > 0.7
