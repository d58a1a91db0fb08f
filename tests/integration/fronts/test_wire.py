"""HTTP/2 as other clients speak it, and as none should: curl, h2load, frames by hand. For the native front."""

import shutil
import socket
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.fronts import skip_unbuilt
from tests.support.http2.raw import Raw, frame
from tests.support.serving.server import Server, a_request, equal, eventually, output

INFER = "/inference.GRPCInferenceService/ModelInfer"
ROW = np.full((1, 16), 3.0, np.float32)


@pytest.fixture(autouse=True)
def _built() -> None:
    skip_unbuilt()


def a_message(flag: int = 0, length: int | None = None) -> bytes:
    """A request as gRPC frames it; its length may lie."""
    body = a_request("echo", ROW).SerializeToString()
    return struct.pack(">BI", flag, len(body) if length is None else length) + body


def codes(raw: Raw) -> list[str]:
    """The status of each call that has ended."""
    raw.hear()
    return [one["grpc-status"] for one in raw.said if "grpc-status" in one]


def test_curl_is_told_that_this_is_grpc(server: Server):
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--http2-prior-knowledge"]
    url = f"http://{server.url}{INFER}"

    got = subprocess.run([*curl, url], capture_output=True, text=True, timeout=30, check=True)
    text = [*curl, "-X", "POST", "-H", "content-type: text/plain", "-d", "x", url]
    posted = subprocess.run(text, capture_output=True, text=True, timeout=30, check=True)

    assert (got.stdout, posted.stdout) == ("405", "415")


def test_h2load_is_answered_every_time(server: Server, tmp_path: Path):
    if shutil.which("h2load") is None:
        pytest.skip("no h2load here")
    body = tmp_path / "body"
    body.write_bytes(a_message())
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers", "-d", str(body)]
    load = ["h2load", "-n", "4000", "-c", "8", "-m", "16", *headers]

    said = subprocess.run(
        [*load, f"http://{server.url}{INFER}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout

    assert "4000 succeeded, 0 failed, 0 errored" in said


@pytest.mark.parametrize("piece", [1, 3, 7])
def test_a_message_in_many_small_frames_is_one_message(server: Server, piece: int):
    raw, whole = Raw(server.port), a_message()
    stream = raw.open(INFER)
    for at in range(0, len(whole), piece):
        raw.write(stream, whole[at : at + piece])

    eventually(lambda: equal(codes(raw), ["0"]))
    raw.close()


def test_padding_is_no_part_of_a_message(server: Server):
    raw, whole = Raw(server.port), a_message()
    stream = raw.open(INFER)
    raw.send(frame(0, 8, stream, bytes([40]) + whole[:50] + bytes(40)))
    raw.send(frame(0, 8 | 1, stream, bytes([0]) + whole[50:]))

    eventually(lambda: equal(codes(raw), ["0"]))
    raw.close()


@pytest.mark.parametrize(
    ("message", "code", "why"),
    [
        (a_message(flag=2), "13", "first byte is 2"),
        (a_message(flag=1), "12", "not taken here"),
        (a_message(length=1 << 31), "8", "message larger than max (2147483648 vs."),
        (a_message()[:-1], "3", "before its message was complete"),
        (b"\0\0", "3", "before its message was complete"),
        (b"", "3", "before its message was complete"),
        (struct.pack(">BI", 0, 4) + b"\xff\xff\xff\xff", "3", "cannot parse"),
    ],
)
def test_a_message_that_is_none_is_refused_in_words(
    server: Server, message: bytes, code: str, why: str
):
    raw = Raw(server.port)
    stream = raw.open(INFER)
    raw.send(frame(0, 1, stream, message))

    eventually(lambda: equal(codes(raw), [code]))
    assert why in raw.reasons()[0]
    assert output(server.infer(a_request("echo", ROW)))[0, 0] == 3.0
    raw.close()


def test_a_second_message_of_a_unary_call_is_ignored(server: Server):
    raw = Raw(server.port)
    stream = raw.open(INFER)
    raw.send(frame(0, 1, stream, a_message() * 2))

    eventually(lambda: equal(codes(raw), ["0"]))
    raw.close()


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        b"\x16\x03\x01" + bytes(200),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    ],
)
def test_who_speaks_something_else_is_cut_off(server: Server, said: bytes):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as one:
        one.sendall(said)
        while one.recv(65_536):
            pass

    assert output(server.infer(a_request("echo", ROW)))[0, 0] == 3.0


def test_pings_without_pause_end_the_connection(server: Server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as one:
        one.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        heard = b""
        for _ in range(20):
            one.sendall(frame(6, 0, 0, bytes(8)))
        while data := one.recv(65_536):
            heard += data

    assert b"too_many_pings" in heard
