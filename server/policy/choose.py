"""The adaptive policy: each batch is the step worth most accuracy in time, time being priced by how scarce it is.

Building a policy makes its tables; a decision reads the queue once, drops what is hopeless, sheds what cannot all be
served, and weighs every (arm, batch size). It never waits while a ticket does. See docs/policy.md.
"""

from collections.abc import Sequence

from server.policy.decision import ArmProfile, Decision, Drop, Idle, Outlook, Policy, Run, Ticket
from server.policy.plan import Planner
from server.policy.shed import backlog, late
from server.policy.step import Step, best_mixed_step, best_step
from server.policy.tuning import DEFAULT, Tuning
from server.policy.waiting import Waiting, reader


def adaptive(arms: Sequence[ArmProfile], tuning: Tuning = DEFAULT) -> Policy:
    """Build the policy for `arms`. Raises ValueError when there is none."""
    if not arms:
        raise ValueError("a policy needs at least one profiled arm; profile the family first")
    read, planner = reader(arms), Planner(arms, tuning)

    def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
        if not tickets:
            return Idle()
        view = read(tickets)
        hopeless = late(view, planner, now_s)
        drops = [Drop(view.tickets[i], "late") for i in hopeless]
        if len(hopeless) == len(view.tickets):
            return Idle(tuple(drops))
        if hopeless:
            gone = set(hopeless)
            view = read([t for i, t in enumerate(view.tickets) if i not in gone])
        return _serve(view, planner, outlook, now_s, drops)

    return decide


def _serve(
    view: Waiting, planner: Planner, outlook: Outlook, now_s: float, drops: list[Drop]
) -> Run:
    """The best step over tickets that can each be in time alone; at least one of them runs."""
    known = backlog(view, planner, outlook.workers, now_s)
    plan = planner.plan(view, known.first, outlook, now_s)
    choices = planner.choices(view.masks[known.first])
    step = (
        best_step(known, plan, choices) if view.uniform else best_mixed_step(known, plan, choices)
    )
    drops += [Drop(view.tickets[i], "shed") for i in step.dropped]
    return Run(
        step.arm, tuple(view.tickets[i] for i in step.members), _reason(step, view), tuple(drops)
    )


def _reason(step: Step, view: Waiting) -> str:
    """Why this batch: `overload` something was shed, `drain` it takes all that waits, `partial` some wait on."""
    if step.dropped:
        return "overload"
    return "drain" if len(step.members) == len(view.tickets) else "partial"
