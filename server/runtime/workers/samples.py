"""A few rows of live traffic with the classes that were answered: what a candidate on trial is compared on.

Workers offer what they have served; the tuner's thread takes. Nobody waits for either.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from server.policy.decision import Arm
from server.runtime.dispatch.jobs import Arrays, JobAnswer

HELD = 64
"""Answers kept at most; the oldest gives way."""
MOST_ROWS = 4
"""Rows copied of one answer."""
GAP_S = 0.05
"""At least so long (s) between two batches that rows are copied of: 80 rows a second at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Rows of one request, the arm that answered them, and the classes it said, where its outputs are class scores.

    `row_units`: units of work in each row.
    """

    inputs: Arrays
    rows: int
    row_units: int
    arm: Arm
    classes: NDArray[np.intp] | None
    taken_s: float


class Samples:
    """Takes `share` of the rows offered while it is `wanted`. `scores`: the output that holds class scores, if any."""

    def __init__(self, share: float, scores: str | None) -> None:
        self.wanted = False
        """Whether anybody is on trial: workers look at nothing else."""
        self._share = share
        self._scores = scores
        self._due = 0.0
        self._free_s = 0.0
        self._lock = threading.Lock()
        self._held: deque[Sample] = deque(maxlen=HELD)

    def __len__(self) -> int:
        return len(self._held)

    def want(self, *, wanted: bool) -> None:
        """Begin to take, or end and forget what was taken."""
        if not wanted and self.wanted:
            self._held.clear()
        self.wanted = wanted and self._share > 0.0

    def offer(self, answers: Sequence[JobAnswer]) -> None:
        """A batch was answered, all by one arm: copy what is due of its first rows. Any thread."""
        now_s = time.monotonic()
        with self._lock:
            self._due += self._share * sum(answer.job.rows for answer in answers)
            if self._due < 1.0 or now_s < self._free_s:
                self._due = min(self._due, float(MOST_ROWS))
                return
            self._free_s = now_s + GAP_S
            for answer in answers:
                rows = min(answer.job.rows, int(self._due), MOST_ROWS)
                if rows and answer.outputs is not None and answer.batch is not None:
                    self._held.append(self._copied(answer, answer.outputs, rows, now_s))
                    self._due -= rows
            self._due = min(self._due, 1.0)

    def oldest(self) -> Sample | None:
        """None where there is none."""
        try:
            return self._held[0]
        except IndexError:
            return None

    def take(self, most: int, alike: Callable[[Sample], bool]) -> list[Sample]:
        """The oldest that are `alike`, `most` rows in all; the others stay. One of more rows is cut to so many."""
        with self._lock:
            taken: list[Sample] = []
            left = most
            for sample in list(self._held):
                if min(sample.rows, most) <= left and alike(sample):
                    taken.append(_cut(sample, most))
                    self._held.remove(sample)
                    left -= taken[-1].rows
            return taken

    def _copied(self, answer: JobAnswer, outputs: Arrays, rows: int, now_s: float) -> Sample:
        assert answer.batch is not None  # offer() has looked
        inputs = {name: array[:rows].copy() for name, array in answer.job.inputs.items()}
        classes = top(outputs[self._scores][:rows]) if self._scores else None
        arm = answer.batch.profile.arm
        return Sample(inputs, rows, answer.job.row_units, arm, classes, now_s)


def fit_together(a: Sample, b: Sample) -> bool:
    """Whether one arm answered both, and rows of both make one batch."""
    shapes = [{name: array.shape[1:] for name, array in s.inputs.items()} for s in (a, b)]
    return a.arm == b.arm and shapes[0] == shapes[1]


def _cut(sample: Sample, rows: int) -> Sample:
    if sample.rows <= rows:
        return sample
    inputs = {name: array[:rows] for name, array in sample.inputs.items()}
    classes = None if sample.classes is None else sample.classes[:rows]
    return replace(sample, inputs=inputs, rows=rows, classes=classes)


def top(scores: NDArray[np.generic]) -> NDArray[np.intp]:
    """The class of each row of (rows, classes); -1 where a score is no number, which agrees with nothing."""
    values = scores.astype(np.float64)
    found = values.argmax(axis=1)
    return np.where(np.isfinite(values).all(axis=1), found, -1)
