"""What to measure next: given what is known of all arms and the time left, one (arm, batch size, runs). Pure.

In this order, until the time is spent or nothing that matters is uncertain:

1. Batch 1 of every arm, then one large batch of every arm: they take turns, so that a slow moment of the machine hits
   all alike (multiple interleaved trials: Abedi and Brecht, ICPE 2017).
2. A batch size between two others where the curve may bend: bisect, and go on only next to a size whose latency is not
   what its neighbours foretell (adaptive sampling of a curve, as in `adaptive`: Nijholt et al., 2019).
3. More runs, in turns, where the median's interval is still wide (stop on confidence: Hoefler and Belli, SC 2015); two
   turns for one where a decision hangs on it (as in best-arm identification: Kalyanakrishnan et al., ICML 2012).

An arm that certainly never pays (`dominance.py`) leaves the race after step 1 (Maron and Moore, NIPS 1993).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import hypot, inf, sqrt

from profiler.measuring.dominance import Contender, contested, dominated

GRID = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Batch sizes worth a look; a family's largest is always one of them."""
VISIT_S = 0.04
"""A turn's length: short, so that turns of all arms mix within a second, long enough for a few runs of a lone row."""
MOST_RUNS = 64  # in one turn
FIRST_RUNS = (
    2  # at least, in a batch size's first turn: the first of all (not a sample) costs as much again
)
LONE_RUNS = 3  # the same for batch 1, whose length is not known yet
COVERED = 1.5
"""The large batch is large enough when it takes more than the bound over this."""
LEAST_TURNS = 4
"""Few runs may agree by chance, and those of one turn see one moment: no interval is called narrow before so many."""
CONTESTED_TURNS = 2.0
"""An arm whose place among the others is open gets so many turns for another's one."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One batch size: in how many turns it ran, how often, and its median latency with the 95 % interval (s)."""

    batch: int
    turns: int
    n: int
    p50_s: float
    low_s: float
    high_s: float

    @property
    def half_width(self) -> float:
        """Half the interval, relative to the median."""
        return (self.high_s - self.low_s) / (2 * self.p50_s)


@dataclass(frozen=True, slots=True)
class Sampled:
    """What is known of one arm, by ascending batch; `ceiling` is the largest batch that it can run."""

    name: str
    accuracy: float
    seen: tuple[Seen, ...]
    ceiling: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked: batches up to `bound_s` of latency, medians known to `precision` (half the interval, relative),
    curves straight to `tolerance` (relative) between the measured sizes."""

    bound_s: float = inf
    precision: float = 0.02
    tolerance: float = 0.05
    grid: tuple[int, ...] = GRID


@dataclass(frozen=True, slots=True)
class Next:
    """Run this arm with so many rows, so often."""

    name: str
    batch: int
    runs: int


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to run: `narrow` (all that matters is known well enough) or `budget`."""

    reason: str


def plan(arms: Sequence[Sampled], terms: Terms, left_s: float) -> Next | Done:
    """The next turn. Batch 1 of every arm is owed whatever the time; no other turn starts that would not fit."""
    for arm in arms:
        if not arm.seen:
            return Next(arm.name, 1, LONE_RUNS if left_s > 0 else 1)
    wanted = False
    for arm, batch in _wanted(arms, terms):
        wanted = True
        turn = _turn(arm, batch)
        if _cost_s(arm, turn) <= left_s:
            return turn
    return Done("budget" if wanted else "narrow")


def is_usable(arm: Sampled, terms: Terms) -> bool:
    """Whether the arm has its batch 1 and its large batch: what lies between can be read off."""
    return bool(arm.seen) and _large(arm, terms) is None


def grid_of(terms: Terms, ceiling: int) -> tuple[int, ...]:
    """The batch sizes up to `ceiling`, that one included, ascending."""
    return tuple(sorted({b for b in terms.grid if 1 <= b < ceiling} | {ceiling}))


def contender_of(arm: Sampled) -> Contender:
    """The arm as `profiler.measuring.dominance` compares it."""
    seen = arm.seen
    low, p50, high = (
        tuple(getattr(s, name) for s in seen) for name in ("low_s", "p50_s", "high_s")
    )
    return Contender(arm.name, arm.accuracy, tuple(s.batch for s in seen), low, p50, high)


