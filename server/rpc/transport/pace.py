"""How fast a connection takes its answers: what it took lately, over the time in which answers waited for it."""

import math
from dataclasses import dataclass

PATIENCE_S = 0.25
"""Who reads as fast as it can takes something of its answers within this."""
SLOW_BYTES_S = 512 << 10
"""Who takes fewer bytes a second than this, while more wait, is slow."""
_CREDIT_BYTES = 2 * SLOW_BYTES_S * PATIENCE_S
"""What nobody has proved yet: who has taken nothing at all is slow after PATIENCE_S, not before."""
_MEMORY_S = 1.0
"""Of waiting; what was before that tells a third of what is now."""


@dataclass(slots=True)
class Pace:
    """One connection's. Waiting counts only while more than a little does: small answers prove nothing.

    `waiting_since_s`: up to when waiting has been counted; None while it does not count.
    """

    taken_bytes: float = 0.0
    waited_s: float = 0.0
    waiting_since_s: float | None = None

    def goes_on(self, now_s: float, *, waiting: bool) -> None:
        """Up to now things were as told last; from now on answers wait, or do not."""
        if self.waiting_since_s is not None:
            kept = math.exp((self.waiting_since_s - now_s) / _MEMORY_S)
            self.taken_bytes *= kept
            self.waited_s = self.waited_s * kept + _MEMORY_S * (1.0 - kept)
        self.waiting_since_s = now_s if waiting else None

    def took(self, size: int) -> None:
        """It has taken an answer of so many bytes."""
        self.taken_bytes += size

    def bytes_s(self, now_s: float) -> float:
        """Bytes a second, of late."""
        if self.waiting_since_s is not None:
            self.goes_on(now_s, waiting=True)
        return (self.taken_bytes + _CREDIT_BYTES) / (self.waited_s + PATIENCE_S)


def of_the_oldest(size: int, waited_s: float) -> float:
    """Bytes a second at most of whoever has let an answer of `size` bytes wait for so long."""
    return (size + _CREDIT_BYTES) / (waited_s + PATIENCE_S)
