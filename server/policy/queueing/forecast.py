"""What arrives: the rate (a slow estimate, corrected at once when a fast one disagrees beyond noise), and clumps."""

from math import exp, sqrt
from typing import NamedTuple

SLOW_S = 2.0
"""Memory of the steady estimate: long enough to average Poisson noise, short enough to follow a day's load."""
FAST_S = 0.25
"""Memory of the estimate that notices a burst or a lull."""
SIGMAS = 2.0
"""How far the two may differ before the fast one is believed: about 5 % of false alarms."""
WINDOW_S = 0.05
"""Counts are compared between windows of this length: about a latency bound."""
WINDOWS_KEPT = 0.99
"""Weight of the past at each new window: some five seconds are remembered."""
LEARNT_AFTER = 20.0
"""Windows to have seen before arrivals are held to be anything but independent."""


class Clumps(NamedTuple):
    """Fading sums over windows: their number, their rows, half the squared change of rows from each to the next."""

    windows: float = 0.0
    rows: float = 0.0
    change2: float = 0.0
    last_rows: float = 0.0


class Arrivals(NamedTuple):
    """What the forecast remembers as of `at_s`: two exponentially fading rates (rows/s), and how unevenly rows come.

    `window_rows` have come in the window that ends at `until_s`.
    """

    at_s: float = 0.0
    slow_rps: float = 0.0
    fast_rps: float = 0.0
    until_s: float = 0.0
    window_rows: int = 0
    clumps: Clumps = Clumps()


def observe(seen: Arrivals, rows: int, now_s: float) -> Arrivals:
    """The memory after `rows` more arrived at `now_s`. A clock that steps back counts as no time passed."""
    at_s, slow_rps, fast_rps, until_s, window_rows, clumps = seen
    gap_s = now_s - at_s
    if gap_s < 0.0:
        gap_s, now_s = 0.0, at_s
    if now_s >= until_s:
        clumps = _closed(seen, now_s)
        until_s += WINDOW_S * (1 + int((now_s - until_s) / WINDOW_S))
        window_rows = 0
    return Arrivals(
        now_s,
        slow_rps * exp(-gap_s / SLOW_S) + rows / SLOW_S,
        fast_rps * exp(-gap_s / FAST_S) + rows / FAST_S,
        until_s,
        window_rows + rows,
        clumps,
    )


def rate_rps(seen: Arrivals, now_s: float) -> float:
    """Rows a second to expect soon: the slow rate, kept within SIGMAS Poisson deviations of the fast one."""
    gap_s = max(0.0, now_s - seen.at_s)
    slow = seen.slow_rps * exp(-gap_s / SLOW_S)
    fast = seen.fast_rps * exp(-gap_s / FAST_S)
    return min(max(slow, fast - _noise(fast)), fast + _noise(max(fast, slow)))


def clump_rows(seen: Arrivals) -> float:
    """How many rows come at once, on average over the rows: 1 where arrivals are independent.

    Rows that come in clumps of geometric size m have counts whose variance is 2m - 1 times their mean. The variance is
    that of the change between neighbouring windows (von Neumann, 1941): a rate that merely drifts is no clump.
    """
    clumps = seen.clumps
    if clumps.windows < LEARNT_AFTER or not clumps.rows:
        return 1.0
    return max(1.0, 0.5 * (clumps.change2 / clumps.rows + 1.0))


def _closed(seen: Arrivals, now_s: float) -> Clumps:
    """The sums after the window that is over and the empty ones since, of which two at most are counted one by one."""
    after = _more(seen.clumps, seen.window_rows)
    empty = int((now_s - seen.until_s) / WINDOW_S)
    for _ in range(min(empty, 2)):
        after = _more(after, 0)
    kept = WINDOWS_KEPT ** max(0, empty - 2)
    return Clumps(after.windows * kept, after.rows * kept, after.change2 * kept, after.last_rows)


def _more(clumps: Clumps, rows: float) -> Clumps:
    change = rows - clumps.last_rows
    return Clumps(
        clumps.windows * WINDOWS_KEPT + 1.0,
        clumps.rows * WINDOWS_KEPT + rows,
        clumps.change2 * WINDOWS_KEPT + 0.5 * change * change,
        rows,
    )


def _noise(rate: float) -> float:
    """SIGMAS standard deviations (rows/s) of the fast estimate at a Poisson `rate`: variance = rate / (2 memory)."""
    return SIGMAS * sqrt(rate / (2.0 * FAST_S))
