"""Streams and slow senders: a message counts from when it came itself, and a bad one costs its neighbours nothing."""

import queue
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.support.serving.families import expected_echo, rows
from tests.support.serving.server import (
    SERVICE,
    Server,
    a_request,
    count,
    equal,
    eventually,
    output,
)
from tests.support.serving.triton import an_input, said
from wire import inference_pb2

SLO_MS = 150.0
PAUSE_S = 0.4
"""Between a stream's start and its messages: far more than the SLO, which counts for each message anew."""

pb: Any = inference_pb2


def stream(server: Server, messages: Iterator[bytes], **options: Any) -> list[Any]:
    """The answers of one ModelStreamInfer to these serialised messages."""
    call = server.channel.stream_stream(
        SERVICE + "ModelStreamInfer", None, pb.ModelStreamInferResponse.FromString
    )
    return list(call(messages, **{"timeout": 30.0, **options}))


def after_pauses(*requests: Any) -> Iterator[bytes]:
    """The requests' bytes, each after a pause."""
    for request in requests:
        time.sleep(PAUSE_S)
        yield request.SerializeToString()


def test_every_message_of_a_stream_has_the_whole_slo(server: Server):
    before = count(server, "ok", "echo")
    requests = [a_request("echo", rows(float(i)), str(i), slo_ms=SLO_MS) for i in range(3)]

    answers = stream(server, after_pauses(*requests))

    assert [answer.error_message for answer in answers] == ["", "", ""]
    for i, answer in enumerate(answers):
        response = answer.infer_response
        assert response.id == str(i)
        assert response.parameters["queue_ms"].double_param < SLO_MS
        np.testing.assert_allclose(output(response), expected_echo(rows(float(i))), rtol=1e-6)
    eventually(lambda: equal(count(server, "ok", "echo") - before, 3))


def test_tritonclients_stream_may_be_older_than_the_slo(server: Server):
    answers: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(server.url) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        for i in range(3):
            time.sleep(PAUSE_S)
            parameters = {"slo_ms": SLO_MS}
            client.async_stream_infer(
                "echo", [an_input(rows(float(i)))], request_id=str(i), parameters=parameters
            )
        told = [answers.get(timeout=10.0) for _ in range(3)]
        client.stop_stream()

    assert [error for _, error in told] == [None, None, None]
    assert max(said(result)["queue_ms"] for result, _ in told) < SLO_MS


def test_a_timeout_counts_from_its_own_message(server: Server):
    request = a_request("echo", rows(1.0), timeout=int(SLO_MS * 1e3))

    (answer,) = stream(server, after_pauses(request))

    assert answer.error_message == ""


def test_how_long_a_client_takes_to_send_its_message_is_not_charged_to_the_server(server: Server):
    call = server.channel.stream_unary(
        SERVICE + "ModelInfer", None, pb.ModelInferResponse.FromString
    )

    answer = call(after_pauses(a_request("echo", rows(1.0), slo_ms=SLO_MS)), timeout=10.0)

    assert answer.parameters["queue_ms"].double_param < SLO_MS


@pytest.mark.parametrize(
    "bad",
    [b"\xff" * 40, b"\x0a\x02\xff\xfe", b"", b"\x0a\x06nobody"],
    ids=["garbage", "name not UTF-8", "empty", "unknown model"],
)
def test_a_message_that_is_no_request_fails_alone_in_its_stream(server: Server, bad: bytes):
    good = [a_request("echo", rows(float(i)), f"g{i}").SerializeToString() for i in range(2)]

    answers = stream(server, iter([good[0], bad, good[1], bad]))

    by_id = {a.infer_response.id: a for a in answers if not a.error_message}
    errors = [a for a in answers if a.error_message]
    assert by_id.keys() == {"g0", "g1"}
    assert len(errors) == 2
    for i, name in enumerate(("g0", "g1")):
        response = by_id[name].infer_response
        np.testing.assert_allclose(output(response), expected_echo(rows(float(i))), rtol=1e-6)


def test_every_answer_of_a_stream_is_marked_as_its_requests_last(server: Server):
    good = a_request("echo", rows(1.0), "good")
    bad = a_request("echo", rows(1.0)[:, :3], "bad")
    late = a_request("echo", rows(1.0), "late", slo_ms=0.01)

    answers = stream(server, iter(r.SerializeToString() for r in (good, bad, late)))

    told = {a.infer_response.id: a for a in answers}
    assert told.keys() == {"good", "bad", "late"}
    assert all(
        a.infer_response.parameters["triton_final_response"].bool_param for a in told.values()
    )
    assert {name for name, a in told.items() if a.error_message} == {"bad", "late"}
