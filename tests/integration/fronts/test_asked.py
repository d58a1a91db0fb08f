"""Requests that ask for a time or an accuracy: the plain way takes, refuses and counts them as the long way does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest

from server.config import Config, MachineSection, ModelsSection, ProfilesSection
from server.engine import Engine
from server.rpc.fronts.choosing import front_of
from server.rpc.service import Service
from server.rpc.transport.bounds import Bounds
from server.runtime.dispatch.jobs import Job
from tests.support.fronts import PATIENCE_S, skip_unbuilt
from tests.support.serving.families import ECHO, publish_scripted
from tests.support.serving.server import a_request, equal, eventually
from wire import inference_pb2

pb: Any = inference_pb2
INFER = "/inference.GRPCInferenceService/ModelInfer"
ROW = np.full((1, 16), 3.0, np.float32)
NAMES = ("slo_ms", "min_accuracy", "priority", "timeout")
Given = tuple[str, str, object]
"""A parameter: name, kind, value."""

VALUES: list[tuple[str, object]] = [
    *(("int64_param", one) for one in (0, 1, -1, 600, 2**53 + 1, 2**63 - 1, -(2**63))),
    *(("uint64_param", one) for one in (0, 500, 2**64 - 1)),
    *(("double_param", one) for one in (0.0, -0.0, 5e-324, 0.65, 0.9, 2000.5, -2.5)),
    *(("double_param", one) for one in (3_600_000.0, 3_600_000.1, 1e308)),
    *(("double_param", float(one)) for one in ("nan", "inf", "-inf")),
    *(("bool_param", one) for one in (True, False)),
    *(("string_param", one) for one in ("50", "")),
    ("", None),
]
PLAIN: list[list[Given]] = [
    [("slo_ms", "double_param", 1500.5)],
    [("slo_ms", "int64_param", 1500)],
    [("slo_ms", "uint64_param", 1500)],
    [("min_accuracy", "double_param", 0.65)],
    [("min_accuracy", "int64_param", 0)],
    [("slo_ms", "int64_param", 900), ("min_accuracy", "double_param", 0.7)],
    [("timeout", "int64_param", 900_000), ("priority", "int64_param", 1)],
]
LONG: list[list[Given]] = [
    [("slo_ms", "double_param", 900.0), ("slo_ms", "double_param", 700.0)],
    [("slo_ms", "double_param", 900.0), ("note", "string_param", "x")],
    [("slo_class", "string_param", "default")],
    [("slo_ms", "double_param", 900.0), ("sequence_id", "int64_param", 1)],
    [("min_accuracy", "double_param", 0.7), ("slo_ms", "string_param", "x")],
]
UNKNOWN: Given = ("note", "string_param", "anything that is not known goes the long way")


@dataclass
class Door:
    """A native front of an engine, and what came of what was sent to it."""

    engine: Engine
    service: Service
    ask: Any
    checked: int = 0
    jobs: list[Job] = field(default_factory=list[Job])

    def watch(self) -> None:
        """Note who is checked the long way, and what is handed on."""
        check, dispatcher = self.service.intake.check, self.engine.families["echo"].dispatcher
        submit: Any = dispatcher.submit

        def checking(*given: Any) -> Job:
            self.checked += 1
            return check(*given)

        def submitting(given: Sequence[Job]) -> None:
            self.jobs += given
            submit(given)

        setattr(self.service.intake, "check", checking)  # noqa: B010 - in place of a method
        setattr(dispatcher, "submit", submitting)  # noqa: B010

    def said(self, given: Sequence[Given], rows: int = 1) -> tuple[object, ...]:
        """What one request came to: what its job asks for, or its refusal; and how many were refused so far."""
        self.jobs, before = [], self.invalid()
        refusal: tuple[object, ...] = ()
        try:
            # A deadline on the wire would be a bound of its own, another each time.
            self.ask.future(body(given, rows)).result(PATIENCE_S)
        except grpc.RpcError as error:
            refusal = error.code(), error.details()
        if not self.jobs:
            return (*refusal, self.invalid() - before)
        (job,) = self.jobs
        bound_s = round(job.deadline_s - job.arrival_s, 6)
        return bound_s, job.min_accuracy, job.variant, job.slo_class, job.soft, job.rows

    def invalid(self) -> int:
        """Requests that checks have refused."""
        return self.engine.families["echo"].metrics.outcomes().get("invalid", 0)


def body(given: Sequence[Given], rows: int = 1) -> bytes:
    """A request with these parameters, each as often as it is there."""
    message = a_request("echo", np.repeat(ROW, rows, axis=0), "R7").SerializeToString()
    for name, kind, value in given:
        one = pb.ModelInferRequest()
        one.parameters[name].SetInParent()
        if kind:
            setattr(one.parameters[name], kind, value)
        message += one.SerializeToString()
    return message


def uncounted(*_counts: int) -> None:
    """Nobody counts connections here."""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """Of `echo`, in two variants, of accuracy 0.6 and 0.8."""
    skip_unbuilt()
    root = tmp_path_factory.mktemp("asked")
    publish_scripted(
        root / "models", ECHO, {"quick": "", "sharp": ""}, {"quick": 0.6, "sharp": 0.8}
    )
    config = Config(
        models=ModelsSection(str(root / "models")),
        machine=MachineSection(workers=1, threads=1, watch_every_s=0.0),
        profiles=ProfilesSection(str(root / "profiles"), budget_s=0.5),
    )
    with Engine(config) as engine:
        assert engine.await_ready(60.0)
        eventually(lambda: equal(len(engine.families["echo"].dispatcher.arms), 2), 60.0)
        service = Service(engine.families, engine.unserved)
        front, renew = front_of("native", service, service.handlers(), Bounds(), uncounted)
        port = front.bind("127.0.0.1:0")
        front.start()
        renew()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            made = Door(engine, service, channel.unary_unary(INFER, None, None))
            made.watch()
            yield made
        front.stop(1.0, lambda: None)
        service.close()


@pytest.mark.parametrize("rows", [1, 2, 9])
@pytest.mark.parametrize("name", NAMES)
def test_a_number_is_taken_or_refused_as_on_the_long_way(door: Door, name: str, rows: int):
    for kind, value in VALUES:
        given = [(name, kind, value)]

        assert door.said(given, rows) == door.said([*given, UNKNOWN], rows), (kind, value)


@pytest.mark.parametrize("given", [*PLAIN, *LONG])
def test_several_are_taken_as_on_the_long_way(door: Door, given: list[Given]):
    assert door.said(given) == door.said([*given, UNKNOWN])


@pytest.mark.parametrize("given", PLAIN)
def test_what_is_understood_is_not_checked_by_the_long_way(door: Door, given: list[Given]):
    before = door.checked

    door.said(given)

    assert door.checked == before


@pytest.mark.parametrize("given", LONG)
def test_what_is_not_understood_exactly_goes_the_long_way(door: Door, given: list[Given]):
    before = door.checked

    door.said(given)

    assert door.checked == before + 1


def test_demands_without_end_are_no_others(door: Door):
    asked = [door.said([("slo_ms", "double_param", 1000.0 + i)])[0] for i in range(1100)]

    assert asked == [round((1000.0 + i) / 1e3, 6) for i in range(1100)]
