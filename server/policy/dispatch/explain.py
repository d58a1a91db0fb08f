"""Why a decision was what it was: the steps the adaptive policy weighed, made again from what it saw."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from server.policy.decision import ArmProfile, Idle, Outlook, Run, Ticket
from server.policy.dispatch.alike.picking import weighed
from server.policy.dispatch.alike.scene import Scene
from server.policy.dispatch.choose import as_alike, common_mask
from server.policy.dispatch.mixed.arrays import weighing as mixed
from server.policy.dispatch.mixed.arrays.groups import offered
from server.policy.dispatch.mixed.scene import survey
from server.policy.dispatch.pricing import Planner
from server.policy.dispatch.tuning import DEFAULT, Tuning
from server.policy.queueing.tickets import Queue


@dataclass(frozen=True, slots=True)
class Alternative:
    """One step that could have been taken: its worth less the best one's (in accuracies), its upper latency (s).

    A step that would not be `in_time` has no worth and comes last.
    """

    variant: str
    rows: int
    worth: float
    latency_s: float
    in_time: bool


def alternatives(
    arms: Sequence[ArmProfile],
    tickets: Sequence[Ticket],
    outlook: Outlook,
    now_s: float,
    tuning: Tuning = DEFAULT,
) -> tuple[Alternative, ...]:
    """Every step weighed for `tickets` (earliest deadline first) at `now_s`, best first; none where all are late."""
    queue, planner = Queue.of(tickets), Planner(arms, tuning).after(outlook.last)
    step = as_alike(queue, planner, outlook, now_s) if tickets else Idle()
    if step is None:
        found = _mixed(queue, planner, outlook, now_s)
    elif isinstance(step, Run):
        found = _alike(queue, planner, outlook, now_s)
    else:
        found = iter(())
    return tuple(sorted(found, key=lambda c: (not c.in_time, -c.worth, c.latency_s)))


def _alike(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> Iterator[Alternative]:
    mask = common_mask(queue, planner) or 0
    late = bisect_left(queue.deadlines, now_s + planner.quickest_s(mask, 1))
    scene = Scene(queue, mask, planner, outlook, (now_s, late))
    worth, menu = weighed(scene), scene.menu
    most = max(worth)
    arms = [menu.arms[i] for i in menu.runs_on[: scene.offered]]
    return _listed(arms, menu.size[: scene.offered].tolist(), [one - most for one in worth])


def _mixed(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> Iterator[Alternative]:
    scene = survey(queue, planner, outlook, now_s)
    if not scene.few.tickets:
        return iter(())
    crowd = scene.few.crowd()
    batches = offered(crowd, scene.value, planner, scene.pricing)
    if not len(batches.whom):
        return iter(())
    worth = mixed.weighed(scene, crowd, batches, planner)
    arms = [batches.arm(i) for i in range(len(worth))]
    return _listed(arms, batches.rows.tolist(), (worth - worth.max()).tolist())


def _listed(
    arms: Iterable[ArmProfile], rows: Iterable[int], worth: Iterable[float]
) -> Iterator[Alternative]:
    for arm, size, value in zip(arms, rows, worth, strict=True):
        in_time = isfinite(value)
        yield Alternative(
            arm.arm.variant, size, value if in_time else 0.0, arm.upper_s[size], in_time
        )
