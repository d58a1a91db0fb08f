"""Which arms never pay here: no more accurate than another one, and slower at every batch size. Pure."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from profiler.profiles import Profile

PAYS_NOT = "does not pay here: dominated by "
MARGIN = 0.02
"""Two arms that differ by less than this are equally fast: neither is dropped for the other's sake."""


@dataclass(frozen=True, slots=True)
class Contender:
    """What is known of one arm: its accuracy and, by ascending batch size, the median latency and its interval (s)."""

    name: str
    accuracy: float
    batches: tuple[int, ...]
    low_s: tuple[float, ...]
    p50_s: tuple[float, ...]
    high_s: tuple[float, ...]


def beats(one: Contender, other: Contender) -> bool:
    """Whether `one` is at least as accurate and certainly faster at every batch size that `other` has.

    Certainly: its interval ends below where the other's begins, by MARGIN. Between measured sizes both ends are read
    linearly. A contender that ends before the other's does not beat it: it may not be able to run those batches.
    """
    if not _could_beat(one, other):
        return False
    return all(
        _at(one, one.high_s, b) * (1 + MARGIN) < _at(other, other.low_s, b)
        for b in _common(one, other)
    )


def seems_to_beat(one: Contender, other: Contender) -> bool:
    """The same by the medians alone, whatever their intervals: more runs may prove it or not."""
    if not _could_beat(one, other):
        return False
    return all(_at(one, one.p50_s, b) < _at(other, other.p50_s, b) for b in _common(one, other))


def dominated(contenders: Sequence[Contender]) -> dict[str, str]:
    """Each arm that does not pay here -> the arm that shows it: the fastest alone of those that beat it."""
    found: dict[str, str] = {}
    for contender in contenders:
        better = [c for c in contenders if beats(c, contender)]
        if better:
            found[contender.name] = min(better, key=lambda c: (c.p50_s[0], c.name)).name
    return found


def contested(contenders: Sequence[Contender]) -> frozenset[str]:
    """Arms whose place is open: the medians put one of a pair out, the intervals do not prove it yet."""
    return frozenset(
        name
        for one in contenders
        for other in contenders
        if seems_to_beat(one, other) and not beats(one, other)
        for name in (one.name, other.name)
    )


def noted(profiles: Sequence[Profile], accuracies: Mapping[str, float]) -> tuple[Profile, ...]:
    """The profiles, those that do not pay here with a note that names what beats them; `accuracies` by label."""
    out = dominated([contender(p, accuracies[p.label]) for p in profiles])
    return tuple(replace(p, note=_note(p.note, out.get(p.label, ""))) for p in profiles)


def contender(profile: Profile, accuracy: float) -> Contender:
    """A profile as it is compared with others."""
    points = profile.points
    low_s, high_s = zip(*(point.interval_s for point in points), strict=True)
    batches, p50_s = tuple(p.batch for p in points), tuple(p.p50_s for p in points)
    return Contender(profile.label, accuracy, batches, low_s, p50_s, high_s)


def _note(before: str, better: str) -> str:
    kept = [part for part in before.split("; ") if part and not part.startswith(PAYS_NOT)]
    return "; ".join([*kept, *([PAYS_NOT + better] if better else [])])


def frontier(spots: Sequence[tuple[str, float, float]]) -> tuple[str, ...]:
    """Of (name, cost, accuracy) the names that no other beats in both, cheapest first; of equals the first named."""
    best: list[tuple[str, float, float]] = []
    for spot in sorted(spots, key=lambda s: (s[1], -s[2])):
        if not best or spot[2] > best[-1][2]:
            best.append(spot)
    return tuple(name for name, _, _ in best)


def _could_beat(one: Contender, other: Contender) -> bool:
    if one.name == other.name or one.accuracy < other.accuracy:
        return False
    if not one.batches or not other.batches:
        return False
    return one.batches[0] <= other.batches[0] and one.batches[-1] >= other.batches[-1]


def _common(one: Contender, other: Contender) -> Iterator[int]:
    last = other.batches[-1]
    yield from other.batches
    yield from (b for b in one.batches if other.batches[0] <= b <= last)


def _at(contender: Contender, column: Sequence[float], batch: int) -> float:
    right = bisect_left(contender.batches, batch)
    if contender.batches[right] == batch:
        return column[right]
    low, high = contender.batches[right - 1], contender.batches[right]
    share = (batch - low) / (high - low)
    return column[right - 1] * (1 - share) + column[right] * share
