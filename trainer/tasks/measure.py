"""What published heads say of streams, through the very sessions that serve them, and the rates that follow."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backends.base import BackendError
from models.stems import Head, Heads, Package, SharedTask, Stem
from trainer.errors import TrainError
from trainer.tasks.footage import Footage
from trainer.tasks.kinds import Wanted
from trainer.tasks.rates import (
    Flags,
    Scores,
    best_threshold,
    fitted_correlation,
    measured_f1,
    rates,
)

_ROWS = 64
"""Frames at a time."""

Said = dict[tuple[str, int], Scores]
"""By task and frozen layers: scores (n,) of a stream's frames."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One head's row of the table: rates of single frames, event F1 with every frame of a window analysed."""

    task: str
    frozen: int
    threshold: float
    true_positive: float
    false_positive: float
    f1: float


def said(
    folder: Path, package: Package, footage: Footage, tick: Callable[[int], object] = lambda _: None
) -> Said:
    """The scores that every head of the package in `folder` gives every frame. `tick` hears of frames as they are done.

    Raises TrainError where a network does not run.
    """
    try:
        stem, heads = Stem.open(folder, package), Heads.open(folder, package)
        try:
            parts = [_scores(stem, heads, package, rows) for rows in _batches(footage, tick)]
        finally:
            heads.close()
            stem.close()
    except BackendError as error:
        raise TrainError(f"the exported networks cannot be run: {error}") from error
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


@dataclass(frozen=True, slots=True)
class Watched:
    """A stream and what the heads say of it."""

    footage: Footage
    said: Said


def rated(
    task: SharedTask, wanted: Wanted, choosing: Watched, measuring: Watched
) -> tuple[SharedTask, list[Measured]]:
    """`task` with every head's threshold, chosen on one stream, and rates and correlation, measured on the other.

    Rates are as they were counted: where a shallower branch did worse than a deeper one they are published so, and
    planners, which want them monotone, repair them on reading. Raises TrainError where a stream has no events of the
    task, or nothing else.
    """
    heads = tuple(_rated_head(task, h, wanted, choosing, measuring) for h in task.heads)
    events = measuring.footage.events(wanted)
    flags = [_positives(task, head, measuring) for head in heads]
    rows = [
        Measured(
            *(task.name, head.frozen, head.threshold, head.true_positive, head.false_positive),
            f1=measured_f1(positives, events, task.event_frequency),
        )
        for head, positives in zip(heads, flags, strict=True)
    ]
    correlation = fitted_correlation(flags, events, task.event_frequency)
    return replace(task, heads=heads, correlation=correlation), rows


def _rated_head(
    task: SharedTask, head: Head, wanted: Wanted, choosing: Watched, measuring: Watched
) -> Head:
    key = task.name, head.frozen
    try:
        threshold = best_threshold(
            choosing.said[key], choosing.footage.frame_events(wanted), task.event_frequency
        )
        found = rates(measuring.said[key] >= threshold, measuring.footage.frame_events(wanted))
    except ValueError as error:
        raise TrainError(f"task {task.name}: {error}") from error
    return replace(
        head,
        threshold=threshold,
        true_positive=found.true_positive,
        false_positive=found.false_positive,
    )


def _positives(task: SharedTask, head: Head, watched: Watched) -> Flags:
    """(windows, frames of one)."""
    scores = watched.said[task.name, head.frozen]
    return (scores >= head.threshold).reshape(-1, watched.footage.window_frames)


def _batches(footage: Footage, tick: Callable[[int], object]) -> Iterator[NDArray[np.float32]]:
    for at in range(0, len(footage.frames), _ROWS):
        rows = footage.frames[at : at + _ROWS].astype(np.float32)
        yield rows
        tick(len(rows))


def _scores(stem: Stem, heads: Heads, package: Package, rows: NDArray[np.float32]) -> Said:
    points = sorted({head.frozen for task in package.tasks for head in task.heads})
    activations = stem.run(rows, 0, points)
    return {
        (task.name, head.frozen): heads.run(task.name, head.frozen, activations[head.frozen])
        for task in package.tasks
        for head in task.heads
    }
