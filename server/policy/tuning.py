"""The adaptive policy's constants; docs/policy.md says how they were found and on which loads they were checked."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """Dimensionless: shares of an SLO, of a price or of an accuracy."""

    load_share: float = 1.3
    """Share of the workers' time within one SLO that is planned for: the rest absorbs chance."""
    backlog_weight: float = 1.5
    """Weight of waiting rows against expected ones in that plan."""
    long_batch: float = 0.0
    """Extra price of a batch as long as the SLO: long batches cost those who arrive meanwhile."""
    shed_cost: float = 1.1
    """Multiple of the least time per row that the shed test plans with."""
    lost_weight: float = 1.0
    """What a ticket made unreachable costs, in accuracies of the fastest arm worth using."""
    lag: float = 0.4
    batch_share: float = 0.5
    guard: float = 0.0
    """Share of the SLO kept free between a batch's upper estimate and its first deadline."""


DEFAULT = Tuning()
