"""Who is served where tickets differ, and on what terms: late ones dropped, some shed, one price for all."""

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

from server.policy.decision import Drop, Outlook, drops
from server.policy.dispatch.hull import Point
from server.policy.dispatch.menu import IS_COMPILED
from server.policy.dispatch.mixed.crowd import NOBODY, Few, Kind, gathered
from server.policy.dispatch.mixed.reach import few_within_reach, within_reach
from server.policy.dispatch.pricing import Planner, Pricing
from server.policy.dispatch.risks import Risk, risks
from server.policy.queueing.tickets import Queue

FEW = 1000 if IS_COMPILED else 12
"""So many tickets are reckoned with one by one, more by arrays."""
LEAST_VALUE = 0.9
"""Where time is scarce, an answer counts at least so much: what a batch has room for is taken along."""
LEVELS = 2
"""Kinds are told apart in so many steps of what they are worth for their time."""


class MixedScene(NamedTuple):
    """All that steps are weighed by. By kind: `value`, what accuracy counts; `stay`, what a waiting row is worth."""

    few: Few
    pricing: Pricing
    value: Sequence[float]
    stay: Sequence[float]
    risks: tuple[Risk, ...]
    drops: tuple[Drop, ...]


_NO_TERMS = Pricing(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0)
"""Of a scene in which nobody is left to weigh a step for."""


def survey(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> MixedScene:
    """Drop who is late, shed who is out of reach, and set the terms for the rest."""
    few, late = gathered(queue, planner, outlook, now_s)
    dropped = drops(late, "late")
    if not few.tickets:
        return MixedScene(NOBODY, _NO_TERMS, (), (), (), tuple(dropped))
    stay = _within_reach(few, now_s)
    shed_some = stay is not None and False in stay
    if stay is not None and shed_some:
        gone = [not stays for stays in stay]
        dropped += drops(compress(few.tickets, gone), "shed")
        few = few.only(stay)
    rows = [0.0] * len(few.kinds)
    for k, n in zip(few.kind, few.rows, strict=True):
        rows[k] += n
    pricing, value, waiting = _terms(
        list(zip(rows, few.kinds, strict=True)), planner, outlook, now_s, shed_some
    )
    risk = risks(outlook, pricing.row_s, few.kinds[0].slo_s, planner, shed=shed_some)
    return MixedScene(few, pricing, value, waiting, risk, tuple(dropped))


def _within_reach(few: Few, now_s: float) -> list[bool] | None:
    if len(few.tickets) <= FEW:
        return few_within_reach(few, now_s)
    kept = within_reach(few.crowd(), now_s)
    return None if kept is None else kept.tolist()


def _terms(
    counted: Sequence[tuple[float, Kind]],
    planner: Planner,
    outlook: Outlook,
    now_s: float,
    shed_some: bool,
) -> tuple[Pricing, Sequence[float], Sequence[float]]:
    """One price for all kinds, as they share the workers; what accuracy counts, and what a row waiting is, by kind.

    `counted`: every kind, with how many rows of it there are.
    """
    total = sum([n for n, _ in counted])
    there = [(n / total, kind) for n, kind in counted if n]
    slo_s = 1.0 / sum([share / kind.slo_s for share, kind in there])
    affordable_s = 0.0 if shed_some else planner.affordable_s(int(total), slo_s, outlook)
    if outlook.caution:
        affordable_s = sum([s * k.table.careful_s(affordable_s, outlook.caution) for s, k in there])
    scarce = affordable_s <= sum([share * kind.table.vertices[0].cost_s for share, kind in there])
    value = [max(kind.value, LEAST_VALUE) if scarce else 1.0 for _, kind in counted]
    curve = planner.joint(tuple([kind.table for _, kind in there]))
    price = curve.at([share for share, _ in there], affordable_s)
    stay = [_stay(v, price, k.table.vertices) for v, (_, k) in zip(value, counted, strict=True)]
    pricing = Pricing(
        now_s=now_s,
        affordable_s=affordable_s,
        price=price,
        stay=sum([n * worth for (n, _), worth in zip(counted, stay, strict=True)]) / total,
        lost=planner.tuning.lost_weight * sum([share * kind.least for share, kind in there]),
        row_s=sum([share * kind.work_s for share, kind in there]),
        busy_share=1.0 / outlook.workers,
        guard_s=planner.tuning.guard * min([kind.slo_s for _, kind in there]),
    )
    return pricing, value, stay


def _stay(value: float, price: float, vertices: Sequence[Point]) -> float:
    stay = 0.0
    for vertex in vertices:
        stay = max(stay, value * vertex.accuracy - price * vertex.cost_s)
    return stay


def leading(few_kinds: Sequence[int], kinds: Sequence[Kind]) -> Sequence[int]:
    """Of the kinds that are there, in order: that of the first ticket, and of the others the one worth most for its
    time."""
    if len(few_kinds) < 3:
        return few_kinds
    return few_kinds[0], max(few_kinds[1:], key=lambda k: kinds[k].density)


def levels(kinds: Sequence[Kind], there: Sequence[int]) -> tuple[list[int], list[float]]:
    """The level of each kind, of those that are `there`, and the density of each level: the least of its kinds."""
    ranked = sorted(there, key=lambda k: kinds[k].density)
    count = min(LEVELS, len(ranked))
    level, density = [0] * len(kinds), list[float]()
    for rank, k in enumerate(ranked):
        level[k] = rank * count // len(ranked)
        if level[k] == len(density):
            density.append(kinds[k].density)
    return level, density
