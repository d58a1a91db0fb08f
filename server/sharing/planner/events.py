"""Event recall, precision and F1 of a task, from what it says of single frames (Eq. 1 of Mainstream, 2018). Pure.

A stream falls into windows of one length, each an event or not. Of a window h = length * rate frames are analysed. They
are hits with probability p and correlated as in a stationary chain of two states: P(miss | miss before) is
(1 - p) + p * correlation and P(hit | hit before) is p + (1 - p) * correlation, so every single frame still hits with p.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.sharing.planner.plan import Scores
from server.sharing.planner.workload import Branch, Rules, Task

Floats = NDArray[np.float64]

_MOST_FRAMES = 2.0**50
"""Of a window: beyond, floating point knows no fractions of frames any more."""


@dataclass(frozen=True, slots=True)
class EventScores:
    """A task's scores for every choice, each array (branches, rates, votes) in the order of task and rules."""

    recall: Floats
    precision: Floats
    f1: Floats

    def at(self, branch: int, rate: int, vote: int) -> Scores:
        """Of one choice, by its three positions."""
        place = branch, rate, vote
        return Scores(
            float(self.recall[place]), float(self.precision[place]), float(self.f1[place])
        )


def event_table(task: Task, rules: Rules) -> EventScores:
    """All scores of a task at once; much cheaper than asking for them one by one."""
    rates = np.asarray(rules.rates_fps, np.float64)
    return _table(task, task.branches, analysed(task, rates, rules), rules.x_votes)


def event_scores(task: Task, branch: Branch, rate_fps: float, rules: Rules, x_vote: int) -> Scores:
    """As predicted for one choice; at rate 0 all are 0. For many choices take `event_table`."""
    frames = analysed(task, np.asarray([rate_fps], np.float64), rules)
    return _table(task, (branch,), frames, (x_vote,)).at(0, 0, 0)


def analysed(task: Task, rates_fps: Floats, rules: Rules) -> Floats:
    """Frames of one window that are analysed at each rate, on average.

    The published form is that of the authors' released code, which divides by the stride twice; the paper does so once.
    """
    frames = task.event_length_s * rates_fps
    return frames * rates_fps / rules.stream_fps if rules.published_form else frames


def report_chance(hit: Floats, correlation: float, frames: Floats, x_vote: int) -> Floats:
    """P(`x_vote` consecutive hits among the analysed frames of a window), (hits, frames). Exact.

    `hit` holds probabilities of one frame, `frames` how many are analysed; h of them means floor(h) or, with the
    probability of what is left over, one more. So fewer than one means one frame with probability h.
    """
    counted = np.minimum(frames, _MOST_FRAMES)
    whole = np.floor(counted)
    more = counted - whole
    exact = whole.astype(np.int64)
    silent = _silence(hit, correlation, np.concatenate([exact, exact + 1]), x_vote)
    fewer, one_more = np.split(silent, 2, axis=1)
    return np.clip(1.0 - (1.0 - more) * fewer - more * one_more, 0.0, 1.0)


def _silence(hit: Floats, correlation: float, frames: NDArray[np.int64], x_vote: int) -> Floats:
    """P(no report in exactly so many frames), (hits, frames): powers of the chain's matrix, by repeated squaring.

    The chain's state is the run of hits so far, 0 to `x_vote` - 1; the runs that are reported leave it.
    """
    state = np.zeros((hit.size, frames.size, x_vote))
    state[:, :, 0] = (1.0 - hit)[:, None]
    if x_vote > 1:
        state[:, :, 1] = hit[:, None]
    steps, power = np.maximum(frames - 1, 0), _moves(hit, correlation, x_vote)
    while steps.any():
        state = np.where((steps % 2 == 1)[None, :, None], state @ power, state)
        steps, power = steps // 2, power @ power
    return np.where(frames == 0, 1.0, state.sum(axis=2))


def _moves(hit: Floats, correlation: float, x_vote: int) -> Floats:
    """From each run of hits to the next one, (hits, runs, runs): a row's missing share is reported."""
    moves = np.zeros((hit.size, x_vote, x_vote))
    again = hit + (1.0 - hit) * correlation
    moves[:, :, 0] = (1.0 - again)[:, None]
    moves[:, 0, 0] = 1.0 - hit + hit * correlation
    for run in range(x_vote - 1):
        moves[:, run, run + 1] = again if run else hit * (1.0 - correlation)
    return moves


def _table(
    task: Task, branches: tuple[Branch, ...], frames: Floats, x_votes: tuple[int, ...]
) -> EventScores:
    """Events are found by true positives, and windows that are none are taken for one by false positives."""
    hit = np.asarray([(b.true_positive, b.false_positive) for b in branches], np.float64)
    chance = np.stack(
        [report_chance(hit.ravel(), task.correlation, frames, vote) for vote in x_votes], axis=2
    ).reshape(len(branches), 2, frames.size, len(x_votes))
    recall, wrong = chance[:, 0], chance[:, 1]
    found = task.event_frequency * recall
    precision = _ratio(found, found + (1.0 - task.event_frequency) * wrong)
    return EventScores(
        recall, precision, _ratio(2.0 * recall * precision, np.asarray(recall + precision))
    )


def _ratio(part: Floats, whole: Floats) -> Floats:
    """0 where nothing can be divided."""
    quotient: Any = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
    return np.minimum(quotient, 1.0)
