"""What becomes of a plan when its workload changes, when another is worth it, and how a plan explains itself."""

from dataclasses import replace

import pytest

from server.sharing.planner.costing import additive
from server.sharing.planner.explain import explained
from server.sharing.planner.options import with_choices
from server.sharing.planner.plan import Choice, Plan
from server.sharing.planner.search.replan import MARGIN, adapted, revalued, worth_switching
from server.sharing.planner.search.search import plan
from server.sharing.planner.workload import Branch, Rules, Task, Workload
from tests.support.sharing.workloads import LAYER_COSTS, a_rule_set, a_task, a_workload

BRANCHES = (Branch(0, 0.95, 0.02), Branch(2, 0.9, 0.05), Branch(3, 0.8, 0.1))
BUS, CAT, DOG = (
    a_task("bus", BRANCHES, event_length_s=0.4),
    a_task("cat", BRANCHES[1:], event_length_s=0.9, event_frequency=0.1),
    a_task("dog", BRANCHES, event_length_s=0.2, correlation=0.5),
)


def for_tasks(*tasks: Task, rules: Rules | None = None) -> Workload:
    return a_workload(*tasks, rules=rules or a_rule_set(40.0, (1.0, 2.0, 5.0)))


def cuts(of: Plan) -> dict[str, tuple[int, float]]:
    return {choice.task: (choice.frozen, choice.rate_fps) for choice in of.choices}


def worse_by(share: float, of: Plan) -> Plan:
    return replace(of, objective=of.objective * (1.0 - share))


def test_a_plan_is_carried_over_unchanged_where_nothing_changed():
    workload = for_tasks(BUS, CAT)
    found = plan(workload)

    assert adapted(found, workload) == found


def test_a_task_that_left_is_gone_from_the_plan_and_the_others_go_on():
    before = plan(for_tasks(BUS, CAT, DOG))

    after = adapted(before, for_tasks(BUS, DOG))

    assert after is not None
    assert cuts(after) == {name: cut for name, cut in cuts(before).items() if name != "cat"}


def test_a_task_that_came_runs_at_what_costs_least_beside_the_others():
    before = plan(for_tasks(BUS, CAT))
    roomy = a_rule_set(100.0, (1.0, 2.0, 5.0))

    after = adapted(before, for_tasks(BUS, DOG, CAT, rules=roomy))

    assert after is not None
    assert [choice.task for choice in after.choices] == ["bus", "dog", "cat"]
    assert cuts(after) == {**cuts(before), "dog": cuts(after)["dog"]}
    assert cuts(after)["dog"][1] == 1.0


def test_a_plan_that_no_longer_fits_is_not_carried_over():
    before = plan(for_tasks(BUS, CAT))
    poorer = for_tasks(BUS, CAT, rules=a_rule_set(before.cost * 0.99, (1.0, 2.0, 5.0)))

    assert adapted(before, poorer) is None
    assert worth_switching(before, plan(poorer), poorer)


def test_a_task_whose_branch_is_gone_is_planned_like_a_new_one():
    workload = for_tasks(BUS)
    before = with_choices((replace(plan(workload).choices[0], frozen=3, rate_fps=2.0),), workload)
    retrained = for_tasks(replace(BUS, branches=BRANCHES[:2]))

    after = adapted(before, retrained)

    assert revalued(before, retrained) is None
    assert after is not None
    assert cuts(after)["bus"][0] != 3


@pytest.mark.parametrize(
    "rules",
    [a_rule_set(40.0, (3.0,)), a_rule_set(40.0, (1.0, 2.0, 5.0), x_votes=(2,))],
    ids=["rate", "votes"],
)
def test_a_choice_that_the_rules_no_longer_allow_does_not_go_on(rules: Rules):
    assert revalued(plan(for_tasks(BUS)), for_tasks(BUS, rules=rules)) is None


def test_a_plan_below_a_new_floor_gives_way():
    before = plan(for_tasks(BUS, CAT, rules=a_rule_set(20.0, (1.0, 2.0, 5.0))))
    floor = before.choices[0].scores.f1 + 0.01
    floored = for_tasks(replace(BUS, floor=floor), CAT)

    assert worth_switching(before, plan(floored), floored)
    evenly = replace(floored, rules=replace(floored.rules, objective="maxmin"))
    assert revalued(before, floored) is None
    assert revalued(before, evenly) is not None


