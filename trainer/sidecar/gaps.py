"""What to train next: whatever would raise most the accuracy of what clients ask for now. Pure.

What is served can give requests at most so much accuracy inside their latency bounds and the workers' time; with one
more network it would be more. The difference, over all requests of late, is the network's gain. The best mix under a
limit on time is a fractional knapsack with choices, whose optimum mixes two at most (Sinha and Zoltners 1979): networks
on the upper hull of accuracy against cost. Costs and accuracies of networks yet to be trained are `forecast.py`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from trainer.sidecar.forecast import ErrorLaw, Seen, fitted, line

State = Literal["serving", "pending", "dropped", "failed"]

USABLE = 0.5
"""Share of a latency bound that a single row may take: the rest goes by waiting for a batch, and on the way."""
MOST_SEEDS = 3
"""Runs of one network at one budget at most: by then what seeds do is known."""


@dataclass(frozen=True, slots=True)
class Performance:
    """What a serving variant gives: latency of one row, least time per row in any batch (s), accuracy.

    `multiplications` a row of its network; 0 where that is not known.
    """

    latency_s: float
    row_s: float
    accuracy: float
    multiplications: float = 0.0


@dataclass(frozen=True, slots=True)
class Demand:
    """Requests a second with a latency bound of about `bound_s`; `accuracy`: the mean that they got in time, or 0."""

    bound_s: float
    rate_rps: float
    accuracy: float = 0.0


@dataclass(frozen=True, slots=True)
class Served:
    """What serves now, whom, and on how many workers."""

    points: tuple[Performance, ...]
    demands: tuple[Demand, ...]
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Attempt:
    """A network that could be trained with a budget (units); `multiplications` a row."""

    network: str
    budget: float
    multiplications: float


@dataclass(frozen=True, slots=True)
class Tried:
    """A run, and what came of it: it serves, waits for the server's verdict, did not please it, or broke off."""

    attempt: Attempt
    seed: int
    accuracy: float
    state: State


@dataclass(frozen=True, slots=True)
class Proposal:
    """Train `attempt` from `seed`; `expected_gain` of accuracy, a mean over requests; `reason` is for the operator."""

    attempt: Attempt
    seed: int
    reason: str
    expected_gain: float


def propose(
    served: Served, tried: Sequence[Tried], attempts: Sequence[Attempt], least_gain: float
) -> Proposal | None:
    """The attempt with the largest gain; the cheapest to train of equals. None where no gain reaches `least_gain`.

    Not again: what was dropped or failed with the same budget, what waits for a verdict, what had MOST_SEEDS runs.
    """
    curve = fitted([_seen(run) for run in tried if run.state != "failed"])
    now = value(served)
    best: tuple[float, float, Attempt, Performance] | None = None
    for attempt in attempts:
        if not _may_be_tried(attempt, tried):
            continue
        point = foreseen(attempt, served, curve)
        gain = value(replace(served, points=(*served.points, point))) - now
        rank = (gain, -attempt.budget * attempt.multiplications)
        if gain >= least_gain and (best is None or rank > best[:2]):
            best = (*rank, attempt, point)
    if best is None:
        return None
    gain, _, attempt, point = best
    seeds = [t.seed for t in tried if _same(t.attempt, attempt)]
    seed = max(seeds) + 1 if seeds else 0
    return Proposal(attempt, seed, _reason(attempt, point, served, gain), gain)


def value(served: Served) -> float:
    """The most accuracy that requests can have in the mean, each inside its bound and all inside the workers' time.

    Every request has the same share of that time, whatever its bound. 0 where nothing is asked.
    """
    rate = sum(d.rate_rps for d in served.demands)
    if not rate:
        return 0.0
    affordable_s = served.workers / rate
    had = ((d, _mixed(_able(served.points, d.bound_s), affordable_s)) for d in served.demands)
    return sum(demand.rate_rps * accuracy for demand, accuracy in had) / rate


def foreseen(attempt: Attempt, served: Served, curve: ErrorLaw | None) -> Performance:
    """What the attempt should give once trained; where nothing is known of cost or accuracy, as good as can be."""
    known = [p for p in served.points if p.multiplications]
    fastest: dict[float, Performance] = {}
    for point in sorted(known, key=lambda p: -p.latency_s):
        fastest[point.multiplications] = point
    fixed_s, each_s = line([(m, p.latency_s) for m, p in fastest.items()])
    latency_s = fixed_s + each_s * attempt.multiplications
    if not fastest:
        latency_s = min((p.latency_s for p in served.points), default=0.0)
    shares = sorted(p.row_s / p.latency_s for p in served.points)
    batching = shares[len(shares) // 2] if shares else 1.0
    accuracy = curve.accuracy(attempt.multiplications, attempt.budget) if curve else 1.0
    return Performance(latency_s, latency_s * batching, accuracy, attempt.multiplications)


def _seen(run: Tried) -> Seen:
    return Seen(run.attempt.multiplications, run.attempt.budget, 1 - run.accuracy)


def _may_be_tried(attempt: Attempt, tried: Sequence[Tried]) -> bool:
    same = [t.state for t in tried if _same(t.attempt, attempt)]
    return len(same) < MOST_SEEDS and all(state == "serving" for state in same)


def _same(one: Attempt, other: Attempt) -> bool:
    return (one.network, one.budget) == (other.network, other.budget)


def _able(points: Sequence[Performance], bound_s: float) -> list[Performance]:
    return [p for p in points if p.latency_s <= USABLE * bound_s]


def _mixed(points: Sequence[Performance], affordable_s: float) -> float:
    """Accuracy a request, in the mean, of the best mix that costs `affordable_s` a request at most."""
    nothing = Performance(0.0, 0.0, 0.0)
    cheap = [p.accuracy for p in points if p.row_s <= affordable_s]
    mixes = [
        a.accuracy + (b.accuracy - a.accuracy) * (affordable_s - a.row_s) / (b.row_s - a.row_s)
        for one, other in combinations([nothing, *points], 2)
        for a, b in [sorted((one, other), key=lambda p: p.row_s)]
        if a.row_s <= affordable_s < b.row_s
    ]
    return max([0.0, *cheap, *mixes])


def _reason(attempt: Attempt, point: Performance, served: Served, gain: float) -> str:
    """Names the demand that gains most."""
    affordable_s = served.workers / sum(d.rate_rps for d in served.demands)

    def lift(demand: Demand) -> float:
        before = _able(served.points, demand.bound_s)
        after = _able([*served.points, point], demand.bound_s)
        return demand.rate_rps * (_mixed(after, affordable_s) - _mixed(before, affordable_s))

    demand = max(served.demands, key=lift)
    able = _able(served.points, demand.bound_s)
    can = (
        f"can have {_mixed(able, affordable_s):.1%} of what serves"
        if able
        else "are out of reach of what serves"
    )
    got = f" (had {demand.accuracy:.1%} of late)" if demand.accuracy else ""
    return (
        f"requests with bounds of about {demand.bound_s * 1e3:.0f} ms {can}{got}; {attempt.network} trained with "
        f"{attempt.budget:.0f} units may reach {point.accuracy:.1%} at {point.latency_s * 1e3:.2f} ms a row, "
        f"{100 * gain:+.1f} points over all requests"
    )
