"""What to measure next: given what is known of all arms and the time left, one (arm, batch size, runs). Pure.

In this order, until the time is spent or nothing that matters is uncertain:

1. Batch 1 of every arm, then one large batch, quick arms first: they take turns, so that a slow moment of the machine
   hits all alike (multiple interleaved trials: Abedi and Brecht, ICPE 2017). An arm that another one certainly beats at
   batch 1 gets a batch of half the length, once: to see whether batching turns that round.
2. A batch size between two others where the curve may bend: bisect, and go on only next to a size whose latency is not
   what its neighbours foretell (adaptive sampling of a curve, as in `adaptive`: Nijholt et al., 2019).
3. More runs where the median's interval is still wide (stop on confidence: Hoefler and Belli, SC 2015), first where
   they move the frontier most in their time (`stakes.py`; as in best-arm identification: Kalyanakrishnan et al., ICML
   2012), never twice in a row: what one moment did to a batch size, another moment has to confirm.

An arm that certainly never pays (`dominance.py`) leaves the race after step 1 (Maron and Moore, NIPS 1993).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from math import hypot, inf, sqrt

from profiler.measuring.dominance import Contender, dominated
from profiler.measuring.stakes import ArmPoint, stakes
from profiler.measuring.terms import Done, Next, Ran, Sampled, Seen, Terms

VISIT_S = 0.04
"""A turn's length: short, so that turns of all arms mix within a second, long enough for a few runs of a lone row."""
MOST_RUNS = 64
"""In one turn."""
FIRST_RUNS = 2
"""At least, in a batch size's first turn: the first of all (not a sample) costs as much again."""
LONE_RUNS = 3
"""The same for batch 1, whose length is not known yet."""
COVERED = 1.5
"""The large batch is large enough when it takes more than the bound over this."""
LEAST_TURNS = 4
"""Few runs may agree by chance, and those of one turn see one moment: no interval is called narrow before so many."""
WIDE = 8
"""Between two batch sizes more than so many times apart one is always tried."""
BEATEN_SHARE = 0.5
"""Of the bound: as long a batch shows of an arm that is beaten at batch 1 whether it pays with more rows."""
AMONG = 3
"""What ran within the last turns waits where there are so many times as many others to run."""


def plan(
    arms: Sequence[Sampled], terms: Terms, left_s: float, lately: Collection[Ran] = ()
) -> Next | Done:
    """The next turn. Batch 1 of every arm is owed whatever the time; no other turn starts that would not fit.

    What ran `lately` is run again only where nothing else is left to run.
    """
    for arm in arms:
        if not arm.seen:
            return Next(arm.name, 1, LONE_RUNS if left_s > _least_s(arms, terms) else 1)
    wanted = False
    for arm, batch, runs in _wanted(arms, terms, lately):
        wanted = True
        turn = _turn(arm, batch, runs)
        if _cost_s(arm, turn) <= left_s:
            return turn
    return Done("budget" if wanted else "narrow")


def _least_s(arms: Sequence[Sampled], terms: Terms) -> float:
    """What large batches of all arms take once: with less time left than that, single rows run once each."""
    return len(arms) * terms.bound_s if terms.bound_s < inf else 0.0


def first(arm: Sampled, arms: Sequence[Sampled], terms: Terms) -> Next | Done:
    """The next turn that brings this arm to use, whatever the time, beside what is known of all `arms`."""
    if not arm.seen:
        return Next(arm.name, 1, LONE_RUNS)
    beaten = arm.name in beaten_of(arms)
    batch = _large(arm, _reach(terms, beaten))
    return Done("narrow") if batch is None else _turn(arm, batch, _first_runs(beaten))


def is_usable(arm: Sampled, terms: Terms, *, beaten: bool = False) -> bool:
    """Whether the arm has its batch 1 and its large batch: what lies between can be read off."""
    return bool(arm.seen) and _large(arm, _reach(terms, beaten)) is None


def beaten_of(arms: Sequence[Sampled]) -> Collection[str]:
    """The arms that others certainly beat at every batch size seen so far."""
    return dominated([_contender(arm) for arm in arms if arm.seen]).keys()


def grid_of(terms: Terms, ceiling: int) -> tuple[int, ...]:
    """The batch sizes up to `ceiling`, that one included, ascending."""
    return tuple(sorted({b for b in terms.grid if 1 <= b < ceiling} | {ceiling}))


