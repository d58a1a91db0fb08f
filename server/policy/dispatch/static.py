"""Policies kept to one variant: what an operator gets who pins one, and the baselines of the benchmarks."""

from collections.abc import Sequence

from server.policy.decision import ArmProfile, Policy, PolicyFactory
from server.policy.dispatch.choose import adaptive


def static(variant: str) -> PolicyFactory:
    """The adaptive policy with only batch and drops to choose: the best that can be done with `variant` alone."""
    return pinned(variant, adaptive)


def largest(arms: Sequence[ArmProfile]) -> Policy:
    """The adaptive policy on the most accurate arm: always-largest, the baseline people deploy."""
    return most_accurate(adaptive)(arms)


def pinned(variant: str, factory: PolicyFactory) -> PolicyFactory:
    """`factory` with the arms of `variant` only. Building raises ValueError where there is none."""

    def build(arms: Sequence[ArmProfile]) -> Policy:
        kept = [arm for arm in arms if arm.arm.variant == variant]
        if not kept:
            known = ", ".join(sorted({arm.arm.variant for arm in arms})) or "none"
            raise ValueError(f"no arm runs variant {variant!r}; profiled variants: {known}")
        return factory(kept)

    return build


def most_accurate(factory: PolicyFactory) -> PolicyFactory:
    """`factory` with the most accurate arm only, of equals the slower. Building raises ValueError without an arm."""

    def build(arms: Sequence[ArmProfile]) -> Policy:
        if not arms:
            raise ValueError("a policy needs at least one profiled arm; profile the family first")
        return factory([max(arms, key=lambda arm: (arm.accuracy, arm.mean_s[1]))])

    return build
