"""Which profiled arms are worth memory: those that some other arm does not beat in accuracy and latency alike. Pure."""

from collections.abc import Sequence

from server.policy.decision import Arm, ArmProfile

MARGIN = 0.15
"""How much faster (relative) another arm must be, at every batch size, before one is given up: what the machine's speed
moves an arm by on its own, so that what is out stays out."""
FLEETING = 0.1
"""Share of a profile's batch sizes at which an arm may be ahead of another and still count as beaten by it."""


def worth_keeping(arms: Sequence[ArmProfile], margin: float = MARGIN) -> frozenset[Arm]:
    """The arms to hold in memory; the others would hardly ever be chosen, or never.

    Of arms that beat each other, which takes the same latency and accuracy, the first stays.
    """
    kept: list[ArmProfile] = []
    for arm in sorted(arms, key=lambda a: (-a.accuracy, a.mean_s[1], _name(a.arm))):
        if not any(beats(other, arm, margin) for other in kept):
            kept.append(arm)
    return frozenset(arm.arm for arm in kept)


def worth_holding(arms: Sequence[ArmProfile]) -> frozenset[Arm]:
    """The arms to hold: those that can be the best choice, and for each variant the best way to run it."""
    best: dict[str, ArmProfile] = {}
    for arm in arms:
        rival = best.setdefault(arm.arm.variant, arm)
        if arm.mean_s[1] < rival.mean_s[1]:
            best[arm.arm.variant] = arm
    return worth_keeping(arms) | {arm.arm for arm in best.values()}


def beats(better: ArmProfile, arm: ArmProfile, margin: float = MARGIN) -> bool:
    """Whether `better` is at least as accurate and by `margin` faster at nearly every batch size that `arm` has.

    A more accurate arm that is as fast beats without a margin.
    """
    if better.accuracy < arm.accuracy or better.max_batch < arm.max_batch:
        return False
    needed = 1.0 if better.accuracy > arm.accuracy else 1.0 + margin
    slower = [b for b in range(1, arm.max_batch + 1) if better.mean_s[b] * needed > arm.mean_s[b]]
    return len(slower) <= FLEETING * arm.max_batch


def _name(arm: Arm) -> tuple[str, str, str]:
    return (arm.variant, arm.backend, arm.device)
