"""What one client may have, through real clients: texts, compression, HTTP, pings, slow readers, streams."""

import http.client
import json
import resource
import socket
import threading
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.support.http2.raw import Raw
from tests.support.serving.attacks import STREAM, message, request
from tests.support.serving.families import ECHO, publish_scripted
from tests.support.serving.server import (
    PATIENCE_S,
    SERVICE,
    Server,
    a_request,
    equal,
    eventually,
    output,
    serving,
)
from wire import control_pb2
from wire import inference_pb2 as pb

ROW = np.full((1, 16), 3.0, np.float32)


def test_a_rollbacks_reason_is_bounded_and_escaped_in_log_verdict_and_answer(tmp_path: Path):
    publish_scripted(
        tmp_path / "models", ECHO, {"only": "", "new": ""}, {"only": 0.5, "new": 0.8}, ["new"]
    )
    with serving(tmp_path / "models", tmp_path / "cache") as server:
        roll_back = server.channel.unary_unary(
            "/gearshift.v1.Control/RollBack",
            control_pb2.RollBackRequest.SerializeToString,
            control_pb2.RollBackResponse.FromString,
        )
        reason = "\x1b[31mred\nline " + "x" * 50_000
        answer = roll_back(
            control_pb2.RollBackRequest(family="echo", variant="new", reason=reason), timeout=30
        )

        assert answer.variant.reason.startswith("\\x1b[31mred\\nline xxx")
        assert len(answer.variant.reason) < 600
        eventually(lambda: equal("\\x1b[31mred" in server.log, True))
        assert "\x1b[31m" not in server.log
        assert len(server.log) < 20_000
        kept = [p.read_text(encoding="utf-8") for p in tmp_path.rglob("candidates/echo.json")]
        assert kept
        assert all(len(text) < 2000 and json.loads(text) for text in kept)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_client_that_compresses_is_served(server: Server, compression: grpc.Compression):
    answer = server.infer(a_request("echo", ROW), compression=compression)

    assert output(answer)[0, 0] == 3.0


def test_few_bytes_that_unpack_to_many_are_refused(server: Server):
    bomb = a_request("echo", ROW)
    bomb.raw_input_contents[0] = bytes(32 << 20)

    with pytest.raises(grpc.RpcError, match="larger than max") as refusal:
        server.infer(bomb, compression=grpc.Compression.Gzip)

    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/nothing"])
def test_head_tells_what_get_tells_without_the_body(server: Server, path: str):
    told = []
    for method in ("GET", "HEAD"):
        connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        told.append((answer.status, answer.headers["Content-Type"], answer.read()))
        connection.close()

    assert told[0][:2] == told[1][:2]
    assert told[0][2]
    assert told[1][2] == b""


@pytest.mark.parametrize(
    "said", [b"\x16\x03\x01garbage\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9\r\n\r\n"]
)
def test_garbage_on_the_operators_port_is_a_bad_request(server: Server, said: bytes):
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=10) as visit:
        visit.sendall(said)
        assert visit.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_endless_headers_are_refused(server: Server):
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=10) as visit:
        visit.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000)
        assert visit.recv(4096).startswith(b"HTTP/1.1 431 ")


def test_silent_visitors_do_not_keep_others_out(server: Server):
    silent = [
        socket.create_connection(("127.0.0.1", server.http_port), timeout=10) for _ in range(200)
    ]

    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=10)
    connection.request("GET", "/healthz")
    assert connection.getresponse().read() == b"alive\n"

    connection.close()
    for one in silent:
        one.close()


def test_a_stream_whose_client_does_not_read_is_ended(models: Path, tmp_path: Path):
    with serving(models, tmp_path / "cache", GEARSHIFT__LIMITS__STALL_S="1") as server:
        raw = Raw(server.port, window=0)
        stream = raw.open(STREAM, message(request("echo")) * 200)
        assert stream == 1

        def ended() -> None:
            reset = b"\0\0\x04\x03\0" in raw.heard()  # or its reason: what is unsent is lost
            assert reset or any("read answers as they come" in why for why in raw.reasons())

        try:
            eventually(ended, 10.0)
        finally:
            raw.close()


def test_calls_beyond_a_connections_share_are_refused_and_others_are_not(
    models: Path, tmp_path: Path
):
    with serving(models, tmp_path / "cache", GEARSHIFT__LIMITS__MAX_CALLS="32") as server:
        greedy = Raw(server.port)
        for _ in range(60):
            greedy.open(STREAM)

        refused = "too many calls are open"
        eventually(lambda: equal(any(refused in why for why in greedy.reasons()), True))
        assert output(server.infer(a_request("echo", ROW)))[0, 0] == 3.0
        greedy.close()


def test_calls_beyond_what_a_connection_may_have_are_refused_in_words(models: Path, tmp_path: Path):
    with serving(models, tmp_path / "cache", GEARSHIFT_MAX_STREAMS="8") as server:
        greedy = Raw(server.port)
        for _ in range(12):
            greedy.open(STREAM)

        refused = "8 calls of this connection are not answered"
        eventually(lambda: equal(any(refused in why for why in greedy.reasons()), True))
        assert output(server.infer(a_request("echo", ROW)))[0, 0] == 3.0
        greedy.close()


def test_a_client_with_hundreds_of_calls_in_flight_is_refused_none(server: Server):
    for _ in range(8):
        asked = [server.begin(a_request("echo", ROW)) for _ in range(400)]

        assert [one.exception() for one in asked] == [None] * 400


def test_a_question_of_a_megabyte_is_refused(server: Server):
    with pytest.raises(grpc.RpcError, match="at most 65536") as refusal:
        server.ask(
            "ModelMetadata", pb.ModelMetadataRequest(name="m" * 900_000), pb.ModelMetadataResponse
        )

    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_large_request_on_a_stream_keeps_its_place(server: Server):
    large = a_request("echo", np.tile(ROW, (8, 1)), "large")
    large.parameters["note"].string_param = "x" * 100_000
    asked = [large if n % 2 else a_request("echo", ROW, f"{n}") for n in range(6)]
    stream = server.channel.stream_stream(
        STREAM, pb.ModelInferRequest.SerializeToString, pb.ModelStreamInferResponse.FromString
    )

    answers = list(stream(iter(asked), timeout=30))

    assert len(answers) == 6
    assert not [one.error_message for one in answers if one.error_message]


def test_visitors_to_the_operators_port_leave_descriptors_for_clients(models: Path, tmp_path: Path):
    with serving(models, tmp_path / "cache") as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (256, 256))
        idle = [socket.create_connection(("127.0.0.1", server.http_port)) for _ in range(240)]

        answers = [one_call(server) for _ in range(60)]

        for one in idle:
            one.close()
    assert answers == [3.0] * 60


def one_call(server: Server) -> float:
    """What a client on a connection of its own gets."""
    with grpc.insecure_channel(server.url, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_unary(
            SERVICE + "ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )
        return float(output(call(a_request("echo", ROW), timeout=PATIENCE_S))[0, 0])


@pytest.mark.nightly
def test_a_client_that_pings_every_ten_seconds_is_not_cut_off(server: Server):
    options = [
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    states: list[grpc.ChannelConnectivity] = []
    with grpc.insecure_channel(server.url, options) as channel:
        channel.subscribe(states.append)
        grpc.channel_ready_future(channel).result(PATIENCE_S)
        ready = len(states)

        threading.Event().wait(65.0)

        assert states[ready:] in ([], [grpc.ChannelConnectivity.READY])
