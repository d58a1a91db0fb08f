"""Rows that come at once: the first waits a moment for the rest."""

from math import inf

from server.policy.decision import Outlook
from server.policy.dispatch.pricing import Planner
from server.policy.queueing.tickets import Queue

COMPANY_ROWS = 2.0
"""Where fewer rows than this come at once, nobody waits for company."""
COMPANY_SHARE = 0.03
"""Share of its bound that the first of a clump may wait for the rest."""
COMPANY_OF_ROW = 0.25
"""And share of the time that a row takes at least: where nobody comes, no client is slowed by more."""
SILENCE = 0.5
"""Share of that moment without anybody, after which all are held to be there."""
NEEDED = 1.3
"""How many times what an arm needs for all must be left."""


def company_until(queue: Queue, planner: Planner, outlook: Outlook) -> float:
    """Until when (s) those that wait should wait for more of their kind; in the past: not at all.

    Where rows come in clumps, the first of one has nearly all its time left and nobody beside it. How many will come
    cannot be known beforehand, only that nobody has come for a while. Nobody waits where demands differ, where each
    worker has its largest batch, or where the first has little more time left than workers need who share them.
    """
    if outlook.clump_rows < COMPANY_ROWS or len(queue.demands) > 1:
        return -inf
    each = -(-queue.rows // outlook.workers)
    if each >= planner.most:
        return -inf
    first = queue[0]
    moment_s = COMPANY_SHARE * (first.deadline_s - first.arrival_s)
    moment_s = min(moment_s, COMPANY_OF_ROW * planner.least_s)
    came_s = [ticket.arrival_s for ticket in queue]
    until_s = min(min(came_s) + moment_s, max(came_s) + SILENCE * moment_s)
    mask = planner.mask(first.min_accuracy, first.variant)
    needs_s = planner.quickest_s(mask, each) if mask else inf
    return until_s if until_s + NEEDED * needs_s <= first.deadline_s else -inf
