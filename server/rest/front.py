"""The REST front: listens, runs its loop on a thread of its own, and ends in good order."""

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Sequence
from concurrent.futures import Future

from uvicorn.config import Config
from uvicorn.server import ServerState

from server.rest.bodies import Bodies
from server.rest.connections import Allowed, HttpConnection, watch
from server.rest.facts import Facts
from server.rest.infer import Inference
from server.rest.routes import RestPages

_LOOK_S = 1.0


class RestFront:
    """Serves on sockets that listen already."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        facts: Facts,
        inference: Inference,
        allowed: Allowed,
        most_bytes: int,
    ) -> None:
        self._listeners = listeners
        self._inference = inference
        self._pages = RestPages(facts, inference, Bodies(most_bytes))
        self._allowed = allowed
        self._state = ServerState()
        self._loop = asyncio.new_event_loop()
        self._doors: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._listeners[0].getsockname()[1]

    def start(self) -> None:
        """Begin accepting calls."""
        self._thread.start()

    def refuse(self) -> None:
        """No new connections; those that are there end after the answer they wait for. Any thread."""
        if self._thread.is_alive():
            self._do(self._close_doors())

    def drain(self, until_s: float) -> None:
        """Return when nobody waits for an answer, or at `until_s`; after `refuse`. Any thread but the loop's."""
        if self._thread.is_alive():
            self._do(self._drained(until_s)).result()

    def stop(self, grace_s: float = 1.0) -> None:
        """Let answers that are there go out, within `grace_s`; then end everything and free the port."""
        self.refuse()
        self.drain(time.monotonic() + grace_s)
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        for one in self._listeners:
            one.close()
        self._inference.close()
        self._pages.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open_doors())
        looking = self._loop.create_task(watch(self._state, min(_LOOK_S, self._allowed.stall_s)))
        self._loop.run_forever()
        looking.cancel()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _open_doors(self) -> None:
        config = Config(
            self._pages.app(),
            log_config=None,
            access_log=False,
            log_level="critical",  # what strangers send is no news
            lifespan="off",
            ws="none",
            timeout_keep_alive=round(self._allowed.idle_s) or 10**6,
        )
        config.load()
        for one in self._listeners:
            made = await self._loop.create_server(
                lambda: HttpConnection(config, self._state, self._allowed), sock=one
            )
            self._doors.append(made)

    async def _close_doors(self) -> None:
        for one in self._doors:
            one.close()
        for one in list(self._state.connections):
            one.shutdown()

    async def _drained(self, until_s: float) -> None:
        while self._state.tasks and time.monotonic() < until_s:
            patience_s = max(0.0, until_s - time.monotonic())
            await asyncio.wait(list(self._state.tasks), timeout=patience_s)

    async def _end(self) -> None:
        for one in list(self._state.connections):
            one.transport.abort()
        tasks = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _do(self, work: Awaitable[None]) -> "Future[None]":
        return asyncio.run_coroutine_threadsafe(_awaited(work), self._loop)


async def _awaited(work: Awaitable[None]) -> None:
    await work
