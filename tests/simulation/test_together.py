"""Two families on the same cores: each follows what the other leaves it, and neither is held to be broken for it."""

from dataclasses import dataclass, field
from functools import cache
from statistics import mean

from server.policy.arms import quarantine
from server.policy.arms.incidents import Ran
from server.policy.registry import policy
from server.simulator.arrivals import poisson
from server.simulator.engine import SimulatedBatch, tickets_at
from server.simulator.outcomes import Outcomes
from server.simulator.setup import Follow, Setup
from server.simulator.together import Tenant, simulate_together
from tests.support.builders import cpu_arms

SLO_S = 0.0472
LARGEST_RPS = 85.0


@dataclass(slots=True)
class Ward:
    """What the quarantine would make of a family's batches, none of which is given up."""

    cases: quarantine.Cases = field(default_factory=quarantine.Cases)
    batches: int = 0
    out: int = 0

    def see(self, job: SimulatedBatch, now_s: float) -> None:
        profile, ticket = job.run.profile, job.run.tickets[0]
        bound_s = ticket.deadline_s - ticket.arrival_s
        ran = Ran(profile.arm, profile.mean_s[job.rows], job.took_s, bound_s=bound_s)
        self.cases, _ = quarantine.step(self.cases, ran, now_s)
        self.batches += 1
        self.out = max(self.out, len(quarantine.out(self.cases)))


def tenant(
    load: float, until_s: float, seed: int, *, follow: Follow = "measured", ward: Ward | None = None
) -> Tenant:
    """One worker's family, at this load of what its most accurate variant carries on a core of its own."""
    times_s = poisson(load * LARGEST_RPS, until_s, seed).tolist()
    setup = Setup(SLO_S, seed=seed, follow=follow)
    noted = None if ward is None else ward.see
    return Tenant(cpu_arms(), policy("adaptive"), tickets_at(times_s, SLO_S), setup, noted)


@cache
def beside(
    neighbour_load: float, follow: Follow = "measured", seed: int = 11
) -> tuple[Outcomes, Ward]:
    """20 s of a family on one core, another busy beside it from the start until 12 s."""
    ward = Ward()
    ours = tenant(1.4, 20.0, seed, follow=follow, ward=ward)
    theirs = tenant(neighbour_load, 12.0, seed + 1)
    return simulate_together([ours, theirs], 1)[0], ward


def test_a_family_follows_what_a_busy_neighbour_leaves_it():
    seeds = (11, 21, 31)
    follows = [beside(1.5, seed=seed)[0] for seed in seeds]
    believes = [beside(1.5, follow="profile", seed=seed)[0] for seed in seeds]
    gained = [a.awg(2.0, 12.0) - b.awg(2.0, 12.0) for a, b in zip(follows, believes, strict=True)]

    assert mean(gained) > 0.004
    assert min(one.attainment(2.0, 12.0) for one in follows) >= 0.98


def test_when_the_neighbour_is_gone_all_is_as_before():
    after, _ = beside(1.5)
    alone, _ = beside(0.01)

    assert after.awg(14.0, 20.0) >= alone.awg(14.0, 20.0) - 0.003


def test_a_busy_neighbour_is_no_reason_to_take_an_arm_out_of_use():
    _, ward = beside(1.5)

    assert ward.batches > 500
    assert ward.out == 0
