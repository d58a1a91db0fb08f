"""The adaptive policy: each batch is the step worth most accuracy in time, time being priced by how scarce it is.

Building a policy makes its tables; a decision looks at the head of the queue, drops what is hopeless, sheds what cannot
all be served, and weighs every (arm, batch size). It never waits while a ticket does. See docs/policy.md.
"""

from collections.abc import Mapping, Sequence

from server.policy import alike, mixed
from server.policy.decision import ArmProfile, Decision, Idle, Outlook, Policy, Ticket
from server.policy.plan import Planner
from server.policy.tickets import Queue
from server.policy.tuning import DEFAULT, Tuning


def adaptive(arms: Sequence[ArmProfile], tuning: Tuning = DEFAULT) -> Policy:
    """Build the policy for `arms`. Raises ValueError when there is none."""
    if not arms:
        raise ValueError("a policy needs at least one profiled arm; profile the family first")
    planner = Planner(arms, tuning)

    def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
        if not tickets:
            return Idle()
        queue = tickets if isinstance(tickets, Queue) else Queue.of(tickets)
        mask = common_mask(queue, planner, outlook.values)
        if mask is None:
            return mixed.decide(queue, planner, outlook, now_s)
        return alike.decide(queue, mask, planner, outlook, now_s)

    return decide


def common_mask(queue: Queue, planner: Planner, values: Mapping[str, float]) -> int | None:
    """The arms that every waiting ticket accepts, where all are alike: one row each, the same arms, the same value."""
    mask, value = -1, 0.0
    for rows, min_accuracy, variant, slo_class in queue.demands:
        own, worth = planner.mask(min_accuracy, variant), values.get(slo_class, 1.0)
        if rows != 1 or mask not in (-1, own) or (mask != -1 and worth != value):
            return None
        mask, value = own, worth
    return mask
