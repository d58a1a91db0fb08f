"""Which jobs of a step share a run where rows differ in size: those of one size, or padded where that pays. Pure.

Padding costs the work of what is filled in, and saves a run. Runs are cut from the jobs in the order of their sizes, so
that the sum of what they take is least (the partition into consecutive groups, by dynamic programming).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")

Sizes = tuple[int, ...]
"""The free sizes of a job's rows, in an order that is the same for all."""


class Sized(NamedTuple):
    """Jobs, `rows` of them in all, whose rows have `sizes`."""

    rows: int
    sizes: Sizes


def by_size(jobs: Sequence[tuple[T, Sizes]]) -> list[list[T]]:
    """Those of one size together, in the order in which the sizes come first."""
    alike: dict[Sizes, list[T]] = {}
    for job, sizes in jobs:
        alike.setdefault(sizes, []).append(job)
    return list(alike.values())


def padded_groups(sized: Sequence[Sized], takes: Callable[[int, Sizes], float]) -> list[range]:
    """Which of the `sized`, smallest first, share a run: what `takes(rows, sizes)` says of all runs adds up to least.

    A run has the largest sizes of those in it.
    """
    least, begins = [0.0], [0]
    for end in range(1, len(sized) + 1):
        best, begin_best = float("inf"), end - 1
        rows, sizes = 0, sized[end - 1].sizes
        for begin in range(end - 1, -1, -1):
            rows += sized[begin].rows
            sizes = tuple(map(max, sizes, sized[begin].sizes))
            took = least[begin] + takes(rows, sizes)
            if took < best:
                best, begin_best = took, begin
        least.append(best)
        begins.append(begin_best)
    groups: list[range] = []
    end = len(sized)
    while end:
        groups.append(range(begins[end], end))
        end = begins[end]
    return groups[::-1]
