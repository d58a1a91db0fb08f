"""The arms that can be run beside live traffic, and what their variants claim."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from models.backends.base import Backend
from models.catalog import Family
from server.policy.candidates.candidacy import Claim
from server.policy.decision import Arm, ArmProfile
from server.runtime.arms.knowledge import Knowledge
from server.runtime.arms.residency import Residency
from server.runtime.arms.slots import Slots
from server.runtime.candidates.repository import Amendments
from server.runtime.dispatch.dispatcher import Dispatcher
from server.runtime.workers.samples import Samples


@dataclass(frozen=True, slots=True)
class RunnableArm:
    """An arm that can be run: what it costs now, what its variant claims, and its backend.

    `foreseen_s`: what a run of so many rows should take in the backend now, where runs are to be timed.
    """

    profile: ArmProfile
    claim: Claim
    backend: Backend
    foreseen_s: Callable[[int], float] | None = None


@dataclass(frozen=True, slots=True)
class ServingParts:
    """What a family is served with. `shared`: who else has the processor just now, in words; empty where nobody has."""

    residency: Residency
    knowledge: Knowledge
    slots: Slots
    dispatcher: Dispatcher
    samples: Samples
    shared: Callable[[], str]
    amendments: Amendments

    def in_use(self, family: Family) -> list[RunnableArm]:
        """Every arm in use of the family's variants."""
        profiles, loaded = self.knowledge.known.effective, self.residency.loaded
        quarantine = self.dispatcher.quarantine
        return [
            RunnableArm(profile, _claim(family, arm), loaded[arm])
            for arm, profile in profiles.items()
            if arm in loaded and not quarantine.is_out(arm)
        ]

    def references(self, family: Family, doubted: Collection[str]) -> list[RunnableArm]:
        """Arms in use of variants that nobody doubts, the most accurate first."""
        arms = [a for a in self.in_use(family) if a.profile.arm.variant not in doubted]
        return sorted(arms, key=lambda a: (-a.profile.accuracy, a.profile.mean_s[1]))

    def serving(self, family: Family, variant: str) -> RunnableArm | None:
        """The arm in use that answers one row of this variant fastest."""
        arms = [a for a in self.in_use(family) if a.profile.arm.variant == variant]
        return min(arms, key=lambda a: a.profile.mean_s[1], default=None)


def _claim(family: Family, arm: Arm) -> Claim:
    variant = family.variant(arm.variant)
    return Claim(variant.accuracy.value, variant.accuracy.interval) if variant else Claim(0.0)
