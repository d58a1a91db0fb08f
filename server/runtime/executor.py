"""Worker threads: take a step, gather its rows, run them on a loaded backend, scatter the outputs.

They touch nothing but their step, their own batch buffers and the backend; what is loaded is the residency's affair.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from models.backends.base import Backend, BackendError
from models.catalog import DATATYPES, Family
from server.errors import ComputeFailed
from server.policy.decision import Arm
from server.runtime.dispatcher import Dispatcher, Step
from server.runtime.jobs import Answer, Arrays, Batch, Job

_log = logging.getLogger(__name__)


class Worker(threading.Thread):
    """Runs batches of one family until its dispatcher is closed and drained.

    `gate` is held while a batch runs, so that a measurement never shares the core with one; `observe` sees every
    finished batch and how long (s) its worker was busy with it.
    """

    def __init__(
        self,
        family: Family,
        dispatcher: Dispatcher,
        loaded: Mapping[Arm, Backend],
        gate: threading.Lock,
        observe: Callable[[Batch, float], None],
    ) -> None:
        super().__init__(name=f"worker-{family.name}", daemon=True)
        self._dispatcher = dispatcher
        self._loaded = loaded
        self._gate = gate
        self._observe = observe
        self._precisions = {v.name: v.precision for v in family.variants}
        self._buffers = _Buffers(family)

    def run(self) -> None:
        """Work until there is no more. Every job of every step gets its answer, whatever the backend does."""
        while (step := self._dispatcher.next_step()) is not None:
            with self._gate:
                answers = self._answers(step)
            self._dispatcher.finish(answers)
            self._tell(step, answers)

    def _tell(self, step: Step, answers: list[Answer]) -> None:
        """Let the tuner learn from a step whose jobs all ran in one batch; retries say nothing of speed."""
        batch = answers[0].batch
        if batch is not None and batch.rows == step.rows:
            self._observe(batch, time.monotonic() - step.begun_s)

    def _answers(self, step: Step) -> list[Answer]:
        try:
            return self._run(step)
        except Exception as error:  # noqa: BLE001 - one bad batch must not end the worker: its jobs still need answers
            _log_failure(step, error)
            if len(step.jobs) > 1:  # a neighbour's fault is not theirs: each alone
                alone = [Step(step.arm, (job,), job.rows, step.begun_s) for job in step.jobs]
                return [answer for single in alone for answer in self._answers(single)]
            text = f"variant {step.arm.arm.variant} failed; the server's log has the cause"
            return [Answer(job, error=ComputeFailed(text)) for job in step.jobs]

    def _run(self, step: Step) -> list[Answer]:
        started_s = time.monotonic()
        inputs = self._buffers.gather(step.jobs, step.rows)
        gathered_s = time.monotonic()
        outputs = self._loaded[step.arm.arm].run(inputs)
        ended_s = time.monotonic()
        precision = self._precisions[step.arm.arm.variant]
        batch = Batch(step.arm, precision, step.rows, started_s, gathered_s, ended_s)
        return _scatter(step.jobs, outputs, batch)


class _Buffers:
    """One preallocated array per input, filled row by row; a single job's arrays are used as they are."""

    def __init__(self, family: Family) -> None:
        self._arrays: dict[str, NDArray[np.generic]] = {
            spec.name: np.empty((family.max_batch, *spec.shape[1:]), DATATYPES[spec.datatype])
            for spec in family.inputs
        }

    def gather(self, jobs: tuple[Job, ...], rows: int) -> Arrays:
        if len(jobs) == 1:
            return jobs[0].inputs
        for name, whole in self._arrays.items():
            at = 0
            for job in jobs:
                whole[at : at + job.rows] = job.inputs[name]
                at += job.rows
        return {name: whole[:rows] for name, whole in self._arrays.items()}


def _scatter(jobs: tuple[Job, ...], outputs: Arrays, batch: Batch) -> list[Answer]:
    for name, array in outputs.items():
        if array.shape[0] != batch.rows:
            raise BackendError(
                f"output {name!r} of {batch.arm.arm.variant} has {array.shape[0]} rows for {batch.rows}"
            )
    answers: list[Answer] = []
    at = 0
    for job in jobs:
        end = at + job.rows
        part = {name: array[at:end] for name, array in outputs.items()}
        answers.append(Answer(job, part, batch))
        at = end
    return answers


def _log_failure(step: Step, error: Exception) -> None:
    text = "batch of %d rows failed on %s (%s)"
    _log.error(text, step.rows, step.arm.arm.variant, step.arm.arm.backend, exc_info=error)
