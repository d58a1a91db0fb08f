"""The decision where tickets differ: in rows, in the arms they accept, or in what an answer to their class is worth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.policy.decision import ArmProfile, Decision, Drop, Idle, Outlook, Run, Ticket
from server.policy.dispatch.costs import LEAST
from server.policy.dispatch.menu import Floats
from server.policy.dispatch.pricing import Planner, Pricing, slo_between
from server.policy.dispatch.shed import shed, spare
from server.policy.queueing.tickets import Queue


@dataclass(frozen=True, slots=True)
class Crowd:
    """Tickets that can each be in time alone, earliest deadline first, and what each is worth and accepts.

    `own_s[i]` is the shared worker time that ticket i takes at best, `lag_s` how much later than that it is done.
    """

    tickets: Sequence[Ticket]
    deadlines: Floats
    rows: Floats
    values: Floats
    masks: Sequence[int]
    own_s: Floats
    lag_s: float

    def without(self, gone: Sequence[int]) -> "Crowd":
        """The same less these indices."""
        left = set(gone)
        keep = [i for i in range(len(self.tickets)) if i not in left]
        return Crowd(
            tickets=[self.tickets[i] for i in keep],
            deadlines=self.deadlines[keep],
            rows=self.rows[keep],
            values=self.values[keep],
            masks=[self.masks[i] for i in keep],
            own_s=self.own_s[keep],
            lag_s=self.lag_s,
        )


_NONE = np.zeros(0)
_NOBODY = Crowd((), _NONE, _NONE, _NONE, (), _NONE, 0.0)
_NO_TERMS = Pricing(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Batches:
    """For every arm that suits the first ticket: the batches of all tickets up to some one which the arm suits.

    The arrays are (arms, tickets). `worth` is minus infinity where there is no such batch, it is too large or late.
    """

    arms: Sequence[ArmProfile]
    accepts: NDArray[np.bool_]
    rows: NDArray[np.intp]
    worth: Floats


@dataclass(frozen=True, slots=True)
class Servable:
    """Who is left to serve and on what terms, once those who cannot be in time are out."""

    crowd: Crowd
    pricing: Pricing
    drops: tuple[Drop, ...]


def decide(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> Decision:
    """The best step: neighbours in the queue, but for those in between that do not accept the arm."""
    scene = survey(queue, planner, outlook, now_s)
    crowd, drops = scene.crowd, scene.drops
    if not crowd.tickets:
        return Idle(drops)
    batches = weighed(crowd, scene.pricing, planner)
    arm, last = divmod(int(batches.worth.argmax()), len(crowd.tickets))
    if batches.worth[arm, last] == -np.inf:  # in time only if it starts at once, without the guard
        run_on, members = _alone(crowd, planner.arms)
    else:
        picked = np.flatnonzero(batches.accepts[arm, : last + 1]).tolist()
        run_on, members = batches.arms[arm], tuple([crowd.tickets[i] for i in picked])
    shed_some = bool(drops) and drops[-1].reason == "shed"
    all_run = len(members) == len(queue) - len(drops)
    reason = "overload" if shed_some else "drain" if all_run else "partial"
    return Run(run_on, members, reason, drops, scene.pricing.terms(queue.rows, outlook))


def survey(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> Servable:
    """Drop who is late, shed who is out of reach, and set the terms for the rest."""
    crowd, late = _gathered(queue, planner, outlook, now_s)
    drops = [Drop(ticket, "late") for ticket in late]
    if not crowd.tickets:
        return Servable(crowd, _NO_TERMS, tuple(drops))
    gone = _shed(crowd, now_s)
    drops += [Drop(crowd.tickets[i], "shed") for i in sorted(gone)]
    left = crowd.without(gone) if gone else crowd
    slo_s = slo_between(left.tickets[0], left.tickets[-1])
    rows = 0 if gone else int(left.rows.sum())
    table = planner.costs(left.masks[0], slo_s)
    return Servable(left, planner.pricing(table, slo_s, rows, outlook, now_s), tuple(drops))


def _gathered(
    queue: Queue, planner: Planner, outlook: Outlook, now_s: float
) -> tuple[Crowd, list[Ticket]]:
    """The head of the queue: those that can be in time, and those that cannot (or that no arm can serve at all)."""
    look = planner.look
    head, demands, deadlines = queue[:look], queue.demand_of[:look], queue.deadlines[:look]
    masks = {d: planner.mask(d[1], d[2]) for d in set(demands)}
    quick_s = {d: now_s + planner.quickest_s(masks[d], d[0]) for d in masks}
    fit = [i for i, (d, at) in enumerate(zip(demands, deadlines, strict=True)) if at >= quick_s[d]]
    if len(fit) == len(head):
        late: list[Ticket] = []
    else:
        left = set(fit)
        late = [ticket for i, ticket in enumerate(head) if i not in left]
        head, demands = [head[i] for i in fit], [demands[i] for i in fit]
        deadlines = [deadlines[i] for i in fit]
    if not head:
        return _NOBODY, late
    slo_s = slo_between(head[0], head[-1])
    tables = {d: planner.costs(masks[d], slo_s) for d in set(demands)}
    own_s = {d: d[0] * planner.row_s(t, outlook) / outlook.workers for d, t in tables.items()}
    facts = {d: (d[0], outlook.values.get(d[3], 1.0), own_s[d]) for d in own_s}
    rows, values, work_s = np.array([facts[d] for d in demands]).T
    lag_s = planner.lag_s(tables[demands[0]], int(rows.sum()), outlook)
    kept = [masks[d] for d in demands]
    return Crowd(head, np.array(deadlines), rows, values, kept, work_s, lag_s), late


def weighed(crowd: Crowd, pricing: Pricing, planner: Planner) -> Batches:
    """Every batch of the crowd on every arm: accuracy earned, less the price of time and what else it costs."""
    able = [i for i in range(len(planner.arms)) if crowd.masks[0] >> i & 1]
    able_arms, accepts = [planner.arms[i] for i in able], _accepted(crowd, able)
    rows = np.cumsum(accepts * crowd.rows, axis=1).astype(np.intp)
    means, uppers = planner.tables
    at = np.minimum(rows, planner.most + 1)
    mean_s, upper_s = (np.take_along_axis(table[able], at, axis=1) for table in (means, uppers))
    valid = accepts & (upper_s <= crowd.deadlines[0] - pricing.now_s - pricing.guard_s)
    accuracy = np.array([max(arm.accuracy, LEAST) for arm in able_arms])[:, None]
    earned = np.cumsum(accepts * (crowd.rows * crowd.values), axis=1) * (accuracy - pricing.stay)
    over_s = pricing.now_s + pricing.busy_share * mean_s - _latest(crowd, accepts)
    worth = earned - pricing.price * mean_s - pricing.lost / pricing.row_s * np.maximum(over_s, 0.0)
    return Batches(able_arms, accepts, rows, np.where(valid, worth, -np.inf))


def _shed(crowd: Crowd, now_s: float) -> list[int]:
    """Indices to give up so that the others are within reach; none where all are."""
    if (crowd.deadlines - np.cumsum(crowd.own_s) >= now_s + crowd.lag_s).all():
        return []
    worths = crowd.values * crowd.rows
    return shed(crowd.deadlines, crowd.own_s, worths, now_s + crowd.lag_s)


def _latest(crowd: Crowd, accepts: NDArray[np.bool_]) -> Floats:
    """The latest clock time (s) at which a batch may end for those it passes over and those behind to stay in time."""
    passed_s = np.cumsum(np.where(accepts, 0.0, crowd.own_s), axis=1)
    over = np.where(accepts, np.inf, crowd.deadlines - crowd.lag_s - passed_s)
    behind = spare(crowd.deadlines, np.cumsum(crowd.own_s), crowd.lag_s)[1:]
    return np.minimum(np.minimum.accumulate(over, axis=1), behind - passed_s)


def _accepted(crowd: Crowd, arms: Sequence[int]) -> NDArray[np.bool_]:
    """(arms, tickets): whether the arm meets the ticket's demand."""
    columns = {m: [m >> i & 1 for i in arms] for m in set(crowd.masks)}
    return np.array([columns[m] for m in crowd.masks], dtype=np.bool_).T


def _alone(crowd: Crowd, arms: Sequence[ArmProfile]) -> tuple[ArmProfile, tuple[Ticket, ...]]:
    """The fastest arm for the first ticket by itself: in time even where nothing else is."""
    first, mask = crowd.tickets[0], crowd.masks[0]
    able = [a for i, a in enumerate(arms) if mask >> i & 1 and first.rows <= a.max_batch]
    return min(able, key=lambda a: a.upper_s[first.rows]), (first,)
