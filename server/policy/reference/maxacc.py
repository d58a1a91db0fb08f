"""MaxAcc (SuperServe, NSDI'25): the most accurate arm that fits the head's slack, then the largest batch on it."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from server.policy.decision import ArmProfile, Policy, PolicyFactory, Ticket
from server.policy.reference.head import Chooser, serve_head


def maxacc() -> PolicyFactory:
    """MaxAcc, by the upper estimates. Where nothing fits the slack, the head runs alone on the arm fastest for it."""
    return _build


def _build(arms: Sequence[ArmProfile]) -> Policy:
    return serve_head(arms, _chooser)


def _chooser(arms: Sequence[ArmProfile]) -> Chooser:
    by_accuracy = sorted(arms, key=lambda arm: (-arm.accuracy, arm.upper_s[1]))
    tables = [(arm, list(accumulate(arm.upper_s, max))) for arm in by_accuracy]

    def choose(head: Ticket, _: int, slack_s: float) -> tuple[ArmProfile, int]:
        for arm, within_s in tables:
            if within_s[head.rows] <= slack_s:
                return arm, bisect_right(within_s, slack_s) - 1
        return min(arms, key=lambda arm: arm.upper_s[head.rows]), head.rows

    return choose
