"""HTTP/2 by hand, for tests that do what no gRPC client would."""

import socket
import struct
from contextlib import suppress

import hpack


class Raw:
    """HTTP/2 by hand, without the manners of a gRPC client. `window`: what it lets each stream send to it."""

    def __init__(self, port: int, window: int = 65_535) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self._next = 1
        self._heard = b""
        settings = struct.pack(">HI", 4, window)
        self._socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, settings))
        self._socket.settimeout(1.0)
        self._unread, self._decoder = b"", hpack.Decoder()
        self.said: list[dict[str, str]] = []
        """Headers and trailers of all answers so far."""
        self._read_frames(self._socket.recv(4096))
        self._socket.sendall(frame(4, 1, 0, b""))
        self._socket.setblocking(False)

    @property
    def calls(self) -> int:
        """Calls begun so far."""
        return self._next // 2

    def open(self, path: str, body: bytes = b"", *, end: bool = False) -> int:
        """A new call, its message and its end where given; its id."""
        stream, self._next = self._next, self._next + 2
        self._write(
            frame(1, 4, stream, _headers(path))
            + (frame(0, int(end), stream, body) if body else b"")
        )
        return stream

    def write(self, stream: int, body: bytes) -> None:
        """More of a call."""
        self._write(frame(0, 0, stream, body))

    def grant(self, streams: list[int], size: int) -> None:
        """Let the server send so many bytes in all, in equal parts of these calls."""
        each = struct.pack(">I", max(1, size // max(1, len(streams))))
        parts = [frame(8, 0, stream, each) for stream in streams]
        self._write(b"".join((*parts, frame(8, 0, 0, struct.pack(">I", size)))))

    def send(self, data: bytes) -> None:
        """Frames as they are."""
        self._write(data)

    def reset(self, stream: int) -> None:
        """Cancel a call."""
        self._write(frame(3, 0, stream, struct.pack(">I", 8)))

    def reset_many(self, path: str, count: int, body: bytes) -> None:
        """So many calls, each reset at once."""
        out = bytearray()
        for stream in range(self._next, self._next + 2 * count, 2):
            out += frame(1, 4, stream, _headers(path)) + frame(0, 1, stream, body)
            out += frame(3, 0, stream, struct.pack(">I", 8))
        self._next += 2 * count
        self._socket.settimeout(1.0)
        self._socket.sendall(out)

    def hear(self) -> bool:
        """Throw away what has come; False once the other side has ended the connection."""
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while data := self._socket.recv(65_536):
                self._heard = (self._heard + data)[-65_536:]
                self._read_frames(data)
                if b"\x00\x00\x08\x06\x00" in data:  # answer a ping
                    at = data.index(b"\x00\x00\x08\x06\x00") + 9
                    self._write(frame(6, 1, 0, data[at : at + 8].ljust(8, b"\0")))
                    self._socket.setblocking(False)
            return False
        return True

    def heard(self) -> bytes:
        """The last of what has come."""
        self.hear()
        return self._heard

    def reasons(self) -> list[str]:
        """What the answers so far say of errors."""
        self.hear()
        return [one["grpc-message"] for one in self.said if "grpc-message" in one]

    def end(self) -> None:
        """Send no more, and still read."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Leave."""
        self._socket.close()

    def _read_frames(self, data: bytes) -> None:
        self._unread += data
        while len(self._unread) >= 9:
            end = 9 + int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < end:
                break
            if self._unread[3] == 1:
                pairs = self._decoder.decode(self._unread[9:end])
                self.said.append({str(name): str(value) for name, value in pairs})
            self._unread = self._unread[end:]

    def _write(self, data: bytes) -> None:
        self._socket.settimeout(0.05)
        self._socket.sendall(data)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes((kind, flags))
        + struct.pack(">I", stream)
        + payload
    )


def _headers(path: str) -> bytes:
    """Literal headers, never indexed."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "x",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    return b"".join(
        b"\x10" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()
        for name, value in fields.items()
    )
