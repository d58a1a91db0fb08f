"""Measured branches made monotone: sharing less is never worse, for the deeper branch's layers could be run unshared.

Pure. As in Mainstream (2018): what a deeper branch does better than a shallower one is noise of training.
"""

from collections.abc import Iterable

from server.sharing.planner.workload import Branch


def repaired(branches: Iterable[Branch]) -> tuple[Branch, ...]:
    """By `frozen`, ascending; each with the pair of rates that is best among its own and those of deeper branches.

    Best is the balanced accuracy of one frame, the mean of `true_positive` and 1 - `false_positive`; of equals the
    deeper one's. How often a frame is part of an event does not matter to it.
    """
    walked: list[Branch] = []
    for branch in sorted(branches, key=lambda b: -b.frozen):
        best = max(walked[-1], branch, key=accuracy) if walked else branch
        walked.append(Branch(branch.frozen, best.true_positive, best.false_positive))
    return tuple(reversed(walked))


def accuracy(branch: Branch) -> float:
    """Balanced accuracy of one frame, in [0, 1]."""
    return (branch.true_positive + 1.0 - branch.false_positive) / 2.0
