"""The service on a call of the test's own: times that a message is given, and errors that nobody foresaw."""

import threading
import time
from typing import Any, cast

import grpc
import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from server.engine.checking.checks import Checked, Checks
from server.engine.delivery import deliver
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.engine.values import Request
from server.errors import UnknownModel
from server.metrics import Metrics
from server.policy.dispatch.choose import adaptive
from server.rpc import answers
from server.rpc.service import Service
from server.runtime.dispatch.dispatcher import Dispatcher, Limits
from server.runtime.dispatch.jobs import Batch, JobAnswer, Listeners
from server.runtime.dispatch.running import Step
from tests.support.builders import a_profile
from tests.support.serving.server import equal, eventually
from wire import inference_pb2

pb: Any = inference_pb2
INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"


class Line:
    """A call that keeps what is sent on it; `arrival_s` is set before each message, as the front does."""

    def __init__(self, deadline_s: float | None = None) -> None:
        self.lock = threading.RLock()
        self.arrival_s, self.deadline_s = 0.0, deadline_s
        self.on_cancel = self.on_drain = self.state = None
        self.sent: list[Any] = []
        self.is_open, self.unread = True, ""
        self.reads: list[str] = []
        self.ended: list[tuple[grpc.StatusCode, str]] = []

    def send(self, message: bytes) -> None:
        """One message of the answer."""
        self.sent.append(pb.ModelStreamInferResponse.FromString(message))

    def pause(self) -> None:
        """Read no more."""
        self.reads.append("pause")

    def resume(self) -> None:
        """Read on."""
        self.reads.append("resume")

    def fail(self, code: grpc.StatusCode, details: str, *_: Any) -> None:
        """The end."""
        self.ended.append((code, details))


class Fragile(Checks):
    """Checks that have a fault: they break over requests called `break`."""

    def check(self, request: Request) -> Checked:
        """As it should, but for those."""
        if request.id == "break":
            raise ZeroDivisionError
        return super().check(request)


def a_service(seen: list[Any], registry: CollectorRegistry | None = None) -> Service:
    """A service of the family `m`, SLO 50 ms; `seen` gets the tickets that its dispatcher sees."""
    specs = (TensorSpec("x", "FP32", (-1, 1)),), (TensorSpec("y", "FP32", (-1, 1)),)
    variants = (Variant("small", "fp32", "", "", Accuracy(0.7, "made up")),)
    family = Family("m", *specs, variants, Slo(0.05))
    metrics = Metrics(registry or CollectorRegistry(), []).family("m")
    listeners = Listeners(deliver, seen=seen.append)
    dispatcher = Dispatcher("m", adaptive, Limits(), metrics, listeners)
    dispatcher.apply([a_profile()])
    checks = Fragile(family, {}, finite=True)
    served = ServedFamily(family, family, checks, dispatcher, metrics, cast("Any", None))
    return Service({"m": served}, Unserved())


def a_message(request_id: str, **parameters: int) -> bytes:
    """One row for `m`."""
    request = pb.ModelInferRequest(model_name="m", id=request_id, raw_input_contents=[bytes(4)])
    request.inputs.add(name="x", datatype="FP32", shape=(1, 1))
    for key, value in parameters.items():
        request.parameters[key].int64_param = value
    return request.SerializeToString()


def test_who_asks_for_no_model_of_ours_is_told_that_whatever_else_is_wrong():
    request = pb.ModelInferRequest(model_name="none", raw_input_contents=[b"one too many"])
    infer = a_service([]).handlers()[INFER].function

    with pytest.raises(UnknownModel, match="unknown model: 'none'"):
        infer(cast(Any, Line()), request.SerializeToString())


def test_an_error_that_nobody_foresaw_fails_its_message_alone():
    service, line = a_service([]), Line()
    take = service.handlers()[STREAM].function

    for name in ("before", "break", "after"):
        take(cast("Any", line), a_message(name))
    service.flush()

    told = {one.infer_response.id: one.error_message for one in line.sent}
    assert told["break"] == "internal: internal error; the server's log has the cause"
    assert "its deadline passed" in told["before"]  # this line's clock stands at 0: refused as late
    assert "its deadline passed" in told["after"]
    assert not line.ended


def test_each_message_has_its_own_arrival_and_all_share_the_streams_deadline():
    seen: list[Any] = []
    service, line = a_service(seen), Line(deadline_s=100.12)
    take = service.handlers()[STREAM].function

    for name, at_s, parameters in (
        ("a", 100.0, {}),
        ("b", 100.05, {}),
        ("c", 100.1, {}),
        ("d", 100.1, {"timeout": 5000}),
    ):
        line.arrival_s = at_s
        take(cast("Any", line), a_message(name, **parameters))
    service.flush()

    assert [ticket.arrival_s for ticket in seen] == [100.0, 100.05, 100.1, 100.1]
    assert [round(ticket.deadline_s, 6) for ticket in seen] == [100.05, 100.1, 100.12, 100.105]


def test_a_stream_is_read_on_after_a_large_message_however_soon_that_is_read():
    service = a_service([])
    take = service.handlers()[STREAM].function
    large = a_message("large") + bytes((0xFA, 0x3E)) + answers.varint(2 << 20) + bytes(2 << 20)

    for _ in range(20):
        line = Line()
        take(cast("Any", line), large)
        eventually(lambda line=line: equal(line.reads, ["pause", "resume"]))
    service.close()


def test_an_answer_that_nobody_reads_is_not_made_and_counts_as_shed():
    registry = CollectorRegistry()
    service, line = a_service([], registry), Line()
    line.arrival_s = time.monotonic()
    service.handlers()[STREAM].function(cast("Any", line), a_message("r"))
    service.flush()
    hosted = service.intake.family("m")
    step = hosted.dispatcher.next_step()
    assert isinstance(step, Step)
    line.unread = "read answers as they come"
    outputs = {"y": np.zeros((1, 1), np.float32)}
    now_s = time.monotonic()
    batch = Batch(step.profile, "fp32", 1, now_s, now_s, now_s, 1)

    hosted.dispatcher.finish(step, [JobAnswer(job, outputs, batch) for job in step.jobs])

    assert [one.error_message for one in line.sent] == ["[request id: r] read answers as they come"]
    told = {
        s.labels["outcome"]: s.value
        for metric in registry.collect()
        for s in metric.samples
        if s.name == "gearshift_requests_total"
    }
    assert told == {"shed": 1}
