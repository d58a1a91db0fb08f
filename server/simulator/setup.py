"""What is simulated besides the arms and the arrivals: workers, noise, slow spells, and who learns of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from server.simulator.noise import Noise, Spell

Follow = Literal["profile", "measured", "told"]
"""Whose speed a policy decides with: its profile's, the one measured batch by batch, or the true one at once."""


@dataclass(frozen=True, slots=True)
class Switching:
    """What changing arms costs: `change_s` when a worker runs another than its last, `load_s` on an arm's first use."""

    change_s: float = 0.0
    load_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Setup:
    """One simulation's terms. `slo_s` is told in reports; the deadlines themselves come with the tickets."""

    slo_s: float
    workers: int = 1
    capacity_rows: int = 4096
    noise: Noise = field(default_factory=Noise)
    spell: Spell = field(default_factory=Spell)
    seed: int = 0
    follow: Follow = "measured"
    switching: Switching = field(default_factory=Switching)
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """By SLO class, for fairness between them; none: an answer is worth the same to every class."""
    percentile: float = 0.99
    """Share of the requests that is promised to be answered in time."""
