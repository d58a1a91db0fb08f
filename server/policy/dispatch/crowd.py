"""Who waits where tickets differ: which demands they make, who is late, and who must go where not all can be served."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.policy.decision import Outlook, Ticket
from server.policy.dispatch.costs import Costs
from server.policy.dispatch.menu import Floats, Ints
from server.policy.dispatch.pricing import Planner, slo_between
from server.policy.dispatch.shed import shed_by_kind
from server.policy.queueing.tickets import Demand, Queue

RESERVE = 0.3
"""Share of its bound that a ticket is kept from its deadline where others are served that are worth far less."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Tickets that accept the same arms and whose answers are worth the same.

    `work_s` is the time all workers need for one row of it at best, `lag_s` how much later than that it is done.
    """

    mask: int
    value: float
    slo_s: float
    table: Costs
    work_s: float
    lag_s: float

    @property
    def density(self) -> float:
        """What serving it at best is worth for the time it takes (per s)."""
        return self.value * self.table.vertices[0].accuracy / self.work_s


@dataclass(frozen=True, slots=True)
class Crowd:
    """Tickets that can each be in time alone, earliest deadline first. Arrays have one entry per ticket.

    `kind[i]` indexes `kinds`; `work_s[i]` is the time all workers need for ticket i at best.
    """

    tickets: Sequence[Ticket]
    deadlines: Floats
    rows: Floats
    work_s: Floats
    kind: Ints
    kinds: Sequence[Kind]

    def only(self, kept: Ints) -> "Crowd":
        """The same of these indices. Kinds stay as they are, those of which nobody is left too."""
        return Crowd(
            [self.tickets[i] for i in kept.tolist()],
            self.deadlines[kept],
            self.rows[kept],
            self.work_s[kept],
            self.kind[kept],
            self.kinds,
        )


_NONE = np.zeros(0)
NOBODY = Crowd((), _NONE, _NONE, _NONE, np.zeros(0, dtype=np.intp), ())


def gathered(
    queue: Queue, planner: Planner, outlook: Outlook, now_s: float
) -> tuple[Crowd, list[Ticket]]:
    """The first of the queue that can be in time, and those before that cannot (or that no arm can serve at all)."""
    late: list[Ticket] = []
    for start in range(0, len(queue), planner.look):
        head, demands = (part[start : start + planner.look] for part in (queue, queue.demand_of))
        deadlines = np.array(queue.deadlines[start : start + planner.look])
        known = {demand: i for i, demand in enumerate(dict.fromkeys(demands))}
        code = np.array([known[demand] for demand in demands])
        quick_s = [planner.quickest_s(planner.mask(d[1], d[2]), d[0]) for d in known]
        fit = deadlines >= now_s + np.array(quick_s)[code]
        if fit.all():
            return _crowd(head, deadlines, code, list(known), planner, outlook), late
        late += [ticket for ticket, ok in zip(head, fit.tolist(), strict=True) if not ok]
        if fit.any():
            able = np.flatnonzero(fit)
            head = [head[i] for i in able.tolist()]
            return _crowd(head, deadlines[able], code[able], list(known), planner, outlook), late
    return NOBODY, late


def within_reach(crowd: Crowd, now_s: float) -> Ints:
    """Indices of those to keep, so that all of them are within reach: all where all are. At least one."""
    lag_s = np.array([kind.lag_s for kind in crowd.kinds])[crowd.kind]
    due_s = crowd.deadlines - now_s - lag_s
    if (np.cumsum(crowd.work_s) <= due_s).all():
        return np.arange(len(due_s))
    density = np.array([kind.density for kind in crowd.kinds])
    beside_s = reserve_s(crowd.kinds)
    ranked = np.argsort(-density, kind="stable").tolist()
    return shed_by_kind(due_s, crowd.work_s, crowd.kind, ranked, beside_s[:, crowd.kind])


def reserve_s(kinds: Sequence[Kind]) -> Floats:
    """How far (s) a ticket of kind j is kept from its deadline where one of kind i is served beside it: (i, j)."""
    values = np.array([kind.value for kind in kinds])
    slo_s = np.array([kind.slo_s for kind in kinds])
    return RESERVE * slo_s * np.maximum(0.0, 1.0 - values[:, None] / values)


def _crowd(
    tickets: Sequence[Ticket],
    deadlines: Floats,
    code: Ints,
    demands: Sequence[Demand],
    planner: Planner,
    outlook: Outlook,
) -> Crowd:
    """`code[i]` is the index in `demands` of what ticket i asks for; demands that nobody makes may be among them."""
    count = len(tickets)
    rows_of = np.array([float(demand[0]) for demand in demands])[code]
    first_at = np.full(len(demands), count)
    first_at[code[::-1]] = np.arange(count)[::-1]
    number: dict[tuple[int, str], int] = {}
    kind_of, firsts = np.zeros(len(demands), dtype=np.intp), list[int]()
    for i, at in enumerate(first_at.tolist()):
        if at < count:
            key = planner.mask(demands[i][1], demands[i][2]), demands[i][3]
            kind_of[i] = number.setdefault(key, len(firsts))
            firsts += [at] if kind_of[i] == len(firsts) else []
    waiting = int(rows_of.sum())
    kinds = [
        _kind(mask, outlook.values.get(name, 1.0), tickets[at], waiting, planner, outlook)
        for (mask, name), at in zip(number, firsts, strict=True)
    ]
    kind = kind_of[code]
    row_s = np.array([one.work_s for one in kinds])
    return Crowd(tickets, deadlines, rows_of, rows_of * row_s[kind], kind, kinds)


def _kind(
    mask: int, value: float, first: Ticket, waiting: int, planner: Planner, outlook: Outlook
) -> Kind:
    slo_s = slo_between(first, first)
    table = planner.costs(mask, slo_s)
    work_s = planner.row_s(table, outlook) / outlook.workers
    return Kind(mask, value, slo_s, table, work_s, planner.lag_s(table, waiting, outlook))
