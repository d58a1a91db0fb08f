"""How fast the machine itself ran, second by second, while arms took turns on it. Pure.

Every turn's latency is its arm and batch size's own, times a factor that all share at that moment. Medians find both in
turn (median polish: Tukey, Exploratory Data Analysis, 1977): hiccups and single arms do not move them.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median

WINDOW_S = 0.3
"""The machine's speed is taken as constant for so long: a few turns."""
ROUNDS = 6
"""Of the polish; what is left moves by less than a thousandth."""
DOUBT = 0.05
"""So far off (logarithm) is no news where one turn says so: arms repeat no better. Of n turns: over the root of n."""

Cell = tuple[Hashable, int]
"""An arm and a batch size."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One arm's turn at one batch size: its middle, and how long each run took (s), waits for a CPU left out.

    `slower`: so many times as long each run took with its waits.
    """

    arm: Hashable
    batch: int
    at_s: float
    took_s: tuple[float, ...]
    slower: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Speed:
    """How many times slower than in the middle of all turns the machine was; how far off (logarithm) that may be."""

    factor: float = 1.0
    doubt: float = 0.0


def pace(turns: Sequence[Turn], window_s: float = WINDOW_S) -> tuple[float, ...]:
    """For each turn the factor by which the machine was slower then than in the middle of all turns (1: the same)."""
    return tuple(speed.factor for speed in speeds(turns, window_s))


def speeds(turns: Sequence[Turn], window_s: float = WINDOW_S) -> tuple[Speed, ...]:
    """The machine's speed at each turn, in doubt where it changed from just before to just after.

    What ran within one window only says nothing of the machine: it is compared with nothing. Where a window holds
    nothing else, the turns before and after it tell.
    """
    order = sorted(range(len(turns)), key=lambda i: turns[i].at_s)
    cells = [(turns[i].arm, turns[i].batch) for i in order]
    at_s = [turns[i].at_s for i in order]
    taken = [log(median(turns[i].took_s)) for i in order]
    near = _near(at_s, _comparable(cells, at_s, window_s), window_s)
    found = dict(zip(order, _polished(cells, taken, near), strict=True)) if turns else {}
    return tuple(found[i] for i in range(len(turns)))


def _polished(
    cells: Sequence[Cell], taken: Sequence[float], near: Sequence["_Witnesses"]
) -> list[Speed]:
    """What all share at each turn, 1 in the middle; of turn i those in `near[i]` say it."""
    shared, left = [0.0] * len(cells), list(taken)
    for _ in range(ROUNDS):
        level = _medians(cells, [t - s for t, s in zip(taken, shared, strict=True)])
        left = [t - level[cell] for t, cell in zip(taken, cells, strict=True)]
        shared = [_believed([left[j] for j in witnesses.within]) for witnesses in near]
        middle = median(shared)
        shared = [s - middle for s in shared]
    doubts = [_doubt([left[j] for j in witnesses.around]) for witnesses in near]
    return [Speed(exp(s), doubt) for s, doubt in zip(shared, doubts, strict=True)]


def _believed(left: Sequence[float]) -> float:
    if not left:
        return 0.0
    value, doubt = median(left), DOUBT / len(left) ** 0.5
    return max(0.0, value - doubt) + min(0.0, value + doubt)


def _doubt(left: Sequence[float]) -> float:
    """Half of how far those around a turn are apart, beyond what they scatter."""
    return max(0.0, (max(left) - min(left)) / 2 - 2 * DOUBT) if left else 0.0


def _comparable(cells: Sequence[Cell], at_s: Sequence[float], window_s: float) -> list[int]:
    """The turns of what ran at times more than a window apart."""
    times: dict[Cell, list[float]] = defaultdict(list)
    for cell, time_s in zip(cells, at_s, strict=True):
        times[cell].append(time_s)
    return [i for i, cell in enumerate(cells) if times[cell][-1] - times[cell][0] > window_s]


@dataclass(frozen=True, slots=True)
class _Witnesses:
    """The turns that tell of a turn's time: those `within` its window, or next to it; these with both neighbours."""

    within: Sequence[int]
    around: Sequence[int]


def _near(at_s: Sequence[float], telling: Sequence[int], window_s: float) -> list[_Witnesses]:
    seen_s = [at_s[i] for i in telling]
    found: list[_Witnesses] = []
    for time_s in at_s:
        first = bisect_left(seen_s, time_s - window_s / 2)
        last = bisect_right(seen_s, time_s + window_s / 2)
        around = telling[max(0, first - 1) : last + 1]
        found.append(_Witnesses(telling[first:last] or around, around))
    return found


def _medians(keys: Sequence[Cell], values: Sequence[float]) -> dict[Cell, float]:
    groups: dict[Cell, list[float]] = defaultdict(list)
    for key, value in zip(keys, values, strict=True):
        groups[key].append(value)
    return {key: median(group) for key, group in groups.items()}
