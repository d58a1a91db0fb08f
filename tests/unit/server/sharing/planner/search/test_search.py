"""The fast search for a plan and its parts: each against all possibilities tried one by one, and what it refuses."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from server.sharing.planner.options import menu_of, options_of
from server.sharing.planner.plan import Infeasible
from server.sharing.planner.search.exact import cheapest, solve
from server.sharing.planner.search.knapsack import Knapsack, best_fill
from server.sharing.planner.search.search import plan
from server.sharing.planner.search.staircases import best_staircases, priced, worth_of
from server.sharing.planner.workload import Branch, NetworkCosts, Workload
from tests.support.sharing.workloads import a_rule_set, a_task, a_workload

BRANCHES = (Branch(0, 0.95, 0.02), Branch(2, 0.9, 0.05), Branch(3, 0.8, 0.1))


def three_tasks(budget: float = 40.0, objective: str = "mean") -> Workload:
    tasks = (
        a_task("bus", BRANCHES, event_length_s=0.4, weight=2.0),
        a_task("cat", BRANCHES[1:], event_length_s=0.9, event_frequency=0.1),
        a_task("dog", BRANCHES, event_length_s=0.2, correlation=0.5),
    )
    rules = replace(a_rule_set(budget, (1.0, 2.0, 5.0)), objective=objective)
    return a_workload(*tasks, rules=rules)


def many_tasks(count: int, budget: float) -> Workload:
    """Unlike tasks on a network of four layers."""
    rng = np.random.default_rng(count)
    tasks = [
        a_task(
            f"task{at}",
            tuple(Branch(cut, 0.95 - cut * drop, 0.02 + cut * drop) for cut in range(5)),
            event_length_s=length,
        )
        for at, (drop, length) in enumerate(rng.uniform((0.0, 0.2), (0.08, 1.0), (count, 2)))
    ]
    return a_workload(*tasks, rules=a_rule_set(budget, tuple(float(r) for r in range(1, 11))))


def test_a_knapsack_is_filled_as_well_as_the_best_of_all_fillings():
    rng = np.random.default_rng(7)
    for _ in range(200):
        benefit, cost = rng.uniform(size=(2, 4, 5))
        benefit[rng.uniform(size=benefit.shape) < 0.2] = -np.inf
        sack = Knapsack(benefit, cost, rng.uniform(0.5, 3.0))
        rows = np.arange(4)
        fillings = [np.array(taken) for taken in product(range(5), repeat=4)]
        fitting = [t for t in fillings if cost[rows, t].sum() <= sack.budget]
        best = max((benefit[rows, t].sum() for t in fitting), default=-np.inf)

        taken = best_fill(sack, above=-1.0)

        if np.isneginf(best):
            assert taken is None
        else:
            assert taken is not None
            assert cost[rows, taken].sum() <= sack.budget
            assert benefit[rows, taken].sum() == pytest.approx(best, abs=2e-6)


def test_a_knapsack_that_cannot_beat_the_known_plan_has_no_filling():
    sack = Knapsack(np.array([[0.2, 0.5]]), np.array([[1.0, 2.0]]), 3.0)

    assert best_fill(sack, above=0.5) is None
    assert best_fill(sack, above=0.4) is not None


@pytest.mark.parametrize("price", [0.0001, 0.003, 0.01, 0.1])
def test_the_staircase_worth_most_is_the_best_of_all_staircases(price: float):
    menu = menu_of(three_tasks())
    reach = priced(menu, menu.f1, price)
    levels = range(len(menu.rates_fps) + 1)
    stretches = len(menu.depths) - 1
    every = np.array([s for s in product(levels, repeat=stretches) if list(s) == sorted(s)[::-1]])

    found = best_staircases(reach, width=20, keep=5)

    assert found.worth[0] == pytest.approx(worth_of(reach, every).max())
    assert worth_of(reach, found.levels) == pytest.approx(found.worth)


def test_an_option_is_left_out_where_another_is_as_good_at_a_lower_rate():
    certain = a_task("bus", (Branch(2, 1.0, 0.0),), event_length_s=1.0)

    options = options_of(certain, a_workload(certain))

    assert [option.rate_fps for option in options] == [1.0]


def test_an_option_has_the_votes_that_suit_it():
    doubtful = a_task("bus", (Branch(2, 0.95, 0.3),), event_length_s=1.0)
    workload = a_workload(doubtful, rules=a_rule_set(rates_fps=(10.0,), x_votes=(1, 2, 3)))

    (option,) = options_of(doubtful, workload)
    alone = options_of(doubtful, a_workload(doubtful, rules=a_rule_set(rates_fps=(10.0,))))

    assert option.x_vote > 1
    assert option.scores.f1 > alone[0].scores.f1


def test_options_below_a_floor_are_left_out_unless_the_smallest_f1_is_the_objective():
    floored = a_task("bus", BRANCHES, floor=0.8)
    rules = a_rule_set()

    assert min(o.scores.f1 for o in options_of(floored, a_workload(floored, rules=rules))) >= 0.8
    evenly = a_workload(floored, rules=replace(rules, objective="maxmin"))
    assert min(o.scores.f1 for o in options_of(floored, evenly)) < 0.8


@pytest.mark.parametrize("objective", ["mean", "maxmin"])
@pytest.mark.parametrize("budget", [18.0, 25.0, 40.0, 80.0, 1000.0])
def test_the_search_meets_the_proven_optimum_of_a_small_workload(budget: float, objective: str):
    workload = three_tasks(budget, objective)

    assert plan(workload).objective == pytest.approx(solve(workload).bound, rel=1e-5)


@pytest.mark.parametrize("budget", [20.0, 60.0, 150.0])
def test_the_search_is_within_a_thousandth_of_the_proven_optimum_of_twelve_tasks(budget: float):
    workload = many_tasks(12, budget)

    assert plan(workload).objective >= 0.999 * solve(workload).bound


def test_a_stem_deepens_though_no_single_task_gains_by_it():
    alike = [a_task(f"task{i}", (Branch(0, 0.9, 0.05), Branch(3, 0.88, 0.06))) for i in range(6)]
    workload = a_workload(*alike, rules=a_rule_set(60.0))

    assert all(choice.frozen == 3 for choice in plan(workload).choices)


def test_plenty_gives_every_task_its_best():
    workload = three_tasks(float("inf"))
    best = [max(o.scores.f1 for o in options_of(task, workload)) for task in workload.tasks]

    assert [c.scores.f1 for c in plan(workload).choices] == best


def test_one_task_of_one_branch_is_planned():
    workload = a_workload(a_task("bus", (Branch(0, 0.9, 0.1),)), rules=a_rule_set(20.0))

    (choice,) = plan(workload).choices

    assert (choice.frozen, choice.rate_fps) == (0, 2.0)


@pytest.mark.parametrize("objective", ["mean", "maxmin"])
def test_where_layers_cost_nothing_every_task_has_its_best(objective: str):
    workload = three_tasks(1.0, objective)
    free = NetworkCosts(
        dict.fromkeys(workload.costs.stem, 0.0), dict.fromkeys(workload.costs.heads, 0.0)
    )

    found = plan(replace(workload, costs=free))

    assert found.cost == 0.0
    assert found.objective == pytest.approx(plan(three_tasks(1e6, objective)).objective)


def test_weights_of_any_ratio_can_be_told_apart():
    """1e-300 of 1e300 is no number above 0 any more."""
    workload = three_tasks(20.0)
    bus, cat, dog = workload.tasks
    light = (replace(bus, weight=1e-300), replace(cat, weight=1e300), dog)

    found = plan(replace(workload, tasks=light))

    assert found.cost <= 20.0
    assert found.objective == pytest.approx(found.choices[1].scores.f1)


def test_a_search_that_may_not_go_on_answers_with_a_plan_that_fits():
    workload = three_tasks(30.0)

    assert plan(workload, keep_going=lambda: False).cost <= 30.0


def test_a_warm_plan_is_kept_where_the_search_finds_none_that_is_better():
    workload = three_tasks(40.0)
    best = solve(workload).plan

    assert plan(workload, warm=best) == best


def test_a_budget_below_the_cheapest_plan_is_refused_with_the_smallest_that_has_one():
    workload = three_tasks(9.0)

    with pytest.raises(Infeasible, match="no plan fits a budget of 9 a second; the smallest") as it:
        plan(workload)

    # The stem to 2, 3 a frame, and 7 for each task's rest; or to 3, 6 a frame, and 4 for each.
    assert it.value.smallest == pytest.approx(18.0)
    assert plan(three_tasks(it.value.smallest)).cost == pytest.approx(18.0)


def test_a_floor_out_of_reach_is_refused_with_the_names_of_its_tasks():
    hopeless = a_workload(a_task("bus", BRANCHES), a_task("cat", BRANCHES[2:], floor=0.999))

    with pytest.raises(Infeasible, match="no branch and rate reaches the floor of cat") as refused:
        plan(hopeless)

    assert refused.value.smallest == float("inf")


def test_floors_raise_the_smallest_budget():
    floored = three_tasks(9.0)
    tasks = tuple(replace(task, floor=0.6) for task in floored.tasks)
    floored = replace(floored, tasks=tasks)

    least = cheapest(floored)

    assert least is not None
    assert least.cost > 18.0
    assert min(c.scores.f1 for c in least.choices) >= 0.6
    with pytest.raises(Infeasible, match="and reaches every floor"):
        plan(floored)


def test_a_workload_without_tasks_is_refused():
    with pytest.raises(ValueError, match="no task to plan for"):
        plan(Workload((), NetworkCosts({0: 0.0}, {}), a_rule_set()))


def test_a_branch_of_unknown_cost_is_refused_by_name():
    workload = three_tasks()
    heads = {cut: cost for cut, cost in workload.costs.heads.items() if cut != ("dog", 2)}

    with pytest.raises(ValueError, match="task dog has a branch at 2 whose cost is not known"):
        plan(replace(workload, costs=NetworkCosts(workload.costs.stem, heads)))


def test_a_stem_of_unknown_cost_is_refused_by_its_point():
    workload = three_tasks()
    stem = {depth: cost for depth, cost in workload.costs.stem.items() if depth != 3}

    with pytest.raises(ValueError, match="tasks branch at 3, and what the stem costs"):
        plan(replace(workload, costs=NetworkCosts(stem, workload.costs.heads)))
