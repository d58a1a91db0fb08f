"""A workload out of JSON text (`gearshift plan-tasks`): every mistake in it is told with the key it is at. Pure."""

import json
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any

from server.sharing.planner.checking import COST, POSITIVE, SHARE, SOME_SHARE, Mistakes, Span, place
from server.sharing.planner.costing import additive
from server.sharing.planner.repair import repaired
from server.sharing.planner.workload import Branch, Rules, Task, Workload

_X_VOTES = {"1": (1,), '"auto"': (1, 2, 3)}
"""With more, events of which few frames are analysed are hardly ever reported."""
_OBJECTIVES = {'"mean"': "mean", '"maxmin"': "maxmin"}
_TRUTHS = {"true": True, "false": False}

_KEYS = ("layer_costs", "tasks", "stream_fps", "rates", "budget")
_MORE_KEYS = ("objective", "published_form", "x_vote")
_TASK_KEYS = ("name", "branches", "event_length_ms", "event_frequency", "correlation")
_MORE_TASK_KEYS = ("weight", "floor")


class BadWorkload(Exception):
    """What was read describes no workload; the message has one line for each of the `mistakes`."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = tuple(mistakes)


def read_workload(text: str) -> Workload:
    """The workload; layers' costs are added up and branches repaired. Raises BadWorkload."""
    mistakes = Mistakes()
    top = mistakes.table(_parsed(text, mistakes), "", _KEYS, _MORE_KEYS)
    layers = [
        mistakes.number(cost, f"layer_costs[{at}]", COST)
        for at, cost in enumerate(_items(top, "layer_costs", mistakes))
    ]
    tasks = [
        _task(task, f"tasks[{at}]", len(layers), mistakes)
        for at, task in enumerate(_items(top, "tasks", mistakes))
    ]
    rules = _rules(top, mistakes)
    _summable(layers, tasks, rules, mistakes)
    _distinct([task.name for task in tasks], mistakes)
    if rules.objective == "maxmin" and any(task.floor for task in tasks):
        mistakes.add("objective", 'floors are for "mean" only; leave out every "floor"')
    if mistakes.lines:
        raise BadWorkload(mistakes.lines)
    return Workload(tuple(tasks), additive(layers, tasks), rules)


def _parsed(text: str, mistakes: Mistakes) -> Any:
    """Keys that are given twice are a mistake: JSON would silently take the last."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        twice = [key for key in found if sum(key == other for other, _ in pairs) > 1]
        for key in twice:
            mistakes.add(key, "given twice in one object")
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise BadWorkload([f"this is not JSON: {error}"]) from error


def _items(table: Mapping[str, Any], key: str, mistakes: Mistakes) -> Sequence[Any]:
    """What is missing has been told already."""
    return mistakes.items(table[key], key) if key in table else ()


def _task(value: Any, at: str, layers: int, mistakes: Mistakes) -> Task:
    table = mistakes.table(value, at, _TASK_KEYS, _MORE_TASK_KEYS)

    def number(key: str, span: Span, default: float = 0.0) -> float:
        return mistakes.number(table[key], place(at, key), span) if key in table else default

    name = table.get("name", "")
    if "name" in table and not (isinstance(name, str) and name.strip() and name.isprintable()):
        mistakes.add(place(at, "name"), f"must be a name that can be printed, is {name!a}")
    branches = (
        _branches(table["branches"], place(at, "branches"), layers, mistakes)
        if "branches" in table
        else ()
    )
    return Task(
        str(name),
        branches,
        number("event_length_ms", POSITIVE) / 1e3,
        number("event_frequency", SOME_SHARE),
        number("correlation", SHARE),
        number("weight", POSITIVE, 1.0),
        number("floor", SHARE),
    )


def _branches(value: Any, at: str, layers: int, mistakes: Mistakes) -> tuple[Branch, ...]:
    table = mistakes.object(value, at)
    if isinstance(value, dict) and not table:
        mistakes.add(at, "must have at least one branch")
    read = [_branch(key, rates, f"{at}.{key}", mistakes) for key, rates in table.items()]
    for branch in read:
        if layers and branch.frozen > layers:
            mistakes.add(f"{at}.{branch.frozen}", f"there are only {layers} layers to freeze")
    return repaired(read)


def _branch(key: str, rates: Any, at: str, mistakes: Mistakes) -> Branch:
    frozen = int(key) if key.isascii() and key.isdigit() and len(key) < 10 else 0
    if str(frozen) != key:
        mistakes.add(at, "a branch is called by its number of frozen layers, such as 12")
    if not isinstance(rates, list) or len(rates) != 2:
        mistakes.add(at, "must be [true_positive, false_positive]")
        return Branch(frozen, 0.0, 0.0)
    hit, wrong = (mistakes.number(rates[i], f"{at}[{i}]", SHARE) for i in range(2))
    return Branch(frozen, hit, wrong)


def _rules(top: Mapping[str, Any], mistakes: Mistakes) -> Rules:
    def number(key: str) -> float:
        return mistakes.number(top[key], key, POSITIVE) if key in top else 0.0

    def one_of(key: str, known: Mapping[str, Any], default: Any) -> Any:
        return mistakes.one_of(top[key], key, known) if key in top else default

    stream_fps = number("stream_fps")
    rates = [
        mistakes.number(rate, f"rates[{at}]", POSITIVE)
        for at, rate in enumerate(_items(top, "rates", mistakes))
    ]
    for at, rate in enumerate(rates):
        if rate > stream_fps > 0.0:
            mistakes.add(f"rates[{at}]", f"{rate:g} is above stream_fps, {stream_fps:g}")
    return Rules(
        number("budget"),
        tuple(sorted(set(rates))),
        stream_fps,
        one_of("x_vote", _X_VOTES, (1,)),
        one_of("objective", _OBJECTIVES, "mean"),
        one_of("published_form", _TRUTHS, default=False),
    )


def _summable(
    layers: Sequence[float], tasks: Sequence[Task], rules: Rules, mistakes: Mistakes
) -> None:
    """What is added up must stay a number, with room for sums of it."""
    dearest = 4.0 * sum(layers) * max(rules.rates_fps, default=0.0) * len(tasks)
    if dearest == inf:
        mistakes.add(
            "layer_costs", "too large to be added up; give them and the budget in a larger unit"
        )
    if 4.0 * sum(task.weight for task in tasks) == inf:
        mistakes.add("tasks", "the weights are too large to be added up; only their ratios matter")


def _distinct(names: Sequence[str], mistakes: Mistakes) -> None:
    """Tasks are told apart by their names."""
    for at, name in enumerate(names):
        if name and name in names[:at]:
            mistakes.add(f"tasks[{at}].name", f'"{name}" is the name of an earlier task')
