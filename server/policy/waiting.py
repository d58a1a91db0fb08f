"""The queue as the policy reads it: deadlines, rows and which arms each ticket accepts, in plain parallel lists."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from server.policy.decision import ArmProfile, Ticket

LOOK_AHEAD = 128
"""Tickets considered per decision, or two of the largest batches if that is more: bounds a decision's time.

What lies behind them is met as the queue moves.
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The first tickets. `masks[i]` has bit `a` set where ticket i accepts arm `a`; `ends[i]` counts the rows before i.

    `ends` has at least one more entry than there are tickets. `common` is the set of arms that all of them accept;
    `uniform`: no ticket accepts another; `plain`: uniform, every ticket has one row and accepts every arm.
    """

    arms: Sequence[ArmProfile]
    tickets: Sequence[Ticket]
    deadlines: list[float]
    ends: Sequence[int]
    masks: Sequence[int]
    common: int
    uniform: bool
    plain: bool


Reader = Callable[[Sequence[Ticket]], Waiting]


def reader(arms: Sequence[ArmProfile]) -> Reader:
    """Build the reader for `arms`, whose order gives the bits of the masks."""
    floors = sorted({arm.accuracy for arm in arms})
    every = (1 << len(arms)) - 1
    above = [sum(1 << i for i, a in enumerate(arms) if a.accuracy >= f) for f in floors] + [0]
    pinned: dict[str | None, int] = {None: every}
    for i, arm in enumerate(arms):
        pinned[arm.arm.variant] = pinned.get(arm.arm.variant, 0) | 1 << i
    look = max(LOOK_AHEAD, 2 * max(arm.max_batch for arm in arms))
    counting, all_arms = range(look + 1), [every] * look
    lowest = floors[0]

    def read(tickets: Sequence[Ticket]) -> Waiting:
        head = tickets[:look]
        deadlines = [t.deadline_s for t in head]
        if not [t for t in head if t.rows != 1 or t.min_accuracy > lowest or t.variant is not None]:
            return Waiting(arms, head, deadlines, counting, all_arms, every, True, True)
        masks = [
            above[bisect_left(floors, t.min_accuracy)] & pinned.get(t.variant, 0) for t in head
        ]
        ends = list(accumulate((t.rows for t in head), initial=0))
        common = every
        for mask in masks:
            common &= mask
        uniform = all(mask == common for mask in masks)
        return Waiting(arms, head, deadlines, ends, masks, common, uniform, False)

    return read
