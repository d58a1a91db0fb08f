"""The steps on offer, as arrays: every (arm, batch size) worth weighing, smallest batch first. Made once per table."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.policy.decision import ArmProfile
from server.policy.dispatch.costs import LEAST

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Entry = tuple[int, float, float, float]
"""Rows of a step, the accuracy that they earn together, the mean and the upper estimate of its latency (s)."""

FAR_S = 1e9
"""Longer than any deadline is away, yet a number to reckon with."""
EVERY = 16
"""Up to this many rows every batch size is tried, beyond it steps of an eighth: finer ones gain nothing measurable."""


@dataclass(frozen=True, slots=True)
class Menu:
    """Entry i runs `size[i]` rows on `arms[arm[i]]` in `mean_s[i]`, nearly always below `upper_s[i]`.

    `accuracy[i]` is what the whole batch then earns, `each[i]` what a row of it does. The entries
    of at most r rows are the first `count[r]`, the slowest of them takes `slowest_s[r]` by the upper estimate; the
    first `holding[r]` reach up to the least size that holds r rows. `most` is the largest batch, entry `alone` the
    fastest for one row. `whole` are the rows (`every`, `size`), `real` the rows (`upper_s`, `mean_s`, `each`).
    `entries[i]` is (`size`, `accuracy`, `mean_s`, `upper_s`) of entry i; `each[i]` and `runs_on[i]`, its arm, are lists
    too, for those who look at few of them.
    """

    arms: Sequence[ArmProfile]
    arm: Ints
    size: Ints
    accuracy: Floats
    mean_s: Floats
    upper_s: Floats
    count: list[int]
    holding: list[int]
    slowest_s: list[float]
    most: int
    alone: int
    whole: Ints
    real: Floats
    entries: list[Entry]
    runs_on: list[int]
    each: list[float]


def menu(arms: Sequence[ArmProfile]) -> Menu:
    """The menu of `arms` (at least one): of each size the arms that no other matches in accuracy and time."""
    most = max(arm.max_batch for arm in arms)
    own = [
        arm.max_batch for arm in arms
    ]  # else a request of that size would miss an arm that just holds it
    tried = sorted({*sizes(most), *own})
    offered = [(b, i) for b in tried for i in _undominated(arms, b)]
    size, arm = (np.array(column, dtype=np.intp) for column in zip(*offered, strict=True))
    upper_s = np.array([arms[i].upper_s[b] for b, i in offered])
    accuracy = [b * max(arms[i].accuracy, LEAST) for b, i in offered]
    mean_s = [arms[i].mean_s[b] for b, i in offered]
    each = [max(arms[i].accuracy, LEAST) for _, i in offered]
    count = np.searchsorted(size, np.arange(most + 1), side="right").tolist()
    slowest = np.maximum.accumulate(upper_s)
    return Menu(
        arms=arms,
        arm=arm,
        size=size,
        accuracy=np.array(accuracy),
        mean_s=np.array(mean_s),
        upper_s=upper_s,
        count=count,
        holding=[count[tried[bisect_left(tried, rows)]] for rows in range(most + 1)],
        slowest_s=[float(slowest[c - 1]) if c else 0.0 for c in count],
        most=most,
        alone=int(upper_s[: count[1]].argmin()),
        whole=np.array([np.arange(len(size)), size]),
        real=np.array([upper_s, mean_s, each]),
        entries=list(zip(size.tolist(), accuracy, mean_s, upper_s.tolist(), strict=True)),
        runs_on=arm.tolist(),
        each=each,
    )


def latencies(arms: Sequence[ArmProfile]) -> tuple[Floats, Floats]:
    """Mean and upper latency (s) of every arm by rows, FAR_S for more rows than it holds: (arms, largest batch + 2)."""
    most = max(arm.max_batch for arm in arms)
    means, uppers = np.full((2, len(arms), most + 2), FAR_S)
    for i, arm in enumerate(arms):
        means[i, : arm.max_batch + 1] = arm.mean_s
        uppers[i, : arm.max_batch + 1] = arm.upper_s
    return means, uppers


def sizes(most: int) -> tuple[int, ...]:
    """The batch sizes worth trying on an arm whose largest is `most`, that one included."""
    tried = list(range(1, min(EVERY, most) + 1))
    while tried[-1] < most:
        tried.append(min(most, tried[-1] + max(1, tried[-1] // 8)))
    return tuple(tried)


def _undominated(arms: Sequence[ArmProfile], rows: int) -> list[int]:
    """Indices of the arms for a batch of `rows` that no more accurate one matches in both times."""
    able = [i for i, arm in enumerate(arms) if rows <= arm.max_batch]
    able.sort(key=lambda i: (-arms[i].accuracy, arms[i].upper_s[rows], arms[i].mean_s[rows]))
    kept: list[int] = []
    for i in able:
        mean_s, upper_s = arms[i].mean_s[rows], arms[i].upper_s[rows]
        if not any(
            arms[k].mean_s[rows] <= mean_s and arms[k].upper_s[rows] <= upper_s for k in kept
        ):
            kept.append(i)
    return kept


IS_COMPILED = type(sizes).__name__ != "function"
"""Whether this file runs compiled: then a loop over some hundred numbers is quicker than arrays are."""
