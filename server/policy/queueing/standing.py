"""How the SLO classes have fared: what ended goes in; what answers are worth comes out, and how careful to be."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from math import inf

from server.policy.decision import Haste
from server.policy.queueing import hurry, promise
from server.policy.queueing.fairness import Attainment, Fairness, observe, values
from server.policy.queueing.hurry import Hurry
from server.policy.queueing.promise import Promise, Reach

EVERY_SLOS = 2.0
"""Values and caution are made anew this often, in latency bounds: classes are not neglected within a blink."""
MOST_ENDED = 8192
"""Ends that are kept for a policy that is not asked for a while, the last ones."""
WHOLE = 0.99
"""A request that allows less than this share of the SLO's bound asks for more than was promised."""


class Standing:
    """`ended` from any thread, the rest from one. `weights` empty: every answer is worth the same.

    Of each class's requests that ask for no more than the SLO says, `percentile` are promised an answer within `slo_s`
    (s), of `min_accuracy` at least.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        percentile: float = 0.99,
        slo_s: float = 0.05,
        min_accuracy: float = 0.0,
    ) -> None:
        self._weighed = bool(weights)
        self._percentile, self._slo_s, self._min_accuracy = percentile, slo_s, min_accuracy
        self._state = Fairness(weights)
        self._ended: deque[tuple[str, bool, bool]] = deque(maxlen=MOST_ENDED)
        self._values: Mapping[str, float] = {}
        self._reach = Reach()
        self._hurry = Hurry()
        self._due_s = 0.0
        self.promises: dict[str, Promise] = {}
        """By class: how it is kept."""
        self.caution = 0.0
        """How careful to be, 0 to 1: as careful as the class takes whose promise is in most danger."""
        self.boldness = 0.0
        """How bold one may be, 0 to 1: as bold as every class allows."""

    def attainment(self, slo_class: str) -> float:
        """Share of this class's requests that was answered in time lately; 1 where none came."""
        return self.promises.get(slo_class, Promise()).attainment

    def is_promised(self, bound_s: float, min_accuracy: float, variant: str | None) -> bool:
        """Whether a request asks for no more than the SLO says: others must not make the policy careful for all."""
        return bound_s >= self.promised_from_s(min_accuracy, variant)

    def promised_from_s(self, min_accuracy: float, variant: str | None) -> float:
        """The bound (s) from which on a request with these asks for no more than the SLO says; infinite: from none."""
        within = min_accuracy <= self._min_accuracy and variant is None
        return WHOLE * self._slo_s if within else inf

    def offered(self, rows: int, now_s: float, pace_s: float) -> None:
        """A request of so many rows came that was promised, and all workers take `pace_s` for one at best."""
        self.offered_together((rows,), now_s, pace_s)

    def offered_together(self, counts: Iterable[int], now_s: float, pace_s: float) -> None:
        """`offered` of requests with so many rows each."""
        self._reach = promise.offered_together(self._reach, counts, now_s, self._slo_s, pace_s)

    def asked(self, rows: int, bound_s: float, slo_class: str, now_s: float) -> None:
        """So many rows came that allow so much time."""
        if bound_s < hurry.HASTY * self._slo_s:
            worth = rows * self._values.get(slo_class, 1.0)
            self._hurry = hurry.observe(self._hurry, worth, bound_s, now_s, self._slo_s)

    def haste(self, now_s: float) -> Haste:
        """Who will not wait for a long batch to end."""
        return hurry.haste(self._hurry, now_s, self._slo_s)

    def ended(self, slo_class: str, *, in_time: bool, promised: bool = True) -> None:
        """A request was answered in time, or not."""
        self._ended.append((slo_class, promised, in_time))

    def ended_together(self, ends: Iterable[tuple[str, bool, bool]]) -> None:
        """`ended` of several: the class, whether it was promised, whether it was in time."""
        self._ended.extend(ends)

    def values(self, now_s: float) -> Mapping[str, float]:
        """What an answer is worth by class; empty where only one class came lately."""
        if now_s >= self._due_s and self._ended:
            self._due_s = now_s + EVERY_SLOS * self._slo_s
            self._learn([self._ended.popleft() for _ in range(len(self._ended))], now_s)
        return self._values

    def _learn(self, ended: Sequence[tuple[str, bool, bool]], now_s: float) -> None:
        if self._weighed:
            fared = _tallied((name, in_time) for name, _, in_time in ended)
            self._state = observe(self._state, fared, now_s, self._slo_s)
            self._values = values(self._state)
        promised = _tallied((name, in_time) for name, counts, in_time in ended if counts)
        for name in {*self.promises, *promised}:
            known, more = self.promises.get(name, Promise()), promised.get(name)
            self.promises[name] = (
                promise.idle(known)
                if more is None
                else promise.observe(known, more.ended, more.in_time, self._percentile, self._reach)
            )
        self.caution = max((one.caution for one in self.promises.values()), default=0.0)
        self.boldness = min((one.boldness for one in self.promises.values()), default=0.0)


def _tallied(ended: Iterable[tuple[str, bool]]) -> dict[str, Attainment]:
    counts = Counter(ended)
    names = {name for name, _ in counts}
    in_time = {name: float(counts[name, True]) for name in names}
    return {n: Attainment(in_time[n] + counts[n, False], in_time[n]) for n in names}
