"""The adaptive policy: each batch is the step worth most accuracy in time, time being priced by how scarce it is.

Building a policy makes its tables; a decision looks at the head of the queue, drops what is hopeless, sheds what cannot
all be served, and weighs every (arm, batch size). It never waits while a ticket does, but for a moment where rows come
at once and the first of them would run alone. See docs/policy.md.
"""

from collections.abc import Sequence

from server.policy.decision import (
    ArmProfile,
    Decision,
    Idle,
    Outlook,
    Policy,
    Ticket,
    WaitUntil,
)
from server.policy.dispatch.alike import step as alike
from server.policy.dispatch.clumps import COMPANY_ROWS, company_until
from server.policy.dispatch.mixed import step as mixed
from server.policy.dispatch.pricing import Planner, slo_between
from server.policy.dispatch.tuning import DEFAULT, Tuning
from server.policy.queueing.tickets import Queue

CROWDED = 0.5
"""Share of their bound that those who wait take at best where it is looked at once whose answers are worth least."""


def adaptive(arms: Sequence[ArmProfile], tuning: Tuning = DEFAULT) -> Policy:
    """Build the policy for `arms`. Raises ValueError when there is none."""
    if not arms:
        raise ValueError("a policy needs at least one profiled arm; profile the family first")
    for_all = Planner(arms, tuning)

    def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
        queue = tickets if isinstance(tickets, Queue) else Queue.of(tickets)
        if not queue.rows:
            return Idle()
        planner = for_all.after(outlook.last) if for_all.switches else for_all
        if outlook.clump_rows >= COMPANY_ROWS:
            at_s = company_until(queue, planner, outlook, now_s)
            if at_s > now_s:
                return WaitUntil(at_s)
        step = as_alike(queue, planner, outlook, now_s)
        return mixed.decide(queue, planner, outlook, now_s) if step is None else step

    return decide


def as_alike(queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> Decision | None:
    """The step where all that wait (one at least) are as good as alike; None where it matters who goes."""
    mask = common_mask(queue, planner)
    if mask is None:
        return None
    differ = len(queue.demands) > 1 and _differ(queue, outlook)
    if differ and _crowded(queue, mask, planner, outlook):
        return None
    step = alike.decide(queue, mask, planner, outlook, now_s)
    return None if differ and _sheds(step) else step


def common_mask(queue: Queue, planner: Planner) -> int | None:
    """The arms that every waiting ticket accepts, where all have one row and accept the same ones."""
    mask = -1
    for demand in queue.demands:
        own = planner.suits(demand).mask
        if demand[0] != 1 or mask not in (-1, own):
            return None
        mask = own
    return mask


def _sheds(step: Decision) -> bool:
    return bool(step.dropped) and step.dropped[-1].reason == "shed"


def _differ(queue: Queue, outlook: Outlook) -> bool:
    """Whether it matters who of several demands goes: some classes allow less time than others, or are worth more."""
    values = outlook.values
    if outlook.haste.rate_rps or not values:
        return bool(outlook.haste.rate_rps)
    return len({values.get(demand[3], 1.0) for demand in queue.demands}) > 1


def _crowded(queue: Queue, mask: int, planner: Planner, outlook: Outlook) -> bool:
    """Whether those that wait take about as long as they may: then some may have to go. Of none that no arm serves."""
    if not mask:
        return False
    slo_s = slo_between(queue[0], queue[-1])
    ahead_s = queue.rows * planner.costs(mask, slo_s).row_s / outlook.workers
    return ahead_s > CROWDED * slo_s
