"""The decision where tickets differ: in rows, in the arms they accept, or in what an answer to their class is worth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.policy.decision import ArmProfile, Decision, Drop, Idle, Outlook, Run, Ticket
from server.policy.dispatch.clumps import Clumping, clumping
from server.policy.dispatch.companies import Lines, Rest, companies, lines, rest
from server.policy.dispatch.crowd import NOBODY, Crowd, gathered, within_reach
from server.policy.dispatch.hull import joint_price
from server.policy.dispatch.menu import Floats, Ints, Menu
from server.policy.dispatch.pricing import Planner, Pricing
from server.policy.queueing.tickets import Queue


@dataclass(frozen=True, slots=True)
class Scene:
    """All that steps are weighed by. By kind: `value`, what its accuracy counts; `stay`, what a waiting row is worth."""

    crowd: Crowd
    pricing: Pricing
    value: Floats
    stay: Floats
    clumping: Clumping | None
    drops: tuple[Drop, ...]


@dataclass(frozen=True, slots=True)
class Batches:
    """Batch i runs entries `begin[i]` to `end[i]` of `lines` on an arm, `rows[i]` rows in all; `lines` of whom[i].

    `worth` is minus infinity where there is no such batch, it is too large or late.
    """

    lines: Lines
    menus: Sequence[Menu]
    whom: Ints
    entry: Ints
    begin: Ints
    end: Ints
    rows: Ints
    worth: Floats

    def arm(self, i: int) -> ArmProfile:
        """That of batch i."""
        menu = self.menus[int(self.whom[i])]
        return menu.arms[int(menu.arm[int(self.entry[i])])]


_NONE = np.zeros(0)
_NO_TERMS = Pricing(0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0)


def decide(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> Decision:
    """The best step: those of some kinds in order, from some ticket on, others passed over.

    A step may begin behind tickets that it would make late: they wait on, and are dropped once they are late.
    """
    scene = survey(queue, planner, outlook, now_s)
    crowd, drops = scene.crowd, scene.drops
    if not crowd.tickets:
        return Idle(drops)
    batches = weighed(scene, planner)
    best = int(batches.worth.argmax())
    if batches.worth[best] == -np.inf:  # in time only if it starts at once, without the guard
        run_on, members = _alone(crowd, planner.arms)
    else:
        picked = batches.lines.at[batches.begin[best] : batches.end[best]].tolist()
        run_on, members = batches.arm(best), tuple([crowd.tickets[i] for i in picked])
    shed_some = bool(drops) and drops[-1].reason == "shed"
    all_run = len(members) == len(queue) - len(drops)
    reason = "overload" if shed_some else "drain" if all_run else "partial"
    return Run(run_on, members, reason, drops, scene.pricing.terms(queue.rows, outlook))


def survey(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> Scene:
    """Drop who is late, shed who is out of reach, and set the terms for the rest."""
    crowd, late = gathered(queue, planner, outlook, now_s)
    drops = [Drop(ticket, "late") for ticket in late]
    if not crowd.tickets:
        return Scene(NOBODY, _NO_TERMS, _NONE, _NONE, None, tuple(drops))
    kept = within_reach(crowd, now_s)
    shed_some = len(kept) < len(crowd.tickets)
    if shed_some:
        gone = np.setdiff1d(np.arange(len(crowd.tickets)), kept, assume_unique=True)
        drops += [Drop(crowd.tickets[i], "shed") for i in gone.tolist()]
        crowd = crowd.only(kept)
    pricing, value, stay = _terms(crowd, planner, outlook, now_s, shed_some)
    risk = clumping(outlook, pricing.row_s, crowd.kinds[0].slo_s)
    return Scene(crowd, pricing, value, stay, risk, tuple(drops))


def _terms(
    crowd: Crowd, planner: Planner, outlook: Outlook, now_s: float, shed_some: bool
) -> tuple[Pricing, Floats, Floats]:
    """One price for all kinds, as they share the workers; what a row that waits is worth, by kind."""
    rows = np.bincount(crowd.kind, crowd.rows, len(crowd.kinds))
    share = rows / rows.sum()
    slo_s = 1.0 / float(share @ [1.0 / kind.slo_s for kind in crowd.kinds])
    affordable_s = 0.0 if shed_some else planner.affordable_s(int(rows.sum()), slo_s, outlook)
    if outlook.caution:
        affordable_s = _careful_s(crowd, share, affordable_s, outlook.caution)
    there = [(s, kind.table) for s, kind in zip(share.tolist(), crowd.kinds, strict=True) if s]
    price = joint_price([(s, table.prices) for s, table in there], affordable_s)
    least_s = sum(s * table.vertices[0].cost_s for s, table in there)
    value = np.array([max(kind.value, 0.9) if affordable_s <= least_s else 1.0 for kind in crowd.kinds])
    kinds = zip(value.tolist(), crowd.kinds, strict=True)
    stay = np.array(
        [max(0.0, *[v * p.accuracy - price * p.cost_s for p in k.table.vertices]) for v, k in kinds]
    )
    pricing = Pricing(
        now_s=now_s,
        affordable_s=affordable_s,
        price=price,
        stay=float(share @ stay),
        lost=planner.tuning.lost_weight * sum(s * table.vertices[0].accuracy for s, table in there),
        row_s=float(share @ [kind.work_s for kind in crowd.kinds]),
        busy_share=1.0 / outlook.workers,
        guard_s=planner.tuning.guard * slo_s,
    )
    return pricing, value, stay


def _careful_s(crowd: Crowd, share: Floats, affordable_s: float, caution: float) -> float:
    parts = zip(share.tolist(), crowd.kinds, strict=True)
    return sum(s * kind.table.careful_s(affordable_s, caution) for s, kind in parts)


def weighed(scene: Scene, planner: Planner) -> Batches:
    """Every batch of every company: accuracy earned, less the price of time, what it gives up and what it risks."""
    crowd, pricing = scene.crowd, scene.pricing
    formed = lines(crowd, companies(crowd))
    batches = _offered(scene, formed, planner)
    whom, begin, end = batches.whom, batches.begin, batches.end
    valid = batches.rows > 0
    mean_s, accuracy = _costs(batches)
    value, stay, gone = _sums(scene, formed)
    worth = (value[end] - value[begin]) * accuracy - (stay[end] - stay[begin])
    worth -= gone[begin] - gone[formed.first[whom]]
    worth -= pricing.price * mean_s
    done_s = pricing.now_s + pricing.busy_share * mean_s
    last = formed.at[np.maximum(end, 1) - 1]
    worth -= _lost(rest(crowd, formed), whom, last, done_s)
    worth += _waiting_less(scene, formed, planner, (whom, last, done_s))
    if scene.clumping is not None:
        worth -= pricing.lost * scene.clumping.lost(mean_s)
    worth[~valid] = -np.inf
    return Batches(formed, batches.menus, whom, batches.entry, begin, end, batches.rows, worth)


def _offered(scene: Scene, formed: Lines, planner: Planner) -> Batches:
    """The batches that the companies can fill, in time: `rows` is 0 where they are not. Not weighed yet."""
    crowd, pricing = scene.crowd, scene.pricing
    menus = [planner.menu(one.mask) for one in formed.companies]
    rows = np.concatenate(([0.0], np.cumsum(crowd.rows[formed.at])))
    first = formed.first
    waiting = (rows[first[1:]] - rows[first[:-1]]).astype(np.intp).tolist()
    counts = [m.count[min(w, m.most)] for m, w in zip(menus, waiting, strict=True)]
    whom = np.repeat(np.arange(len(menus)), counts)
    entry = np.concatenate([np.arange(n) for n in counts])
    size = np.concatenate([m.size[:n] for m, n in zip(menus, counts, strict=True)])
    upper_s = np.concatenate([m.upper_s[:n] for m, n in zip(menus, counts, strict=True)])
    slack_s = crowd.deadlines[formed.at] - pricing.now_s
    begin = _first_in_time(slack_s, upper_s + pricing.guard_s, first, whom)
    stop = first[1:][whom]
    if rows[-1] == len(formed.at):
        end = begin + size
        fill = np.where(end <= stop, size, 0)
        end = np.minimum(end, stop)
    else:
        end = np.minimum(rows.searchsorted(rows[begin] + size, side="right") - 1, stop)
        fill = (rows[end] - rows[begin]).astype(np.intp)
    return Batches(formed, menus, whom, entry, begin, end, fill, np.zeros(0))


def _first_in_time(slack_s: Floats, needed_s: Floats, first: Ints, whom: Ints) -> Ints:
    """The first entry of its company's that leaves each batch the time it needs; the company's end where none does."""
    span_s = float(max(slack_s.max(), needed_s.max())) * 2.0
    company = np.repeat(np.arange(len(first) - 1), np.diff(first))
    found = (slack_s + span_s * company).searchsorted(needed_s + span_s * whom)
    return np.minimum(found, first[1:][whom])


def _costs(batches: Batches) -> tuple[Floats, Floats]:
    """Mean latency (s), and accuracy of a row."""
    counts = np.bincount(batches.whom, minlength=len(batches.menus)).tolist()
    parts = list(zip(batches.menus, counts, strict=True))
    mean_s = np.concatenate([m.mean_s[:n] for m, n in parts])
    return mean_s, np.concatenate([m.accuracy[:n] / m.rows[:n] for m, n in parts])


def _sums(scene: Scene, formed: Lines) -> Floats:
    """Sums over the entries before each: of values, of what they are worth waiting, of what giving them up costs."""
    crowd = scene.crowd
    least = np.array([kind.table.vertices[0].accuracy for kind in crowd.kinds])
    gone = scene.stay + (scene.value - scene.value.min()) * least
    sums = np.zeros((3, len(formed.at) + 1))
    by_kind = np.stack((scene.value, scene.stay, gone))[:, crowd.kind[formed.at]]
    np.cumsum(crowd.rows[formed.at] * by_kind, axis=1, out=sums[:, 1:])
    return sums


def _lost(left: Rest, whom: Ints, last: Ints, done_s: Floats) -> Floats:
    """What will be out of reach, those worth least for their time giving way to others."""
    over_s = np.maximum(done_s - left.latest_s[:, whom, last], 0.0)
    over_s = np.maximum.accumulate(over_s[::-1])[::-1]
    lost, gone_s = np.zeros(len(whom)), np.zeros(len(whom))
    for over, work, density in zip(over_s, left.work_s[:, whom, last], left.density, strict=True):
        lost += density * np.minimum(np.maximum(over - gone_s, 0.0), work)
        gone_s += work
    return lost


def _waiting_less(
    scene: Scene, formed: Lines, planner: Planner, step: tuple[Ints, Ints, Floats]
) -> Floats:
    """How much less those left are worth as their deadlines leave no room for better arms: at most 0."""
    whom, last, done_s = step
    crowd, less = scene.crowd, np.zeros(len(whom))
    for k, kind in enumerate(crowd.kinds):
        values = planner.wait_value(kind.mask, kind.slo_s)
        stay = float(scene.stay[k])
        mine = np.flatnonzero(crowd.kind == k)
        if stay <= float(scene.value[k]) * values.least or not len(mine):
            continue
        behind = np.where(formed.joins[whom, k], mine.searchsorted(last, side="right"), 0)
        rows = np.concatenate((np.cumsum(crowd.rows[mine][::-1])[::-1], [0.0]))[behind]
        slack_s = crowd.deadlines[mine[np.minimum(behind, len(mine) - 1)]] - done_s
        could = values.at(rows.astype(np.intp), slack_s - scene.pricing.guard_s)
        less += rows * np.minimum(float(scene.value[k]) * could - stay, 0.0)
    return less


def _alone(crowd: Crowd, arms: Sequence[ArmProfile]) -> tuple[ArmProfile, tuple[Ticket, ...]]:
    """The fastest arm for the first ticket by itself: in time even where nothing else is."""
    first, mask = crowd.tickets[0], crowd.kinds[int(crowd.kind[0])].mask
    able = [a for i, a in enumerate(arms) if mask >> i & 1 and first.rows <= a.max_batch]
    return min(able, key=lambda a: a.upper_s[first.rows]), (first,)
