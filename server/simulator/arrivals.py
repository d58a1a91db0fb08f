"""When requests come: seeded streams, steady, bursty or as recorded. Arrays of arrival times (s), sorted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

MOST = 20_000_000
"""Arrivals in one simulation: beyond it memory runs out before patience does."""


@dataclass(frozen=True, slots=True)
class LoadState:
    """A state of the load: `weight` times the other levels' rate, for `stay_s` on average (exponential)."""

    weight: float
    stay_s: float


def poisson(rate_rps: float, duration_s: float, seed: int) -> Times:
    """Arrivals of a Poisson stream from 0 to `duration_s`."""
    return steps([(rate_rps, duration_s)], seed)


def steps(phases: Sequence[tuple[float, float]], seed: int) -> Times:
    """Poisson arrivals whose rate changes: (rate in rps, duration in s) one after the other.

    Raises ValueError for more than MOST arrivals.
    """
    _count(sum(rate_rps * duration_s for rate_rps, duration_s in phases))
    rng = np.random.default_rng(seed)
    parts: list[Times] = []
    start_s = 0.0
    for rate_rps, duration_s in phases:
        count = int(rng.poisson(rate_rps * duration_s))
        parts.append(start_s + np.sort(rng.uniform(0.0, duration_s, count)))
        start_s += duration_s
    return np.concatenate(parts) if parts else np.zeros(0)


def renewal(rate_rps: float, duration_s: float, cv2: float, seed: int) -> Times:
    """Independent gamma gaps of squared coefficient of variation `cv2`: 1 is Poisson, more comes in clumps.

    Raises ValueError for a `cv2` or rate that is not positive, or more than MOST arrivals.
    """
    if not (cv2 > 0.0 and rate_rps > 0.0):
        raise ValueError(f"gamma gaps need cv2 {cv2} and rate {rate_rps} rps above 0")
    rng = np.random.default_rng(seed)
    block = 64 + _count(rate_rps * duration_s)
    times = np.zeros(0)
    while not times.size or times[-1] < duration_s:
        start_s = float(times[-1]) if times.size else 0.0
        gaps = rng.gamma(1.0 / cv2, cv2 / rate_rps, block)
        times = np.concatenate([times, start_s + np.cumsum(gaps)])
    return times[times < duration_s]


def clumped(rate_rps: float, duration_s: float, cv2: float, base_share: float, seed: int) -> Times:
    """A gamma renewal stream over a Poisson base that makes up `base_share` (0 to 1) of the rate.

    Raises ValueError like `renewal`.
    """
    base_seed, bursts_seed = np.random.SeedSequence(seed).generate_state(2).tolist()
    base = poisson(base_share * rate_rps, duration_s, base_seed)
    bursts = renewal((1.0 - base_share) * rate_rps, duration_s, cv2, bursts_seed)
    return np.sort(np.concatenate([base, bursts]))


def modulated(rate_rps: float, duration_s: float, levels: Sequence[LoadState], seed: int) -> Times:
    """A Markov-modulated Poisson stream (Fischer and Meier-Hellstern, 1993) that goes round `levels`.

    The stays are drawn first and their weights scaled so that the mean over them is `rate_rps`: a seed with long surges
    has lower ones. Raises ValueError where no level has a weight, or for more than MOST arrivals.
    """
    rng = np.random.default_rng(seed)
    edges, weights = [0.0], list[float]()
    while edges[-1] < duration_s:
        level = levels[len(weights) % len(levels)]
        weights.append(level.weight)
        edges.append(min(duration_s, edges[-1] + float(rng.exponential(level.stay_s))))
    return _shaped(np.array(edges), np.array(weights), rate_rps, rng)


@dataclass(frozen=True, slots=True)
class Redraws:
    """A rate redrawn every `every_s`: log-normal about its mean, `sigma` the standard deviation of its logarithm.

    `correlation` (0 to 1): of the logarithm from one redraw to the next (autoregressive, of the first order).
    """

    every_s: float = 0.2
    sigma: float = 1.3
    correlation: float = 0.5


