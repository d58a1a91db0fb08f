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


def company_until(queue: Queue, planner: Planner, outlook: Outlook) -> float:
    """Until when (s) those that wait should wait for more of their kind; in the past: not at all.

    Where rows come in clumps, the first of one has nearly all its time left and nobody beside it. They run once as many
    are there as a clump has that a row finds itself in, or the largest batch, or the oldest came a moment ago. Where
    demands differ, or the first has not twice the time left that an arm it accepts needs for all, nobody waits.
    """
    if outlook.clump_rows < COMPANY_ROWS or len(queue.demands) > 1:
        return -inf
    if queue.rows >= min(2.0 * outlook.clump_rows - 1.0, planner.most):
        return -inf
    first = queue[0]
    moment_s = COMPANY_SHARE * (first.deadline_s - first.arrival_s)
    moment_s = min(moment_s, COMPANY_OF_ROW * planner.least_s)
    until_s = min(ticket.arrival_s for ticket in queue) + moment_s
    mask = planner.mask(first.min_accuracy, first.variant)
    needs_s = planner.quickest_s(mask, queue.rows) if mask else inf
    return until_s if until_s + 2.0 * needs_s <= first.deadline_s else -inf
