"""What arrives: the rate (a slow estimate, corrected at once when a fast one disagrees beyond noise), and how unevenly.

Two kinds of unevenness are told apart. Rows of a *clump* come at once: cameras in step, batch jobs, retries. In a
*burst* the rate is high for a while, many latency bounds or a part of one, and rows are independent within it. All
times are measured in the family's latency bound.
"""

from collections.abc import Sequence
from math import exp, sqrt
from typing import NamedTuple

SLOW_SLOS = 42.0
"""Memory of the steady estimate: long enough to average Poisson noise, short enough to follow a day's load."""
FAST_SLOS = 5.3
"""Memory of the estimate that notices a burst or a lull."""
SIGMAS = 2.0
"""How far the two may differ before the fast one is believed: about 5 % of false alarms."""
WINDOW_SLOS = 1.25
"""Counts are compared between windows of this length."""
WINDOWS_KEPT = 0.99
"""Weight of the past at each new window: some hundred are remembered."""
LEARNT_AFTER = 20.0
"""Windows to have seen before arrivals are held to be anything but independent."""
AT_ONCE_SLOS = 0.03
"""Rows that come within about this share of the bound come at once: they could wait for one another."""
NEARBY_SLOS = 0.3
"""What came within this tells how many would come at once by chance."""
LEARNT_SHARE = 0.2
"""Share of that memory to be filled before rows are held to come at once."""
REQUESTS_KEPT = 0.998
"""Least weight of the past at each request, for how many come at once: some five hundred are remembered at least."""
CLUMPS_AFTER = 8.0
"""Windows to have seen before rows are held to come at once: a stream that begins looks like a clump."""


class Windows(NamedTuple):
    """Fading sums over windows: their number, their rows, half the squared change of rows from each to the next."""

    windows: float = 0.0
    rows: float = 0.0
    change2: float = 0.0
    last_rows: float = 0.0


class Company(NamedTuple):
    """`near` and `nearby`: requests that came lately, fading within AT_ONCE_SLOS and NEARBY_SLOS.

    Fading sums over requests: their number, and how many more came at once with each than by chance (`excess`).
    """

    near: float = 0.0
    nearby: float = 0.0
    requests: float = 0.0
    excess: float = 0.0


class Arrivals(NamedTuple):
    """What the forecast remembers as of `at_s`: two exponentially fading rates (rows/s), and how unevenly rows come.

    `window_rows` have come in the window that ends at `until_s`. `slo_s`: the bound that times are measured in.
    """

    slo_s: float = 0.05
    at_s: float = 0.0
    slow_rps: float = 0.0
    fast_rps: float = 0.0
    until_s: float = 0.0
    window_rows: int = 0
    windows: Windows = Windows()
    company: Company = Company()


def observe(seen: Arrivals, rows: int, now_s: float) -> Arrivals:
    """The memory after `rows` more arrived at `now_s`. A clock that steps back counts as no time passed."""
    slo_s, at_s, slow_rps, fast_rps, until_s, window_rows, windows, company = seen
    gap_s = now_s - at_s
    if gap_s < 0.0:
        gap_s, now_s = 0.0, at_s
    if now_s >= until_s:
        windows = _closed(seen, now_s)
        window_s = WINDOW_SLOS * slo_s
        until_s += window_s * (1 + int((now_s - until_s) / window_s))
        window_rows = 0
    slow_s, fast_s = SLOW_SLOS * slo_s, FAST_SLOS * slo_s
    steady = exp(-gap_s / slow_s)
    return Arrivals(
        slo_s,
        now_s,
        slow_rps * steady + rows / slow_s,
        fast_rps * exp(-gap_s / fast_s) + rows / fast_s,
        until_s,
        window_rows + rows,
        windows,
        _joined(company, gap_s / slo_s, steady),
    )


