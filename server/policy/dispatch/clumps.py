"""Rows that come at once: the first waits a moment for the rest."""

from math import inf

from server.policy.decision import Outlook
from server.policy.dispatch.clump_plan import in_step
from server.policy.dispatch.pricing import Planner
from server.policy.queueing.tickets import Queue

COMPANY_ROWS = 2.0
"""Where fewer rows than this come at once, nobody waits for company."""
COMPANY_SHARE = 0.03
"""Share of its bound that the first of a clump may wait for the rest."""
COMPANY_OF_ROW = 0.25
"""And share of the time that a row takes at least: where nobody comes, no client is slowed by more."""
NEEDED, NEEDED_IN_STEP = 1.3, 2.0
"""How many times what an arm needs must be left: for a worker's share of those there; in step, for all of them."""
PLANNED = 0.5
"""Clumps are in step that a plan counts so much for: it serves a part as well, and idle workers are dear."""


def company_until(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> float:
    """Until when (s) those that wait should wait for more of their kind; in the past: not at all.

    Where rows come in clumps, the first of one has nearly all its time left and nobody beside it. How many will come
    cannot be known beforehand. Nobody waits where demands differ, where each worker has its largest batch, or where the
    first has little more time left than workers need who share those that are there.
    """
    if outlook.clump_rows < COMPANY_ROWS or len(queue.demands) > 1:
        return -inf
    first = queue[0]
    moment_s = COMPANY_SHARE * (first.deadline_s - first.arrival_s)
    moment_s = min(moment_s, COMPANY_OF_ROW * planner.least_s)
    if first.arrival_s + moment_s <= now_s:
        return -inf
    is_planned = in_step(outlook) >= PLANNED
    sharers, needed = (1, NEEDED_IN_STEP) if is_planned else (outlook.workers, NEEDED)
    each = -(-len(queue) // sharers) * first.rows
    if each >= planner.most:
        return -inf
    until_s = min([ticket.arrival_s for ticket in queue]) + moment_s
    mask = planner.mask(first.min_accuracy, first.variant)
    needs_s = planner.quickest_s(mask, each) if mask else inf
    return until_s if until_s + needed * needs_s <= first.deadline_s else -inf
