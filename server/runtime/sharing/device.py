"""The device as control calls use it: between the worker's rounds, and never for longer than a run may take."""

from collections.abc import Callable
from typing import TypeVar

from server.runtime.guarded import within
from server.runtime.sharing.worker import Desk

T = TypeVar("T")

PATIENCE_S = 1.0
"""How long to wait until the worker has left a program that was replaced."""
TURN_S = 0.05
"""How long a measurement waits for the device; on a busy one it is measured as busy as it is."""


class Device:
    """What runs here and has not come back within `hung_s` is left behind on a thread of its own."""

    def __init__(self, desk: Desk, hung_s: float) -> None:
        self._desk = desk
        self._hung_s = hung_s

    def turn(self, call: Callable[[], object]) -> None:
        """Make one call while the worker makes none. Raises BackendError where it does not come back."""
        gate = self._desk.gate
        held = gate.acquire(timeout=TURN_S)
        try:
            within(self._hung_s, call, "a run that was to be timed")
        finally:
            if held:
                gate.release()

    def loaded(self, load: Callable[[], T]) -> T:
        """What `load` returns: networks run once as they are loaded. Raises BackendError as `turn`."""
        return within(self._hung_s, load, "loading and warming it")

    def settled(self) -> bool:
        """Whether the worker has left the program that was replaced."""
        gate = self._desk.gate
        if held := gate.acquire(timeout=PATIENCE_S):
            gate.release()
        return held
