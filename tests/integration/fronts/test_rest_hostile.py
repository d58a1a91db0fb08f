"""Odd and hostile clients of REST: each is answered in words or let go, and the next one is served as before."""

import json
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from server.config import Config, MachineSection, ModelsSection, ProfilesSection
from server.engine import Engine
from server.rest.connections import MOST_HEADER_BYTES, Allowed
from tests.support.rest import front as rest
from tests.support.serving.families import ECHO, PAIR, SLOW, expected_echo, publish_scripted, rows
from tests.support.serving.server import equal, eventually

INFER = "/v2/models/echo/infer"
MOST_BYTES = 1 << 20


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Of `echo`, `pair` and `slow`, whose batches take a second."""
    root = tmp_path_factory.mktemp("rest")
    publish_scripted(root / "models", ECHO)
    publish_scripted(root / "models", PAIR)
    publish_scripted(root / "models", SLOW, {"only": "fixed_s = 1.0"})
    config = Config(
        models=ModelsSection(str(root / "models")),
        machine=MachineSection(workers=1, threads=1, watch_every_s=0.0),
        profiles=ProfilesSection(str(root / "profiles"), budget_s=0.5),
    )
    with Engine(config) as running:
        assert running.await_ready(60.0)
        yield running


@pytest.fixture(scope="module")
def port(engine: Engine) -> Iterator[int]:
    """A front with bodies of 1 MiB at most, 8 connections, and little patience."""
    with rest.serving(engine, Allowed(8, 0.5, 60.0), MOST_BYTES) as found:
        yield found


@pytest.fixture(autouse=True)
def _served_after(port: int) -> Iterator[None]:
    yield
    status, answer = infer(port, a_body())
    assert (status, answer["model_name"]) == (200, "echo")
    (output,) = answer["outputs"]
    np.testing.assert_allclose(output["data"], expected_echo(rows(1.0)).ravel(), rtol=1e-6)


def a_body(**changes: Any) -> bytes:
    """One row of echo; `changes` to its only input."""
    given = {"name": "x", "datatype": "FP32", "shape": [1, 16], "data": rows(1.0).ravel().tolist()}
    kept = {key: value for key, value in {**given, **changes}.items() if value is not None}
    return json.dumps({"inputs": [kept]}).encode()


def infer(port: int, body: bytes, path: str = INFER, **headers: str) -> tuple[int, Any]:
    """Status, and the answer's object."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answer, _ = rest.call(port, "POST", path, body, named)
    return status, json.loads(answer)


def binary(size: int, memory: bytes) -> tuple[bytes, str]:
    """A body whose only input says that it has `size` bytes, and how long its JSON is."""
    text = a_body(data=None, parameters={"binary_data_size": size})
    return text + memory, str(len(text))


