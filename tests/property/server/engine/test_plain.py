"""The shorter way in gives the very jobs and refusals that the long one gives."""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, TypeVar, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from models.catalog import Accuracy, Variant
from server.engine.checking.checks import Checks
from server.engine.checking.row_bounds import RowBounds
from server.engine.delivery import deliver
from server.engine.intake import Intake
from server.engine.plain import Plain
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.engine.values import Request, Scalar, Tensor
from server.errors import RequestError
from server.metrics import Metrics
from server.policy.dispatch.choose import adaptive
from server.runtime.dispatch.dispatcher import Dispatcher, Limits
from server.runtime.dispatch.jobs import Job, JobAnswer, Listeners
from server.runtime.dispatch.offers import Offers
from tests.support.builders import a_profile
from tests.support.serving.families import ECHO as SCRIPTED
from tests.support.serving.families import WIDTH

ECHO = replace(SCRIPTED, variants=(Variant("v", "fp32", "", "", Accuracy(0.8, "scripted")),))
Made = TypeVar("Made")

PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "slo_ms": st.sampled_from([0.0, 1.5, 50.0, 3000.0]),
        "slo_class": st.sampled_from(["gold", "default", "unknown"]),
        "min_accuracy": st.sampled_from([0.0, 0.5, 2.0]),
        "priority": st.sampled_from([0, 1, 7]),
        "timeout": st.sampled_from([0, 2000, -1]),
    },
)
TIMES = st.floats(0.0, 1e6)


class Door:
    """A family behind an intake, and what its front was given."""

    def __init__(self, *, late: bool) -> None:
        self.metrics = Metrics(CollectorRegistry(), []).family("echo")
        dispatcher = Dispatcher("echo", adaptive, Limits(), self.metrics, Listeners(deliver))
        arms = [a_profile(first_s=0.5, more_s=0.4, max_batch=8)]  # not every size fits the bound
        dispatcher.apply(arms)
        bounds = RowBounds(ECHO, Offers(ECHO, dispatcher, lambda: arms))
        checks = Checks(ECHO, {"gold": 5.0}, finite=True, bounds=bounds, late=late)
        self.served = ServedFamily(ECHO, ECHO, checks, dispatcher, self.metrics, cast("Any", None))
        self.families = {"echo": self.served}
        self.intake = Intake(self.families, Unserved(), lambda _answers: None)
        self.given: list[JobAnswer] = []

    def plain(self, parameters: dict[str, Scalar] | None = None, version: str = "") -> Plain:
        way = self.intake.plain("echo", self.given.extend, parameters or {}, version)
        assert way is not None
        return way


DOORS = {late: Door(late=late) for late in (False, True)}


def outcome(make: Callable[[], Made]) -> Made | str:
    """What is made, or the refusal."""
    try:
        return make()
    except RequestError as error:
        return f"{type(error)} {error}"


def said_of(job: Job | str) -> dict[str, object] | str:
    """All that a job says, but for whom it is from and where its rows lie."""
    if isinstance(job, str):
        return job
    return {f.name: getattr(job, f.name) for f in fields(job) if f.name not in {"inputs", "origin"}}


@given(
    st.booleans(),
    st.integers(1, 9),
    PARAMETERS,
    st.sampled_from(["", "1", "v", "other"]),
    st.tuples(TIMES, st.none() | TIMES),
)
def test_a_plain_request_comes_to_the_same_job_or_the_same_refusal(
    late: bool,
    rows: int,
    parameters: dict[str, Scalar],
    version: str,
    times: tuple[float, float | None],
):
    door = DOORS[late]
    x = np.ones((rows, WIDTH), np.float32)
    request = Request("echo", [Tensor.of("x", x)], version=version, parameters=parameters)
    request.arrival_s, request.deadline_s = arrival_s, gives_up_s = times

    long = outcome(lambda: door.intake.check(request))
    way = outcome(lambda: door.plain(parameters, version))
    if not isinstance(
        way, Plain
    ):  # the front takes the long way then, and may be told of the rows first
        assert isinstance(long, str)
        return
    until = {} if gives_up_s is None else {"gives_up_s": gives_up_s}
    short = outcome(lambda: way.job({"x": x}, rows, arrival_s, **until))

    assert short == long if isinstance(short, str) else said_of(short) == said_of(long)


def test_its_signature_says_what_the_long_way_checks():
    (x,) = (signature := Door(late=False).plain().signature).inputs

    assert x == ("x", "FP32", (WIDTH,), 4 * WIDTH, True, False)
    assert (signature.most_rows, signature.outputs) == (ECHO.max_batch, ECHO.outputs)


def test_refusals_of_rows_are_counted_and_others_answered_with_their_token():
    door = Door(late=False)
    way = door.plain({"slo_ms": 1.0})
    with pytest.raises(RequestError, match="batch-size must be <= 1 "):
        way.job({}, 9, 0.0)

    way.submit([way.job({}, 1, 0.0, token=7)])  # its time was up long ago

    assert door.metrics.outcomes() == {"invalid": 1, "expired": 1}
    assert [(one.job.token, type(one.error).__name__) for one in door.given] == [
        (7, "DeadlineMissed")
    ]


def test_a_way_in_is_not_current_once_variants_or_the_family_are_others():
    door = Door(late=False)
    way = door.plain()
    assert way.is_current

    door.served.family = replace(ECHO, variants=())
    assert not way.is_current

    again = door.plain()
    assert again.is_current
    del door.families["echo"]
    assert not again.is_current
