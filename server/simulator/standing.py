"""How the SLO classes have fared so far, and what an answer to each is worth for it: the live fairness, fed here."""

from collections.abc import Iterable, Mapping

from server.policy.decision import Ticket
from server.policy.fairness import Fairness, Tally, observe, values

EVERY_S = 0.1
"""The values are made anew this often: classes are not neglected within a blink."""


class Standing:
    """What ended by class since the last look. `weights` empty: nothing is kept and every answer is worth the same."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._on = bool(weights)
        self._state = Fairness(weights)
        self._news: dict[str, Tally] = {}
        self._values: Mapping[str, float] = {}

    def ended(self, tickets: Iterable[Ticket], at_s: float | None = None) -> None:
        """Tickets answered at `at_s` (s), or never."""
        if not self._on:
            return
        for ticket in tickets:
            so_far = self._news.get(ticket.slo_class, Tally())
            in_time = at_s is not None and at_s <= ticket.deadline_s
            self._news[ticket.slo_class] = Tally(so_far.ended + 1, so_far.in_time + in_time)

    def values(self, now_s: float) -> Mapping[str, float]:
        """What an answer is worth by class."""
        if self._news and now_s >= self._state.at_s + EVERY_S:
            self._state = observe(self._state, self._news, now_s)
            self._news = {}
            self._values = values(self._state)
        return self._values
