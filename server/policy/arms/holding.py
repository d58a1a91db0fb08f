"""Which of the arms that are worth holding fit into a budget of memory: those worth most over the loads to come. Pure.

Which these are follows from `residency.plan`; what is left of the budget goes to the others, for clients that name a
variant, and for loads that nobody expected.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import inf

from server.policy.arms.keep import worth_keeping
from server.policy.arms.mixing import LoadLevel, PricedArm
from server.policy.arms.residency import Layout, ResidencyBounds, ResidentSet, plan, row_s
from server.policy.decision import Arm, ArmProfile

SPREAD = (0.1, 0.3, 0.5, 0.7, 0.9, 1.1)
"""Of what the fastest arm carries: the loads to expect while nothing is known of them, all alike."""
PRESENT = 30.0
"""How much more the present load counts than each of those: it is asked again within a minute."""


class TooLittleMemory(ValueError):
    """Not one arm fits; `least_bytes` is what the smallest of them takes."""

    def __init__(self, arm: Arm, least_bytes: int) -> None:
        super().__init__(f"{arm.variant} on {arm.backend} takes {least_bytes} bytes")
        self.arm = arm
        self.least_bytes = least_bytes


@dataclass(frozen=True, slots=True)
class ArmMemory:
    """An arm, the memory that it takes, and how long (s) it takes to load."""

    profile: ArmProfile
    memory_bytes: int
    load_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MemoryTerms:
    """The budget; how batches run, the latency bound, and the rows a second that come now."""

    memory_bytes: int
    layout: Layout
    slo_s: float
    rate_rps: float = 0.0


def held_within(
    arms: Sequence[ArmMemory], terms: MemoryTerms, present: Collection[Arm] = ()
) -> frozenset[Arm]:
    """The arms to hold, of those that are worth it; all where they fit. `present`: those in memory now.

    Raises TooLittleMemory where not one fits.
    """
    everyone = frozenset(one.profile.arm for one in arms)
    if sum(one.memory_bytes for one in arms) <= terms.memory_bytes:
        return everyone
    smallest = min(arms, key=lambda one: one.memory_bytes)
    if smallest.memory_bytes > terms.memory_bytes:
        raise TooLittleMemory(smallest.profile.arm, smallest.memory_bytes)
    return _filled(arms, terms, _planned(arms, terms, everyone & frozenset(present)))


def _planned(
    arms: Sequence[ArmMemory], terms: MemoryTerms, present: frozenset[Arm]
) -> frozenset[Arm]:
    """The set that is worth most; none where no arm that fits answers within the bound."""
    offers = [_priced(one, terms.slo_s) for one in arms]
    rows_s = [o.row_s for o in offers if o.memory_bytes <= terms.memory_bytes and o.row_s < inf]
    if not rows_s:
        return frozenset()
    layout = terms.layout
    most_rps = layout.instances / min(rows_s)
    levels = [LoadLevel(share * most_rps, 1.0) for share in SPREAD]
    if terms.rate_rps > 0.0:
        levels.append(LoadLevel(terms.rate_rps, PRESENT))
    bounds = ResidencyBounds(terms.memory_bytes, layout.threads * layout.instances)
    now = ResidentSet(layout, present) if present else None
    return plan({layout: offers}, levels, bounds, now).residency.arms


def _priced(one: ArmMemory, slo_s: float) -> PricedArm:
    profile = one.profile
    cost_s = row_s(profile, slo_s)
    return PricedArm(profile.arm, profile.accuracy, cost_s, one.memory_bytes, one.load_s)


def _filled(
    arms: Sequence[ArmMemory], terms: MemoryTerms, chosen: frozenset[Arm]
) -> frozenset[Arm]:
    """With what of the others fits beside them: first who can be the best choice, then the smallest."""
    best = worth_keeping([one.profile for one in arms])
    left = terms.memory_bytes - sum(o.memory_bytes for o in arms if o.profile.arm in chosen)
    held = set(chosen)
    others = [one for one in arms if one.profile.arm not in chosen]
    for one in sorted(others, key=lambda o: (o.profile.arm not in best, o.memory_bytes)):
        if one.memory_bytes <= left:
            held.add(one.profile.arm)
            left -= one.memory_bytes
    return frozenset(held)
