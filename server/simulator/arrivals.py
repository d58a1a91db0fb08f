"""When requests come: seeded Poisson with steps in rate, or a recorded trace. Arrays of arrival times (s), sorted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

MOST = 20_000_000
"""Arrivals in one simulation: beyond it memory runs out before patience does."""


def poisson(rate_rps: float, duration_s: float, seed: int) -> Times:
    """Arrivals of a Poisson stream from 0 to `duration_s`."""
    return steps([(rate_rps, duration_s)], seed)


def steps(phases: Sequence[tuple[float, float]], seed: int) -> Times:
    """Poisson arrivals whose rate changes: (rate in rps, duration in s) one after the other.

    Raises ValueError for more than MOST arrivals.
    """
    if sum(rate_rps * duration_s for rate_rps, duration_s in phases) > MOST:
        raise ValueError(f"more than {MOST} arrivals; lower the rate or the duration")
    rng = np.random.default_rng(seed)
    parts: list[Times] = []
    start_s = 0.0
    for rate_rps, duration_s in phases:
        count = int(rng.poisson(rate_rps * duration_s))
        parts.append(start_s + np.sort(rng.uniform(0.0, duration_s, count)))
        start_s += duration_s
    return np.concatenate(parts) if parts else np.zeros(0)


def from_file(path: Path) -> Times:
    """Arrivals from a text file, one time (s) per line, lines that start with `#` left out; the first becomes 0.

    Raises ValueError naming the file and what is wrong with it.
    """
    try:
        lines = path.read_text().splitlines()
        times = np.array([float(line) for line in lines if line.strip() and line[0] != "#"])
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}: cannot read arrivals, one time in seconds per line: {error}"
        ) from error
    if not times.size or not np.isfinite(times).all():
        raise ValueError(
            f"{path}: expected one finite time in seconds per line and at least one line"
        )
    times.sort()
    return times - times[0]
