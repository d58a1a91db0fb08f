"""How many rows a second are arriving: a slow estimate, corrected at once when a fast one disagrees beyond noise."""

from dataclasses import dataclass
from math import exp, sqrt

SLOW_S = 2.0
"""Memory of the steady estimate: long enough to average Poisson noise, short enough to follow a day's load."""
FAST_S = 0.25
"""Memory of the estimate that notices a burst or a lull."""
SIGMAS = 2.0
"""How far the two may differ before the fast one is believed: about 5 % of false alarms."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What the forecast remembers: two exponentially fading rates (rows/s) as of `at_s`."""

    at_s: float = 0.0
    slow_rps: float = 0.0
    fast_rps: float = 0.0


def observe(seen: Arrivals, rows: int, now_s: float) -> Arrivals:
    """The memory after `rows` more arrived at `now_s`. A clock that steps back counts as no time passed."""
    gap_s = now_s - seen.at_s
    if gap_s < 0.0:
        gap_s, now_s = 0.0, seen.at_s
    return Arrivals(
        now_s,
        seen.slow_rps * exp(-gap_s / SLOW_S) + rows / SLOW_S,
        seen.fast_rps * exp(-gap_s / FAST_S) + rows / FAST_S,
    )


def rate_rps(seen: Arrivals, now_s: float) -> float:
    """Rows a second to expect soon: the slow rate, kept within SIGMAS Poisson deviations of the fast one."""
    gap_s = max(0.0, now_s - seen.at_s)
    slow = seen.slow_rps * exp(-gap_s / SLOW_S)
    fast = seen.fast_rps * exp(-gap_s / FAST_S)
    return min(max(slow, fast - _noise(fast)), fast + _noise(max(fast, slow)))


def _noise(rate: float) -> float:
    """SIGMAS standard deviations (rows/s) of the fast estimate at a Poisson `rate`: variance = rate / (2 memory)."""
    return SIGMAS * sqrt(rate / (2.0 * FAST_S))
