"""Who cannot be served in time: alone (late), or because not all can be (shed, those with the least slack first)."""

from dataclasses import dataclass
from itertools import accumulate, pairwise

from server.policy.plan import Planner
from server.policy.waiting import Waiting


@dataclass(frozen=True, slots=True)
class Backlog:
    """Tickets that can each be in time alone, and how far the best throughput of all workers reaches among them.

    `work_s[i]` is the time until ticket i is done if all before it are served; `spare_s[i]` the latest clock time to
    start on tickets i, i+1, ... so that each is in time; `first` the first ticket not shed.
    """

    view: Waiting
    work_s: list[float]
    spare_s: list[float]
    first: int


def late(view: Waiting, planner: Planner, now_s: float) -> list[int]:
    """Indices of the tickets that no arm they accept answers in time even if it starts on them now."""
    if view.plain:
        limit_s = now_s + planner.quickest_s(view.common, 1)
        if view.deadlines[0] >= limit_s:
            return []
        return [i for i, deadline in enumerate(view.deadlines) if deadline < limit_s]
    quick = planner.quickest_s
    return [
        i
        for i, (mask, ticket) in enumerate(zip(view.masks, view.tickets, strict=False))
        if ticket.deadline_s < now_s + quick(mask, ticket.rows)
    ]


def backlog(view: Waiting, planner: Planner, workers: int, now_s: float) -> Backlog:
    """Lay the work out in time and shed the fewest tickets, least slack first, that make the others reachable."""
    work, lag_s = _work(view, planner, workers), planner.lag_s(view, workers)
    spare = [d - lag_s - w for d, w in zip(view.deadlines, work, strict=True)]
    spare.reverse()
    spare = list(accumulate(spare, min))
    spare.reverse()
    spare = [spare[0], *(s + w for s, w in zip(spare[1:], work, strict=False))]
    first, last = 0, len(spare) - 1
    while first < last and spare[first] < now_s:
        first += 1
    return Backlog(view, work, spare, first)


def _work(view: Waiting, planner: Planner, workers: int) -> list[float]:
    if view.uniform:
        row_s = planner.row_s(view, view.common) / workers
        return [row_s * end for end in view.ends[1 : len(view.tickets) + 1]]
    share_s = {mask: planner.row_s(view, mask) / workers for mask in set(view.masks)}
    rows = pairwise(view.ends)
    return list(
        accumulate(share_s[m] * (b - a) for m, (a, b) in zip(view.masks, rows, strict=True))
    )
