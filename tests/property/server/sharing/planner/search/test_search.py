"""The search for a plan against the proven optimum and against what every plan must keep to, on small workloads."""

from dataclasses import replace
from itertools import product
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from server.sharing.planner.events import event_table
from server.sharing.planner.options import mean_f1, with_choices
from server.sharing.planner.plan import Choice, Infeasible, Plan
from server.sharing.planner.search.exact import solve
from server.sharing.planner.search.search import plan
from server.sharing.planner.tree import cost_of, stem_of
from server.sharing.planner.workload import NetworkCosts, Task, Workload
from tests.support.sharing.workloads import workloads

ROUNDING = 1e-6
slowly = settings(
    deadline=None, max_examples=20, suppress_health_check=[HealthCheck.filter_too_much]
)


def with_budget(workload: Workload, budget: float) -> Workload:
    return replace(workload, rules=replace(workload.rules, budget=budget))


def with_objective(workload: Workload, objective: str) -> Workload:
    return replace(workload, rules=replace(workload.rules, objective=objective))


def planned(workload: Workload) -> Plan:
    """By the search; workloads without a plan are not what the test is about."""
    try:
        return plan(workload)
    except Infeasible:
        assume(condition=False)
        raise


def every_choice(task: Task, workload: Workload) -> list[Choice]:
    rules = workload.rules
    table = event_table(task, rules)
    places = product(
        range(len(task.branches)), range(len(rules.rates_fps)), range(len(rules.x_votes))
    )
    return [
        Choice(
            task.name,
            task.branches[b].frozen,
            rules.rates_fps[r],
            rules.x_votes[x],
            table.at(b, r, x),
        )
        for b, r, x in places
    ]


def best_of_all(workload: Workload) -> float:
    """The best objective of all plans that fit, by trying them."""
    combined = product(*(every_choice(task, workload) for task in workload.tasks))
    plans = (with_choices(choices, workload) for choices in combined)
    return max((p.objective for p in plans if p.cost <= workload.rules.budget), default=-1.0)


@given(workloads(most=2))
@settings(deadline=None, max_examples=20)
def test_the_proven_optimum_is_the_best_of_all_plans_tried_one_by_one(workload: Workload):
    assume(len(workload.rules.x_votes) == 1)
    best = best_of_all(workload)

    if best < 0:
        with pytest.raises(Infeasible):
            solve(workload)
    else:
        found = solve(workload)
        assert found.plan.objective == pytest.approx(best, abs=ROUNDING)
        assert found.bound >= best - ROUNDING


@given(workloads(most=5))
@slowly
def test_the_search_is_within_a_hundredth_of_the_proven_optimum(workload: Workload):
    found = planned(workload)

    assert found.objective >= 0.99 * solve(workload).bound - ROUNDING


@given(workloads(most=5))
@slowly
def test_a_plan_fits_its_budget_and_is_what_its_choices_come_to(workload: Workload):
    found = planned(workload)

    assert found.cost <= workload.rules.budget
    assert found == with_choices(found.choices, workload)
    assert found.cost == cost_of(found.choices, workload.costs)
    assert found.stem == stem_of((c.frozen, c.rate_fps) for c in found.choices)
    assert [c.task for c in found.choices] == [task.name for task in workload.tasks]
    for chosen, task in zip(found.choices, workload.tasks, strict=True):
        assert chosen in every_choice(task, workload)
        assert 0.0 <= chosen.scores.f1 <= 1.0


@given(workloads(most=4), st.floats(1.0, 3.0))
@slowly
def test_more_budget_never_lowers_the_optimum(workload: Workload, times: float):
    less = planned(workload)
    more = plan(with_budget(workload, workload.rules.budget * times))

    assert more.objective >= 0.99 * less.objective - ROUNDING
    assert plan(with_budget(workload, more.cost + less.cost), warm=less).objective >= less.objective
    assert (
        solve(with_budget(workload, workload.rules.budget * times)).bound
        >= less.objective - ROUNDING
    )


@given(workloads(most=5))
@slowly
def test_sharing_never_raises_the_predicted_cost(workload: Workload):
    found = planned(workload)

    alone = sum(
        workload.costs.stem[c.frozen] * c.rate_fps
        + workload.costs.heads[c.task, c.frozen] * c.rate_fps
        for c in found.choices
    )
    assert found.cost <= alone * (1 + 1e-12)


