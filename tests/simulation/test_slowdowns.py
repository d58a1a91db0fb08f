"""The machine slows down in mid-run: what the policy delivers by the speed it measures, against one told the truth."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from server.policy.registry import policy
from server.simulator.arrivals import poisson
from server.simulator.engine import simulate, tickets_at
from server.simulator.noise import Spell
from server.simulator.outcomes import Outcomes
from server.simulator.setup import Follow, Setup
from tests.support.builders import cpu_arms

SLO_S = 0.0472
LARGEST_RPS = 85.0
SEEDS = range(11, 17)
WINDOW = (3.0, 11.0)
DURATION_S = 11.5

Case = tuple[int, float, float]
"""(workers, load over what the largest arm carries, how many times as long everything takes in the window)"""

SLOW: list[Case] = [(w, load, k) for w in (1, 4) for load in (0.5, 1.0, 1.5) for k in (1.3, 2.0)]


@cache
def ran(case: Case, follow: Follow) -> Sequence[Outcomes]:
    workers, load, factor = case
    promised = 0.0 if follow == "profile" else 0.99  # a promise would have it learn, if only care
    setup = Setup(SLO_S, workers, spell=Spell(*WINDOW, factor), follow=follow, percentile=promised)
    return [
        simulate(
            cpu_arms(),
            policy("adaptive"),
            tickets_at(poisson(load * workers * LARGEST_RPS, DURATION_S, seed).tolist(), SLO_S),
            replace(setup, seed=seed),
        )
        for seed in SEEDS
    ]


def attainment(runs: Sequence[Outcomes], from_s: float, until_s: float) -> float:
    return sum(o.attainment(from_s, until_s) for o in runs) / len(runs)


def awg(runs: Sequence[Outcomes]) -> float:
    return sum(o.awg(*WINDOW) for o in runs) / len(runs)


@pytest.mark.parametrize("case", SLOW, ids=str)
def test_a_slow_down_costs_next_to_no_deadlines(case: Case):
    runs = ran(case, "measured")

    assert attainment(runs, *WINDOW) >= (0.98 if case[2] == 2.0 else 0.99)
    assert attainment(runs, WINDOW[0], WINDOW[0] + 0.5) >= (0.93 if case == (1, 1.5, 2.0) else 0.95)


@pytest.mark.parametrize("case", SLOW, ids=str)
def test_measuring_the_speed_is_nearly_as_good_as_being_told(case: Case):
    assert awg(ran(case, "measured")) >= awg(ran(case, "told")) - 0.003


def test_without_following_the_speed_a_slow_machine_is_a_disaster():
    assert attainment(ran((1, 1.0, 2.0), "profile"), *WINDOW) < 0.7


@pytest.mark.parametrize("load", [0.5, 1.0, 1.5])
def test_on_a_steady_machine_following_costs_neither_accuracy_nor_time(load: float):
    followed, as_profiled = ran((1, load, 1.0), "measured"), ran((1, load, 1.0), "profile")

    assert awg(followed) >= awg(as_profiled) - 0.001
    assert sum(o.rebuilt for o in followed) < len(SEEDS) * DURATION_S  # less than one a second
