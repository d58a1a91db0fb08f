"""How long to let things be before looking again: often while requests come, seldom while nobody asks."""

import time
from collections.abc import Callable

LEAST_S = 0.05
"""So often (s) it is looked while requests come, or something else is under way."""
SHARE = 0.05
"""Of the time that nothing has been under way, so much is let pass until the next look: 1 s after 20 s of quiet."""


class Idleness:
    """One loop's. `activity` is another value whenever something came or went; None while something is under way."""

    def __init__(
        self,
        activity: Callable[[], object],
        most_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._activity = activity
        self._most_s = most_s
        self._clock = clock
        self._last: object = None
        self._since_s = clock()

    def wait_s(self) -> float:
        """How long (s) to wait now, LEAST_S to the most."""
        now_s, activity = self._clock(), self._activity()
        if activity is None or activity != self._last:
            self._last, self._since_s = activity, now_s
        return min(self._most_s, max(LEAST_S, SHARE * (now_s - self._since_s)))
