"""How fast the machine itself ran, second by second, while arms took turns on it. Pure.

Every turn's latency is its arm and batch size's own, times a factor that all share at that moment. Medians find both in
turn (median polish: Tukey, Exploratory Data Analysis, 1977): hiccups and single arms do not move them.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import median
from typing import TypeVar

K = TypeVar("K", bound=Hashable)

WINDOW_S = 1.0
"""The machine's speed is taken as constant for so long: a dozen turns or more."""
ROUNDS = 6
"""Of the polish; what is left moves by less than a thousandth."""
DOUBT = 1.0
"""A window of so many turns is believed half: few turns say little about what all share."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One arm's turn at one batch size: when it began, and how long each run took (s), waits for a CPU left out.

    `slower`: so many times as long each run took with its waits.
    """

    arm: Hashable
    batch: int
    at_s: float
    took_s: tuple[float, ...]
    slower: tuple[float, ...] = ()


def pace(turns: Sequence[Turn], window_s: float = WINDOW_S) -> tuple[float, ...]:
    """For each turn the factor by which the machine was slower then than in the middle of all turns (1: the same).

    What ran in one window only says nothing of the machine: it is compared with nothing.
    """
    if not turns:
        return ()
    own = [(turn.arm, turn.batch) for turn in turns]
    start_s = min(turn.at_s for turn in turns)
    when = [int((turn.at_s - start_s) / window_s) for turn in turns]
    taken = [log(median(turn.took_s)) for turn in turns]
    telling = _comparable(own, when)
    shared = dict.fromkeys(when, 0.0)
    for _ in range(ROUNDS):
        level = _medians(own, [t - shared[w] for t, w in zip(taken, when, strict=True)], 0.0)
        left = [taken[i] - level[own[i]] for i in telling]
        shared |= _medians([when[i] for i in telling], left, DOUBT)
        middle = median(shared[w] for w in when)
        shared = {w: value - middle for w, value in shared.items()}
    return tuple(exp(shared[w]) for w in when)


def _comparable(own: Sequence[Hashable], when: Sequence[int]) -> list[int]:
    """The turns of what ran in several windows."""
    windows: dict[Hashable, set[int]] = defaultdict(set)
    for cell, window in zip(own, when, strict=True):
        windows[cell].add(window)
    return [i for i, cell in enumerate(own) if len(windows[cell]) > 1]


def _medians(keys: Sequence[K], values: Sequence[float], doubt: float) -> dict[K, float]:
    groups: dict[K, list[float]] = defaultdict(list)
    for key, value in zip(keys, values, strict=True):
        groups[key].append(value)
    return {key: median(g) * len(g) / (len(g) + doubt) for key, g in groups.items()}