def observe_together(seen: Arrivals, counts: Sequence[int], now_s: float) -> Arrivals:
    """`observe` of one after the other, all at one moment: what is to fade fades once."""
    first, *others = counts
    slo_s, at_s, slow_rps, fast_rps, until_s, window_rows, windows, company = observe(
        seen, first, now_s
    )
    slow_s, fast_s = SLOW_SLOS * slo_s, FAST_SLOS * slo_s
    near, nearby, requests, excess = company
    for rows in others:
        slow_rps += rows / slow_s
        fast_rps += rows / fast_s
        window_rows += rows
        excess = excess + near - nearby * (AT_ONCE_SLOS / NEARBY_SLOS)
        near += 1.0
        nearby += 1.0
        requests += 1.0
    company = Company(near, nearby, requests, excess)
    return Arrivals(slo_s, at_s, slow_rps, fast_rps, until_s, window_rows, windows, company)


def rate_rps(seen: Arrivals, now_s: float) -> float:
    """Rows a second to expect soon: the slow rate, kept within SIGMAS Poisson deviations of the fast one."""
    gap_s = max(0.0, now_s - seen.at_s)
    slow = seen.slow_rps * exp(-gap_s / (SLOW_SLOS * seen.slo_s))
    fast_s = FAST_SLOS * seen.slo_s
    fast = seen.fast_rps * exp(-gap_s / fast_s)
    return min(max(slow, fast - _noise(fast, fast_s)), fast + _noise(max(fast, slow), fast_s))


def clump_rows(seen: Arrivals) -> float:
    """How many requests come at once, on average over clumps of geometric size: 1 where arrivals are independent.

    A request counts as one however many rows it has. With each of a clump of mean size m come m - 1 before it. What the
    rate of the moment brings within that time by chance is taken off, so that a burst is none (as in Ripley's K
    function, 1976, against the local density).
    """
    company = seen.company
    few = company.requests * (1.0 - REQUESTS_KEPT) < LEARNT_SHARE
    if few or seen.windows.windows < CLUMPS_AFTER:
        return 1.0
    return 1.0 + max(0.0, company.excess / company.requests) / (1.0 - AT_ONCE_SLOS / NEARBY_SLOS)


def burst_rows(seen: Arrivals) -> float:
    """How uneven counts are over windows of about the bound, as if rows came so many at once: clumps, and bursts.

    Rows that come in clumps of geometric size m have counts whose variance is 2m - 1 times their mean. The variance is
    that of the change between neighbouring windows (von Neumann, 1941): a rate that merely drifts is no burst.
    """
    windows = seen.windows
    if windows.windows < LEARNT_AFTER or not windows.rows:
        return 1.0
    return max(1.0, 0.5 * (windows.change2 / windows.rows + 1.0))


def _joined(company: Company, gap: float, steady: float) -> Company:
    """With one request more, `gap` latency bounds after the last; `steady` is what the steady estimate keeps of that.

    What is remembered is the longer of REQUESTS_KEPT and half the steady estimate's memory: where many come within a
    bound, the first moments after a silence, when a stream looks like a clump, must not be all that is known.
    """
    near, nearby, seen, excess = company
    near *= exp(-gap / AT_ONCE_SLOS)
    nearby *= exp(-gap / NEARBY_SLOS)
    by_chance = nearby * (AT_ONCE_SLOS / NEARBY_SLOS)
    kept = max(REQUESTS_KEPT, steady * steady)
    return Company(near + 1.0, nearby + 1.0, kept * seen + 1.0, kept * excess + near - by_chance)


def _closed(seen: Arrivals, now_s: float) -> Windows:
    """The sums after the window that is over and the empty ones since, of which two at most are counted one by one."""
    after = _more(seen.windows, seen.window_rows)
    empty = int((now_s - seen.until_s) / (WINDOW_SLOS * seen.slo_s))
    for _ in range(min(empty, 2)):
        after = _more(after, 0)
    kept = WINDOWS_KEPT ** max(0, empty - 2)
    return Windows(after.windows * kept, after.rows * kept, after.change2 * kept, after.last_rows)


def _more(windows: Windows, rows: float) -> Windows:
    change = rows - windows.last_rows
    return Windows(
        windows.windows * WINDOWS_KEPT + 1.0,
        windows.rows * WINDOWS_KEPT + rows,
        windows.change2 * WINDOWS_KEPT + 0.5 * change * change,
        rows,
    )


def _noise(rate: float, fast_s: float) -> float:
    """SIGMAS standard deviations (rows/s) of the fast estimate at a Poisson `rate`: variance = rate / (2 memory)."""
    return SIGMAS * sqrt(rate / (2.0 * fast_s))
