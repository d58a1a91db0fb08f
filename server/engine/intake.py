"""A front's way into the engine: requests are checked as they come, handed on together, and answered in batches."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf, isfinite, isnan
from typing import NamedTuple

from server.engine.checking.checks import Checked
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.engine.values import Answer, Deliver, Execution, Request
from server.errors import BadInput, RequestError
from server.runtime.dispatch import jobs
from server.runtime.dispatch.jobs import Batch, Job, Loan

_log = logging.getLogger(__name__)


class _Taken(NamedTuple):  # what a job's answer needs to find its way back
    request: Request
    family: ServedFamily
    outputs: tuple[str, ...]
    deliver: Deliver


class Intake:
    """One front's. `deliver` is given the answers; `also` is what it checks itself of a good request, by raising
    RequestError. `collect`, `flush` and `cancel` are for one thread, the front's own; the rest is for any.
    Whom a request was checked for has it, and answers it, whatever `families` are by then."""

    def __init__(
        self,
        families: Mapping[str, ServedFamily],
        unserved: Unserved,
        deliver: Deliver,
        also: Callable[[Request, Checked, ServedFamily], None] | None = None,
    ) -> None:
        self._families = families
        self._unserved = unserved
        self._deliver = deliver
        self._also = also
        self._collected: dict[ServedFamily, list[Job]] = {}

    def check(self, request: Request, to: Deliver | None = None) -> Job:
        """The request, good to be collected or submitted; `to`: who is given its answer, if it is not the front.

        Raises RequestError; its inputs are released then.
        """
        try:
            return self._job(request, self.family(request.model), to or self._deliver)
        except BaseException as error:
            if isinstance(error, RequestError):
                self.refused(request.model)
            _release(request)
            raise

    def current(self, job: Job) -> Job:
        """The job, checked anew where another family has the name by now: that of one that goes would be refused.

        Raises RequestError as `check` does.
        """
        taken = _taken(job)
        now = self._families.get(taken.request.model)
        if now is None or now is taken.family:
            return job
        return self.check(taken.request, taken.deliver)

    def family(self, model: str) -> ServedFamily:
        """The family of this name. Raises UnknownModel, or NotReady for one that cannot be served."""
        family = None if model in self._unserved else self._families.get(model)
        if family is None:
            raise self._unserved.error(model)
        return family

    def refused(self, model: str) -> None:
        """A request for this model was bad: count it, where there is such a family."""
        family = self._families.get(model)
        if model not in self._unserved and family is not None:
            family.metrics.unrun("default", "invalid")

    def collect(self, job: Job) -> None:
        """Have it handed on with others, by `flush`."""
        self._collected.setdefault(_taken(job).family, []).append(job)

    def flush(self) -> None:
        """Hand on what was collected."""
        if self._collected:
            collected, self._collected = self._collected, {}
            for family, waiting in collected.items():
                family.dispatcher.submit(waiting)

    def submit(self, job: Job) -> None:
        """Hand on at once. Where it is refused, its answer has been delivered when this returns."""
        _taken(job).family.dispatcher.submit([job])

    def cancel(self, job: Job) -> bool:
        """No answer is wanted any more. False where it runs already or was answered: one comes, or came."""
        family = _taken(job).family
        waiting = self._collected.get(family, [])
        if job not in waiting:
            return self.withdraw(job)
        waiting.remove(job)
        family.metrics.unrun(job.slo_class, "cancelled")
        _let_go(job)
        return True

    def withdraw(self, job: Job) -> bool:
        """`cancel` of a request that was handed on. Any thread."""
        if not _taken(job).family.dispatcher.cancel(job):
            return False
        _let_go(job)
        return True

    def _job(self, request: Request, family: ServedFamily, to: Deliver) -> Job:
        """Its bounds count from when its message came, but for its client's own deadline."""
        checked = family.checks.check(request)
        if self._also is not None:
            self._also(request, checked, family)
        demand = checked.demand
        arrival_s = time.monotonic() if request.arrival_s is None else request.arrival_s
        if not isfinite(arrival_s) or isnan(request.deadline_s or 0.0):
            raise BadInput(
                "arrival_s must be finite, and deadline_s a moment, on time.monotonic's clock"
            )
        deadline_s = arrival_s + min(demand.slo.latency_s, demand.timeout_s or inf)
        if request.deadline_s is not None:
            deadline_s = min(deadline_s, request.deadline_s)
        return Job(
            checked.inputs,
            checked.rows,
            arrival_s,
            deadline_s,
            demand.slo.min_accuracy,
            demand.variant,
            demand.slo.name,
            _Taken(request, family, checked.outputs, to),
            loan=None if request.release is None else Loan(partial(_release, request)),
            row_units=checked.row_units,
            sizes=checked.sizes,
            soft=demand.soft and request.deadline_s is None,
        )


def deliver(given: Sequence[jobs.JobAnswer]) -> Sequence[jobs.JobAnswer]:
    """Take a dispatcher's answers to the fronts they are for. Returns those withheld there, each with its error."""
    executions: dict[int, Execution] = {}
    made = [(one, _answer(one, executions)) for one in given]
    by_front: dict[Deliver, list[Answer]] = {}
    for one, answer in made:
        by_front.setdefault(_taken(one.job).deliver, []).append(answer)
    for to, answers in by_front.items():
        try:
            to(answers)
        except Exception:  # noqa: BLE001 - one front that fails must not cost the others their answers
            _log.exception("a front could not take its answers")
    for one in given:
        _let_go(one.job)
    return [
        jobs.JobAnswer(one.job, error=answer.error)
        for one, answer in made
        if answer.error is not one.error
    ]


def _answer(one: jobs.JobAnswer, executions: dict[int, Execution]) -> Answer:
    job, taken = one.job, _taken(one.job)
    if one.error is not None or one.outputs is None or one.batch is None:
        return Answer(taken.request, job.rows, error=one.error)
    execution = executions.get(id(one.batch))
    if execution is None:
        execution = executions[id(one.batch)] = _execution(one.batch)
    outputs = {name: one.outputs[name] for name in taken.outputs}
    waited_s = one.batch.started_s - job.arrival_s
    return Answer(taken.request, job.rows, outputs, execution, waited_s, family=taken.family.family)


def _execution(batch: Batch) -> Execution:
    arm = batch.profile.arm
    return Execution(
        arm.variant,
        batch.precision,
        arm.backend,
        batch.profile.accuracy,
        batch.rows,
        batch.compute_s,
        batch.variants,
    )


def _taken(job: Job) -> _Taken:
    taken = job.origin
    assert isinstance(taken, _Taken)  # every job is made here
    return taken


def _let_go(job: Job) -> None:
    """Its client waits for it no more: its inputs are released once no worker reads them."""
    if job.loan is not None:
        job.loan.let_go()


def _release(request: Request) -> None:
    release, request.release = request.release, None
    if release is not None:
        try:
            release()
        except Exception:  # noqa: BLE001 - the front's affair: the answer has gone out
            _log.exception("an input's memory could not be released")
