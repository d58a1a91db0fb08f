"""From the load that was asked for to the loop that offers it, warm-up included."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtest import arrivals
from loadtest.client import ClosedLoop, Loop, OpenLoop
from loadtest.errors import BadTrace


@dataclass(frozen=True, slots=True)
class Closed:
    """So many clients that wait for their answers, for so long."""

    concurrency: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class Steady:
    """Arrivals at a rate; `poisson` or else evenly spaced."""

    rate_rps: float
    duration_s: float
    poisson: bool = True


@dataclass(frozen=True, slots=True)
class Trace:
    """A file's arrivals squeezed to `duration_s`, and thinned or filled up to `rate_rps` where
    one is given."""

    path: Path
    counts: bool
    duration_s: float
    rate_rps: float | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """A file's arrivals at the very times (s) it gives, as far as `duration_s`."""

    path: Path
    duration_s: float


@dataclass(frozen=True, slots=True)
class Stepped:
    """Poisson arrivals whose rate changes: (duration_s, rate_rps) one after the other."""

    steps: tuple[tuple[float, float], ...]

    @property
    def duration_s(self) -> float:
        """All steps together."""
        return sum(duration for duration, _ in self.steps)


Load = Closed | Steady | Trace | Replay | Stepped


def build_loop(load: Load, warmup_s: float, seed: int) -> Loop:
    """The loop to drive; its first `warmup_s` seconds are at the load's first rate and not to be
    reported."""
    if isinstance(load, Closed):
        return ClosedLoop(load.concurrency, load.duration_s + warmup_s)
    rng = np.random.default_rng(seed)
    times = arrival_times(load, rng)
    if not len(times):
        raise BadTrace(
            "the load has no arrivals at all; give it a higher rate or a longer duration"
        )
    if warmup_s <= 0.0:
        return OpenLoop(times)
    own_rps = len(times) / load.duration_s
    rate_rps = load.steps[0][1] if isinstance(load, Stepped) else own_rps
    warm = arrivals.poisson(rate_rps, warmup_s, rng)
    return OpenLoop(np.concatenate([warm, times + warmup_s]))


def arrival_times(
    load: Steady | Trace | Replay | Stepped, rng: np.random.Generator
) -> arrivals.Times:
    """When the load's requests are due, without warm-up."""
    match load:
        case Steady(rate_rps, duration_s, poisson):
            draw = arrivals.poisson(rate_rps, duration_s, rng)
            return draw if poisson else arrivals.constant(rate_rps, duration_s)
        case Trace(path, counts, duration_s, rate_rps):
            count = None if rate_rps is None else max(2, round(rate_rps * duration_s))
            return arrivals.squeeze(arrivals.trace(path, counts, count, rng), duration_s)
        case Replay(path, duration_s):
            times = np.sort(arrivals.read_numbers(path))
            return times[times < duration_s]
        case Stepped(steps):
            return arrivals.stepped(steps, rng)