@given(workloads(most=5), st.randoms(use_true_random=False))
@slowly
def test_the_order_of_tasks_does_not_matter(workload: Workload, rng: Random):
    found = planned(workload)
    tasks = list(workload.tasks)
    rng.shuffle(tasks)

    again = plan(replace(workload, tasks=tuple(tasks)))

    assert again.objective == found.objective
    assert set(again.choices) == set(found.choices)


@given(workloads(most=4), workloads(most=4))
@slowly
def test_a_warm_start_is_never_worse_than_the_plan_it_starts_from(now: Workload, before: Workload):
    warm = planned(now)
    cold = planned(with_budget(before, before.rules.budget))

    assert plan(now, warm=warm).objective >= warm.objective
    assert plan(now, warm=warm, keep_going=lambda: False).objective >= warm.objective
    assert plan(now, warm=cold).objective >= 0.99 * warm.objective - ROUNDING


@given(workloads(most=4), st.integers(0, 30))
@slowly
def test_a_search_stopped_at_any_time_has_a_plan_that_fits(workload: Workload, polls: int):
    in_full = planned(workload)
    left = iter([True] * polls)

    stopped = plan(workload, keep_going=lambda: next(left, False))

    assert stopped.cost <= workload.rules.budget
    assert stopped.objective <= in_full.objective + 0.01


@given(workloads(most=4), st.lists(st.floats(0.0, 0.8), min_size=4, max_size=4))
@slowly
def test_floors_are_kept_to_at_little_cost(workload: Workload, floors: list[float]):
    tasks = tuple(
        replace(task, floor=floor) for task, floor in zip(workload.tasks, floors, strict=False)
    )
    floored = with_objective(replace(workload, tasks=tasks), "mean")

    found = planned(floored)

    assert all(c.scores.f1 >= t.floor for c, t in zip(found.choices, tasks, strict=True))
    assert found.objective >= 0.99 * solve(floored).bound - ROUNDING


@given(workloads(most=4), st.lists(st.floats(0.0, 0.8), min_size=4, max_size=4), st.booleans())
@slowly
def test_the_smallest_budget_has_a_plan_and_a_little_less_has_none(
    workload: Workload, floors: list[float], floored: bool
):
    tasks = tuple(
        replace(task, floor=floor * floored)
        for task, floor in zip(workload.tasks, floors, strict=False)
    )
    hopeless = with_budget(replace(workload, tasks=tasks), 1e-6)
    free = any(workload.costs.heads[t.name, b.frozen] == 0 for t in tasks for b in t.branches)
    assume(not free)

    with pytest.raises(Infeasible) as refused:
        plan(hopeless)

    smallest = refused.value.smallest
    assume(smallest < float("inf"))
    assert plan(with_budget(hopeless, smallest)).cost <= smallest
    for search in plan, solve:
        with pytest.raises(Infeasible):
            search(with_budget(hopeless, smallest * (1 - 1e-5)))


@given(workloads(most=4), st.floats(1e-6, 1e6))
@slowly
def test_the_unit_of_cost_does_not_matter(workload: Workload, unit: float):
    found = planned(workload)
    costs = NetworkCosts(
        {k: v * unit for k, v in workload.costs.stem.items()},
        {k: v * unit for k, v in workload.costs.heads.items()},
    )

    scaled = with_budget(replace(workload, costs=costs), workload.rules.budget * unit * (1 + 1e-9))

    assert plan(scaled).objective >= found.objective - 1e-3


@given(workloads(most=4))
@slowly
def test_the_smallest_f1_is_as_high_as_it_can_be_and_then_the_mean(workload: Workload):
    evenly = with_objective(workload, "maxmin")
    found = planned(evenly)

    assert found.objective == min(c.scores.f1 for c in found.choices)
    floored = tuple(replace(task, floor=found.objective) for task in workload.tasks)
    mean = solve(with_objective(replace(workload, tasks=floored), "mean"))
    assert mean_f1(found.choices, workload) >= 0.99 * mean.bound - ROUNDING