def is_let_go(client: socket.socket) -> bool:
    """Whether its connection is ended without a word."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "failed to parse the request JSON buffer"),
    "no JSON": (b"garbage", "failed to parse"),
    "no object": (b"[]", "it is no object"),
    "deep": (b"[" * 100_000, "failed to parse"),
    "deep in data": (a_body().replace(b"[1.0", b"[" * 50_000 + b"[1.0"), "failed to parse"),
    "a huge number": (
        a_body(shape=[1, 16]).replace(b"[1, 16]", b"[" + b"9" * 5000 + b"]"),
        "failed to parse",
    ),
    "a large shape": (a_body(shape=[1, 10**30]), "unexpected shape"),
    "a key twice": (b'{"inputs": [], "inputs": []}', "a key twice"),
    "no UTF-8": (a_body(name="\xff").replace(b"\\u00ff", b"\xff"), "failed to parse"),
    "UTF-16": (a_body().decode().encode("utf-16"), "failed to parse"),
    "cut off": (a_body()[:-7], "failed to parse"),
    "NUL in a name": (a_body(name="x\0"), "unexpected inference input 'x\\x00'"),
    "half a pair in a name": (a_body(name="\ud800"), "unexpected inference input '\\ud800'"),
    "inputs as text": (b'{"inputs": "x"}', "'inputs' must be a list of objects"),
    "a name as number": (a_body(name=7), "'name' must be a string"),
    "a shape as text": (a_body(shape="16"), "'shape' must be a list of whole numbers"),
    "truth as shape": (a_body(shape=[True, 16]), "'shape' must be a list of whole numbers"),
    "no data": (a_body(data=None), "'data' must be a list"),
    "objects as data": (a_body(data=[{}] * 16), "nested otherwise"),
    "ragged": (a_body(shape=[2, 16], data=[[1.0] * 16, [1.0] * 15]), "nested otherwise"),
    "too deep": (a_body(data=[[[1.0] * 16]]), "nested otherwise"),
    "texts as numbers": (a_body(data=["1"] * 16), "cannot be made of elements that are str"),
    "truth as numbers": (a_body(data=[True] * 16), "cannot be made of elements that are bool"),
    "beyond the range": (a_body(data=[1e39] * 16), "values outside"),
    "beyond all floats": (a_body().replace(b"1.0", b"1e999"), "has NaN or infinite values"),
    "half precision": (a_body(datatype="FP16"), "FP16 data via JSON is not supported"),
    "both ways": (a_body(parameters={"binary_data_size": 0}), "has both 'data' and"),
    "a size as text": (
        a_body(data=None, parameters={"binary_data_size": "64"}),
        "must be a number of bytes",
    ),
    "a negative size": (
        a_body(data=None, parameters={"binary_data_size": -1}),
        "must be a number of bytes",
    ),
    "parameters as list": (a_body(parameters=[]), "'parameters' must be an object"),
    "a parameter as list": (a_body(parameters={"a": []}), "parameter 'a' must be a number"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_body_that_is_no_request_is_told_what_is_wrong(port: int, name: str):
    body, words = BAD[name]

    status, answer = infer(port, body)

    assert status == 400
    assert words in answer["error"]


@pytest.mark.parametrize(
    ("size", "memory"), [(64, b""), (64, b"\0" * 63), (64, b"\0" * 65), (10**20, b"\0")]
)
def test_memory_must_be_as_long_as_it_is_said_to_be(port: int, size: int, memory: bytes):
    body, split = binary(size, memory)

    status, answer = infer(port, body, Inference_Header_Content_Length=split)

    assert status == 400
    assert "body has" in answer["error"] or "additional input data" in answer["error"]


@pytest.mark.parametrize("split", ["-1", "x", "1e3", "", "99999999", "9" * 40, "\u00b2"])
def test_the_split_must_be_within_the_body(port: int, split: str):
    status, answer = infer(port, a_body(), Inference_Header_Content_Length=split)

    assert status == 400
    assert "not a number of bytes that the body has" in answer["error"]


@pytest.mark.parametrize("parameter", ["classification", "shared_memory_region"])
def test_what_is_not_served_is_told_so(port: int, parameter: str):
    status, answer = infer(port, a_body(parameters={parameter: 3}))

    assert status == 501
    assert f"parameter '{parameter}' is not served" in answer["error"]


def test_what_is_too_large_is_refused_packed_or_not(port: int):
    bomb = zlib.compress(b" " * (64 << 20), 9)
    for body, headers in ((b" " * (MOST_BYTES + 1), {}), (bomb, {"Content-Encoding": "deflate"})):
        status, answer, _ = rest.call(port, "POST", INFER, body, headers)
        assert status == 413
        assert b"more than" in answer


def test_json_is_no_longer_than_the_largest_batch_can_be(port: int):
    status, answer = infer(port, b" " * (500 << 10) + a_body())

    assert status == 413
    assert "bytes of JSON" in answer["error"]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_what_is_not_packed_as_it_says_is_told_so(port: int, coding: str):
    status, _ = infer(port, a_body(), Content_Encoding=coding)

    assert status == (501 if coding == "br" else 400)


def test_numbers_may_be_nested_as_the_shape_is_and_null_is_no_row(port: int):
    status, answer = infer(port, a_body(data=rows(1.0).tolist()))
    assert status == 200
    assert answer["outputs"][0]["shape"] == [1, 4]
    assert infer(port, a_body(data=[None] * 16))[0] == 400


RAW: dict[str, tuple[bytes, bytes]] = {
    "garbage": (b"\0\1\2\3\r\n\r\n", b"400"),
    "a length that is none": (b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"400"),
    "two lengths": (
        b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"400",
    ),
    "chunks and a length": (
        b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"400",
    ),
    "a chunk that is none": (
        b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"400",
    ),
    "no length": (b"POST %s HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
    "headers without end": (
        b"GET /v2 HTTP/1.1\r\n" + b"A: b\r\n" * (MOST_HEADER_BYTES // 5),
        b"400",
    ),
    "another method": (b"PUT %s HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
    "HTTP/2 unasked": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
}


@pytest.mark.parametrize("name", RAW)
def test_bytes_that_are_no_request_are_answered_and_no_more(port: int, name: str):
    asked, status = RAW[name]
    with socket.create_connection(("127.0.0.1", port), 10.0) as client:
        client.sendall(asked.replace(b"%s", INFER.encode()))
        head = client.makefile("rb").readline()

    assert head.split(b" ")[1] == status


def test_chunks_make_a_body(port: int):
    body = a_body()
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:]))
    head = f"POST {INFER} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), 10.0) as client:
        client.sendall(head + parts + b"0\r\n\r\n")
        assert b" 200 " in client.makefile("rb").readline()


@pytest.mark.parametrize(
    "begun",
    [b"", b"POST /v2/mo", b"POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n{"],
    ids=["nothing", "half a line", "half a body"],
)
def test_who_stalls_is_let_go_unless_idle(port: int, begun: bytes):
    with socket.create_connection(("127.0.0.1", port), 10.0) as client:
        client.sendall(begun.replace(b"%s", INFER.encode()))
        if begun:
            assert is_let_go(client)
            return
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b" 200 " in client.makefile("rb").readline()


def test_there_are_only_so_many_connections(port: int):
    with ExitStack() as open_ones:
        for _ in range(8):
            held = socket.create_connection(("127.0.0.1", port), 10.0)
            open_ones.enter_context(held)
            held.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b" 200 " in held.recv(100)
        one_more = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), 10.0))
        assert is_let_go(one_more)


def test_who_leaves_before_the_answer_is_not_computed_for(port: int, engine: Engine):
    served = engine.families["slow"]
    body = a_body()
    head = f"POST /v2/models/slow/infer HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    first = threading.Thread(target=infer, args=(port, body, "/v2/models/slow/infer"))
    first.start()
    eventually(lambda: equal(served.dispatcher.load().running, 1), 10.0)
    with socket.create_connection(("127.0.0.1", port), 10.0) as client:
        client.sendall(head.encode() + body)
        eventually(lambda: equal(served.dispatcher.load().tickets, 1), 10.0)

    eventually(lambda: equal(served.dispatcher.load().tickets, 0), 10.0)
    assert served.dispatcher.load().running == 1
    first.join()
    assert served.metrics.tally.success == 1
