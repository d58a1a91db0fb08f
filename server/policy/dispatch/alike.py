"""The decision where all waiting tickets have one row and accept the same arms: the usual case, made to be quick."""

from bisect import bisect_left
from typing import NamedTuple

import numpy as np

from server.policy.decision import Decision, Idle, Outlook, Run, drops
from server.policy.dispatch.clump_plan import PlannedClump
from server.policy.dispatch.menu import Floats, Ints, Menu
from server.policy.dispatch.pricing import Planner, Pricing, slo_between
from server.policy.dispatch.returning import returning
from server.policy.dispatch.risks import Barred, Risk, risks
from server.policy.dispatch.shed import spare
from server.policy.dispatch.wait_value import WaitValue
from server.policy.queueing.tickets import Queue


class Line(NamedTuple):
    """The tickets considered: those from `late` on, up to `first` of which cannot be reached.

    `spare_s[i]` is the latest clock time to start on ticket i and those behind it; infinite behind the last one.
    """

    late: int
    first: int
    deadlines: Floats
    spare_s: Floats


class Scene(NamedTuple):
    """All that steps are weighed by. `returning`: what each arm leaves the worker behind, where switches cost."""

    line: Line
    pricing: Pricing
    menu: Menu
    wait_value: WaitValue
    risks: tuple[Risk, ...]
    planned: PlannedClump | None
    returning: Floats | None = None


def decide(queue: Queue, mask: int, planner: Planner, outlook: Outlook, now_s: float) -> Decision:
    """The best step for tickets that accept the arms of `mask`. Late ones are dropped, and those out of reach."""
    if queue.deadlines[-1] < now_s + planner.quickest_s(mask, 1):
        return Idle(tuple(drops(queue, "late")))
    scene = survey(queue, mask, planner, outlook, now_s)
    menu, late = scene.menu, scene.line.late
    worth, begin = weighed(scene)
    best = int(worth.argmax())
    start = late + int(begin[best])
    end = start + int(menu.size[best])
    shed = queue[late:start]
    dropped = [*drops(queue[:late], "late"), *drops(shed, "shed")] if start else ()
    reason = "overload" if shed else "drain" if end == len(queue) else "partial"
    terms = scene.pricing.terms(queue.rows - late, outlook)
    arm = menu.arms[menu.arm[best]]
    return Run(arm, tuple(queue[start:end]), reason, tuple(dropped), terms)


def survey(queue: Queue, mask: int, planner: Planner, outlook: Outlook, now_s: float) -> Scene:
    """The tickets that are not late, and the terms for serving them. At least one must not be late."""
    late = bisect_left(queue.deadlines, now_s + planner.quickest_s(mask, 1))
    deadlines = np.array(queue.deadlines[late : late + planner.look])
    count = len(deadlines)
    first_ticket = queue[late]
    slo_s = slo_between(first_ticket, queue[late + count - 1])
    table = planner.costs(mask, slo_s)
    row_s = planner.row_s(table, outlook) / outlook.workers
    lag_s = planner.lag_s(table, count, outlook)
    spare_s = spare(deadlines, row_s * planner.ordinals[:count], lag_s)
    first = min(int(spare_s.searchsorted(now_s)), count - 1)
    bound_s = first_ticket.deadline_s - first_ticket.arrival_s
    pricing = planner.pricing(table, slo_s, 0 if first else count, outlook, now_s, bound_s)
    menu = planner.menu(mask)
    return Scene(
        Line(late, first, deadlines, spare_s),
        pricing,
        menu,
        planner.wait_value(mask, slo_s),
        risks(outlook, row_s, slo_s, planner, shed=first > 0),
        planner.planned_clump(mask, slo_s, table, outlook) if count > 1 else None,
        returning(menu.arms, table, pricing, slo_s) if planner.switches else None,
    )


def weighed(scene: Scene) -> tuple[Floats, Ints]:
    """For every entry of the menu that the line can fill: its worth, and where in the line it begins.

    The worth is the accuracy it earns and what those behind it can still get, less the price of its time, less what it
    puts out of reach and what it risks. Of a clump that is planned as a whole it is partly the plan's. A large batch
    may begin behind tickets that it would make late: those are given up. Minus infinity where none of that size is in
    time.
    """
    line, pricing, menu = scene.line, scene.pricing, scene.menu
    count = len(line.deadlines)
    begin, end = _windows(line, pricing, menu)
    mean_s = menu.mean_s[: len(begin)]
    worth, waiting = _at_risk(scene)
    worth = worth[: len(begin)]
    worth[end > count] = -np.inf
    end = np.minimum(end, count)
    left, done_s = count - end, pricing.now_s + pricing.busy_share * mean_s
    stay: float | Floats = waiting
    if waiting > scene.wait_value.least:
        slack_s = line.deadlines[np.minimum(end, count - 1)] - (done_s + pricing.guard_s)
        stay = np.minimum(stay, scene.wait_value.at(left, slack_s))
    worth += left * stay
    if waiting < 0.0:  # who is given up on is worth no more than who waits on
        worth += (begin - line.first) * waiting
    worth -= pricing.lost / pricing.row_s * np.maximum(done_s - line.spare_s[end], 0.0)
    if scene.returning is not None:
        worth -= scene.returning[menu.arm[: len(begin)]]
    if (planned := scene.planned) is not None:
        left_s = float(line.deadlines[-1]) - pricing.guard_s - pricing.now_s
        as_one = planned.worth(menu.accuracy[: len(begin)], mean_s, left, left_s)
        worth += planned.weight * np.where(worth == -np.inf, 0.0, as_one - worth)
    return worth, begin


def _at_risk(scene: Scene) -> tuple[Floats, float]:
    """(what each entry of the menu earns, less the price of its time and what it risks; what a row left waiting is
    worth at best: its own batch may stall, too, or meet a clump)."""
    pricing, menu, waiting = scene.pricing, scene.menu, scene.pricing.stay
    worth = earned = menu.accuracy - pricing.price * menu.mean_s
    for risk in scene.risks:
        at_risk = pricing.lost * risk.lost(menu.mean_s)
        if not isinstance(risk, Barred):
            each = (earned - at_risk) / menu.size
            waiting = min(waiting, float(each[each.argmax()]))
        worth = worth - at_risk
    return worth, waiting


def _windows(line: Line, pricing: Pricing, menu: Menu) -> tuple[Ints, Ints]:
    """Where each entry's batch begins in the line, the first ticket that it makes not late, and ends.

    The fastest arm for one row always begins with the first: that is in time if it starts at once, without the guard.
    """
    count, first = len(line.deadlines), line.first
    rows = min(count - first, menu.most)
    size, start_s = menu.size[: menu.count[rows]], pricing.now_s + pricing.guard_s
    if line.deadlines[first] >= start_s + menu.slowest_s[rows]:
        return np.full(len(size), first), size + first
    begin = line.deadlines.searchsorted(menu.upper_s[: len(size)] + start_s)
    begin = np.maximum(begin, first)
    begin[menu.alone] = first
    return begin, begin + size
