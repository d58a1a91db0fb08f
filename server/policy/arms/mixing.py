"""The best arms to hold in memory for the loads to expect, on given instances: a mixed-integer programme. Pure.

At each load the arms held are mixed at best: a linear programme, whose optimum lies on their hull. Which to hold makes
it a facility-location problem with a budget, which HiGHS (scipy.optimize.milp) solves exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from server.policy.decision import Arm
from server.policy.dispatch.costs import LEAST
from server.policy.dispatch.hull import Point, hull

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PricedArm:
    """An arm as it would be under one layout: `row_s` of an instance's time per row, in batches that fit the SLO."""

    arm: Arm
    accuracy: float
    row_s: float
    memory_bytes: int
    load_s: float


@dataclass(frozen=True, slots=True)
class LoadLevel:
    """A load to expect: `rate_rps` (rows/s) for a `share` of the time (any positive scale)."""

    rate_rps: float
    share: float


def expected_awg(offers: Sequence[PricedArm], instances: int, levels: Sequence[LoadLevel]) -> float:
    """Accuracy-weighted goodput (0..1) with just these arms in memory, at best, over the levels."""
    vertices = (Point(0.0, 0.0), *hull(Point(o.row_s, worth(o)) for o in offers))
    costs_s, accuracies = [v.cost_s for v in vertices], [v.accuracy for v in vertices]
    shares = _shares(levels)
    affordable_s = [instances / rate if (rate := level.rate_rps) else inf for level in levels]
    return float(shares @ np.interp(affordable_s, costs_s, accuracies))


def best_set(
    offers: Sequence[PricedArm],
    instances: int,
    levels: Sequence[LoadLevel],
    loading: Sequence[float],
    memory_bytes: int,
) -> Sequence[PricedArm]:
    """Those of `offers` to hold in `memory_bytes`: the most expected awg, less `loading[i]` for holding offer i."""
    chosen = _solve(offers, instances, levels, loading, memory_bytes)
    return _needed([offers[i] for i in chosen], instances, levels)


def _solve(
    offers: Sequence[PricedArm],
    instances: int,
    levels: Sequence[LoadLevel],
    loading: Sequence[float],
    memory_bytes: int,
) -> list[int]:
    """Indices of the offers to hold. Variables: y[a] in memory (0 or 1), then x[r, a], the share of level r on arm a.

    Per level the shares add up to at most 1 and to no more time than there is; an arm not in memory answers nothing.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 - slow to import, seldom used

    arms, rates = len(offers), np.array([level.rate_rps for level in levels])
    cost_s = np.array([o.row_s for o in offers])
    memory = np.array([o.memory_bytes for o in offers], float) / max(memory_bytes, 1)
    none, each = np.zeros((len(levels), arms)), np.eye(len(levels))
    rows = [
        (np.hstack([none, np.kron(each, np.ones(arms))]), 1.0),
        (np.hstack([none, np.kron(np.diag(rates / instances), cost_s)]), 1.0),
        (np.hstack([-np.tile(np.eye(arms), (len(levels), 1)), np.eye(arms * len(levels))]), 0.0),
        (np.hstack([memory, np.zeros(arms * len(levels))])[None, :], 1.0),
    ]
    gains = np.outer(_shares(levels), [worth(o) for o in offers]).ravel()
    found = milp(
        np.concatenate([loading, -gains]),
        constraints=[LinearConstraint(matrix, -np.inf, most) for matrix, most in rows],
        integrality=np.repeat([1, 0], [arms, gains.size]),
        bounds=Bounds(0.0, 1.0),
        options={"mip_rel_gap": 0.0},
    )
    assert found.x is not None, f"nothing resident is always feasible: {found.message}"
    return [i for i in range(arms) if found.x[i] > 0.5]


def _needed(
    offers: Sequence[PricedArm], instances: int, levels: Sequence[LoadLevel]
) -> Sequence[PricedArm]:
    """Without the arms that no level would use, largest first."""
    full = expected_awg(offers, instances, levels)
    for offer in sorted(offers, key=lambda o: o.memory_bytes, reverse=True):
        fewer = [o for o in offers if o is not offer]
        if fewer and expected_awg(fewer, instances, levels) >= full - 1e-12:
            offers = fewer
    return offers


def _shares(levels: Sequence[LoadLevel]) -> Floats:
    shares = np.array([level.share for level in levels], float)
    return shares / shares.sum()


def worth(offer: PricedArm) -> float:
    """What an answer by this arm counts for: its accuracy, and something even where that is not known."""
    return max(offer.accuracy, LEAST)
