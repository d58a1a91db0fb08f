"""What holds for the model of events, costs, repair and the rivals, whatever the tasks."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.sharing.planner.events import event_scores, event_table, report_chance
from server.sharing.planner.measured import Window, measured_scores
from server.sharing.planner.plan import Choice, Infeasible, Plan, Scores
from server.sharing.planner.repair import accuracy, repaired
from server.sharing.planner.search.rivals import greedy, max_sharing, no_sharing
from server.sharing.planner.tree import cost_of
from server.sharing.planner.workload import Branch, Task, Workload
from tests.support.sharing.workloads import a_rule_set, chances, tasks, workloads

RIVALS = [greedy, max_sharing, no_sharing]
ROUNDING = 1e-9

votes = st.integers(1, 4)
lengths = st.floats(0.0, 40.0)


@given(tasks(), st.booleans())
def test_all_scores_are_shares(task: Task, published_form: bool):
    rules = a_rule_set(x_votes=(1, 2, 3), published_form=published_form)

    table = event_table(task, rules)

    for scores in (table.recall, table.precision, table.f1):
        assert ((scores >= 0.0) & (scores <= 1.0)).all()
    assert (table.f1 <= np.maximum(table.recall, table.precision) + ROUNDING).all()


@given(chances, chances, st.lists(lengths, min_size=2))
def test_more_frames_never_lower_the_chance_of_a_report(
    hit: float, correlation: float, frames: list[float]
):
    for x_vote in (1, 2, 3):
        chance = report_chance(np.array([hit]), correlation, np.array(sorted(frames)), x_vote)[0]

        assert (np.diff(chance) >= -ROUNDING).all()


@given(st.lists(chances, min_size=2), lengths)
def test_better_frames_never_lower_the_chance_of_a_report(hits: list[float], frames: float):
    for x_vote in (1, 2, 3):
        chance = report_chance(np.array(sorted(hits)), 0.3, np.array([frames]), x_vote)[:, 0]

        assert (np.diff(chance) >= -ROUNDING).all()


@given(chances, lengths, st.lists(chances, min_size=2))
def test_correlation_never_raises_the_chance_of_a_first_hit(
    hit: float, frames: float, correlations: list[float]
):
    chance = [
        report_chance(np.array([hit]), correlation, np.array([frames]), 1)[0, 0]
        for correlation in sorted(correlations)
    ]

    assert (np.diff(chance) <= ROUNDING).all()


@given(chances, chances, lengths, votes)
def test_more_votes_never_raise_the_chance_of_a_report(
    hit: float, correlation: float, frames: float, x_vote: int
):
    fewer, more = (
        report_chance(np.array([hit]), correlation, np.array([frames]), votes)[0, 0]
        for votes in (x_vote, x_vote + 1)
    )

    assert more <= fewer + ROUNDING


@given(tasks(), st.floats(0.5, 10.0), st.floats(0.5, 10.0))
def test_recall_never_falls_with_the_rate(task: Task, one_fps: float, other_fps: float):
    slow, fast = (
        event_scores(task, task.branches[0], rate_fps, a_rule_set(), 1).recall
        for rate_fps in sorted((one_fps, other_fps))
    )

    assert slow <= fast + ROUNDING


@given(
    st.lists(st.builds(Branch, st.integers(0, 30), chances, chances), unique_by=lambda b: b.frozen)
)
def test_repair_is_monotone_keeps_pairs_and_changes_nothing_twice(raw: list[Branch]):
    fixed = repaired(raw)

    assert [branch.frozen for branch in fixed] == sorted(branch.frozen for branch in raw)
    assert all(accuracy(a) >= accuracy(b) for a, b in pairwise(fixed))
    pairs = {(branch.true_positive, branch.false_positive) for branch in raw}
    assert {(branch.true_positive, branch.false_positive) for branch in fixed} <= pairs
    assert repaired(fixed) == fixed == repaired(reversed(raw))


@given(workloads(), st.randoms(use_true_random=False))
def test_sharing_never_raises_the_predicted_cost(workload: Workload, random):  # noqa: ANN001 - random.Random
    """Against networks of their own at the same rates; and one task more adds no more than its whole network."""
    scores, costs = Scores(0.0, 0.0, 0.0), workload.costs
    choices = [
        Choice(t.name, random.choice(t.branches).frozen, random.choice([1.0, 2.0, 5.0]), 1, scores)
        for t in workload.tasks
    ]

    alone = sum(cost_of([choice], costs) for choice in choices)
    assert cost_of(choices, costs) <= alone + ROUNDING
    assert cost_of(choices[1:], costs) <= cost_of(choices, costs) + ROUNDING


@pytest.mark.parametrize("rival", RIVALS)
@given(workload=workloads())
@settings(max_examples=30, deadline=None)
def test_no_rival_exceeds_the_budget(rival: Callable[[Workload], Plan], workload: Workload):
    plan = _planned(rival, workload)

    if isinstance(plan, Infeasible):
        assert plan.smallest > workload.rules.budget
        return
    assert plan.cost <= workload.rules.budget
    assert [choice.task for choice in plan.choices] == [task.name for task in workload.tasks]
    assert 0.0 <= plan.objective <= 1.0


@pytest.mark.parametrize("rival", [max_sharing, no_sharing])
@given(workload=workloads())
@settings(max_examples=20, deadline=None)
def test_the_order_of_tasks_does_not_matter(rival: Callable[[Workload], Plan], workload: Workload):
    plan = _planned(rival, workload)
    turned = _planned(rival, replace(workload, tasks=workload.tasks[::-1]))

    if isinstance(plan, Infeasible) or isinstance(turned, Infeasible):
        assert isinstance(plan, Infeasible)
        assert isinstance(turned, Infeasible)
    else:
        assert turned.objective == pytest.approx(plan.objective, abs=1e-6)


def _planned(rival: Callable[[Workload], Plan], workload: Workload) -> Plan | Infeasible:
    try:
        return rival(workload)
    except Infeasible as error:
        return error


@given(st.lists(st.builds(Window, st.booleans(), st.booleans())), st.randoms(use_true_random=False))
def test_measured_scores_are_shares_in_whatever_order(windows: list[Window], random):  # noqa: ANN001 - random.Random
    scores = measured_scores(windows)
    random.shuffle(windows)

    assert measured_scores(windows) == scores
    assert 0.0 <= scores.f1 <= 1.0
    assert min(scores.recall, scores.precision) - ROUNDING <= scores.f1
