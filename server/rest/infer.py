"""POST .../infer: decode, take in, encode. Who computed answers encodes them, and hands them to the loop together."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from server.engine.checking.checks import Checked
from server.engine.checking.coded import BYTES
from server.engine.intake import Intake
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.engine.values import Answer, Request
from server.errors import BadInput, ComputeFailed, RequestError
from server.rest import decode, encode, packing
from server.rest.codes import Headers, ending_of
from server.rest.decode import Wanted
from server.runtime.dispatch.jobs import Job

LARGE_BYTES = 64 << 10
"""From this size on a body is no work for the loop's thread."""
_THREADS = 2

Sent = tuple[int, bytes, Headers]
"""Status, body, headers."""
_Made = TypeVar("_Made")


@dataclass(slots=True, eq=False)
class _Origin:
    """What an answer needs to find its way back to its call."""

    wanted: Wanted
    to: "asyncio.Future[Sent]"
    gone: bool = False


class Inference:
    """Requests of all families, on the loop's thread or one for large ones; answers from any."""

    def __init__(
        self, families: Mapping[str, ServedFamily], unserved: Unserved, most_bytes: int
    ) -> None:
        self._most_bytes = most_bytes
        self._intake = Intake(families, unserved, self.deliver, self._check_answer)
        self._aside = ThreadPoolExecutor(_THREADS, thread_name_prefix="rest-parser")

    def close(self) -> None:
        """End the threads that read what takes long. After the loop has ended."""
        self._aside.shutdown(cancel_futures=True)

    async def answer(
        self,
        path: tuple[str, str],
        body: bytes,
        headers: Mapping[str, str],
        gone: Callable[[], Awaitable[object]],
    ) -> Sent | None:
        """The answer to a request for this (model, version); None where its client has left, as `gone` says, before.

        Never raises RequestError: that is an answer, too.
        """
        loop = asyncio.get_running_loop()
        origin = _Origin(Wanted(), loop.create_future())
        arrival_s = time.monotonic()
        large = len(body) >= LARGE_BYTES or "content-encoding" in headers
        leaving = asyncio.ensure_future(gone())
        try:
            request = await self._made(large, partial(self._read, path, body, headers, origin))
            request.arrival_s, request.is_wanted = arrival_s, lambda: not origin.gone
            slow = large or any(one.datatype == BYTES for one in request.inputs)
            job = await self._made(slow, partial(self._take, request))
            await asyncio.wait({origin.to, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not origin.to.done():
                origin.gone = True
                self._intake.withdraw(job)
                return None
            return await self._packed(origin.to.result(), headers.get("accept-encoding", ""))
        except RequestError as error:
            return ending_of(error)
        finally:
            leaving.cancel()

    def deliver(self, given: Sequence[Answer]) -> None:
        """Encode answers, and tell their loop. Of those that cannot be encoded the error is told instead."""
        made: dict[asyncio.AbstractEventLoop, list[tuple[_Origin, Sent]]] = {}
        for answer in given:
            origin: _Origin = answer.request.origin
            made.setdefault(origin.to.get_loop(), []).append((origin, _sent(answer, origin)))
        for loop, some in made.items():
            loop.call_soon_threadsafe(_settle, some)

    async def _made(self, aside: bool, make: Callable[[], _Made]) -> _Made:
        if not aside:
            return make()
        return await asyncio.get_running_loop().run_in_executor(self._aside, make)

    def _read(
        self,
        path: tuple[str, str],
        body: bytes,
        headers: Mapping[str, str],
        origin: _Origin,
    ) -> Request:
        """Raises RequestError; whoever asks for no model is told that first."""
        try:
            family = self._intake.family(path[0]).published
            plain = packing.unpacked(body, headers.get("content-encoding", ""), self._most_bytes)
            request, origin.wanted = decode.request(
                *path, memoryview(plain), headers, decode.most_json_bytes(family)
            )
        except RequestError:
            self._intake.refused(path[0])
            raise
        request.origin = origin
        return request

    def _take(self, request: Request) -> Job:
        """Check it and hand it on. Raises RequestError."""
        try:
            job = self._intake.current(self._intake.check(request))
        except UnicodeError as error:
            raise BadInput(f"a text is no UTF-8: {error.reason}") from error  # type: ignore[attr-defined] - of its kinds
        self._intake.submit(job)
        return job

    def _check_answer(self, request: Request, checked: Checked, family: ServedFamily) -> None:
        wanted: Wanted = request.origin.wanted
        outputs = {name: wanted.is_binary(name) for name in checked.outputs}
        encode.check_size(family.family, checked.rows, outputs, self._most_bytes)

    async def _packed(self, sent: Sent, accepted: str) -> Sent:
        coding = packing.coding_of(accepted) if accepted else ""
        if not coding:
            return sent
        status, body, headers = sent
        packed = await self._made(len(body) >= LARGE_BYTES, partial(packing.packed, body, coding))
        if packed is None:
            return sent
        return status, packed, {**headers, "content-encoding": coding, "vary": "accept-encoding"}


def _sent(answer: Answer, origin: _Origin) -> Sent:
    if answer.error is None:
        try:
            body, headers = encode.body(answer, origin.wanted)
        except Exception as failure:  # noqa: BLE001 - one answer that cannot be encoded must not cost its neighbours theirs
            foreseen = isinstance(failure, RequestError)
            sent = ending_of(failure)
            answer.error = failure if foreseen else ComputeFailed("the answer cannot be encoded")
            return sent
        return 200, body, {**headers, **dict(answer.trailers)}
    return ending_of(answer.error)


def _settle(made: Sequence[tuple[_Origin, Sent]]) -> None:
    for origin, sent in made:
        if not origin.to.done():
            origin.to.set_result(sent)
