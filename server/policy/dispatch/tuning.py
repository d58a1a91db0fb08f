"""The adaptive policy's constants; docs/policy.md says how they were found and checked."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Tuning:
    """Dimensionless: shares of an SLO, of a batch or of an accuracy."""

    load_share: float = 1.0
    """Share of the workers' time that the expected rows may take; the backlog's own need comes on top."""
    steady: float = 0.25
    """How much larger that share may be where arrivals are independent; falls with the square of the clumps' size."""
    backlog_weight: float = 2.0
    """Multiple of the pace that would just clear the rows behind the first within one SLO."""
    clump_backlog: float = 0.5
    """Share of the multiple's excess over 1 that is left where rows come in large clumps, with silence behind them."""
    clump_margin: float = 0.3
    """Leeway beyond what is needed that is kept there."""
    many_workers: float = 0.25
    """How much larger that multiple is with very many workers: a batch ends as a whole, on one of them."""
    batch_share: float = 0.5
    """Most of the SLO that one batch may take in steady state.

    Who arrives just after its start waits it out, and then runs.
    """
    shed_cost: float = 1.1
    """Multiple of the least time per row that the shed test plans with."""
    lag: float = 0.25
    """Share of a batch by which its rows are answered later than their share of the work says."""
    clump_rows: float = 2.0
    """Where more rows than this come at once, the shed test's two allowances shrink in proportion."""
    begun: float = 2.0
    """Of a clump of more such rows a worker: how far the time for which other workers are busy is gone for the rest.

    More than 1, as what a long batch leaves of the bound is too short for another.
    """
    lost_weight: float = 1.0
    """What a ticket made unreachable costs, in accuracies of the cheapest arm worth using."""
    guard: float = 0.05
    """Share of the SLO kept free between a batch's upper estimate and its first deadline."""


DEFAULT = Tuning()
NAMED = {
    "adaptive": DEFAULT,
    "adaptive:tight": Tuning(guard=0.0, shed_cost=1.0),
    "adaptive:nimble": Tuning(guard=0.0, batch_share=0.25),
    "adaptive:bold": Tuning(guard=0.0, load_share=1.25),
}
"""Characters of the policy: for machines that keep their promises, for bursts, for loads that are what they seem."""


class Leeway(NamedTuple):
    """What the constants come to for so many workers where rows come so unevenly.

    `streaming`: 1 where rows stream in behind those that wait; less where they come in clumps, with silence behind
    them. In a stream, who is left over is in the way of who comes next. Of a clump, as many as can be are served.
    `backlog`: how much those behind the first count; `share` of the workers' time for what is expected; `margin`: by
    which factor the larger of the two needs counts; `row`: of the least time per row, what the shed test plans with;
    `lag`: share of a batch by which its rows are later; `gone`: of the time for which other workers are busy.
    """

    streaming: float
    backlog: float
    share: float
    margin: float
    row: float
    lag: float
    gone: float


def leeway(tuning: Tuning, workers: int, clump_rows: float, uneven_rows: float) -> Leeway:
    """For `clump_rows` that come at once, `uneven_rows` that come close together."""
    streaming = min(1.0, tuning.clump_rows / clump_rows)
    many = 1.0 + tuning.many_workers * (1.0 - 1.0 / workers)
    large = max(0.0, 1.0 - tuning.clump_rows * workers / clump_rows)
    return Leeway(
        streaming,
        many * (1.0 + (tuning.backlog_weight - 1.0) * max(streaming, tuning.clump_backlog)),
        tuning.load_share * (1.0 + tuning.steady / uneven_rows**2),
        1.0 + tuning.clump_margin * (1.0 - streaming),
        1.0 + (tuning.shed_cost - 1.0) * streaming,
        1.0 - (1.0 - tuning.lag) / workers,
        large * tuning.begun,
    )
