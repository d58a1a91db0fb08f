"""The decision where all waiting tickets have one row and accept the same arms: the usual case, made to be quick."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from server.policy.decision import Decision, Drop, Idle, Outlook, Run
from server.policy.menu import Floats, Ints, Menu
from server.policy.plan import Plan, Planner, slo_between
from server.policy.shed import spare
from server.policy.tickets import Queue

LOOK_AHEAD = 128
"""Tickets considered per decision, or two of the largest batches if that is more: bounds a decision's time.

What lies behind them is met as the queue moves.
"""


@dataclass(frozen=True, slots=True)
class Line:
    """The tickets considered: those from `late` on, up to `first` of which cannot be reached.

    `spare_s[i]` is the latest clock time to start on ticket i and those behind it; infinite behind the last one.
    """

    late: int
    first: int
    deadlines: Floats
    spare_s: Floats


def decide(queue: Queue, mask: int, planner: Planner, outlook: Outlook, now_s: float) -> Decision:
    """The best step for tickets that accept the arms of `mask`. Late ones are dropped, and those out of reach."""
    if queue.deadlines[-1] < now_s + planner.quickest_s(mask, 1):
        return Idle(tuple([Drop(ticket, "late") for ticket in queue]))
    line, plan = survey(queue, mask, planner, outlook, now_s)
    late = line.late
    menu = planner.menu(mask)
    worth, begin = weighed(line, plan, menu)
    best = int(worth.argmax())
    arm, start, size = menu.arms[menu.arm[best]], int(begin[best]), int(menu.size[best])
    if worth[best] == -np.inf:  # in time only if it starts at once, without the guard
        arm, start, size = min(menu.arms, key=lambda a: a.upper_s[1]), line.first, 1
    shed, members = queue[late : late + start], queue[late + start : late + start + size]
    drops = [Drop(ticket, "late") for ticket in queue[:late]]
    drops += [Drop(ticket, "shed") for ticket in shed]
    reason = "overload" if shed else "drain" if late + start + size == len(queue) else "partial"
    return Run(arm, tuple(members), reason, tuple(drops), plan.terms(queue.rows - late, outlook))


def survey(
    queue: Queue, mask: int, planner: Planner, outlook: Outlook, now_s: float
) -> tuple[Line, Plan]:
    """The tickets that are not late, and the terms for serving them. At least one must not be late."""
    late = bisect_left(queue.deadlines, now_s + planner.quickest_s(mask, 1))
    deadlines = np.array(queue.deadlines[late : late + max(LOOK_AHEAD, 2 * planner.most)])
    count = len(deadlines)
    slo_s = slo_between(queue[late], queue[late + count - 1])
    table = planner.costs(mask, slo_s)
    row_s = planner.row_s(table) / outlook.workers
    lag_s = planner.lag_s(table, count, outlook.workers)
    spare_s = spare(deadlines, row_s * np.arange(1.0, count + 1.0), lag_s)
    first = min(int(spare_s.searchsorted(now_s)), count - 1)
    plan = planner.plan(table, slo_s, 0 if first else count, outlook, now_s)
    return Line(late, first, deadlines, spare_s), plan


def weighed(line: Line, plan: Plan, menu: Menu) -> tuple[Floats, Ints]:
    """For every entry of the menu that the line can fill: its worth, and where in the line it begins.

    The worth is the accuracy it earns, less the price of its time, less what its members and the tickets it skips
    would be worth waiting on, less what it puts out of reach. A large batch may begin behind tickets that it would make
    late: those are given up. Minus infinity where none of that size is in time.
    """
    count, first = len(line.deadlines), line.first
    fill = menu.count[min(count - first, menu.most)]
    mean_s, upper_s, rows = menu.mean_s[:fill], menu.upper_s[:fill], menu.rows[:fill]
    start_s = plan.now_s + plan.guard_s
    worth = menu.accuracy[:fill] - plan.price * mean_s - plan.stay * rows
    if line.deadlines[first] >= start_s + menu.slowest_s[min(count - first, menu.most)]:
        begin = np.full(fill, first)
        end = menu.size[:fill] + first
    else:
        begin = np.maximum(line.deadlines.searchsorted(upper_s + start_s), first)
        end = begin + menu.size[:fill]
        worth -= plan.stay * (begin - first)
        worth[end > count] = -np.inf
        end = np.minimum(end, count)
    over_s = plan.now_s + plan.busy_share * mean_s - line.spare_s[end]
    return worth - plan.lost / plan.row_s * np.maximum(over_s, 0.0), begin
