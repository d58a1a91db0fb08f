"""From scores of single frames to what planners ask of a task: threshold, rates, correlation. Pure.

The model is Mainstream's (Jiang et al. 2018): the first analysed frame of an event is missed with probability 1 - p,
each further one, given a miss, with c = (1 - p) + p * correlation; false positives in other windows go the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rates:
    """P(positive | the frame is of an event), P(positive | it is not), as counted over frames."""

    true_positive: float
    false_positive: float


def best_threshold(scores: Scores, events: Flags, frequency: float) -> float:
    """The threshold by which single frames have the greatest F1, were events as frequent as `frequency`.

    `scores` (n,) of frames, `events` (n,) whether each is of an event. A frame is positive from the threshold on, which
    lies half way between two scores that occur. Raises ValueError where there are not frames of both sorts.
    """
    if not 0 < events.sum() < len(events):
        raise ValueError("a threshold needs frames of events and others; take more windows")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order].astype(np.float64), events[order]
    true = np.cumsum(hits) / hits.sum()
    false = np.cumsum(~hits) / (~hits).sum()
    f1 = 2 * frequency * true / (frequency * true + (1 - frequency) * false + frequency)
    last_of_its_score = np.append(ranked[1:] < ranked[:-1], True)
    at = int(np.argmax(np.where(last_of_its_score, f1, -1.0)))
    below = ranked[at + 1] if at + 1 < len(ranked) else 0.0
    return float((ranked[at] + below) / 2)


def rates(positives: Flags, events: Flags) -> Rates:
    """Counted over frames: `positives` (n,) and whether each is of an event, (n,). Raises ValueError as above."""
    if not 0 < events.sum() < len(events):
        raise ValueError("rates need frames of events and others; take more windows")
    return Rates(float(positives[events].mean()), float(positives[~events].mean()))


def missed(positive: float, frames: int, correlation: float) -> float:
    """P(none of so many frames of a window is positive) where one is with probability `positive`; `frames` >= 1."""
    return (1 - positive) * ((1 - positive) + positive * correlation) ** (frames - 1)


def f1_of(recall: float, reported: float, frequency: float) -> float:
    """Of windows: `recall` of events, share `reported` of the others; 0 where nothing is ever reported."""
    named = frequency * recall + (1 - frequency) * reported
    return 2 * frequency * recall / (named + frequency) if named else 0.0


def measured_f1(positives: Flags, events: Flags, frequency: float) -> float:
    """Event F1 as counted: `positives` (windows, frames analysed), `events` (windows,); one positive reports it."""
    reported: Flags = np.any(positives, axis=1)
    return f1_of(float(reported[events].mean()), float(reported[~events].mean()), frequency)


def fitted_correlation(heads: Sequence[Flags], events: Flags, frequency: float) -> float:
    """The correlation by which the model's event F1 comes nearest to the measured, over all heads and strides.

    `heads`: positives (windows, frames) of each; `events` (windows,). Least squares over 0, 0.01, ..., 1. Fitted,
    rather than counted as P(miss | a miss before): frames err alike for two reasons, the same picture lasting and a
    scene of a hard kind, and only the first fades with distance, while one number must serve all rates.
    """
    grid = np.linspace(0, 1, 101)
    errors = np.zeros_like(grid)
    for positives in heads:
        true, false = float(positives[events].mean()), float(positives[~events].mean())
        for stride in _strides(positives.shape[1]):
            seen = positives[:, ::stride]
            found = measured_f1(seen, events, frequency)
            frames = seen.shape[1]
            said = [_predicted(true, false, frames, c, frequency) for c in grid]
            errors += (np.array(said) - found) ** 2
    return float(grid[int(np.argmin(errors))])


def _predicted(
    true: float, false: float, frames: int, correlation: float, frequency: float
) -> float:
    recall = 1 - missed(true, frames, correlation)
    return f1_of(recall, 1 - missed(false, frames, correlation), frequency)


def _strides(frames: int) -> list[int]:
    """Those at which every frame stands for equally many; one frame alone says nothing of correlation."""
    return [stride for stride in range(1, frames) if frames % stride == 0]
