"""The device as control calls use it: between the worker's rounds, and never for longer than a run may take."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

from models.backends.base import BackendError
from server.sharing.runtime.worker import FrameWorkerContext

T = TypeVar("T")

PATIENCE_S = 1.0
"""How long to wait until the worker has left a program that was replaced, and for the thread to end."""
TURN_S = 0.05
"""How long a measurement waits for the device; on a busy one it is measured as busy as it is."""


class Device:
    """Used by one thread at a time. What has not come back within `hung_s` is left behind with the thread it is on."""

    def __init__(self, context: FrameWorkerContext, hung_s: float) -> None:
        self._context = context
        self._hung_s = hung_s
        self._hand = _Hand()

    def turn(self, call: Callable[[], object]) -> None:
        """Make one call while the worker makes none. Raises BackendError where it does not come back."""
        gate = self._context.gate
        held = gate.acquire(timeout=TURN_S)
        try:
            self._within(call, "a run that was to be timed")
        finally:
            if held:
                gate.release()

    def loaded(self, load: Callable[[], T]) -> T:
        """What `load` returns: networks run once as they are loaded. Raises BackendError as `turn`."""
        return self._within(load, "loading and warming it")

    def settled(self) -> bool:
        """Whether the worker has left the program that was replaced."""
        gate = self._context.gate
        if held := gate.acquire(timeout=PATIENCE_S):
            gate.release()
        return held

    def close(self) -> None:
        """End the thread."""
        self._hand.calls.put(None)
        self._hand.join(PATIENCE_S)

    def _within(self, call: Callable[[], T], what: str) -> T:
        done: Future[T] = Future()

        def run() -> None:
            try:
                done.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
                done.set_exception(error)

        self._hand.calls.put(run)
        try:
            return done.result(self._hung_s)
        except TimeoutError:
            if done.done():
                raise
            self._hand.calls.put(None)  # it ends should it ever be back
            self._hand = _Hand()
            raise BackendError(f"{what} did not come back within {self._hung_s:.1f} s") from None


class _Hand(threading.Thread):
    """Makes one call after the other: a thread for each would cost memory of its own, and time that is measured."""

    def __init__(self) -> None:
        super().__init__(name="sharing-device", daemon=True)
        self.calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.start()

    def run(self) -> None:
        """Until it is told to end."""
        while (call := self.calls.get()) is not None:
            call()
