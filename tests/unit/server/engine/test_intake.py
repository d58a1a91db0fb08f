"""Where a front's requests come in and its answers go out: one front's failure is its own."""

import logging
from collections.abc import Sequence
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from server.engine.checking.checks import Checks
from server.engine.delivery import deliver
from server.engine.intake import Intake
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.engine.values import Answer, Deliver, Request, Tensor
from server.errors import Overloaded
from server.metrics import Metrics
from server.policy.dispatch.choose import adaptive
from server.runtime.dispatch.dispatcher import Dispatcher, Limits
from server.runtime.dispatch.jobs import Job, JobAnswer, Listeners
from tests.support.serving.families import ECHO, rows


def an_intake(to: Deliver) -> Intake:
    """Of a front that is given its answers by `to`."""
    metrics = Metrics(CollectorRegistry(), []).family("echo")
    dispatcher = Dispatcher("echo", adaptive, Limits(), metrics, Listeners(deliver))
    checks = Checks(ECHO, {}, finite=True)
    served = ServedFamily(ECHO, ECHO, checks, dispatcher, metrics, cast("Any", None))
    return Intake({"echo": served}, Unserved(), to)


def failing(_answers: Sequence[Answer]) -> None:
    """A front with a fault."""
    raise ZeroDivisionError


def refused(job: Job) -> JobAnswer:
    """What a dispatcher says of a job."""
    return JobAnswer(job, error=Overloaded("not now"))


def test_a_front_that_fails_costs_another_nothing_and_all_memory_comes_back(
    caplog: pytest.LogCaptureFixture,
):
    answers: list[Answer] = []
    released: list[str] = []

    def a_request(name: str) -> Request:
        x = Tensor.of("x", rows(1.0))
        return Request("echo", [x], id=name, release=lambda: released.append(name))

    ways = {"bad": an_intake(failing), "good": an_intake(answers.extend)}
    jobs = [way.check(a_request(name)) for name, way in ways.items()]

    withheld = deliver([refused(job) for job in jobs])

    assert [answer.request.id for answer in answers] == ["good"]
    assert (withheld, sorted(released)) == ([], ["bad", "good"])
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.getMessage() == "a front could not take its answers"


def test_memory_that_cannot_be_given_back_costs_nobody_an_answer(caplog: pytest.LogCaptureFixture):
    answers: list[Answer] = []
    intake = an_intake(answers.extend)
    requests = [
        Request("echo", [Tensor.of("x", rows(1.0))], release=lambda: 1 / 0) for _ in range(2)
    ]

    deliver([refused(intake.check(request)) for request in requests])

    assert [answer.request for answer in answers] == requests
    assert caplog.text.count("an input's memory could not be released") == 2
