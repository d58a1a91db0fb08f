"""What every transport owes its clients, after gRPC's interoperability tests: calls, streams, codes, cancelled ones.

A stock grpcio client against handlers that echo; each transport is held to all of it.
"""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.errors import Overloaded
from server.rpc.status import ending_of
from server.rpc.transport import unix
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.hosting import Handler
from tests.support.fronts import kind_of_front
from tests.support.serving.server import equal, eventually

PATIENCE_S = 30.0
LARGE = 4 << 20
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP \U0001f608\t\n"


class Echo:
    """A server whose methods do as they are asked, and what it saw of its clients."""

    def __init__(self, front: str) -> None:
        self.left = threading.Event()
        self.deadlines: list[float | None] = []
        self.front = kind_of_front(front)(
            {
                "/echo/Unary": Handler(self._unary, most_bytes=LARGE),
                "/echo/Ask": Handler(self._unary),
                "/echo/Stream": Handler(self._stream, streaming=True, most_bytes=LARGE),
                "/echo/Held": Handler(self._hold),
                "/echo/HeldStream": Handler(self._hold_stream, streaming=True),
                "/echo/Fail": Handler(self._fail),
                "/echo/Raise": Handler(self._raise),
                "/echo/Packed": Handler(self._unary, most_bytes=LARGE),
            },
            ending_of,
            lambda: None,
            Bounds(LARGE),
        )
        self.port = self.front.bind("127.0.0.1:0")
        self.front.start()
        self.channel = self.connect()

    def connect(self, *options: tuple[str, Any]) -> grpc.Channel:
        """A channel of its own."""
        most = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        return grpc.insecure_channel(f"127.0.0.1:{self.port}", [*most, *options])

    def ask(self, method: str, message: bytes = b"", **options: Any) -> bytes:
        """One unary call."""
        options = {"timeout": PATIENCE_S, **options}
        return self.channel.unary_unary(f"/echo/{method}")(message, **options)

    def stream(self, messages: Iterator[bytes], **options: Any) -> Any:
        """One stream of these messages."""
        options = {"timeout": PATIENCE_S, **options}
        return self.channel.stream_stream("/echo/Stream")(messages, **options)

    def _unary(self, call: Any, message: bytes) -> None:
        self.deadlines.append(call.deadline_s)
        call.reply(bytes(message), (("echo-bytes", str(len(message))),))

    def _stream(self, call: Any, message: bytes | None) -> None:
        if message is None:
            call.finish()
        else:
            call.send(bytes(message))

    def _hold(self, call: Any, _message: bytes) -> None:
        call.on_cancel = self.left.set

    def _hold_stream(self, call: Any, message: bytes | None) -> None:
        call.on_cancel = self.left.set
        if message is not None:
            call.send(bytes(message))

    def _fail(self, call: Any, message: bytes) -> None:
        call.fail(grpc.StatusCode.OUT_OF_RANGE, message.decode(), (("because", "asked"),))

    def _raise(self, _call: Any, message: bytes) -> None:
        raise Overloaded(message.decode(), 0.25)


