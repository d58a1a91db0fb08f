"""Families whose workers share cores: with more at work than there are cores, each goes so much slower.

Processor sharing (Kleinrock, 1967): k batches on c cores run at a speed of min(1, c / k), whoever they are of. Each
family has its own arrivals, policy and beliefs, and learns of the others only from what its batches take.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.policy.decision import ArmProfile, PolicyFactory, Ticket
from server.simulator.engine import SimulatedBatch, Simulation
from server.simulator.outcomes import Outcomes
from server.simulator.setup import Setup


@dataclass(frozen=True, slots=True)
class Tenant:
    """One family: its arms, its policy, who asks (sorted by arrival), and on what terms; `noted` sees its batches end.

    What `setup` says of noise and spells is the machine's before others take their share of it.
    """

    arms: Sequence[ArmProfile]
    factory: PolicyFactory
    tickets: Sequence[Ticket]
    setup: Setup
    noted: Callable[[SimulatedBatch, float], object] | None = None


def simulate_together(tenants: Sequence[Tenant], cores: int) -> list[Outcomes]:
    """Serve all tenants on `cores` cores, a batch on one of them, and tell what became of each one's tickets.

    Raises ValueError as `simulate` does.
    """
    families = [_begun(tenant) for tenant in tenants]
    working = [family for family in families if not family.is_over]
    while working:
        family = min(working, key=lambda one: one.next_s)
        _step(family, working, cores)
        working = [one for one in working if not one.is_over]
    return [family.outcomes for family in families]


def _begun(tenant: Tenant) -> Simulation:
    family = Simulation(tenant.arms, tenant.factory, tenant.setup, tenant.arms, tenant.noted)
    family.begin(tenant.tickets)
    return family


def _step(family: Simulation, working: Sequence[Simulation], cores: int) -> None:
    """One event of `family`. All run at full speed for its instant, so that what begins does so like the rest."""
    now_s = family.next_s
    before = _slowness(working, cores)
    if before != 1.0:
        for one in working:
            one.stretch(1.0 / before, now_s)
    family.step()
    after = _slowness(working, cores)
    if after != 1.0:
        for one in working:
            one.stretch(after, now_s)


def _slowness(working: Sequence[Simulation], cores: int) -> float:
    return max(1.0, sum([one.running for one in working]) / cores)
