"""What a network not trained yet would cost and how accurate it would be, from those that were. Pure.

Latency: a straight line of a call's fixed cost and time by multiplication, neither negative, through what is served.
Error: a power law in the network's multiplications and in training (Hestness et al. 2017, arXiv 1712.00409), found by
Bayesian linear regression of its logarithm (Bishop 2006, section 3.3), so that a few points do not say more than they
know. Where little is known it is taken to be good, by OPTIMISM standard deviations: what is not tried is never found
out (upper confidence bounds: Auer, Cesa-Bianchi and Fischer 2002).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OPTIMISM = 1.0
LEAST_ERROR = 1e-3
"""An error of 0 has no logarithm; test splits rarely tell less than this anyway."""
ASSUMED_S = 1e-10
"""For one multiplication, as small networks have it on one core; most of a tiny one's time is a call's fixed cost."""

_EXPECTED = np.array([0.0, -0.25, -0.25])
"""Exponents to begin with: a level, by multiplications, by examples trained on; typical of vision."""
_SPREAD = np.array([3.0, 0.15, 0.15])
_NOISE = 0.15
"""Standard deviation of the logarithm of the error between runs of one network: seeds, kinds of network."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A network that was trained: multiplications a row, units spent, and its error on the test split."""

    multiplications: float
    budget: float
    error: float


@dataclass(frozen=True, slots=True)
class ErrorLaw:
    """The fitted power law: `mean` and `covariance` of level and exponents, about the middle of what was seen."""

    middle: NDArray[np.float64]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    def accuracy(self, multiplications: float, budget: float) -> float:
        """What may well be reached: the expectation, better by OPTIMISM standard deviations."""
        x = _features(multiplications, budget) - self.middle
        x[0] = 1.0
        deviation = math.sqrt(float(x @ self.covariance @ x))
        return 1.0 - min(1.0, math.exp(float(x @ self.mean) - OPTIMISM * deviation))


def fitted(seen: Sequence[Seen]) -> ErrorLaw | None:
    """The curve through what was seen; None where nothing was."""
    if not seen:
        return None
    rows = np.array([_features(s.multiplications, s.budget) for s in seen])
    middle = np.array([0.0, *rows[:, 1:].mean(axis=0)])
    x = rows - middle
    y = np.log([max(LEAST_ERROR, s.error) for s in seen])
    expected = np.array([y.mean(), *_EXPECTED[1:]])
    inverse = np.diag(1 / _SPREAD**2) + x.T @ x / _NOISE**2
    covariance: NDArray[np.float64] = np.linalg.inv(inverse).astype(np.float64)
    mean = covariance @ (expected / _SPREAD**2 + x.T @ y / _NOISE**2)
    return ErrorLaw(middle, mean, covariance)


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(fixed s, s by multiplication) through (multiplications, s), least squares, neither negative.

    From one size nobody can tell the two apart: a multiplication then takes ASSUMED_S, or all of the time where that is
    less. (0, 0) where there is no point.
    """
    if not points:
        return 0.0, 0.0
    x, y = np.array(points, np.float64).T
    if np.ptp(x) == 0.0:
        level = float(y.mean())
        slope = min(ASSUMED_S, level / float(x[0]))
        return level - slope * float(x[0]), slope
    slope, fixed = (float(v) for v in np.polyfit(x, y, 1))
    if fixed < 0.0:
        return 0.0, float(x @ y / (x @ x))
    return (fixed, slope) if slope > 0.0 else (float(y.mean()), 0.0)


def _features(multiplications: float, budget: float) -> NDArray[np.float64]:
    return np.array([1.0, math.log(multiplications), math.log(budget)])
