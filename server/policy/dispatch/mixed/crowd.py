"""Who waits where tickets differ: which demands they make, who is late, and who must go where not all can be served."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np

from server.policy.decision import Outlook, Ticket
from server.policy.dispatch.costs import Costs
from server.policy.dispatch.menu import Floats, Ints
from server.policy.dispatch.pricing import Planner, Suits, slo_between
from server.policy.dispatch.shed import Bools, kept
from server.policy.queueing.tickets import Demand, Queue

RESERVE = 0.3
"""Share of its bound that a ticket is kept from its deadline where others are served that are worth far less."""
FAR_DENSER = 3
"""Of what is worth more for its time, this power of the share that the other lacks is kept: of little, little."""
NEARLY_AS_DENSE = 0.8
"""Above this share nothing is worth keeping."""
MOST_KINDS = 4
"""Where tickets differ in more ways, those that accept about as many arms are priced alike."""
MOST_RANKS = 4
"""Those that must go are told apart in so many steps of what they are worth for their time."""


class Kind(NamedTuple):
    """Tickets that are priced alike: by the arms of `mask`, their answers being worth `value`.

    `work_s` is the time all workers need for one row of it at best, `lag_s` how much later than that it is done.
    """

    mask: int
    value: float
    slo_s: float
    table: Costs
    work_s: float
    lag_s: float

    @property
    def least(self) -> float:
        """The accuracy of its cheapest arm."""
        return self.table.vertices[0].accuracy

    @property
    def density(self) -> float:
        """What serving it at best is worth for the time it takes (per s)."""
        return self.value * self.least / self.work_s


class Crowd(NamedTuple):
    """Tickets that can each be in time alone, earliest deadline first. Arrays have one entry per ticket.

    `kind[i]` indexes `kinds`, `suit[i]` indexes `masks`: the arms that ticket i accepts. `work_s[i]` is the time all
    workers need for it at best.
    """

    tickets: Sequence[Ticket]
    deadlines: Floats
    rows: Floats
    work_s: Floats
    kind: Ints
    suit: Ints
    kinds: Sequence[Kind]
    masks: Sequence[int]

    def only(self, kept: Bools) -> "Crowd":
        """The same of these. Kinds and masks stay as they are, those of which nobody is left too."""
        return Crowd(
            list(compress(self.tickets, kept)),
            self.deadlines[kept],
            self.rows[kept],
            self.work_s[kept],
            self.kind[kept],
            self.suit[kept],
            self.kinds,
            self.masks,
        )


_NONE, _NO_INTS = np.zeros(0), np.zeros(0, dtype=np.intp)
NOBODY = Crowd((), _NONE, _NONE, _NONE, _NO_INTS, _NO_INTS, (), ())


def gathered(
    queue: Queue, planner: Planner, outlook: Outlook, now_s: float
) -> tuple[Crowd, list[Ticket]]:
    """The first of the queue that can be in time, and those before that cannot (or that no arm can serve at all)."""
    start = bisect_left(queue.deadlines, now_s + planner.quickest_s(planner.all, 1))
    late, stop = queue[:start], max(planner.look, start + planner.most)
    while start < len(queue):
        head, demands = queue[start:stop], queue.demand_of[start:stop]
        deadlines = np.array(queue.deadlines[start:stop])
        known = {demand: i for i, demand in enumerate(dict.fromkeys(demands))}
        code = np.fromiter(map(known.__getitem__, demands), np.intp, len(demands))
        suits = [planner.suits(demand) for demand in known]
        fit = deadlines >= np.array([now_s + one.quick_s for one in suits])[code]
        if not fit.all():
            late += compress(head, ~fit)
            head, deadlines, code = list(compress(head, fit)), deadlines[fit], code[fit]
        if head:
            asked = _Asked(list(known), suits, code)
            return _crowd(head, deadlines, asked, planner, outlook), late
        start, stop = stop, stop + planner.look
    return NOBODY, late


def within_reach(crowd: Crowd, now_s: float) -> Bools | None:
    """Whom to keep, so that all of them are within reach: at least one. None where all are."""
    due_s = crowd.deadlines - np.array([kind.lag_s + now_s for kind in crowd.kinds])[crowd.kind]
    if (crowd.work_s.cumsum() <= due_s).all():
        return None
    density = [-kind.density for kind in crowd.kinds]
    ranked = sorted(range(len(density)), key=density.__getitem__)
    if len(ranked) <= MOST_RANKS:
        return kept(due_s, crowd.work_s, crowd.kind, ranked, reserve_s(crowd.kinds))
    rank = np.zeros(len(ranked), dtype=np.intp)
    rank[ranked] = np.arange(len(ranked)) * MOST_RANKS // len(ranked)
    return kept(due_s, crowd.work_s, rank[crowd.kind], range(MOST_RANKS), None)


def reserve_s(kinds: Sequence[Kind]) -> Floats | None:
    """How far (s) a ticket of kind j is kept from its deadline where one of kind i is served beside it: (i, j).

    That is where answers to kind j are worth far more, or as much in far less time. None where nobody is worth more.
    """
    values, dense = [kind.value for kind in kinds], [kind.density for kind in kinds]
    if min(values) == max(values) and min(dense) >= NEARLY_AS_DENSE * max(dense):
        return None
    worth, density = np.array(values), np.array(dense)
    slo_s = np.array([kind.slo_s for kind in kinds])
    more = 1.0 - worth[:, None] / worth
    denser = np.maximum(0.0, 1.0 - density[:, None] / density) ** FAR_DENSER
    return RESERVE * slo_s * np.maximum(more, denser)


class _Asked(NamedTuple):
    """`code[i]` is the index of what ticket i asks for in `demands` and `suits`. Some nobody may ask for."""

    demands: Sequence[Demand]
    suits: Sequence[Suits]
    code: Ints


def _crowd(
    tickets: Sequence[Ticket], deadlines: Floats, asked: _Asked, planner: Planner, outlook: Outlook
) -> Crowd:
    """Sorted into kinds by the arms they accept and their class, or by whether these are few; the first stands for all.

    A kind's bound is that of the first ticket of it.
    """
    demands, suits, code = asked
    masks = [one.mask for one in suits]
    coded = code.tolist()
    first = dict(zip(reversed(coded), range(len(coded) - 1, -1, -1), strict=True))
    keys = [one.like for one in suits]
    if len(set(keys)) > MOST_KINDS:
        keys = [one.nearly for one in suits]
    number: dict[tuple[int, str], int] = {}
    kind_of, leads = [0] * len(demands), list[int]()
    for i, at in first.items():
        kind_of[i] = number.setdefault(keys[i], len(leads))
        if kind_of[i] == len(leads):
            leads.append(at)
    rows = np.array([float(demand[0]) for demand in demands])[code]
    waiting = int(rows.sum())
    kinds = [_kind(masks[int(code[at])], tickets[at], waiting, planner, outlook) for at in leads]
    known = {mask: i for i, mask in enumerate(dict.fromkeys(masks))}
    kind, suit = np.array([kind_of, [known[mask] for mask in masks]])[:, code]
    work_s = rows * np.array([one.work_s for one in kinds])[kind]
    return Crowd(tickets, deadlines, rows, work_s, kind, suit, kinds, list(known))


def _kind(mask: int, first: Ticket, waiting: int, planner: Planner, outlook: Outlook) -> Kind:
    """Of the ticket that stands for it, where `waiting` rows wait in all."""
    slo_s, value = slo_between(first, first), outlook.values.get(first.slo_class, 1.0)
    table = planner.costs(mask, slo_s)
    work_s = planner.row_s(table, outlook) / outlook.workers
    return Kind(mask, value, slo_s, table, work_s, planner.lag_s(table, waiting, outlook))
