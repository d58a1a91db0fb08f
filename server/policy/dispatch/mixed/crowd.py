"""Who waits where tickets differ: which demands they make, and who is late.

Where few wait, or this runs compiled, `Few` are reckoned with one by one (`mixed.listed`), else a `Crowd` by arrays.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple

import numpy as np

from server.policy.decision import Outlook, Ticket
from server.policy.dispatch.costs import Costs
from server.policy.dispatch.menu import Floats, Ints
from server.policy.dispatch.pricing import Planner, Suits, slo_between
from server.policy.queueing.tickets import Demand, Queue

MOST_KINDS = 4
"""Where tickets differ in more ways, those that accept about as many arms are priced alike."""


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


class Few(NamedTuple):
    """Tickets that can each be in time alone, earliest deadline first. As in a `Crowd`, with lists for its arrays."""

    tickets: list[Ticket]
    deadlines: list[float]
    rows: list[float]
    work_s: list[float]
    kind: list[int]
    suit: list[int]
    kinds: list[Kind]
    masks: list[int]

    def only(self, stay: list[bool]) -> "Few":
        """The same of these. Kinds and masks stay as they are, those of which nobody is left too."""
        return Few(
            list(compress(self.tickets, stay)),
            list(compress(self.deadlines, stay)),
            list(compress(self.rows, stay)),
            list(compress(self.work_s, stay)),
            list(compress(self.kind, stay)),
            list(compress(self.suit, stay)),
            self.kinds,
            self.masks,
        )

    def crowd(self) -> "Crowd":
        """The same as arrays."""
        return Crowd(
            self.tickets,
            np.array(self.deadlines),
            np.array(self.rows),
            np.array(self.work_s),
            np.array(self.kind, dtype=np.intp),
            np.array(self.suit, dtype=np.intp),
            self.kinds,
            self.masks,
        )


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


NOBODY = Few([], [], [], [], [], [], [], [])


def gathered(
    queue: Queue, planner: Planner, outlook: Outlook, now_s: float
) -> tuple[Few, list[Ticket]]:
    """The first of the queue that can be in time, and those before that cannot (or that no arm can serve at all)."""
    start = bisect_left(queue.deadlines, now_s + planner.quickest_s(planner.all, 1))
    late, stop = queue[:start], max(planner.look, start + planner.most)
    while start < len(queue):
        head, demands = queue[start:stop], queue.demand_of[start:stop]
        deadlines = queue.deadlines[start:stop]
        known = {demand: i for i, demand in enumerate(dict.fromkeys(demands))}
        code = list(map(known.__getitem__, demands))
        suits = [planner.suits(demand) for demand in known]
        soon_s = [now_s + one.quick_s for one in suits]
        if max(soon_s) > deadlines[0]:
            fit = [at_s >= soon_s[own] for at_s, own in zip(deadlines, code, strict=True)]
            late += [ticket for ticket, is_fit in zip(head, fit, strict=True) if not is_fit]
            head, deadlines = list(compress(head, fit)), list(compress(deadlines, fit))
            code = list(compress(code, fit))
        if head:
            asked = _Asked(list(known), suits, code)
            return _few(head, deadlines, asked, planner, outlook), late
        start, stop = stop, stop + planner.look
    return NOBODY, late


class _Asked(NamedTuple):
    """`code[i]` is the index of what ticket i asks for in `demands` and `suits`. Some nobody may ask for."""

    demands: list[Demand]
    suits: list[Suits]
    code: list[int]


def _few(
    tickets: list[Ticket], deadlines: list[float], asked: _Asked, planner: Planner, outlook: Outlook
) -> Few:
    """Sorted into kinds by the arms they accept and their class, or by whether these are few; the first stands for all.

    A kind's bound is that of the first ticket of it.
    """
    demands, suits, code = asked
    masks = [one.mask for one in suits]
    first = dict(zip(reversed(code), range(len(code) - 1, -1, -1), strict=True))
    keys = [one.like for one in suits]
    if len(set(keys)) > MOST_KINDS:
        keys = [one.nearly for one in suits]
    number: dict[tuple[int, str], int] = {}
    kind_of, leads = [0] * len(demands), list[int]()
    for i, at in first.items():
        kind_of[i] = number.setdefault(keys[i], len(leads))
        if kind_of[i] == len(leads):
            leads.append(at)
    rows_of = [float(demand[0]) for demand in demands]
    rows = [rows_of[own] for own in code]
    waiting = int(sum(rows))
    kinds = [_kind(masks[code[at]], tickets[at], waiting, planner, outlook) for at in leads]
    known = {mask: i for i, mask in enumerate(dict.fromkeys(masks))}
    suit_of = [known[mask] for mask in masks]
    work_of = [n * kinds[k].work_s for n, k in zip(rows_of, kind_of, strict=True)]
    return Few(
        tickets,
        deadlines,
        rows,
        [work_of[own] for own in code],
        [kind_of[own] for own in code],
        [suit_of[own] for own in code],
        kinds,
        list(known),
    )


def _kind(mask: int, first: Ticket, waiting: int, planner: Planner, outlook: Outlook) -> Kind:
    """Of the ticket that stands for it, where `waiting` rows wait in all."""
    slo_s, value = slo_between(first, first), outlook.values.get(first.slo_class, 1.0)
    table = planner.costs(mask, slo_s)
    work_s = planner.row_s(table, outlook) / outlook.workers
    return Kind(mask, value, slo_s, table, work_s, planner.lag_s(table, waiting, outlook))
