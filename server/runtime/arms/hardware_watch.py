"""Looks at the hardware every now and then and tells what has changed, on a thread of its own. It decides nothing."""

import logging
import threading
import time
from collections.abc import Callable

from profiler.hardware import conditions
from profiler.hardware.changes import Change, is_relief
from profiler.hardware.readings import Reading
from profiler.hardware.sensors import read

_log = logging.getLogger(__name__)


IDLE_PERIODS = 4
"""While the process does nothing, one look in so many is taken: each costs a millisecond."""
IDLE_SHARE = 0.03
"""Of a core: with less than that used since it last woke, the process does nothing."""


class HardwareWatch:
    """Reads every `period_s` and calls `react` with what is to be told, from its own thread.

    `used_s` is the CPU time that the process has used (s): while that stands still, IDLE_PERIODS pass between two
    readings. Whatever the process does next, it is looked at within a period.
    """

    def __init__(
        self,
        period_s: float,
        react: Callable[[tuple[Change, ...]], None],
        look: Callable[[], Reading] = read,
        used_s: Callable[[], float] = time.process_time,
    ) -> None:
        self._period_s = period_s
        self._react = react
        self._look = look
        self._used_s = used_s
        self.shared = ""
        """Who else has the processor just now, in words; empty where nobody has."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hardware-watch", daemon=True)

    def start(self) -> None:
        """Begin to look; the first reading is what later ones are compared with."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; returns when a reaction under way has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        state = conditions.watching(self._look())
        while self._await_turn():
            state, changes = conditions.step(state, self._look())
            self.shared = conditions.shared(state)
            for change in changes:
                level = logging.INFO if is_relief(change) else logging.WARNING
                _log.log(level, "hardware: %s", change.line())
            if changes:
                self._react(changes)

    def _await_turn(self) -> bool:
        """Return True when it is time to look again, False when there is no more to look for."""
        for _ in range(IDLE_PERIODS):
            used_s, began_s = self._used_s(), time.monotonic()
            if self._stop.wait(self._period_s):
                return False
            if self._used_s() - used_s > IDLE_SHARE * (time.monotonic() - began_s):
                return True
        return True
