"""Serving what a planner chose from the queue, with the kindness of dropping what cannot be in time any more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.policy.decision import (
    ArmProfile,
    Decision,
    Drop,
    Idle,
    Outlook,
    Policy,
    Run,
    Ticket,
    WaitUntil,
)
from server.policy.reference.head import by_demand, company

BEHIND = 3
"""Planned batches that wait when tickets at the head are given up for full batches, rather than batches shrunk."""
LOOK_AHEAD = 160
"""Tickets that a planner is shown, or BEHIND + 1 of the largest batches if that is more."""


@dataclass(frozen=True, slots=True)
class BatchRule:
    """An arm and the most rows of its batches.

    `firm`: tickets that such a batch would make late are given up for it; `patient`: it waits for company as long as
    the head's deadline allows.
    """

    profile: ArmProfile
    rows: int
    firm: bool = False
    patient: bool = False


Chooser = Callable[[Sequence[Ticket], Outlook, float], BatchRule]
"""(tickets that wait, from the first that can be in time on; outlook; now_s) -> what the planner would run."""


def sizes_within(arm: ArmProfile, limit_s: float) -> list[int]:
    """The batch sizes (rows) that take at most `limit_s` by the upper estimate."""
    return [rows for rows in range(1, arm.max_batch + 1) if arm.upper_s[rows] <= limit_s]


def peak(arm: ArmProfile, limit_s: float) -> tuple[float, BatchRule]:
    """(rows/s, the batch) at which one worker serves most on `arm` in batches of at most `limit_s`, or of one row."""
    sizes = sizes_within(arm, limit_s) or [1]
    rows = max(sizes, key=lambda b: b / arm.mean_s[b])
    return rows / arm.mean_s[rows], BatchRule(arm, rows)


def serve_planned(arms: Sequence[ArmProfile], chooser: Chooser) -> Policy:
    """A policy that runs `chooser`'s choice on the head of the queue and those behind it that accept the arm.

    Tickets that no arm answers in time are dropped as `late`. A head that does not accept the arm, or would be late on
    it alone, gets the fastest that suits it. A batch shrinks until its head is in time; where the choice is firm, or
    BEHIND planned batches wait, the tickets that would be late are dropped as `shed` instead. Raises ValueError when
    there is no arm.
    """
    if not arms:
        raise ValueError("a policy needs at least one profiled arm; profile the family first")
    quickest_for = by_demand(arms, _quickest)
    reach = max(LOOK_AHEAD, (BEHIND + 1) * max(arm.max_batch for arm in arms))

    def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
        drops: list[Drop] = []
        for at, head in enumerate(tickets):
            quickest = quickest_for(head)
            if quickest and head.deadline_s >= now_s + quickest[head.rows].upper_s[head.rows]:
                near = tickets[at : at + reach]
                choice = _acceptable(chooser(near, outlook, now_s), head, quickest[head.rows])
                return _serve(near, choice, quickest[head.rows], now_s, drops)
            drops.append(Drop(head, "late"))
        return Idle(tuple(drops))

    return decide


def _acceptable(choice: BatchRule, head: Ticket, quickest: ArmProfile) -> BatchRule:
    """The choice, or the quickest arm where the head does not accept it; of as many rows as the head has or more."""
    fits = head.rows <= choice.profile.max_batch and head.accepts(choice.profile)
    arm = choice.profile if fits else quickest
    rows = min(max(head.rows, choice.rows), arm.max_batch)
    return BatchRule(arm, rows, fits and choice.firm, fits and choice.patient)


def _serve(
    near: Sequence[Ticket], choice: BatchRule, quickest: ArmProfile, now_s: float, drops: list[Drop]
) -> Run | WaitUntil:
    arm, waiting = choice.profile, sum(ticket.rows for ticket in near)
    slack_s = near[0].deadline_s - now_s
    if arm.upper_s[min(choice.rows, waiting)] > slack_s:
        return _late_head(near, choice, quickest, now_s, drops)
    if choice.patient and waiting < choice.rows:
        until_s = near[0].deadline_s - arm.upper_s[waiting + 1]
        if until_s > now_s:
            return WaitUntil(until_s, tuple(drops))
    return Run(arm, company(near, arm, choice.rows), "planned", tuple(drops))


def _late_head(
    near: Sequence[Ticket], choice: BatchRule, quickest: ArmProfile, now_s: float, drops: list[Drop]
) -> Run:
    """The planned batch would be late for its head: give up those whom it makes late, or run a smaller one."""
    arm, rows, waiting = choice.profile, choice.rows, sum(ticket.rows for ticket in near)
    if choice.firm or waiting >= BEHIND * rows:
        finish_s = now_s + arm.upper_s[min(rows, waiting)]
        shed = [t for t in near if t.deadline_s < finish_s and t.accepts(arm)]
        members = company([t for t in near if t.deadline_s >= finish_s], arm, rows)
        if members:
            return Run(arm, members, "overload", (*drops, *(Drop(t, "shed") for t in shed)))
    slack_s = near[0].deadline_s - now_s
    if arm.upper_s[near[0].rows] > slack_s:
        arm = quickest
    fitting = [b for b in sizes_within(arm, slack_s) if near[0].rows <= b <= rows]
    most = max(fitting, default=near[0].rows)  # none: in time but for rounding
    return Run(arm, company(near, arm, most), "shrunk", tuple(drops))


def _quickest(arms: Sequence[ArmProfile]) -> list[ArmProfile]:
    """Index = rows: the arm that answers that many rows soonest."""
    return [
        min((arm for arm in arms if rows <= arm.max_batch), key=lambda arm: arm.upper_s[rows])
        for rows in range(max(arm.max_batch for arm in arms) + 1)
    ]
