"""The step for tickets that are alike: the late are dropped, and those out of reach; the best batch runs."""

from bisect import bisect_left

from server.policy.decision import Decision, Idle, Outlook, Run, Terms, drops
from server.policy.dispatch.alike.picking import best
from server.policy.dispatch.alike.scene import Scene
from server.policy.dispatch.pricing import Planner
from server.policy.queueing.tickets import Queue


def decide(queue: Queue, mask: int, planner: Planner, outlook: Outlook, now_s: float) -> Decision:
    """The best step for tickets that accept the arms of `mask`. Late ones are dropped, and those out of reach."""
    deadlines = queue.deadlines
    soon_s = now_s + planner.quickest_s(mask, 1)
    if deadlines[-1] < soon_s:
        return Idle(tuple(drops(queue, "late")))
    late = 0 if deadlines[0] >= soon_s else bisect_left(deadlines, soon_s)
    scene = Scene(queue, mask, planner, outlook, (now_s, late))
    chosen, begin = best(scene)
    pricing, menu, start = scene.pricing, scene.menu, late + begin
    end = start + menu.entries[chosen][0]
    terms = Terms(
        queue.rows - late, outlook.rate_rps, pricing.affordable_s, pricing.price, pricing.stay
    )
    arm, members = menu.arms[menu.runs_on[chosen]], tuple(queue[start:end])
    whole = end == len(deadlines)
    if not start:
        return Run(arm, members, "drain" if whole else "partial", (), terms)
    dropped = (*drops(queue[:late], "late"), *drops(queue[late:start], "shed"))
    reason = "overload" if begin else "drain" if whole else "partial"
    return Run(arm, members, reason, dropped, terms)