def test_a_plan_that_lacks_a_task_gives_way():
    more = for_tasks(BUS, CAT)

    assert worth_switching(plan(for_tasks(BUS)), plan(more), more)


def test_a_small_gain_is_not_worth_a_switch_and_a_larger_one_is():
    workload = for_tasks(BUS, CAT)
    current = plan(workload)

    assert not worth_switching(current, current, workload)
    assert not worth_switching(current, worse_by(-0.9 * MARGIN, current), workload)
    assert worth_switching(current, worse_by(-1.1 * MARGIN, current), workload)


def test_the_current_plan_is_judged_by_the_costs_and_scores_of_now():
    workload = for_tasks(BUS, CAT)
    current = plan(workload)
    dearer = replace(workload, costs=additive([2 * cost for cost in LAYER_COSTS], workload.tasks))
    blunter = for_tasks(replace(BUS, branches=(Branch(0, 0.9, 0.3), *BRANCHES[1:])), CAT)

    revised = revalued(current, blunter)

    assert revalued(current, dearer) is None
    assert revised is not None
    assert revised.choices[1] == current.choices[1]


def test_under_maxmin_a_better_mean_is_worth_a_switch_if_the_smallest_f1_is_no_worse():
    rules = replace(a_rule_set(1000.0, (1.0, 2.0, 5.0)), objective="maxmin")
    workload = for_tasks(BUS, CAT, rules=rules)
    found = plan(workload)
    lowest = min(found.choices, key=lambda c: c.scores.f1).task
    slower = tuple(c if c.task == lowest else replace(c, rate_fps=2.0) for c in found.choices)
    current = revalued(replace(found, choices=slower), workload)

    assert current is not None
    assert current.objective == found.objective
    assert worth_switching(current, found, workload)
    assert not worth_switching(found, current, workload)


def test_every_choice_says_what_its_neighbours_would_bring_and_cost():
    workload = for_tasks(BUS, CAT)
    choices = tuple(
        Choice(task.name, 2, 2.0, 1, plan(workload).choices[at].scores)
        for at, task in enumerate(workload.tasks)
    )

    told = explained(with_choices(choices, workload), workload)

    bus = told.choices[0].reason
    assert bus.startswith("branches at 2, 2 fps: deeper (3) would ")
    # The stem's third layer, 3 a frame, comes and goes from the task's own; all layers below the branch come to it.
    assert "deeper (3) would" in bus
    assert "shallower (0) would" in bus
    assert "cost 6 more a second" in bus.split("shallower (0)")[1].split(";")[0]
    assert "5 fps would" in bus
    assert "1 fps would" in bus


def test_a_branch_that_costs_nothing_more_is_said_to_cost_the_same():
    free = a_task("bus", (Branch(0, 0.9, 0.1), Branch(3, 0.8, 0.1)))
    workload = for_tasks(free, rules=a_rule_set(10.0, (1.0,)))

    told = explained(plan(workload), workload)

    # Alone, a task pays for all layers wherever it branches. Recall is 0.54 or 0.48, precision 0.162 / 0.204 or
    # 0.144 / 0.186: of events, 0.3 of all windows, and the others, of which 0.06 are reported.
    assert told.choices[0].reason.endswith("deeper (3) would lose 0.050 F1 and cost the same")


def test_a_reason_names_only_what_there_is():
    workload = for_tasks(a_task("bus", (Branch(0, 0.9, 0.1),)), rules=a_rule_set(40.0, (1.0, 2.0)))

    told = explained(plan(workload), workload)

    assert "deeper" not in told.choices[0].reason
    assert "shallower" not in told.choices[0].reason
    assert told.choices[0].reason.startswith("branches at 0, 2 fps: 1 fps would lose ")


def test_only_the_reasons_of_a_plan_are_changed_by_explaining_it():
    workload = for_tasks(BUS, CAT, DOG)
    found = plan(workload)

    told = explained(found, workload)

    assert all(choice.reason for choice in told.choices)
    assert replace(told, choices=found.choices) == found
    assert tuple(replace(choice, reason="") for choice in told.choices) == found.choices
