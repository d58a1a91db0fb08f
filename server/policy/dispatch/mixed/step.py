"""The decision where tickets differ: in rows, in the arms they accept, or in what an answer to their class is worth."""

from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np

from server.policy.decision import (
    ArmProfile,
    Decision,
    Drop,
    Idle,
    Outlook,
    Run,
    Ticket,
    drops,
)
from server.policy.dispatch.hull import Point
from server.policy.dispatch.menu import Floats, Ints
from server.policy.dispatch.mixed.crowd import NOBODY, Crowd, gathered, within_reach
from server.policy.dispatch.mixed.groups import Batches, Lines, Rest, offered, rest
from server.policy.dispatch.pricing import Planner, Pricing
from server.policy.dispatch.risks import Risk, risks
from server.policy.queueing.tickets import Queue

LEAST_VALUE = 0.9
"""Where time is scarce, an answer counts at least so much: what a batch has room for is taken along."""


class MixedScene(NamedTuple):
    """All that steps are weighed by. By kind: `value`, what accuracy counts; `stay`, what a waiting row is worth."""

    crowd: Crowd
    pricing: Pricing
    value: Sequence[float]
    stay: Sequence[float]
    risks: tuple[Risk, ...]
    drops: tuple[Drop, ...]


_NO_TERMS = Pricing(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0)
"""Of a scene in which nobody is left to weigh a step for."""


