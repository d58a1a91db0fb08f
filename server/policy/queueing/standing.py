"""How the SLO classes have fared, for fairness between them: what ended goes in, what answers are worth comes out."""

from collections import deque
from collections.abc import Mapping

from server.policy.queueing.fairness import Attainment, Fairness, observe, values

EVERY_S = 0.1
"""The values are made anew this often: classes are not neglected within a blink."""


class Standing:
    """`ended` from any thread, `values` from one. `weights` empty: nothing is kept, every answer is worth the same."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._on = bool(weights)
        self._state = Fairness(weights)
        self._ended: deque[tuple[str, bool]] = deque()
        self._values: Mapping[str, float] = {}

    def ended(self, slo_class: str, *, in_time: bool) -> None:
        """A request was answered in time, or not."""
        if self._on:
            self._ended.append((slo_class, in_time))

    def values(self, now_s: float) -> Mapping[str, float]:
        """What an answer is worth by class; empty where only one class came lately."""
        if self._ended and now_s >= self._state.at_s + EVERY_S:
            self._state = observe(self._state, self._news(), now_s)
            self._values = values(self._state)
        return self._values

    def _news(self) -> dict[str, Attainment]:
        news: dict[str, Attainment] = {}
        for _ in range(len(self._ended)):
            slo_class, in_time = self._ended.popleft()
            so_far = news.get(slo_class, Attainment())
            news[slo_class] = Attainment(so_far.ended + 1.0, so_far.in_time + in_time)
        return news
