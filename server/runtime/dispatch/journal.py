"""The last decisions worth explaining: a bounded, sampled record of what the policy saw and what it answered.

Nothing is explained here: a kept record holds the policy's inputs, and asking it again is the reader's affair.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from server.policy.decision import ArmProfile, Decision, Outlook, Ticket

EVERY = 100
"""One decision in so many is kept, unless configured otherwise."""
KEPT = 128
"""Records held per family."""
MOST_TICKETS = 128
"""Tickets held per record: as many as a decision considers, as a rule."""
QUIET_S = 1.0
"""After this long without a record the next decision is kept: under low load nothing would be sampled for minutes."""
DROPS_REST_S = 0.05
"""At least this long between two records kept for their drops: under overload every decision has some."""


@dataclass(frozen=True, slots=True)
class Record:
    """One decision and all that it was made from. `waiting`: tickets in the queue, of which `tickets` are the first.

    `policy` is the name of who decided.
    """

    at_s: float
    took_s: float
    arms: Sequence[ArmProfile]
    tickets: tuple[Ticket, ...]
    waiting: int
    outlook: Outlook
    decision: Decision
    policy: str = ""


class Journal:
    """Keeps one decision in `every`, the first after a quiet second, and those that dropped somebody (rate-limited).

    Written by one thread at a time; `last` may be called from any.
    """

    def __init__(self, every: int = EVERY) -> None:
        self._every = every
        self._countdown = 1
        self._quiet_until_s = 0.0
        self._drops_from_s = 0.0
        self._records: deque[Record] = deque(maxlen=KEPT)

    def wants(self, decision: Decision, now_s: float) -> bool:
        """Whether to `keep` this decision, made at `now_s`. Called once per decision; cheap."""
        self._countdown -= 1
        if self._countdown and now_s < self._quiet_until_s:
            return bool(decision.dropped) and now_s >= self._drops_from_s
        return True

    def keep(self, record: Record) -> None:
        """Add a record; the oldest gives way."""
        if not self._countdown or record.at_s >= self._quiet_until_s:
            self._countdown = self._every
        self._quiet_until_s = record.at_s + QUIET_S
        self._drops_from_s = record.at_s + DROPS_REST_S
        self._records.append(record)

    def last(self, count: int) -> list[Record]:
        """At most `count` records, newest first."""
        return list(self._records)[: -count - 1 : -1]