def _wanted(
    arms: Sequence[Sampled], terms: Terms, lately: Collection[Ran]
) -> Iterator[tuple[Sampled, int, int]]:
    """Every turn worth having now, best first, each with the runs that it takes at least."""
    out = beaten_of(arms)
    late = [
        (arm, batch, _first_runs(arm.name in out))
        for arm in sorted(arms, key=lambda a: (a.name in out, a.seen[0].p50_s))
        if (batch := _large(arm, _reach(terms, arm.name in out))) is not None
    ]
    yield from late
    unusable = {arm.name for arm, _, _ in late}
    racing = [arm for arm in arms if arm.name not in out and arm.name not in unusable]
    probes = [(arm, batch, FIRST_RUNS) for arm in racing for batch in _probes(arm, terms)]
    yield from sorted(probes, key=lambda p: len(p[0].seen))
    yield from _repeats(racing, terms, lately)


def _contender(arm: Sampled) -> Contender:
    """The arm as `profiler.measuring.dominance` compares it."""
    seen = arm.seen
    low, p50, high = (
        tuple(getattr(s, name) for s in seen) for name in ("low_s", "p50_s", "high_s")
    )
    return Contender(arm.name, arm.accuracy, tuple(s.batch for s in seen), low, p50, high)


def _reach(terms: Terms, beaten: bool) -> Terms:
    return replace(terms, bound_s=terms.bound_s * BEATEN_SHARE) if beaten else terms


def _first_runs(beaten: bool) -> int:
    return 1 if beaten else FIRST_RUNS


def _large(arm: Sampled, terms: Terms) -> int | None:
    """The large batch that is still to be measured; None where the curve reaches far enough."""
    last = arm.seen[-1]
    if last.p50_s * COVERED > terms.bound_s:
        return None
    fitting = (terms.bound_s / last.p50_s) * last.batch
    larger = [b for b in grid_of(terms, arm.ceiling) if last.batch < b <= fitting]
    return max(larger, default=None)


def _probes(arm: Sampled, terms: Terms) -> Iterator[int]:
    """Batch sizes between two measured ones that are far apart or of which one is on a bend; the widest gap first."""
    grid, seen = grid_of(terms, arm.ceiling), arm.seen
    bent = {s.batch for s in seen} if len(seen) == 2 else set(_bends(seen, terms))
    for left, right in sorted(pairwise(seen), key=lambda pair: pair[0].batch / pair[1].batch):
        between = [b for b in grid if left.batch < b < right.batch]
        is_wide = right.batch > WIDE * left.batch
        if between and (is_wide or left.batch in bent or right.batch in bent):
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
    arms: Sequence[Sampled], terms: Terms, lately: Collection[Ran]
) -> Iterator[tuple[Sampled, int, int]]:
    """Wide intervals, first where a turn promises most; where none promises anything, the one with the fewest turns."""
    known = [(arm, seen) for arm in arms for seen in arm.seen]
    at_stake = stakes([_point(arm, seen) for arm, seen in known])
    rows = [
        (-_gain(stake, seen), seen.turns, -seen.half_width, arm, seen.batch)
        for (arm, seen), stake in zip(known, at_stake, strict=True)
        if seen.half_width > terms.precision or seen.turns < LEAST_TURNS
    ]
    rows.sort(key=lambda row: row[:3])
    waiting = set(list(lately)[-(len(rows) // AMONG) :]) if len(rows) >= AMONG else set[Ran]()
    for *_, arm, batch in sorted(rows, key=lambda row: (row[3].name, row[4]) in waiting):
        yield arm, batch, 1


def _gain(stake: float, seen: Seen) -> float:
    """What one more turn takes off the stake, for its time: an interval narrows with the root of the runs."""
    return stake / (seen.turns + 1) / max(1.0, seen.p50_s / VISIT_S)


def _point(arm: Sampled, seen: Seen) -> ArmPoint:
    return ArmPoint(arm.name, arm.accuracy, seen.batch, seen.low_s, seen.p50_s, seen.high_s)


def _turn(arm: Sampled, batch: int, least: int) -> Next:
    runs = round(VISIT_S / _expected_s(arm, batch))
    return Next(arm.name, batch, max(least, min(MOST_RUNS, runs)))


def _cost_s(arm: Sampled, turn: Next) -> float:
    """What a turn will take (s), with the run that warms a new batch size up."""
    warmup = all(s.batch != turn.batch for s in arm.seen)
    return (turn.runs + warmup) * _expected_s(arm, turn.batch)


def _expected_s(arm: Sampled, batch: int) -> float:
    """The latency (s) of a batch: as measured, or per row as the nearest measured size below."""
    below = [s for s in arm.seen if s.batch <= batch]
    nearest = below[-1] if below else arm.seen[0]
    return nearest.p50_s * max(1.0, batch / nearest.batch)