@pytest.fixture(scope="module", params=["grpcio", "native"])
def echo(request: pytest.FixtureRequest) -> Iterator[Echo]:
    """One server of each kind for all tests."""
    one = Echo(request.param)
    yield one
    one.channel.close()
    one.front.stop(1.0, lambda: None)


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 70_000, 1 << 20, LARGE])
def test_a_message_comes_back_as_it_was(echo: Echo, size: int):
    message = bytes(range(256)) * (size // 256 + 1)

    assert echo.ask("Unary", message[:size]) == message[:size]


def test_a_message_larger_than_its_method_takes_is_refused_with_both_sizes(echo: Echo):
    with pytest.raises(grpc.RpcError, match=r"65537 bytes|65537 vs\. 65536") as refusal:
        echo.ask("Ask", b"x" * 65_537)

    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert echo.ask("Ask", b"x" * 65_536) == b"x" * 65_536


@pytest.mark.parametrize("packing", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_a_packed_message_is_unpacked(echo: Echo, packing: grpc.Compression):
    message = b"much the same " * 20_000

    assert echo.ask("Packed", message, compression=packing) == message


def test_metadata_goes_with_an_answer(echo: Echo):
    call = echo.channel.unary_unary("/echo/Unary").with_call(b"four", timeout=PATIENCE_S)[1]

    assert ("echo-bytes", "4") in [(one.key, one.value) for one in call.trailing_metadata()]


def test_a_stream_answers_every_message_in_order_and_ends_with_its_client(echo: Echo):
    sent = [bytes([n]) * size for n, size in enumerate((1, 31_415, 9, 2_653, 58_979, 0, 200_000))]

    assert list(echo.stream(iter(sent))) == sent


def test_a_stream_of_no_messages_has_no_answers(echo: Echo):
    assert list(echo.stream(iter(()))) == []


def test_a_ping_is_answered_before_the_next_is_sent(echo: Echo):
    heard = threading.Semaphore(0)

    def messages() -> Iterator[bytes]:
        for n in range(20):
            yield b"%d" % n
            assert heard.acquire(timeout=PATIENCE_S)

    for n, answer in enumerate(echo.stream(messages())):
        assert answer == b"%d" % n
        heard.release()


def test_a_code_and_its_words_arrive_and_so_does_metadata(echo: Echo):
    with pytest.raises(grpc.RpcError) as refusal:
        echo.ask("Fail", b"no such thing")

    assert refusal.value.code() is grpc.StatusCode.OUT_OF_RANGE
    assert refusal.value.details() == "no such thing"
    assert ("because", "asked") in [(m.key, m.value) for m in refusal.value.trailing_metadata()]


def test_words_of_any_alphabet_arrive_escaped_and_on_one_line(echo: Echo):
    with pytest.raises(grpc.RpcError) as refusal:
        echo.ask("Fail", SPECIAL.encode())

    assert "and Unicode BMP ☺ and non-BMP \U0001f608" in str(refusal.value.details())
    assert "\n" not in str(refusal.value.details())


def test_what_a_handler_raises_is_its_clients_answer(echo: Echo):
    with pytest.raises(grpc.RpcError, match="busy now") as refusal:
        echo.ask("Raise", b"busy now")

    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert ("retry-after-ms", "250") in [
        (m.key, m.value) for m in refusal.value.trailing_metadata()
    ]


def test_an_unknown_method_is_unimplemented(echo: Echo):
    with pytest.raises(grpc.RpcError, match="unknown method /echo/Nothing") as refusal:
        echo.ask("Nothing")

    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_cancelled_call_tells_its_handler(echo: Echo):
    echo.left.clear()
    call = echo.channel.unary_unary("/echo/Held").future(b"", timeout=PATIENCE_S)
    time.sleep(0.05)

    call.cancel()

    assert echo.left.wait(PATIENCE_S)
    assert echo.ask("Unary", b"on") == b"on"


def test_a_stream_cancelled_after_its_first_answer_tells_its_handler(echo: Echo):
    echo.left.clear()
    pause = threading.Event()

    def messages() -> Iterator[bytes]:
        yield b"first"
        pause.wait(PATIENCE_S)

    call = echo.channel.stream_stream("/echo/HeldStream")(messages(), timeout=PATIENCE_S)
    assert next(call) == b"first"
    call.cancel()
    pause.set()

    assert echo.left.wait(PATIENCE_S)


def test_a_deadline_is_known_to_the_handler_and_kept(echo: Echo):
    echo.left.clear()
    begun_s = time.monotonic()

    with pytest.raises(grpc.RpcError) as refusal:
        echo.ask("Held", timeout=0.2)

    assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert echo.left.wait(PATIENCE_S)
    echo.ask("Unary", b"", timeout=20.0)
    assert echo.deadlines[-1] == pytest.approx(begun_s + 20.0, abs=5.0)


def test_many_calls_at_once_are_answered_each_with_its_own(echo: Echo):
    call = echo.channel.unary_unary("/echo/Unary")
    asked = [call.future(b"%d" % n * (n % 50), timeout=PATIENCE_S) for n in range(400)]

    assert [one.result() for one in asked] == [b"%d" % n * (n % 50) for n in range(400)]


def test_connections_come_and_go_while_others_are_served(echo: Echo):
    for n in range(20):
        with echo.connect(("grpc.use_local_subchannel_pool", 1)) as channel:
            answer = channel.unary_unary("/echo/Unary")(b"%d" % n, timeout=PATIENCE_S)
            assert answer == b"%d" % n
    assert echo.ask("Unary", b"still here") == b"still here"


@pytest.mark.parametrize("name", ["grpcio", "native"])
def test_a_stopping_server_refuses_new_calls_and_lets_others_end(name: str):
    echo = Echo(name)
    held = echo.channel.unary_unary("/echo/Held").future(b"", timeout=PATIENCE_S)
    assert echo.ask("Unary", b"here") == b"here"
    stopping = threading.Thread(target=echo.front.stop, args=(1.0, lambda: None))
    stopping.start()

    def code() -> grpc.StatusCode:
        late = echo.channel.unary_unary("/echo/Unary").future(b"late", timeout=PATIENCE_S)
        return late.code()

    eventually(lambda: equal(code(), grpc.StatusCode.UNAVAILABLE))
    stopping.join(PATIENCE_S)

    assert not stopping.is_alive()
    eventually(lambda: equal(held.done(), True))
    echo.channel.close()


@pytest.mark.parametrize("name", ["grpcio", "native"])
def test_a_unix_socket_is_served_and_goes_with_its_server(name: str, tmp_path: Path):
    path = tmp_path / "grpc.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))  # left by a server that was killed
    front = kind_of_front(name)(
        {"/echo/Unary": Handler(lambda call, message: call.reply(message))},
        ending_of,
        lambda: None,
        Bounds(LARGE),
    )
    front.bind("127.0.0.1:0")
    front.bind_unix(str(path))
    front.start()

    with grpc.insecure_channel(f"unix:{path}") as channel:
        answer = channel.unary_unary("/echo/Unary")(b"by a path", timeout=PATIENCE_S)
    mode = path.stat().st_mode & 0o777
    with pytest.raises(OSError, match="another server does"):
        unix.bound(str(path), lambda: None)
    front.stop(1.0, lambda: None)

    assert (answer, mode) == (b"by a path", 0o660)
    assert not path.exists()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path):
    path = tmp_path / "precious"
    path.write_text("mine")

    with pytest.raises(OSError, match="no socket"):
        unix.bound(str(path), lambda: None)

    assert path.read_text() == "mine"
