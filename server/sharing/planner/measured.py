"""Event F1 as it was, in the terms of the model (`events.py`): windows of one length, each an event or not. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from server.sharing.planner.plan import Scores


@dataclass(frozen=True, slots=True)
class Window:
    """What a window was and what a task said of it."""

    event: bool
    reported: bool


def reported(positives: Iterable[bool], x_vote: int) -> bool:
    """Whether `x_vote` consecutive ones of a window's analysed frames are positive."""
    runs = (len(list(run)) for positive, run in groupby(positives) if positive)
    return any(run >= x_vote for run in runs)


def measured_scores(windows: Iterable[Window]) -> Scores:
    """Recall: of the events, those reported. Precision: of the reports, those of events. 0 where there are none."""
    seen = tuple(windows)
    found = sum(window.event and window.reported for window in seen)
    recall = _share(found, sum(window.event for window in seen))
    precision = _share(found, sum(window.reported for window in seen))
    return Scores(recall, precision, _share(2.0 * recall * precision, recall + precision))


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