def decide(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> Decision:
    """The best step: those of some kinds in order, from some ticket on, others passed over.

    A step may begin behind tickets that it would make late: they wait on, and are dropped once they are late.
    """
    scene = survey(queue, planner, outlook, now_s)
    crowd, dropped = scene.crowd, scene.drops
    if not crowd.tickets:
        return Idle(dropped)
    batches = offered(crowd, scene.value, planner, scene.pricing)
    if len(batches.whom):
        best = int(weighed(scene, batches, planner).argmax())
        picked = batches.lines.at[batches.begin[best] : batches.end[best]].tolist()
        run_on, members = batches.arm(best), tuple([crowd.tickets[i] for i in picked])
    else:  # in time only if it starts at once, without the guard
        run_on, members = _alone(crowd, planner.arms)
    shed_some = bool(dropped) and dropped[-1].reason == "shed"
    all_run = len(members) == len(queue) - len(dropped)
    reason = "overload" if shed_some else "drain" if all_run else "partial"
    return Run(run_on, members, reason, dropped, scene.pricing.terms(queue.rows, outlook))


def survey(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> MixedScene:
    """Drop who is late, shed who is out of reach, and set the terms for the rest."""
    crowd, late = gathered(queue, planner, outlook, now_s)
    dropped = drops(late, "late")
    if not crowd.tickets:
        return MixedScene(NOBODY, _NO_TERMS, (), (), (), tuple(dropped))
    kept = within_reach(crowd, now_s)
    if kept is not None and not kept.all():
        dropped += drops(compress(crowd.tickets, ~kept), "shed")
        crowd = crowd.only(kept)
    shed_some = bool(dropped) and dropped[-1].reason == "shed"
    pricing, value, stay = _terms(crowd, planner, outlook, now_s, shed_some)
    risk = risks(outlook, pricing.row_s, crowd.kinds[0].slo_s, planner, shed=shed_some)
    return MixedScene(crowd, pricing, value, stay, risk, tuple(dropped))


def _terms(
    crowd: Crowd, planner: Planner, outlook: Outlook, now_s: float, shed_some: bool
) -> tuple[Pricing, Sequence[float], Sequence[float]]:
    """One price for all kinds, as they share the workers; what accuracy counts, and what a row waiting is, by kind."""
    rows = np.bincount(crowd.kind, crowd.rows, len(crowd.kinds)).tolist()
    total = sum(rows)
    there = [(n / total, kind) for n, kind in zip(rows, crowd.kinds, strict=True) if n]
    slo_s = 1.0 / sum(share / kind.slo_s for share, kind in there)
    affordable_s = 0.0 if shed_some else planner.affordable_s(int(total), slo_s, outlook)
    if outlook.caution:
        affordable_s = sum(s * k.table.careful_s(affordable_s, outlook.caution) for s, k in there)
    scarce = affordable_s <= sum(share * kind.table.vertices[0].cost_s for share, kind in there)
    value = [max(kind.value, LEAST_VALUE) if scarce else 1.0 for kind in crowd.kinds]
    curve = planner.joint(tuple([kind.table for _, kind in there]))
    price = curve.at([share for share, _ in there], affordable_s)
    stay = [_stay(v, price, k.table.vertices) for v, k in zip(value, crowd.kinds, strict=True)]
    pricing = Pricing(
        now_s=now_s,
        affordable_s=affordable_s,
        price=price,
        stay=sum(n * worth for n, worth in zip(rows, stay, strict=True)) / total,
        lost=planner.tuning.lost_weight * sum(share * kind.least for share, kind in there),
        row_s=sum(share * kind.work_s for share, kind in there),
        busy_share=1.0 / outlook.workers,
        guard_s=planner.tuning.guard * min(kind.slo_s for _, kind in there),
    )
    return pricing, value, stay


def _stay(value: float, price: float, vertices: Sequence[Point]) -> float:
    return max(0.0, *[value * v.accuracy - price * v.cost_s for v in vertices])


def weighed(scene: MixedScene, batches: Batches, planner: Planner) -> Floats:
    """What each batch is worth: accuracy earned, less the price of time, what it gives up and what it risks."""
    pricing, formed = scene.pricing, batches.lines
    value, stay, gone = _sums(scene, formed)
    begin, end, mean_s = batches.begin, batches.end, batches.mean_s
    worth = (value[end] - value[begin]) * batches.accuracy - pricing.price * mean_s
    worth -= stay[end] - stay[begin]
    worth -= gone[begin] - gone[formed.first][batches.whom]
    done_s = pricing.now_s + pricing.busy_share * mean_s
    last = formed.at[end - 1]
    worth -= _lost(rest(scene.crowd, formed), batches.whom, last, done_s)
    _take_waiting(worth, scene, batches, planner, (last, done_s))
    for risk in scene.risks:
        worth -= pricing.lost * risk.lost_by_each(mean_s)
    return worth


def _sums(scene: MixedScene, formed: Lines) -> Floats:
    """Sums over the entries before each: of values, of what they are worth waiting, of what giving them up costs."""
    crowd, least = scene.crowd, min(scene.value)
    gone = [
        stay + (value - least) * kind.least
        for stay, value, kind in zip(scene.stay, scene.value, crowd.kinds, strict=True)
    ]
    sums = np.zeros((3, len(formed.at) + 1))
    each = np.array((scene.value, scene.stay, gone))[:, crowd.kind]
    each *= crowd.rows
    np.cumsum(each[:, formed.at], axis=1, out=sums[:, 1:])
    return sums


def _lost(left: Rest, whom: Ints, last: Ints, done_s: Floats) -> Floats:
    """What will be out of reach, those worth least for their time giving way to others."""
    over_s = np.maximum(done_s - left.latest_s[:, whom, last], 0.0)
    if len(over_s) == 1:
        return left.density[0] * np.minimum(over_s[0], left.work_s[0, whom, last])
    np.maximum.accumulate(over_s[::-1], out=over_s[::-1])
    work_s = left.work_s[:, whom, last]
    lost, gone_s = np.zeros(len(whom)), np.zeros(len(whom))
    for over, work, density in zip(over_s, work_s, left.density, strict=True):
        lost += density * np.minimum(np.maximum(over - gone_s, 0.0), work)
        gone_s += work
    return lost


def _take_waiting(
    worth: Floats, scene: MixedScene, batches: Batches, planner: Planner, after: tuple[Ints, Floats]
) -> None:
    """Those left are worth less as their deadlines leave no room for better arms."""
    last, done_s = after
    crowd, whom = scene.crowd, batches.whom
    alike: dict[tuple[int, float, float], list[bool]] = {}
    for k in batches.lines.kinds:
        kind = crowd.kinds[k]
        those = alike.setdefault(
            (kind.mask, kind.slo_s, scene.value[k]), [False] * len(crowd.kinds)
        )
        those[k] = True
    for (mask, slo_s, value), those in alike.items():
        stay, could = scene.stay[those.index(True)], planner.wait_value(mask, slo_s)
        if stay <= value * could.least:
            continue
        mine = np.array(those)[crowd.kind].nonzero()[0]
        behind = mine.searchsorted(last, side="right") * batches.lines.joins[:, mine[0]][whom]
        rows = np.zeros(len(mine) + 1)
        rows[:-1] = crowd.rows[mine][::-1].cumsum()[::-1]
        left = rows[behind]
        slack_s = crowd.deadlines[mine[np.minimum(behind, len(mine) - 1)]] - done_s
        best = could.at(left.astype(np.intp), slack_s - scene.pricing.guard_s)
        worth += left * np.minimum(value * best - stay, 0.0)


def _alone(crowd: Crowd, arms: Sequence[ArmProfile]) -> tuple[ArmProfile, tuple[Ticket, ...]]:
    """The fastest arm for the first ticket by itself: in time even where nothing else is."""
    first, mask = crowd.tickets[0], crowd.masks[int(crowd.suit[0])]
    able = [a for i, a in enumerate(arms) if mask >> i & 1 and first.rows <= a.max_batch]
    return min(able, key=lambda a: a.upper_s[first.rows]), (first,)
