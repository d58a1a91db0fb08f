"""A workload out of JSON: what is read, and that every mistake is told with the key it is at."""

import json
from typing import Any

import pytest

from server.sharing.planner.reading import BadWorkload, read_workload
from server.sharing.planner.workload import Branch


def _task(**changes: Any) -> dict[str, Any]:
    task = {
        "name": "bus",
        "branches": {"0": [0.9, 0.1], "2": [0.8, 0.2]},
        "event_length_ms": 600,
        "event_frequency": 0.3,
        "correlation": 0.1,
    }
    return {**task, **changes}


def _text(*tasks: dict[str, Any], **changes: Any) -> str:
    workload = {
        "layer_costs": [1.0, 2.0, 3.0],
        "tasks": list(tasks or [_task()]),
        "stream_fps": 10,
        "rates": [1, 5, 10],
        "budget": 150,
    }
    return json.dumps({**workload, **changes})


def _mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(BadWorkload) as caught:
        read_workload(text)
    return caught.value.mistakes


def test_a_workload_is_read():
    workload = read_workload(_text(_task(weight=2, floor=0.1), objective="mean", x_vote="auto"))

    task = workload.tasks[0]
    assert task.name == "bus"
    assert task.branches == (Branch(0, 0.9, 0.1), Branch(2, 0.8, 0.2))
    assert (task.event_length_s, task.weight, task.floor) == (0.6, 2.0, 0.1)
    assert workload.costs.heads["bus", 2] == 3.0
    assert workload.rules.rates_fps == (1.0, 5.0, 10.0)
    assert workload.rules.x_votes == (1, 2, 3)


def test_what_may_be_left_out_is_the_mean_of_single_votes_in_the_papers_form():
    rules = read_workload(_text()).rules

    assert (rules.objective, rules.x_votes, rules.published_form) == ("mean", (1,), False)


def test_branches_are_repaired_and_rates_sorted():
    workload = read_workload(
        _text(_task(branches={"2": [0.9, 0.1], "0": [0.5, 0.4]}), rates=[5, 1])
    )

    assert workload.tasks[0].branches[0] == Branch(0, 0.9, 0.1)
    assert workload.rules.rates_fps == (1.0, 5.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "this is not JSON"),
        ("[]", "the input: must be an object"),
        (_text(budget=0), "budget: must be a number above 0, is 0"),
        (_text(budget=True), "budget: must be a number above 0, is true"),
        (_text(budget=10**400), "budget: must be a number above 0"),
        (_text(budget="150"), 'budget: must be a number above 0, is "150"'),
        (_text(stream_fps=float("nan")), "stream_fps: must be a number above 0, is nan"),
        (_text(layer_costs=[1, -2, 3]), "layer_costs[1]: must be a number at least 0, is -2"),
        (_text(layer_costs=[]), "layer_costs: must be an array of at least one"),
        (_text(rates=[1, 11]), "rates[1]: 11 is above stream_fps, 10"),
        (_text(rates=[0]), "rates[0]: must be a number above 0, is 0"),
        (_text(rates=5), "rates: must be an array"),
        (_text(objective="median"), 'objective: must be "mean" or "maxmin", is "median"'),
        (_text(published_form="yes"), 'published_form: must be true or false, is "yes"'),
        (_text(x_vote=0), 'x_vote: must be 1 or "auto", is 0'),
        (_text(tasks=[]), "tasks: must be an array of at least one"),
        (_text(colour="red"), "colour: unknown"),
        (_text(_task(), _task()), 'tasks[1].name: "bus" is the name of an earlier task'),
        (_text(_task(name="")), "tasks[0].name: must be a name"),
        (_text(_task(name=" ")), "tasks[0].name: must be a name that can be printed"),
        (
            _text(_task(name="a\n\x1b[2J")),
            "tasks[0].name: must be a name that can be printed, is 'a",
        ),
        (
            _text(_task(name="\ud800")),
            "tasks[0].name: must be a name that can be printed, is '\\ud800'",
        ),
        (_text(_task(weight=1e308)), "tasks: the weights are too large to be added up"),
        (_text(layer_costs=[1e308, 1e308, 1]), "layer_costs: too large to be added up"),
        (_text(_task(event_length_ms=0)), "tasks[0].event_length_ms: must be a number above 0"),
        (_text(_task(event_frequency=0)), "tasks[0].event_frequency: must be a number above 0"),
        (_text(_task(correlation=1.5)), "tasks[0].correlation: must be a number at least 0 and"),
        (_text(_task(weight=0)), "tasks[0].weight: must be a number above 0"),
        (_text(_task(floor=2)), "tasks[0].floor: must be a number at least 0 and at most 1"),
        (_text(_task(floor=0.5), objective="maxmin"), 'objective: floors are for "mean" only'),
        (_text(_task(branches={})), "tasks[0].branches: must have at least one branch"),
        (_text(_task(branches=[0.9, 0.1])), "tasks[0].branches: must be an object"),
        (_text(_task(branches={"x": [1, 0]})), "tasks[0].branches.x: a branch is called by"),
        (_text(_task(branches={"01": [1, 0]})), "tasks[0].branches.01: a branch is called by"),
        (_text(_task(branches={"-1": [1, 0]})), "tasks[0].branches.-1: a branch is called by"),
        (_text(_task(branches={"4": [1, 0]})), "tasks[0].branches.4: there are only 3 layers"),
        (_text(_task(branches={"0": [1]})), "tasks[0].branches.0: must be [true_positive, false"),
        (_text(_task(branches={"0": [1, 2]})), "tasks[0].branches.0[1]: must be a number at least"),
        (_text("bus"), 'tasks[0]: must be an object, is "bus"'),  # pyright: ignore[reportArgumentType] - on purpose
        ('{"budget": 1, "budget": 2}', "budget: given twice in one object"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, told: str):
    assert any(mistake.startswith(told) for mistake in _mistakes(text)), _mistakes(text)


def test_one_mistake_is_told_once():
    assert _mistakes(_text(budget=-1)) == ("budget: must be a number above 0, is -1",)


@pytest.mark.parametrize("key", ["layer_costs", "tasks", "stream_fps", "rates", "budget"])
def test_a_missing_key_is_told_once(key: str):
    workload = json.loads(_text())
    del workload[key]

    assert _mistakes(json.dumps(workload)) == (f"{key}: missing",)


@pytest.mark.parametrize("key", sorted(_task()))
def test_a_missing_key_of_a_task_is_told_once(key: str):
    task = _task()
    del task[key]

    assert _mistakes(_text(task)) == (f"tasks[0].{key}: missing",)


def test_all_mistakes_are_told_at_once():
    mistakes = _mistakes(_text(_task(correlation=-1, extra=1), budget=-1, x_vote=9))

    assert [mistake.split(":")[0] for mistake in mistakes] == [
        "tasks[0].extra",
        "tasks[0].correlation",
        "budget",
        "x_vote",
    ]
