"""The decision where tickets differ: in rows, in the arms they accept, or in what an answer to their class is worth."""

from collections.abc import Sequence

from server.policy.decision import ArmProfile, Decision, Idle, Outlook, Run
from server.policy.dispatch.mixed.arrays import weighing as by_arrays
from server.policy.dispatch.mixed.crowd import Few
from server.policy.dispatch.mixed.listed import weighing as listed
from server.policy.dispatch.mixed.scene import FEW, survey
from server.policy.dispatch.pricing import Planner
from server.policy.queueing.tickets import Queue


def decide(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> Decision:
    """The best step: those of some kinds in order, from some ticket on, others passed over.

    A step may begin behind tickets that it would make late: they wait on, and are dropped once they are late.
    """
    scene = survey(queue, planner, outlook, now_s)
    few, dropped = scene.few, scene.drops
    if not few.tickets:
        return Idle(dropped)
    best = listed.best if len(few.tickets) <= FEW else by_arrays.best
    found = best(scene, planner)
    if found is None:  # in time only if it starts at once, without the guard
        found = _alone(few, planner.arms), [0]
    run_on, picked = found
    members = tuple([few.tickets[i] for i in picked])
    shed_some = bool(dropped) and dropped[-1].reason == "shed"
    all_run = len(members) == len(queue) - len(dropped)
    reason = "overload" if shed_some else "drain" if all_run else "partial"
    return Run(run_on, members, reason, dropped, scene.pricing.terms(queue.rows, outlook))


def _alone(few: Few, arms: Sequence[ArmProfile]) -> ArmProfile:
    """The fastest arm for the first ticket by itself: in time even where nothing else is."""
    first, mask = few.tickets[0], few.masks[few.suit[0]]
    able = [a for i, a in enumerate(arms) if mask >> i & 1 and first.rows <= a.max_batch]
    return min(able, key=lambda a: a.upper_s[first.rows])
