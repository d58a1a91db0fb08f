"""When requests are due: seeded arrival times (s from the start, ascending), from a rate, from
steps or from a trace."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import BadOption, BadTrace

Times = NDArray[np.float64]
Steps = Sequence[tuple[float, float]]
"""(duration_s, rate_rps) one after the other."""

_MOST_ARRIVALS = 5_000_000  # a run's records and times must fit in memory


def poisson(rate_rps: float, duration_s: float, rng: np.random.Generator) -> Times:
    """A Poisson stream: the count is drawn first, then that many uniform times."""
    return np.sort(rng.uniform(0.0, duration_s, rng.poisson(rate_rps * duration_s)))


def constant(rate_rps: float, duration_s: float) -> Times:
    """Evenly spaced arrivals, the first at 0."""
    return np.arange(round(rate_rps * duration_s), dtype=np.float64) / rate_rps


def stepped(steps: Steps, rng: np.random.Generator) -> Times:
    """Poisson streams one after the other; a rate of 0 is a pause."""
    starts = np.cumsum([0.0] + [duration for duration, _ in steps])
    parts = [
        poisson(rate, duration, rng) + start
        for (duration, rate), start in zip(steps, starts, strict=False)
    ]
    return np.concatenate([np.empty(0), *parts])


def parse_steps(text: str) -> list[tuple[float, float]]:
    """`20:0.5,10:2.0` -> [(20.0, 0.5), (10.0, 2.0)]: seconds and requests per second. Raises
    BadOption."""
    try:
        pairs = [tuple(float(part) for part in item.split(":")) for item in text.split(",")]
        steps = [(duration, rate) for duration, rate in pairs]
    except ValueError:
        raise BadOption(
            f"--schedule {text!r} is not of the form SECONDS:RPS,SECONDS:RPS, such as 20:50,10:200"
        ) from None
    good = all(np.isfinite(d) and d > 0 and np.isfinite(r) and r >= 0 for d, r in steps)
    if not good or not any(rate > 0 for _, rate in steps):
        raise BadOption(
            f"--schedule {text!r}: durations must be above 0, rates 0 or more and one of them above"
        )
    return steps


def read_numbers(path: Path) -> Times:
    """One number per line, plain or gzipped; blank lines and `#` comments are skipped. Raises
    BadTrace."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise BadTrace(f"cannot read the arrivals file {path}: {error}") from None
    values: list[float] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            values.append(float(line))
        except ValueError:
            raise BadTrace(
                f"{path}, line {number}: {line.strip()[:40]!r} is not a number; "
                "give one arrival time (s) per line, or one count per second with --counts"
            ) from None
    result = np.array(values)
    if not len(result) or not np.isfinite(result).all() or (result < 0).any():
        raise BadTrace(f"{path}: needs at least one value, all of them finite and 0 or more")
    return result


def from_counts(counts: Times, rng: np.random.Generator) -> Times:
    """Counts per second -> that many arrivals, uniform inside each second."""
    seconds = np.repeat(np.arange(len(counts), dtype=np.float64), np.round(counts).astype(np.int64))
    return np.sort(seconds + rng.uniform(0.0, 1.0, len(seconds)))


def squeeze(times: Times, duration_s: float) -> Times:
    """The same arrivals, sorted and stretched or squeezed so that they fill `duration_s`."""
    ordered = np.sort(times) - times.min()
    span = float(ordered[-1])
    if span <= 0.0:
        raise BadTrace("the trace's arrivals all fall on one instant; it needs two different times")
    # Divided first: the shares are exact enough for any span, a factor may overflow.
    return ordered / span * (duration_s * (1.0 - 1e-9))


def rescale(times: Times, count: int, rng: np.random.Generator) -> Times:
    """`count` arrivals of the same shape: a random subset, or all of them and more between
    random neighbours."""
    if count <= len(times):
        return np.sort(rng.choice(times, count, replace=False))
    gaps = rng.integers(0, len(times) - 1, count - len(times))
    extra = rng.uniform(times[gaps], times[gaps + 1])
    return np.sort(np.concatenate([times, extra]))


def trace(path: Path, counts: bool, count: int | None, rng: np.random.Generator) -> Times:
    """A file's arrivals, `count` of them (None: all). Raises BadTrace."""
    numbers = read_numbers(path)
    if not counts:
        times = np.sort(numbers)
    else:
        whole = np.round(numbers).astype(np.int64)
        if count is not None and count < whole.sum():
            whole = rng.multivariate_hypergeometric(whole, count, method="marginals")
        if whole.sum() > _MOST_ARRIVALS:
            raise BadTrace(
                f"{path}: {whole.sum()} arrivals are too many; thin them with --rate-rps"
            )
        times = from_counts(whole.astype(np.float64), rng)
    if len(times) < 2:
        raise BadTrace(f"{path}: needs at least two arrivals, has {len(times)}")
    return times if count is None else rescale(times, count, rng)
