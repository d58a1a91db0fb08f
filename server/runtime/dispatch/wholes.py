"""Jobs of more rows than any batch: cut into pieces that run wherever they are served best, and joined again."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from server.errors import ComputeFailed
from server.runtime.dispatch.jobs import Job, JobAnswer


class Whole:
    """One such job. It fails or succeeds as one: with the first piece that fails, or with all of them."""

    def __init__(self, job: Job, rows: Sequence[int]) -> None:
        self.job = job
        self.pieces: tuple[Job, ...] = ()
        """Those that may still be waiting or running; none once it is over: they refer back to it."""
        first = 0
        for count in rows:
            self.pieces += (_piece(self, first, count),)
            first += count
        job.whole = self
        self._lock = threading.Lock()
        self._answers: dict[int, JobAnswer] = {}

    def add(self, answer: JobAnswer) -> tuple[JobAnswer | None, tuple[Job, ...]]:
        """A piece's answer has come: the whole job's one, if this decides it, and the pieces that need not run then."""
        with self._lock:
            if not self.pieces:
                return None, ()
            if answer.error is not None:
                self._answers.clear()  # they refer back to this
                return JobAnswer(self.job, error=answer.error), self._end()
            self._answers[answer.job.first] = answer
            if len(self._answers) < len(self.pieces):
                return None, ()
            self._end()
        try:
            return self._joined(), ()
        except Exception as error:  # noqa: BLE001 - one job that cannot be joined must not cost others their answers
            self._answers.clear()
            failed = ComputeFailed(f"its answers cannot be joined: {type(error).__name__}: {error}")
            return JobAnswer(self.job, error=failed), ()

    def end(self) -> tuple[Job, ...]:
        """No answer is wanted any more; the pieces that there were."""
        with self._lock:
            self._answers.clear()
            return self._end()

    def _end(self) -> tuple[Job, ...]:
        pieces, self.pieces, self.job.whole = self.pieces, (), None
        return pieces

    def _joined(self) -> JobAnswer:
        """The rows in their order. It was run as its least accurate piece was, from the first start to the last end."""
        answers = [self._answers[first] for first in sorted(self._answers)]
        self._answers.clear()  # they refer back to this
        parts = [answer.outputs or {} for answer in answers]
        outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        batches = [answer.batch for answer in answers if answer.batch is not None]
        batches.sort(key=lambda batch: batch.profile.accuracy)
        batch = replace(
            batches[0],
            started_s=min(one.started_s for one in batches),
            gathered_s=min(one.gathered_s for one in batches),
            ended_s=max(one.ended_s for one in batches),
            variants=tuple(dict.fromkeys(one.profile.arm.variant for one in batches)),
        )
        return JobAnswer(self.job, outputs, batch)


def _piece(whole: Whole, first: int, rows: int) -> Job:
    job = whole.job
    inputs = {name: array[first : first + rows] for name, array in job.inputs.items()}
    return replace(job, inputs=inputs, rows=rows, whole=None, part_of=whole, first=first)
