"""For which numbers of rows a runtime that compiles a graph for each should do so, and which graph a batch runs on.

A graph takes memory of its own, so there is one for one row, and a larger one only where it runs its rows noticeably
faster than the smaller ones would. Pure.
"""

from collections.abc import Mapping, Sequence

GAIN = 0.08
"""By so much (relative) a further graph, or rows that are filled up, must be faster: less is what repeats differ by."""

Plan = tuple[int, ...]
"""Entry n - 1: the size of the graph that runs next where n rows are left; of more rows the last entry's runs first.

A graph larger than what is left is filled up with copies of the last row."""

ONE_BY_ONE: Plan = (1,)


def is_plan(plan: Sequence[int]) -> bool:
    """Whether it says how every batch runs: with graphs of sizes that it has itself, the last one filled."""
    largest = len(plan)
    return bool(plan) and plan[-1] == largest and all(1 <= size <= largest for size in plan)


def pays(size: int, took_s: Mapping[int, float]) -> bool:
    """Whether the graph of `size` rows is worth having beside the smaller ones; `took_s`: what a run of each takes."""
    smaller = {one: s for one, s in took_s.items() if one < size}
    return took_s[size] <= (1.0 - GAIN) * _cost_s(size, plan_of(smaller), smaller)


def plan_of(took_s: Mapping[int, float]) -> Plan:
    """How to run every number of rows on graphs of these sizes, 1 among them, a run of which takes so long (s)."""
    sizes, plan = sorted(took_s), list(ONE_BY_ONE)
    for rows in range(2, sizes[-1] + 1):
        fitting = max(size for size in sizes if size <= rows)
        plan.append(fitting)
        filled = min((size for size in sizes if size > rows), default=0)
        if filled and took_s[filled] <= (1.0 - GAIN) * _cost_s(rows, tuple(plan), took_s):
            plan[-1] = filled
    return tuple(plan)


def runs(rows: int, plan: Plan) -> list[tuple[int, int, int]]:
    """(start, end, graph's size) of each run that a batch of `rows` is made of."""
    found: list[tuple[int, int, int]] = []
    start = 0
    while start < rows:
        size = plan[min(rows - start, len(plan)) - 1]
        end = min(rows, start + size)
        found.append((start, end, size))
        start = end
    return found


def _cost_s(rows: int, plan: Plan, took_s: Mapping[int, float]) -> float:
    return sum(took_s[size] for _, _, size in runs(rows, plan))
