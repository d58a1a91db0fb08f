"""What a family decides with, built whole from its arms: the policy, the admission check, the pace."""

from collections.abc import Sequence
from dataclasses import dataclass

from models.catalog import Family
from profiler.measuring.measurements import ENDED
from profiler.profiles import Profile
from server.policy.decision import Arm, ArmProfile, Policy, PolicyFactory, Ticket
from server.policy.queueing import admission
from server.runtime.dispatch.limits import Limits

_NONE = admission.admission((), 0)


@dataclass(frozen=True, slots=True)
class Tables:
    """`policy` is None while no arm can be used; `pace_s` per row is all workers' best."""

    policy: Policy | None = None
    arms: tuple[ArmProfile, ...] = ()
    admit: admission.Admission = _NONE
    pace_s: float = 0.0

    def accept(self, ticket: Ticket) -> bool:
        """Whether some arm may serve it at all."""
        return any(ticket.accepts(arm) and ticket.rows <= arm.max_batch for arm in self.arms)


def of_profile(profile: Profile, accuracy: float, family: Family) -> ArmProfile:
    """What the policy is told of an arm with this profile: nothing of batches beyond those that were run.

    But of the largest row where sizes are free: what is too slow for the bound is not run to measure it, and may be
    asked for with more time.
    """
    most = min(family.most_units, profile.largest_measured)
    if ENDED not in profile.note:
        most = max(most, family.largest_row_units)
    arm = Arm(profile.variant, profile.backend, profile.device)
    apart = not profile.vetted.alone
    return ArmProfile(arm, accuracy, profile.mean_table(most), profile.upper_table(most), apart)


def build(factory: PolicyFactory, arms: Sequence[ArmProfile], limits: Limits) -> Tables:
    """Tables for these arms. Raises ValueError where the policy cannot work with them."""
    policy = factory(arms)
    admit = admission.admission(arms, limits.capacity_rows, limits.workers)
    return Tables(policy, tuple(arms), admit, admission.row_s(arms) / limits.workers)


def build_without(
    factory: PolicyFactory, arms: Sequence[ArmProfile], usable: Sequence[ArmProfile], limits: Limits
) -> Tables:
    """Tables for the `usable` ones of these arms; empty where the policy needs more. Raises ValueError as `build`."""
    try:
        return build(factory, usable, limits)
    except ValueError:
        if len(usable) == len(arms):
            raise
        return Tables()
