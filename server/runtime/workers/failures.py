"""What failed, for the log: everything once, then how often, so that no client fills the disk."""

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from models.backends.base import BackendError, words
from server.policy.decision import Arm
from server.texts import shown

_log = logging.getLogger(__name__)

EVERY_S = 60.0
"""How often what goes on failing is said again."""
MOST_KINDS = 16
"""Different errors that are told apart in that time; what is beyond them is counted together."""
_MOST = 800
"""Characters shown of one error."""
_NUMBERS = re.compile(r"[0-9]+")


@dataclass(slots=True)
class _Kind:
    """Errors that differ in numbers only: when one was said last, and how many came since."""

    said_s: float
    since: int = 0


class Failures:
    """Of one family's batches. All methods from any thread."""

    def __init__(self, family: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self._family = family
        self._clock = clock
        self._lock = threading.Lock()
        self._kinds: dict[tuple[Arm | None, str], _Kind] = {}

    def tell(self, arm: Arm, rows: int, error: Exception) -> None:
        """A batch failed. Errors of a runtime have words that tell all; of others the first has its traceback."""
        text = shown(words(error), _MOST)
        if not self._is_new(arm, f"{type(error).__name__} {_NUMBERS.sub('#', text)}"):
            return
        unforeseen = None if isinstance(error, BackendError | MemoryError) else error
        line = "%s: batch of %d rows failed on %s (%s): %s"
        _log.error(line, self._family, rows, arm.variant, arm.backend, text, exc_info=unforeseen)

    def tick(self) -> None:
        """Say how many more there were, where it is time to."""
        now_s = self._clock()
        with self._lock:
            due = [(key, k) for key, k in self._kinds.items() if now_s >= k.said_s + EVERY_S]
            lines = [(key, kind.since) for key, kind in due if kind.since]
            for key, kind in due:
                if kind.since:
                    self._kinds[key] = _Kind(now_s)
                else:
                    del self._kinds[key]
        for (arm, text), more in lines:
            which = f"on {arm.variant} ({arm.backend})" if arm else "in other ways"
            said = f": {text}" if text else ""
            _log.error("%s: ... and %d more batches failed %s%s", self._family, more, which, said)

    def _is_new(self, arm: Arm, text: str) -> bool:
        """Whether such an error is to be said now."""
        with self._lock:
            key = (arm, text)
            if key not in self._kinds and len(self._kinds) >= MOST_KINDS:
                key = (None, "")
            kind = self._kinds.get(key)
            if kind is not None:
                kind.since += 1
                return False
            self._kinds[key] = _Kind(self._clock(), since=int(key[0] is None))
            return key[0] is not None
