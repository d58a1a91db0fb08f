"""Bodies as they come: bounded each, and all together, so that what clients never end cannot fill the memory."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from server.errors import BadInput, Overloaded, RequestError, TooLarge

_MOST_LARGEST = 4
"""Largest bodies that there is room for at a time."""


class Bodies:
    """For the loop's thread alone. `most_bytes`: of one body, packed or not."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._room = _MOST_LARGEST * most_bytes

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncGenerator[bytes]:
        """The whole body, counted until the block ends. Raises TooLarge, Overloaded, or BadInput for an odd length."""
        chunks, taken = request.stream(), 0
        body = bytearray()
        try:
            try:
                self._check(_stated(request))
                async for chunk in chunks:
                    self._check(len(body) + len(chunk))
                    self._room -= len(chunk)
                    taken += len(chunk)
                    if self._room < 0:
                        raise Overloaded(
                            "too many large requests wait to be read; ask again later", 1.0
                        )
                    body += chunk
            except RequestError:
                if "expect" not in request.headers:  # else it waits with its body for a word
                    await self._pass_over(chunks)
                raise
            yield bytes(body)
        finally:
            self._room += taken

    def _check(self, size: int) -> None:
        if size > self._most_bytes:
            raise TooLarge(
                f"a body of more than {self._most_bytes} bytes; max_message_mib bounds it on this server"
            )

    async def _pass_over(self, chunks: AsyncIterator[bytes]) -> None:
        """Read on for a while: whoever is cut off while it sends does not get to read why."""
        left = self._most_bytes
        async for chunk in chunks:
            left -= len(chunk)
            if left < 0:
                return


def _stated(request: Request) -> int:
    stated = request.headers.get("content-length", "0")
    if not (stated.isascii() and stated.isdigit() and len(stated) < 20):
        raise BadInput("Content-Length is no number")
    return int(stated)
