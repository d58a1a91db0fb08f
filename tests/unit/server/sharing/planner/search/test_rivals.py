"""Greedy, max-sharing and no-sharing: what they are allowed, and that within that they are as good as can be."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from server.sharing.planner.events import event_scores
from server.sharing.planner.options import with_choices
from server.sharing.planner.plan import Choice, Infeasible, Plan
from server.sharing.planner.search.rivals import compared, greedy, max_sharing, no_sharing
from server.sharing.planner.workload import Branch, Objective, Workload
from tests.support.sharing.workloads import a_rule_set, a_task, a_workload

BRANCHES = (Branch(0, 0.95, 0.02), Branch(2, 0.9, 0.05), Branch(3, 0.7, 0.15))


def _workload(budget: float, objective: Objective = "mean") -> Workload:
    tasks = (
        a_task("bus", BRANCHES, event_length_s=0.4, weight=2.0),
        a_task("cat", BRANCHES[:2], event_length_s=0.9, event_frequency=0.1),
    )
    rules = a_rule_set(budget, (1.0, 2.0, 5.0), x_votes=(1, 2), objective=objective)
    return a_workload(*tasks, rules=rules)


def _all_plans(workload: Workload) -> Iterator[Plan]:
    """Every plan within the budget."""
    rules = workload.rules
    each = [
        [
            Choice(task.name, b.frozen, rate, vote, event_scores(task, b, rate, rules, vote))
            for b, rate, vote in product(task.branches, rules.rates_fps, rules.x_votes)
        ]
        for task in workload.tasks
    ]
    plans = (with_choices(choices, workload) for choices in product(*each))
    return (plan for plan in plans if plan.cost <= rules.budget)


@pytest.mark.parametrize("objective", ["mean", "maxmin"])
@pytest.mark.parametrize("budget", [17.0, 30.0, 60.0])
def test_max_sharing_is_the_best_with_every_task_at_its_deepest_branch(
    objective: Objective, budget: float
):
    workload = _workload(budget, objective)

    plan = max_sharing(workload)

    deepest = [p for p in _all_plans(workload) if [choice.frozen for choice in p.choices] == [3, 2]]
    assert [choice.frozen for choice in plan.choices] == [3, 2]
    assert plan.cost <= budget
    assert plan.objective == pytest.approx(max(p.objective for p in deepest))


@pytest.mark.parametrize("objective", ["mean", "maxmin"])
@pytest.mark.parametrize("budget", [6.0, 30.0, 60.0])
def test_no_sharing_is_the_best_with_every_network_whole(objective: Objective, budget: float):
    workload = _workload(budget, objective)

    plan = no_sharing(workload)

    tenths = (0.0, *(tenth / 10 for tenth in range(1, 10)), *workload.rules.rates_fps)
    freer = replace(workload, rules=replace(workload.rules, rates_fps=tenths))
    whole = [p for p in _all_plans(freer) if not p.stem]
    assert plan.stem == ()
    assert plan.cost <= budget
    assert plan.objective == pytest.approx(max(p.objective for p in whole))


def test_a_network_that_only_branches_deep_is_charged_whole_without_sharing():
    workload = a_workload(a_task("bus", (Branch(3, 0.9, 0.1),)), rules=a_rule_set(10.0, (1.0,)))

    assert no_sharing(workload).cost == pytest.approx(10.0)


def test_greedy_takes_what_pays_most_until_nothing_fits():
    plan = greedy(_workload(1e6))

    best = max(p.objective for p in _all_plans(_workload(1e6)))
    assert plan.objective == pytest.approx(best)


def test_greedy_does_not_see_that_a_faster_stem_pays_once_several_tasks_use_it():
    """For one task alone its whole network brings more for its cost; then nothing is left for the other."""
    branches = (Branch(0, 0.8, 0.02), Branch(3, 0.6, 0.05))
    tasks = [a_task(name, branches, event_length_s=0.2) for name in ("bus", "cat")]
    workload = a_workload(*tasks, rules=a_rule_set(70.0, (1.0, 5.0)))

    plan = greedy(workload)

    best = max(_all_plans(workload), key=lambda p: p.objective)
    assert [(c.frozen, c.rate_fps) for c in best.choices] == [(3, 5.0), (3, 5.0)]
    assert [(c.frozen, c.rate_fps) for c in plan.choices] == [(0, 5.0), (0, 1.0)]


def test_greedy_serves_the_worst_task_where_the_smallest_f1_counts():
    mean, smallest = (greedy(_workload(40.0, objective)) for objective in ("mean", "maxmin"))

    assert min(c.scores.f1 for c in smallest.choices) >= min(c.scores.f1 for c in mean.choices)
    assert smallest.objective == min(c.scores.f1 for c in smallest.choices)


def test_a_budget_below_the_cheapest_plan_is_refused_with_what_it_would_take():
    with pytest.raises(Infeasible, match="greedy begins at 17 a second") as caught:
        greedy(_workload(10.0))

    assert greedy(_workload(caught.value.smallest)).cost == pytest.approx(caught.value.smallest)


def test_a_rival_without_a_plan_says_why():
    found = {rival.name: rival for rival in compared(_workload(6.0))}

    assert found["greedy"].plan is None
    assert "greedy begins" in found["greedy"].why
    assert found["no-sharing"].plan is not None


def test_a_rival_that_is_not_solved_in_time_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("server.sharing.planner.search.rivals.PATIENCE_S", 0.0)
    rng = np.random.default_rng(1)
    branches = [
        tuple(Branch(k, 0.9 - k * drop, 0.1 + k * drop) for k in range(4))
        for drop in rng.uniform(0.01, 0.1, 12)
    ]
    tasks = [a_task(f"task{at:02}", mine) for at, mine in enumerate(branches)]
    rules = a_rule_set(100.0, tuple(float(rate) for rate in range(1, 11)))

    found = {rival.name: rival for rival in compared(a_workload(*tasks, rules=rules))}

    assert found["max-sharing"].plan is None
    assert "in 0.0 s" in found["max-sharing"].why
