"""What rows cost at best: the time each arm takes per row in a batch that fits the SLO, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from server.policy.decision import ArmProfile
from server.policy.dispatch.hull import SCARCE, Point, Prices, hull, prices

LEAST = 1e-3
"""An answer is worth at least this: a variant whose accuracy is not known is still to be served."""


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """For one set of acceptable arms and one SLO. Each is equal to itself alone.

    `row_s` is the least time per row; `batch_s[b]` what b rows take on the arm that reaches it, up to the batch at
    which it does; `points` are what all arms cost, `vertices` those worth mixing.
    """

    row_s: float
    batch_s: tuple[float, ...]
    vertices: tuple[Point, ...]
    prices: Prices
    points: Sequence[Point] = ()

    def careful_s(self, affordable_s: float, caution: float) -> float:
        """The time (s) a row should take where it could have `affordable_s`: at full caution it has hardly any."""
        least_s = SCARCE * self.vertices[0].cost_s
        most_s = min(affordable_s, 3.0 * self.vertices[-1].cost_s)
        return most_s if most_s <= least_s else least_s * (most_s / least_s) ** (1.0 - caution)


def costs(arms: Sequence[ArmProfile], slo_s: float, share: float) -> Costs:
    """The costs of serving with `arms` (at least one) in batches of at most `share` of `slo_s`."""
    sizes = [_efficient_batch(arm, slo_s * share) for arm in arms]
    points = [
        Point(a.mean_s[b] / b, max(a.accuracy, LEAST)) for a, b in zip(arms, sizes, strict=True)
    ]
    row_s, rows, arm = min(
        ((p.cost_s, b, a) for p, b, a in zip(points, sizes, arms, strict=True)), key=lambda x: x[:2]
    )
    vertices = hull(points)
    return Costs(row_s, arm.mean_s[: rows + 1], vertices, prices(vertices), points)


def quickest(arms: Sequence[ArmProfile], rows: int) -> float:
    """The least time (s, upper estimate) in which one of `arms` answers `rows` rows; infinite where none can."""
    return min((a.upper_s[rows] for a in arms if rows <= a.max_batch), default=inf)


def _efficient_batch(arm: ArmProfile, limit_s: float) -> int:
    """The batch size with the least time per row among those below `limit_s`; 1 if none is."""
    sizes = [b for b in range(1, arm.max_batch + 1) if arm.upper_s[b] <= limit_s] or [1]
    return min(sizes, key=lambda b: (arm.mean_s[b] / b, b))
