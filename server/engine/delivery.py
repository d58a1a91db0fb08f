"""Answers of dispatchers on their way to the fronts that they are for."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

from server.engine.plain import Plain
from server.engine.served import ServedFamily
from server.engine.values import Answer, Deliver, Execution, Request
from server.runtime.dispatch import jobs
from server.runtime.dispatch.jobs import Batch, Job

_log = logging.getLogger(__name__)


class WayBack(NamedTuple):
    """What a job's answer needs to find its way back."""

    request: Request
    family: ServedFamily
    outputs: tuple[str, ...]
    deliver: Deliver


def deliver(given: Sequence[jobs.JobAnswer]) -> Sequence[jobs.JobAnswer]:
    """Take a dispatcher's answers to the fronts they are for. Returns those withheld there, each with its error."""
    plain: dict[jobs.Deliver, list[jobs.JobAnswer]] = {}
    others: list[jobs.JobAnswer] = []
    for one in given:
        origin = one.job.origin
        if isinstance(origin, Plain):
            plain.setdefault(origin.to, []).append(one)
        else:
            others.append(one)
    withheld = _deliver_values(others) if others else []
    for to, some in plain.items():
        try:
            withheld += to(some) or ()
        except Exception:  # noqa: BLE001 - one front that fails must not cost the others their answers
            _log.exception("a front could not take its answers")
    return withheld


def _deliver_values(given: Sequence[jobs.JobAnswer]) -> list[jobs.JobAnswer]:
    """The same of those that fronts are given as plain values."""
    executions: dict[int, Execution] = {}
    made = [(one, _answer(one, executions)) for one in given]
    by_front: dict[Deliver, list[Answer]] = {}
    for one, answer in made:
        by_front.setdefault(way_back(one.job).deliver, []).append(answer)
    for to, answers in by_front.items():
        try:
            to(answers)
        except Exception:  # noqa: BLE001 - one front that fails must not cost the others their answers
            _log.exception("a front could not take its answers")
    for one in given:
        let_go(one.job)
    return [
        jobs.JobAnswer(one.job, error=answer.error)
        for one, answer in made
        if answer.error is not one.error
    ]


def _answer(one: jobs.JobAnswer, executions: dict[int, Execution]) -> Answer:
    job, origin = one.job, way_back(one.job)
    if one.error is not None or one.outputs is None or one.batch is None:
        return Answer(origin.request, job.rows, error=one.error)
    execution = executions.get(id(one.batch))
    if execution is None:
        execution = executions[id(one.batch)] = execution_of(one.batch)
    outputs = one.outputs
    if origin.outputs is not origin.family.checks.outputs:
        outputs = {name: outputs[name] for name in origin.outputs}
    waited_s = one.batch.started_s - job.arrival_s
    return Answer(
        origin.request, job.rows, outputs, execution, waited_s, family=origin.family.family
    )


def execution_of(batch: Batch) -> Execution:
    """How the answers of a batch were computed."""
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


def way_back(job: Job) -> WayBack:
    """What its request left on it."""
    origin = job.origin
    assert isinstance(origin, WayBack)  # every job that is not plain is made of a request
    return origin


def let_go(job: Job) -> None:
    """Its client waits for it no more: its inputs are released once no worker reads them."""
    if job.loan is not None:
        job.loan.let_go()


def release(request: Request) -> None:
    """Give back the memory of its inputs, once."""
    give_back, request.release = request.release, None
    if give_back is not None:
        try:
            give_back()
        except Exception:  # noqa: BLE001 - the front's affair: the answer has gone out
            _log.exception("an input's memory could not be released")
