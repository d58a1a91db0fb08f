"""What an answer to each SLO class is worth now: its weight over the share of it that was lately answered in time.

Proportional fairness (Kelly, Maulloo and Tan, 1998): serving by these values maximises the weighted sum of the
logarithms of the classes' attainments. With time for all they change nothing; in overload a class with twice the weight
keeps twice the attainment, and no class with a positive weight is starved.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp

MEMORY_SLOS = 40.0
"""Attainment is averaged over so many latency bounds: the pace at which a class that was neglected catches up."""
PRIOR = 2.0
"""Requests a class is credited with as answered, so that its first few decide nothing."""
LEAST_SHARE = 0.01
"""A class is never worth more than its weight over this."""


@dataclass(frozen=True, slots=True)
class Attainment:
    """Requests of one class that ended: so many, so many of them in time. Fading, hence real numbers."""

    ended: float = 0.0
    in_time: float = 0.0


@dataclass(frozen=True, slots=True)
class Fairness:
    """Weights by class (1 where a class is not named) and what became of each class's requests as of `at_s`."""

    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    tallies: Mapping[str, Attainment] = field(default_factory=dict[str, Attainment])
    at_s: float = 0.0


def observe(
    state: Fairness, news: Mapping[str, Attainment], now_s: float, slo_s: float = 0.05
) -> Fairness:
    """The memory after `news`: what ended since the last call, by class. To be called every few latency bounds."""
    keep = exp(-max(0.0, now_s - state.at_s) / (MEMORY_SLOS * slo_s))
    tallies = {
        name: _faded(state.tallies.get(name, Attainment()), keep, news.get(name, Attainment()))
        for name in {*state.tallies, *news}
    }
    return Fairness(state.weights, tallies, max(now_s, state.at_s))


def values(state: Fairness) -> Mapping[str, float]:
    """What an answer is worth by class, 1 on average over what lately came; empty where only one class did."""
    if len(state.tallies) < 2:
        return {}
    raw = {name: state.weights.get(name, 1.0) / _share(t) for name, t in state.tallies.items()}
    came = sum(PRIOR + tally.ended for tally in state.tallies.values())
    mean = sum((PRIOR + t.ended) * raw[name] for name, t in state.tallies.items()) / came
    return {name: value / mean for name, value in raw.items()}


def _share(tally: Attainment) -> float:
    return max(LEAST_SHARE, (tally.in_time + PRIOR) / (tally.ended + PRIOR))


def _faded(tally: Attainment, keep: float, more: Attainment) -> Attainment:
    return Attainment(tally.ended * keep + more.ended, tally.in_time * keep + more.in_time)
