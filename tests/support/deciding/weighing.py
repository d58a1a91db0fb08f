"""What the policy decides where tickets are alike, made plainly: every step is weighed, all at once as arrays."""

from bisect import bisect_left
from typing import NamedTuple

import numpy as np

from server.policy.decision import Decision, Idle, Outlook, Run, Terms, drops
from server.policy.dispatch.clump_plan import BUCKETS, PlanAtPrice, PlannedClump
from server.policy.dispatch.menu import Floats, Ints
from server.policy.dispatch.pricing import Planner, Pricing, slo_between
from server.policy.dispatch.returning import returning
from server.policy.dispatch.risks import Barred, risks
from server.policy.queueing.tickets import Queue


class Seen(NamedTuple):
    """The tickets that are not late: their deadlines, the latest time to start on each and those behind it, how many of
    them go first; and what all of that is weighed by."""

    deadlines: Floats
    spare_s: Floats
    first: int
    planner: Planner
    outlook: Outlook
    mask: int
    slo_s: float
    now_s: float
    bound_s: float


def decide(queue: Queue, mask: int, planner: Planner, outlook: Outlook, now_s: float) -> Decision:
    """The same as `server.policy.dispatch.alike.step.decide`."""
    if queue.deadlines[-1] < now_s + planner.quickest_s(mask, 1):
        return Idle(tuple(drops(queue, "late")))
    late, seen = seen_now(queue, mask, planner, outlook, now_s)
    worth, begin = weighed(seen)
    best = int(worth.argmax())
    menu, start = planner.menu(mask), late + int(begin[best])
    end = start + int(menu.size[best])
    shed = queue[late:start]
    reason = "overload" if shed else "drain" if end == len(queue) else "partial"
    on = pricing(seen)
    terms = Terms(queue.rows - late, outlook.rate_rps, on.affordable_s, on.price, on.stay)
    dropped = (*drops(queue[:late], "late"), *drops(shed, "shed"))
    return Run(menu.arms[int(menu.arm[best])], tuple(queue[start:end]), reason, dropped, terms)


def seen_now(
    queue: Queue, mask: int, planner: Planner, outlook: Outlook, now_s: float
) -> tuple[int, Seen]:
    """How many are late, and the rest."""
    late = bisect_left(queue.deadlines, now_s + planner.quickest_s(mask, 1))
    deadlines = np.array(queue.deadlines[late : late + planner.look])
    count, head = len(deadlines), queue[late]
    slo_s = slo_between(head, queue[late + count - 1])
    table = planner.costs(mask, slo_s)
    work_s = planner.row_s(table, outlook) / outlook.workers * np.arange(1.0, count + 1.0)
    spare_s = spare(deadlines, work_s, planner.lag_s(table, count, outlook))
    first = min(int(spare_s.searchsorted(now_s)), count - 1)
    bound_s = head.deadline_s - head.arrival_s
    return late, Seen(deadlines, spare_s, first, planner, outlook, mask, slo_s, now_s, bound_s)


def spare(deadlines: Floats, work_s: Floats, lag_s: float) -> Floats:
    """The latest clock time (s) to start on tickets i, i+1, ... so that each is in time; one entry more, infinite."""
    latest = np.empty(len(deadlines) + 1)
    latest[-1] = np.inf
    latest[:-1] = np.minimum.accumulate((deadlines - work_s)[::-1])[::-1]
    latest -= lag_s
    latest[1:-1] += work_s[:-1]
    return latest


def weighed(seen: Seen) -> tuple[Floats, Ints]:
    """For every entry of the menu that can be filled: its worth, and where in the line it begins."""
    planner, outlook = seen.planner, seen.outlook
    table, menu, on = planner.costs(seen.mask, seen.slo_s), planner.menu(seen.mask), pricing(seen)
    begin, end = windows(seen, on.guard_s)
    mean_s, count = menu.mean_s[: len(begin)], len(seen.deadlines)
    worth, waiting = at_risk(seen, on)
    worth = worth[: len(begin)]
    worth[end > count] = -np.inf
    end = np.minimum(end, count)
    left, done_s = count - end, on.now_s + on.busy_share * mean_s
    slack_s = seen.deadlines[np.minimum(end, count - 1)] - (done_s + on.guard_s)
    could = planner.wait_value(seen.mask, seen.slo_s).at(left, slack_s)
    worth += left * np.minimum(could, waiting) + (begin - seen.first) * min(waiting, 0.0)
    worth -= on.lost / on.row_s * np.maximum(done_s - seen.spare_s[end], 0.0)
    if planner.switches:
        behind = [returning(i, menu.arms, table, on, seen.slo_s) for i in range(len(menu.arms))]
        worth -= np.array(behind)[menu.arm[: len(begin)]]
    planned = planner.planned_clump(seen.mask, seen.slo_s, table, outlook) if count > 1 else None
    if planned is not None:
        left_s = float(seen.deadlines[-1]) - on.guard_s - on.now_s
        as_one = menu.accuracy[: len(begin)] - planned.price * mean_s
        as_one += after(planned, mean_s, left, left_s)
        worth += planned.weight * np.where(worth == -np.inf, 0.0, as_one - worth)
    return worth, begin


def pricing(seen: Seen) -> Pricing:
    """The terms."""
    table = seen.planner.costs(seen.mask, seen.slo_s)
    rows = 0 if seen.first else len(seen.deadlines)
    return seen.planner.pricing(table, seen.slo_s, rows, seen.outlook, seen.now_s, seen.bound_s)


def at_risk(seen: Seen, on: Pricing) -> tuple[Floats, float]:
    """What each entry earns, less the price of its time and what it risks; what a row left waiting is worth at best."""
    menu, waiting = seen.planner.menu(seen.mask), on.stay
    worth = earned = menu.accuracy - on.price * menu.mean_s
    for risk in risks(seen.outlook, on.row_s, seen.slo_s, seen.planner, shed=seen.first > 0):
        lost = on.lost * risk.lost_by_each(menu.mean_s)
        if not isinstance(risk, Barred):
            waiting = min(waiting, float(((earned - lost) / menu.size).max()))
        worth = worth - lost
    return worth, waiting


def windows(seen: Seen, guard_s: float) -> tuple[Ints, Ints]:
    """Where each entry's batch begins in the line, the first ticket that it makes not late, and ends."""
    menu, first = seen.planner.menu(seen.mask), seen.first
    size = menu.size[: menu.count[min(len(seen.deadlines) - first, menu.most)]]
    needed_s = menu.upper_s[: len(size)] + (seen.now_s + guard_s)
    begin = np.maximum(seen.deadlines.searchsorted(needed_s), first)
    begin[menu.alone] = first
    return begin, begin + size


def after(planned: PlannedClump, mean_s: Floats, left: Ints, left_s: float) -> Floats:
    """What is left behind is worth to all workers from then on, or to the others at once."""
    workers, plan = planned.workers, planned.plan
    found = shared(plan, left, left_s - mean_s / workers, workers)
    if workers > 1:
        found = np.maximum(found, shared(plan, left, np.full(len(left), left_s), workers - 1))
    return found


def shared(plan: PlanAtPrice, left: Ints, time_s: Floats, workers: int) -> Floats:
    """What so many rows are worth that so many workers share."""
    each = -(-left // workers)
    bucket = np.minimum(np.maximum(time_s * plan.per_s, 0.0), BUCKETS).astype(np.intp)
    return np.array(plan.best)[each, bucket] * (left / np.maximum(each, 1))