def redrawn(rate_rps: float, duration_s: float, redraws: Redraws, seed: int) -> Times:
    """A Poisson stream whose rate is redrawn: bursts without clumps, since within a burst gaps are as Poisson's.

    The rates are drawn first and scaled so that their mean is `rate_rps`. Raises ValueError for redraws that do not
    come, or for more than MOST arrivals.
    """
    if not redraws.every_s > 0.0:
        raise ValueError(f"a rate redrawn every {redraws.every_s} s never is; give a time above 0")
    rng = np.random.default_rng(seed)
    edges = np.append(np.arange(0.0, duration_s, redraws.every_s), duration_s)
    fresh = rng.standard_normal(len(edges) - 1)
    levels, kept = fresh.tolist(), redraws.correlation
    for i in range(1, len(levels)):
        levels[i] = kept * levels[i - 1] + (1.0 - kept**2) ** 0.5 * levels[i]
    return _shaped(edges, np.exp(redraws.sigma * np.array(levels)), rate_rps, rng)


def in_step(
    rate_rps: float, duration_s: float, frames_per_s: float, jitter_s: float, seed: int
) -> Times:
    """Cameras that send `frames_per_s` each, all at the same moments, give or take: uniform from 0 to `jitter_s` late.

    As many cameras (at least one) as come closest to `rate_rps`. Raises ValueError for more than MOST arrivals.
    """
    _count(rate_rps * duration_s)
    frames_s = np.arange(0.0, duration_s, 1.0 / frames_per_s)
    cameras = max(1, round(rate_rps / frames_per_s))
    late_s = np.random.default_rng(seed).uniform(0.0, jitter_s, (len(frames_s), cameras))
    return np.sort((frames_s[:, None] + late_s).ravel())


def spread(times_s: Times, over_s: float, seed: int) -> Times:
    """The same arrivals, each late by its own uniform draw from 0 to `over_s`: what came at once comes nearly so."""
    return np.sort(times_s + np.random.default_rng(seed).uniform(0.0, over_s, times_s.size))


def from_counts(
    counts: Sequence[float] | Times, rate_rps: float, duration_s: float, seed: int
) -> Times:
    """Poisson arrivals whose rate follows `counts` over equal parts of the duration, `rate_rps` on average.

    Times within a part are drawn, uniform. Raises ValueError for counts that are all 0, or more than MOST arrivals.
    """
    heights = np.asarray(counts, dtype=np.float64)
    edges = np.linspace(0.0, duration_s, len(heights) + 1)
    return _shaped(edges, heights, rate_rps, np.random.default_rng(seed))


def rescaled(recorded: Times, rate_rps: float, duration_s: float, seed: int) -> Times:
    """Recorded arrivals squeezed or stretched to `duration_s`, and brought to a mean rate.

    Too many are thinned: each is kept with the same probability, at its own time. Too few become a Poisson process
    on the recording's clock (a random time change: between any two neighbours of it the same number is expected, at
    uniform times), so that its bursts and lulls stay where they were. Raises ValueError for a recording of fewer than
    two different times, or more than MOST arrivals.
    """
    if recorded.size < 2 or not recorded[-1] > recorded[0]:
        raise ValueError("a recording needs at least two different times to be rescaled")
    rng = np.random.default_rng(seed)
    times = (recorded - recorded[0]) / (recorded[-1] - recorded[0]) * duration_s
    wanted = _count(rate_rps * duration_s)
    if wanted <= times.size:
        return times[rng.random(times.size) < rate_rps * duration_s / times.size]
    clock = np.sort(rng.uniform(0.0, times.size - 1.0, rng.poisson(rate_rps * duration_s)))
    return np.interp(clock, np.arange(times.size), times)


def from_file(path: Path) -> Times:
    """Arrivals from a text file, one time (s) per line, lines that start with `#` left out; the first becomes 0.

    Raises ValueError naming the file and what is wrong with it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
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


def _shaped(edges: Times, heights: Times, rate_rps: float, rng: np.random.Generator) -> Times:
    """Poisson arrivals with a piecewise constant rate proportional to `heights` [parts] between `edges` [parts + 1]."""
    area = np.diff(edges) * heights
    if not area.sum() > 0.0:
        raise ValueError("the load is 0 throughout; give some part of it a rate")
    expected = rate_rps * (edges[-1] - edges[0])
    _count(expected)
    counts = rng.poisson(area / area.sum() * expected)
    starts, lengths = np.repeat(edges[:-1], counts), np.repeat(np.diff(edges), counts)
    return np.sort(starts + lengths * rng.random(int(counts.sum())))


def _count(expected: float) -> int:
    if not expected <= MOST:
        raise ValueError(f"more than {MOST} arrivals; lower the rate or the duration")
    return int(expected)
