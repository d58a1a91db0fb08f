"""The best that can be done with one fixed variant: the adaptive policy with only batch and drops to choose.


The baselines of the benchmarks, and what an operator gets who pins a variant.
"""

from collections.abc import Callable, Sequence

from server.policy.choose import adaptive
from server.policy.decision import ArmProfile, Policy, PolicyFactory


def static(variant: str) -> PolicyFactory:
    """A factory that serves everything on `variant`. It raises ValueError where no arm has that variant."""
    return _only(
        lambda arms: [arm for arm in arms if arm.arm.variant == variant], f"variant {variant!r}"
    )


def largest(arms: Sequence[ArmProfile]) -> Policy:
    """Serve everything on the most accurate arm: always-largest, the baseline people deploy."""
    return adaptive([max(arms, key=lambda arm: (arm.accuracy, arm.mean_s[1]))])


def _only(keep: Callable[[Sequence[ArmProfile]], list[ArmProfile]], what: str) -> PolicyFactory:
    def build(arms: Sequence[ArmProfile]) -> Policy:
        kept = keep(arms)
        if not kept:
            known = ", ".join(sorted({arm.arm.variant for arm in arms})) or "none"
            raise ValueError(f"no arm runs {what}; profiled variants: {known}")
        return adaptive(kept)

    return build
