"""How requests fared over the last minute by latency bound, and who answered: where a family loses accuracy."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from server.metrics.recent import Results
from server.metrics.records import Served

SLOT_S = 10
SLOTS = 6
WINDOW_S = SLOT_S * SLOTS
"""What counts as lately."""
MOST_BUCKET = 22
"""Bounds beyond 2^22 ms (70 min) count as that; what is below a millisecond counts as one."""
_EDGES_S = [2.0 ** (bucket + 0.5) / 1e3 for bucket in range(MOST_BUCKET)]


@dataclass(frozen=True, slots=True)
class Region(Results):
    """The last minute's results of requests with a bound of about `slo_ms` (the nearest power of two)."""

    slo_ms: float


@dataclass(slots=True)
class _Slot:
    number: int = -SLOTS
    ends: defaultdict[int, list[float]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0, 0.0])
    )
    rows: Counter[str] = field(default_factory=Counter[str])


class Lately:
    """A ring of slots. Its clock must not step back; it is not safe for several threads at once."""

    def __init__(self) -> None:
        self._slots = [_Slot() for _ in range(SLOTS)]
        self._first_s = inf

    def ended(self, slo_s: float, accuracy: float | None, now_s: float) -> None:
        """A request with this bound ended now; `accuracy` of its answer, None where it had none in time."""
        self._first_s = min(self._first_s, now_s)
        counts = self._slot(now_s).ends[_bucket(slo_s)]
        counts[0] += 1
        if accuracy is not None:
            counts[1] += 1
            counts[2] += accuracy

    def answered(self, served: Sequence[Served]) -> None:
        """`ended` of requests that were answered within one second, at least one."""
        self._first_s = min(self._first_s, served[0].at_s)
        ends = self._slot(served[-1].at_s).ends
        for one in served:
            counts = ends[bisect_left(_EDGES_S, one.slo_s)]
            counts[0] += 1
            if one.in_time:
                counts[1] += 1
                counts[2] += one.accuracy

    def ran(self, variant: str, rows: int, now_s: float) -> None:
        """A variant answered so many rows."""
        self._slot(now_s).rows[variant] += rows

    def regions(self, now_s: float) -> list[Region]:
        """By bound, the shortest first."""
        total: defaultdict[int, list[float]] = defaultdict(lambda: [0, 0, 0.0])
        for slot in self._live(now_s):
            for bucket, counts in slot.ends.items():
                total[bucket] = [a + b for a, b in zip(total[bucket], counts, strict=True)]
        return [
            Region(int(offered), int(in_time), accuracy, float(1 << bucket))
            for bucket, (offered, in_time, accuracy) in sorted(total.items())
        ]

    def span_s(self, now_s: float) -> float:
        """How far back (s) `regions` goes: the slot that has begun and those before it, or to the first request of all.

        No less than a slot: a few requests in a moment are no rate.
        """
        whole_s = now_s - (int(now_s) // SLOT_S - SLOTS + 1) * SLOT_S
        return max(float(SLOT_S), min(whole_s, now_s - self._first_s))

    def shares(self, now_s: float) -> dict[str, float]:
        """Variant -> its share of the rows answered."""
        rows: Counter[str] = Counter()
        for slot in self._live(now_s):
            rows.update(slot.rows)
        return {variant: count / rows.total() for variant, count in rows.items()}

    def _slot(self, now_s: float) -> _Slot:
        number = int(now_s) // SLOT_S
        slot = self._slots[number % SLOTS]
        if slot.number != number:
            slot = self._slots[number % SLOTS] = _Slot(number)
        return slot

    def _live(self, now_s: float) -> list[_Slot]:
        first = int(now_s) // SLOT_S - SLOTS
        return [slot for slot in self._slots if slot.number > first]


def _bucket(slo_s: float) -> int:
    return bisect_left(_EDGES_S, slo_s)
