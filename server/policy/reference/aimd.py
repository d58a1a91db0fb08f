"""Clipper (Crankshaw et al., NSDI'17, section 4.3): one variant, batches sized by additive increase and backoff."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.policy.decision import (
    Arm,
    ArmProfile,
    Decision,
    Finished,
    Outlook,
    Policy,
    PolicyFactory,
    Ticket,
)
from server.policy.reference.head import Chooser, serve_head

STEP_ROWS = 1.0
"""Additive increase after a full batch inside the objective."""
BACKOFF = 0.9
"""Multiplicative decrease after a batch beyond it: the paper's 10 %."""
SHARE = 0.5
"""Share of the SLO that a batch may take: who arrives just after one has begun waits it out, and then runs."""


@dataclass(slots=True)
class _Learnt:
    """The largest batch (rows) allowed on each arm, and the latency (s) a batch is held to: the last head's."""

    most: dict[Arm, float] = field(default_factory=dict[Arm, float])
    objective_s: float = float("inf")

    def learn(self, batch: Finished) -> None:
        most = self.most.get(batch.arm, 1.0)
        if batch.latency_s > self.objective_s:
            self.most[batch.arm] = max(1.0, BACKOFF * most)
        elif batch.rows >= int(most):
            self.most[batch.arm] = most + STEP_ROWS


def clipper(share: float = SHARE) -> PolicyFactory:
    """AIMD batching on the most accurate arm that suits the head: Clipper does not choose variants by load.

    A batch is held to `share` of the head's SLO. Deadlines are not looked at, nobody waits for company and nothing is
    dropped. What is learnt outlives the tables; it starts at batches of one row.
    """
    learnt = _Learnt()

    def chooser(arms: Sequence[ArmProfile]) -> Chooser:
        best = max(arms, key=lambda arm: (arm.accuracy, -arm.upper_s[1]))

        def choose(head: Ticket, _: int, __: float) -> tuple[ArmProfile, int]:
            allowed = int(learnt.most.get(best.arm, 1.0))
            return best, min(max(allowed, head.rows), best.max_batch)

        return choose

    def build(arms: Sequence[ArmProfile]) -> Policy:
        serve = serve_head(arms, chooser)

        def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
            if tickets:
                learnt.objective_s = share * (tickets[0].deadline_s - tickets[0].arrival_s)
            for batch in outlook.finished:
                learnt.learn(batch)
            return serve(tickets, outlook, now_s)

        return decide

    return build
