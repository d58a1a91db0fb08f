"""What a call needs of whoever accepted it, and what serves its method."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from server.errors import TooLarge
from server.rpc.transport.endings import Trailers
from server.rpc.transport.guests import Guests
from server.rpc.transport.packing import Packed, most_unpacked, opened

SMALL_BYTES = 64 << 10
"""The largest message that a method takes, unless its handler says otherwise."""
_INLINE_BYTES = 256 << 10
"""A compressed message that is larger than this is not unpacked on the front's thread, where that can be helped."""


class Host(Protocol):
    """What a call needs of whoever accepted it."""

    lock: threading.RLock
    guests: Guests
    ending_of: Callable[[BaseException], tuple[grpc.StatusCode, str, Trailers]]
    """How a call ends for a handler's error."""
    woken_s: float
    """When something came last that had not waited for other work; on time.monotonic's clock."""
    most_bytes: int
    """Of one message."""

    def ended(self, call: Any, taken: bool) -> None:
        """The call is over: its client has taken all of the answer, or it was cancelled."""
        ...


@dataclass(frozen=True, slots=True)
class Handler:
    """What serves a method: `function(call, message)`, called for every message; a stream's last message is None. The
    call is a Call, on whichever front.

    Messages above `most_bytes` are refused. One that `unpacks` is given large compressed messages still Packed. Where
    it `is_plain`, the native front may take its messages another, shorter way.
    """

    function: Callable[[Any, Any], None]
    streaming: bool = False
    most_bytes: int = SMALL_BYTES
    unpacks: bool = False
    is_plain: bool = False

    def checked(self, message: bytes) -> bytes | Packed:
        """The message, no larger than this method takes. Raises TooLarge."""
        if len(message) > self.most_bytes:
            raise TooLarge(
                f"message of {len(message)} bytes; this method takes at most {self.most_bytes} here"
            )
        inline = (
            min(self.most_bytes, _INLINE_BYTES)
            if self.unpacks
            else most_unpacked(len(message), self.most_bytes)
        )
        found = opened(message, inline)
        if isinstance(found, Packed) and not self.unpacks:
            return found.unpack(self.most_bytes)  # which raises
        return found


class AnyFront(Protocol):
    """What accepts calls on a port and hands their messages to handlers, on one thread of its own."""

    name: str
    """Which one it is, for operators."""

    def bind(self, address: str) -> int:
        """Listen on host:port (port 0: any) and return the port. Raises OSError naming the address where that fails."""
        ...

    def bind_unix(self, path: str) -> None:
        """Listen on a Unix socket, too. Raises OSError naming the path where that fails."""
        ...

    def start(self) -> None:
        """Begin accepting calls."""
        ...

    def stop(self, grace_s: float, give_up: Callable[[], object]) -> None:
        """Refuse new calls, wait up to `grace_s` for those in flight, then end the thread."""
        ...
