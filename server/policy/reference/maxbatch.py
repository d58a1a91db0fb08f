"""MaxBatch (SuperServe, NSDI'25): the largest batch that fits the head's slack, then the most accurate arm for it."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from server.policy.decision import ArmProfile, Policy, PolicyFactory, Ticket
from server.policy.reference.head import Chooser, serve_head


def maxbatch() -> PolicyFactory:
    """MaxBatch, by the upper estimates. The batch is no larger than what waits, so that the arm is chosen for it.

    Where nothing fits the slack any more, the head runs alone on the arm that is fastest for it.
    """
    return _build


def _build(arms: Sequence[ArmProfile]) -> Policy:
    return serve_head(arms, _chooser)


def _chooser(arms: Sequence[ArmProfile]) -> Chooser:
    by_accuracy = sorted(arms, key=lambda arm: (-arm.accuracy, arm.upper_s[1]))
    sizes = range(max(arm.max_batch for arm in arms) + 1)
    able = [[arm for arm in by_accuracy if b <= arm.max_batch] for b in sizes]
    fastest = [min(able[b], key=lambda arm: arm.upper_s[b]) for b in sizes]
    least_s = list(accumulate((arm.upper_s[b] for b, arm in enumerate(fastest)), max))

    def choose(head: Ticket, waiting: int, slack_s: float) -> tuple[ArmProfile, int]:
        rows = min(bisect_right(least_s, slack_s) - 1, waiting)
        if rows < head.rows:
            return fastest[head.rows], head.rows
        arm = next(arm for arm in able[rows] if arm.upper_s[rows] <= slack_s)
        return arm, rows

    return choose