def _wanted(arms: Sequence[Sampled], terms: Terms) -> Iterator[tuple[Sampled, int]]:
    """Every turn worth having now, best first."""
    large = [(arm, batch) for arm in arms if (batch := _large(arm, terms)) is not None]
    yield from large
    unusable = {arm.name for arm, _ in large}
    contenders = [contender_of(arm) for arm in arms if arm.name not in unusable]
    out, open_ = dominated(contenders), contested(contenders)
    racing = [arm for arm in arms if arm.name not in out and arm.name not in unusable]
    probes = [(arm, batch) for arm in racing for batch in _probes(arm, terms)]
    yield from sorted(probes, key=lambda p: len(p[0].seen))
    yield from _repeats(racing, open_, terms)


def _large(arm: Sampled, terms: Terms) -> int | None:
    """The large batch that is still to be measured; None where the curve reaches far enough."""
    last = arm.seen[-1]
    if last.p50_s * COVERED > terms.bound_s:
        return None
    fitting = (terms.bound_s / last.p50_s) * last.batch
    larger = [b for b in grid_of(terms, arm.ceiling) if last.batch < b <= fitting]
    return max(larger, default=None)


def _probes(arm: Sampled, terms: Terms) -> Iterator[int]:
    """Batch sizes in the middle of two measured ones, where either of these lies on a bend; the widest gap first."""
    grid, seen = grid_of(terms, arm.ceiling), arm.seen
    bent = {s.batch for s in seen} if len(seen) == 2 else set(_bends(seen, terms))
    for left, right in sorted(pairwise(seen), key=lambda pair: pair[0].batch / pair[1].batch):
        between = [b for b in grid if left.batch < b < right.batch]
        if between and (left.batch in bent or right.batch in bent):
            middle = sqrt(left.batch * right.batch)
            yield min(between, key=lambda b: (abs(b - middle), b))


def _bends(seen: Sequence[Seen], terms: Terms) -> Iterator[int]:
    """Inner batch sizes that are off the line through their neighbours by more than tolerance and noise."""
    for left, here, right in zip(seen, seen[1:], seen[2:], strict=False):
        share = (here.batch - left.batch) / (right.batch - left.batch)
        foretold_s = left.p50_s * (1 - share) + right.p50_s * share
        noise = hypot(left.half_width, here.half_width, right.half_width)
        if abs(here.p50_s / foretold_s - 1) > terms.tolerance + noise:
            yield here.batch


def _repeats(
    arms: Sequence[Sampled], open_: frozenset[str], terms: Terms
) -> Iterator[tuple[Sampled, int]]:
    """Wide intervals, the one with the fewest turns first; where a decision is open, a turn counts half."""
    rows = [
        (seen.turns / (CONTESTED_TURNS if arm.name in open_ else 1.0), -seen.half_width, arm, seen)
        for arm in arms
        for seen in arm.seen
        if seen.half_width > terms.precision or seen.turns < LEAST_TURNS
    ]
    for _, _, arm, seen in sorted(rows, key=lambda row: row[:2]):
        yield arm, seen.batch


def _turn(arm: Sampled, batch: int) -> Next:
    first = all(s.batch != batch for s in arm.seen)
    runs = round(VISIT_S / _expected_s(arm, batch))
    return Next(arm.name, batch, max(FIRST_RUNS if first else 1, min(MOST_RUNS, runs)))


def _cost_s(arm: Sampled, turn: Next) -> float:
    """What a turn will take (s), with the run that warms a new batch size up."""
    warmup = all(s.batch != turn.batch for s in arm.seen)
    return (turn.runs + warmup) * _expected_s(arm, turn.batch)


def _expected_s(arm: Sampled, batch: int) -> float:
    """The latency (s) of a batch: as measured, or per row as the nearest measured size below."""
    below = [s for s in arm.seen if s.batch <= batch]
    nearest = below[-1] if below else arm.seen[0]
    return nearest.p50_s * max(1.0, batch / nearest.batch)
