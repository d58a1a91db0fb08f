"""What a careless or hostile client may do to a server: each attack in a process of its own, for so many seconds.

python -m tests.support.serving.attacks NAME GRPC_PORT HTTP_PORT SECONDS
"""

import itertools
import os
import resource
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import grpc

from tests.support.http2.raw import Raw

MIB = 1 << 20
INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
FAMILY = "wide"
"""The family under attack: an input `x` of FP32 [-1, 16], an output `y` of FP32 [-1, WIDE]."""
WIDE = 120_000
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
"""How HTTP/2 begins: without wishes."""


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def varint(value: int) -> bytes:
    """A protobuf varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def request(model: str = FAMILY, shape: bytes = b"\x01\x10", contents: bytes = b"") -> bytes:
    """A ModelInferRequest of one row, made by hand."""
    tensor = field(1, b"x") + field(2, b"FP32") + field(3, shape)
    raw = b"" if contents else field(7, bytes(64))
    return (
        field(1, model.encode())
        + field(5, tensor + (field(5, contents) if contents else b""))
        + raw
    )


def bodies(size: int) -> dict[str, bytes]:
    """Requests of about `size` bytes that cost much to build, or to tell of."""
    name = field(1, FAMILY.encode())
    return {
        "empty inputs": name + b"*\0" * (size // 2),
        "empty outputs": name + b"2\0" * (size // 2),
        "empty raw contents": name + b":\0" * (size // 2),
        "empty parameters": name + b'"\0' * (size // 2),
        "dimensions": request(shape=b"\x01" * size),
        "typed contents": request(contents=field(3, b"\x01" * size)),
        "unpacked contents": request(contents=b"\x18\x01" * (size // 2)),
        "empty texts": request(contents=b"B\0" * (size // 2)),
        "model name": field(1, b"m" * size),
        "id": name + field(3, b"\x1b" * size),
        "datatype": name + field(5, field(1, b"x") + field(2, b"d" * size)),
        "unknown fields": name + b"\xf8\x07\x01" * (size // 3),
        "parameters of a tensor": name + field(5, field(1, b"x") + b'"\0' * (size // 2)),
    }


def _channel(port: int, *options: tuple[str, int]) -> grpc.Channel:
    usual = (("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
    return grpc.insecure_channel(f"127.0.0.1:{port}", [*usual, *options])


def _send(port: int, until_s: float, calls: Iterator[tuple[str, bytes, grpc.Compression]]) -> None:
    with _channel(port) as channel:
        for path, body, compression in calls:
            if time.monotonic() > until_s:
                return
            with suppress(grpc.RpcError):
                channel.unary_unary(path)(body, timeout=30, compression=compression)


def large_requests(port: int, _http: int, until_s: float) -> None:
    """62 MiB of one kind after the other, and the same as large as the family's own limit lets through."""
    sizes = (62 * MIB, 900_000)
    plain = grpc.Compression.NoCompression
    turns = ((INFER, bodies(size)[kind], plain) for kind in bodies(0) for size in sizes)
    _send(port, until_s, itertools.chain(turns, _small(plain)))


def _small(compression: grpc.Compression) -> Iterator[tuple[str, bytes, grpc.Compression]]:
    small = bodies(900_000)
    return itertools.cycle((INFER, body, compression) for body in small.values())


def packed_requests(port: int, _http: int, until_s: float) -> None:
    """A few KiB of gzip or deflate that unpack to 32 MiB."""
    packed = bodies(32 * MIB)
    kinds = (grpc.Compression.Gzip, grpc.Compression.Deflate)
    few = [
        (INFER, packed[kind], way) for kind in ("empty inputs", "dimensions", "id") for way in kinds
    ]
    _send(port, until_s, itertools.cycle(few))


def large_questions(port: int, _http: int, until_s: float) -> None:
    """62 MiB to methods that take a name."""
    body = b"\x0a\x00" * (31 * MIB)
    paths = (
        "/inference.GRPCInferenceService/ModelMetadata",
        "/grpc.health.v1.Health/Check",
        "/gearshift.v1.Control/GetPlan",
        "/gearshift.v1.Tasks/AddTask",
    )
    few = [
        (path, data, grpc.Compression.NoCompression)
        for path in paths
        for data in (body, body[:900_000])
    ]
    _send(port, until_s, itertools.cycle(few))


def idle_streams(port: int, _http: int, until_s: float) -> None:
    """As many streams as the server takes, on many connections, and nothing said on them."""
    rawest: list[Raw] = []
    while time.monotonic() < until_s:
        if len(rawest) < 150:
            rawest.append(Raw(port))
            for _ in range(130):
                rawest[-1].open(STREAM)
        for raw in rawest:
            raw.hear()
        time.sleep(0.015)


