"""When requests come: seeded Poisson with steps in rate, or a recorded trace. Arrays of arrival times (s), sorted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]


def poisson(rate_rps: float, duration_s: float, seed: int) -> Times:
    """Arrivals of a Poisson stream from 0 to `duration_s`."""
    return steps([(rate_rps, duration_s)], seed)


def steps(phases: Sequence[tuple[float, float]], seed: int) -> Times:
    """Poisson arrivals whose rate changes: (rate in rps, duration in s) one after the other."""
    rng = np.random.default_rng(seed)
    parts: list[Times] = []
    start_s = 0.0
    for rate_rps, duration_s in phases:
        count = int(rng.poisson(rate_rps * duration_s))
        parts.append(start_s + np.sort(rng.uniform(0.0, duration_s, count)))
        start_s += duration_s
    return np.concatenate(parts) if parts else np.zeros(0)


def from_file(path: Path) -> Times:
    """Arrivals from a text file, one time (s) per line, `#` starting a comment; the first becomes 0.

    Raises ValueError naming the file and what is wrong with it.
    """
    try:
        times = np.loadtxt(path, dtype=np.float64, ndmin=1)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path}: cannot read arrivals, one time in seconds per line: {error}"
        ) from error
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise ValueError(
            f"{path}: expected one finite time in seconds per line and at least one line"
        )
    times.sort()
    return times - times[0]
