"""How far a batch strays from its profile: log-normal scatter, rare outliers, stalls, a slow spell. Seeded."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np

from profiler.speed.state import STALL_LEAST
from server.policy.decision import NO_STALLS, StallRisk

DRAWS = 1 << 14
"""Scatter is drawn in blocks of this many batches: a draw at a time would cost more than a decision."""


class Stall(NamedTuple):
    """This share of the batches takes `factor` times as long, each on its own."""

    share: float
    factor: float


@dataclass(frozen=True, slots=True)
class Noise:
    """Scatter of real latencies about the profile's mean; the defaults are what a quiet GPU shows."""

    cv: float = 0.04
    outlier_share: float = 0.003
    outlier_factor: float = 1.5
    scale: float = 1.0
    overhead_s: float = 0.0
    stalls: tuple[Stall, ...] = ()


@dataclass(frozen=True, slots=True)
class Spell:
    """Between two times (s) everything takes `factor` times as long; with `variant`, what runs on it does."""

    from_s: float = 0.0
    until_s: float = 0.0
    factor: float = 1.0
    variant: str = ""


def slowed_at(spell: Spell, at_s: float, variant: str) -> float:
    """How many times as long a batch of `variant` takes that starts at `at_s` (s)."""
    slow = spell.from_s <= at_s < spell.until_s and spell.variant in {"", variant}
    return spell.factor if slow else 1.0


def turns(spell: Spell) -> tuple[float, ...]:
    """When (s) the speed changes."""
    return (spell.from_s, spell.until_s) if spell.from_s < spell.until_s else ()


def stalls_of(noise: Noise) -> StallRisk:
    """What a policy is told that need not measure: how often batches take far longer, and how many times as long, on
    (geometric) average. What takes less than STALL_LEAST longer (log) is none to one that measures either."""
    strays = [*noise.stalls, Stall(noise.outlier_share, noise.outlier_factor)]
    slow = [
        (s.share, s.factor)
        for s in strays
        if s.share > 0.0 and s.factor > 0.0 and log(s.factor) >= STALL_LEAST
    ]
    share = sum(s for s, _ in slow)
    return StallRisk(share, exp(sum(s * log(f) for s, f in slow) / share)) if share else NO_STALLS


Stretch = Callable[[float, float, str], float]
"""(mean latency in s, start in s, variant) -> what the batch takes in the backend this time (s)."""


def stretch(noise: Noise, spell: Spell, seed: int) -> Stretch:
    """Build the source of real latencies."""
    rng = np.random.default_rng(seed)
    sigma = sqrt(log(1.0 + noise.cv**2))
    block: list[float] = []

    def refill() -> None:
        scatter = np.exp(rng.normal(-0.5 * sigma**2, sigma, DRAWS))
        outlier = rng.random(DRAWS) < noise.outlier_share
        factors = noise.scale * scatter * np.where(outlier, noise.outlier_factor, 1.0)
        for stall in noise.stalls:
            factors *= np.where(rng.random(DRAWS) < stall.share, stall.factor, 1.0)
        block.extend(factors.tolist())

    def draw(mean_s: float, start_s: float, variant: str) -> float:
        if not block:
            refill()
        return mean_s * block.pop() * slowed_at(spell, start_s, variant)

    return draw