def rapid_reset(port: int, _http: int, until_s: float) -> None:
    """Streams opened and reset on one connection as fast as it goes; another one when the server ends it."""
    while time.monotonic() < until_s:
        raw = Raw(port)
        with suppress(OSError):
            while time.monotonic() < until_s and raw.hear():
                raw.reset_many(INFER, 200, message(request()))
        raw.close()


def unread_answers(port: int, _http: int, until_s: float) -> None:
    """4,000 requests with large answers on one connection that takes none of them."""
    _take_nothing(port, until_s, connections=1, calls=4000)


def unread_by_many(port: int, _http: int, until_s: float) -> None:
    """The same from many connections at once."""
    _take_nothing(port, until_s, connections=40, calls=130)


def _take_nothing(port: int, until_s: float, *, connections: int, calls: int) -> None:
    rawest: list[Raw] = []
    while time.monotonic() < until_s:
        if len(rawest) < connections:
            rawest.append(Raw(port, window=0))
        for raw in rawest:
            with suppress(OSError):
                raw.hear()
                for _ in range(20 if raw.calls < calls else 0):
                    raw.open(INFER, message(request()), end=True)
        time.sleep(0.005)


def unread_streams(port: int, _http: int, until_s: float) -> None:
    """The same on streams: requests are written, answers never read."""
    rawest = [Raw(port, window=0) for _ in range(8)]
    ids = [raw.open(STREAM) for raw in rawest]
    while time.monotonic() < until_s:
        for raw, stream in zip(rawest, ids, strict=True):
            with suppress(OSError):
                raw.hear()
                raw.write(stream, message(request()) * 50)
        time.sleep(0.01)


def idle_visits(_port: int, http: int, until_s: float) -> None:
    """Connections to the operators' port: silent, slow, endless, or asking and not reading."""
    says = (
        b"",
        b"GET /metrics HT",
        b"GET /metrics HTTP/1.1\r\nX: ",
        b"GET /metrics HTTP/1.1\r\n\r\n" * 50,
    )
    held: list[socket.socket] = []
    while time.monotonic() < until_s:
        for said in says:
            with suppress(OSError):
                held.append(socket.create_connection(("127.0.0.1", http), timeout=0.2))
                held[-1].sendall(said)
        if len(held) > 400:
            held.pop(0).close()
        time.sleep(0.002)


def slow_readers(port: int, _http: int, until_s: float) -> None:
    """40 connections with 40 calls each that take 10 KB/s of their answers, and ask anew before one is whole."""
    rawest: list[tuple[Raw, list[int]]] = []
    while time.monotonic() < until_s:
        if len(rawest) < 40:
            rawest.append((Raw(port, window=0), []))
        for raw, open_calls in rawest:
            with suppress(OSError):
                raw.hear()
                _sip(raw, open_calls)
        time.sleep(0.1)


def _sip(raw: "Raw", open_calls: list[int], most: int = 40, rate: int = 1000) -> None:
    """Some calls more, a little of each answer, and some calls given up."""
    if len(open_calls) < most:
        open_calls += [raw.open(INFER, message(request()), end=True) for _ in range(8)]
    raw.grant(open_calls, rate)
    if len(open_calls) >= most:
        for stream in open_calls[:4]:
            raw.reset(stream)
        del open_calls[:4]


def idle_connections(port: int, _http: int, until_s: float) -> None:
    """As many connections as it gets, half of them without a word; for each that is ended another."""
    held: list[socket.socket] = []
    while time.monotonic() < until_s:
        for one in held[:]:
            if _has_ended(one):
                one.close()
                held.remove(one)
        with suppress(OSError):
            while len(held) < 1200 and time.monotonic() < until_s:
                held.append(socket.create_connection(("127.0.0.1", port), timeout=0.5))
                if len(held) % 2:
                    held[-1].sendall(_GREETING)
                held[-1].setblocking(False)
        time.sleep(0.05)


def _has_ended(one: socket.socket) -> bool:
    """Whether the other side has ended it; what came besides is thrown away."""
    try:
        while one.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def message(body: bytes) -> bytes:
    """A gRPC message of this body."""
    return b"\0" + struct.pack(">I", len(body)) + body


ATTACKS: dict[str, Callable[[int, int, float], None]] = {
    one.__name__: one
    for one in (
        large_requests,
        packed_requests,
        large_questions,
        idle_streams,
        rapid_reset,
        unread_answers,
        unread_by_many,
        unread_streams,
        slow_readers,
        idle_visits,
        idle_connections,
    )
}


def _may_open(files: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(files, hard)), hard))


def main() -> None:
    """Run one; niced, so that on few cores the server and its good neighbour are not short of them for that alone."""
    name, port, http, seconds = sys.argv[1:]
    _may_open(2048)
    os.nice(10)
    ATTACKS[name](int(port), int(http), time.monotonic() + float(seconds))


if __name__ == "__main__":
    main()
