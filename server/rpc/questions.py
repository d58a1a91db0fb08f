"""Unary calls whose answers take a while: made on a thread of their own, never on the front's; a few wait at most."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from server.errors import Overloaded
from server.rpc.decode import parse
from server.rpc.status import ending_of
from server.rpc.transport.call import Call

_Request = TypeVar("_Request", bound=Message)

MOST_PENDING = 16
"""Questions that may wait for the thread."""


@dataclass(frozen=True, slots=True)
class Later:
    """An answer that is there once `done` is: given from the thread that does it, so that no other waits."""

    done: "Future[None]"
    answer: Callable[[], Message]

    def then(self, call: Call) -> None:
        """Answer `call` as soon as it is done, or say why it is not."""
        self.done.add_done_callback(lambda done: self._tell(call, done.exception()))

    def _tell(self, call: Call, error: BaseException | None) -> None:
        if error is not None:
            call.fail(*ending_of(error))
            return
        try:
            call.reply(self.answer().SerializeToString())
        except Exception as failure:  # noqa: BLE001 - whoever asked must be answered, and the thread go on
            call.fail(*ending_of(failure))


class Questions:
    """The thread, which takes one question after the other in the order they came. `name` is the thread's."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._room = threading.Semaphore(MOST_PENDING)

    def unary(
        self, request_type: type[_Request], answer: Callable[[_Request], Message | Later]
    ) -> Callable[[Call, bytes | None], None]:
        """What a handler calls. `answer` gives the response message for the request, or a Later."""

        def function(call: Call, data: bytes | None) -> None:
            request = parse(request_type, data or b"")
            if not self._room.acquire(blocking=False):
                raise Overloaded(f"{MOST_PENDING} questions wait already; ask again later", 1.0)
            self._pool.submit(self._answer, call, answer, request)

        return function

    def between(self, job: Callable[[], None]) -> None:
        """Do this after what has been asked so far. It must not raise; who calls this sees to it that few wait."""
        self._pool.submit(job)

    def close(self) -> None:
        """Answer what was asked and end the thread. After the front has stopped."""
        self._pool.shutdown()

    def _answer(
        self, call: Call, answer: Callable[[_Request], Message | Later], request: _Request
    ) -> None:
        try:
            answered = answer(request)
            if isinstance(answered, Later):
                answered.then(call)
            else:
                call.reply(answered.SerializeToString())
        except Exception as error:  # noqa: BLE001 - one question that fails must be answered, and not end the thread
            call.fail(*ending_of(error))
        finally:
            self._room.release()
