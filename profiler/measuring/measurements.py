"""All turns of a session, and what they say of each arm: for the planner while it runs, as profiles at any time.

It reads no clock; turns come with their times. What a run waited for a CPU is not its arm's: it is taken out, and put
back into the tails and means of all arms alike. All arms' turns together tell how fast the machine itself ran
(`profiler.measuring.pace`), which is taken out of every arm's; the quickest cell runs again and again for that.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from profiler.measuring.dominance import noted
from profiler.measuring.pace import Speed, Turn, speeds
from profiler.measuring.sampling import LONE_RUNS, beaten_of, first, is_usable, plan
from profiler.measuring.summary import Pool, medians_of, points_of, ratios_of
from profiler.measuring.terms import Done, Next, Sampled, Seen, Terms
from profiler.profiles import Profile

EVERY = 8
"""Turns between two looks at the machine's own speed: it changes more slowly."""
REFERENCE_S = 0.2
"""So often the quickest arm's single row runs again, whatever is measured: every window of time is comparable."""
REFERENCE_SHARE = 0.1
"""Of all time at most goes to that."""
LATELY = 12
"""Turns back to which a batch size counts as run just now: half a second."""
OWN_LEAST = 0.05
"""Of a run's time is its own at least, however long its thread is said to have waited."""


@dataclass(slots=True)
class _Measured:
    """One arm: its profile but for the points, and what it has run so far."""

    blank: Profile
    accuracy: float
    ceiling: int
    end: str = ""
    seconds: float = 0.0
    turns: list[int] = field(default_factory=list[int])
    """Indices of its turns among all."""


ENDED = "ends below batch"
"""How the note of an arm begins that failed on larger batches."""


class Measurements:
    """What a session has seen. `largest` is the family's largest batch; `sized`: of so many units of work, which one
    row may have, too."""

    def __init__(self, terms: Terms, largest: int, *, sized: bool = False) -> None:
        self._terms = terms
        self._largest = largest
        self._sized = sized
        self._arms: dict[str, _Measured] = {}
        self._turns: list[Turn] = []
        self._speeds: tuple[Speed, ...] = ()
        self._pool = Pool()
        self._known: dict[str, Sampled] = {}
        self._ended_s = 0.0

    def add(self, blank: Profile, accuracy: float) -> None:
        """Begin with an arm, called by its label; what was seen of it before is forgotten."""
        alone = "" if self._sized else blank.vetted.alone
        most = 1 if alone else self._largest
        self._arms[blank.label] = _Measured(blank, accuracy, most, alone)
        self._known[blank.label] = Sampled(blank.label, accuracy, (), most)

    def limit(self, bound_s: float) -> None:
        """From now on plan no batch that is foreseen to take longer (s)."""
        self._terms = replace(self._terms, bound_s=bound_s)

    def record(
        self,
        turn: Next,
        at_s: float,
        took_s: tuple[float, ...],
        spent_s: float,
        waited_s: tuple[float, ...] = (),
    ) -> None:
        """Enter a turn that began at `at_s` and cost `spent_s` in all; `waited_s` of each run's time for a CPU."""
        arm = self._arms[turn.name]
        arm.turns.append(len(self._turns))
        arm.seconds += spent_s
        own_s = _own_s(took_s, waited_s)
        slower = tuple(took / own for took, own in zip(took_s, own_s, strict=True))
        middle_s = at_s + spent_s - sum(took_s) / 2
        self._turns.append(Turn(turn.name, turn.batch, middle_s, own_s, slower))
        self._ended_s = at_s + spent_s
        if len(self._turns) % EVERY == 0:
            self._keep_pace()
        self._known[turn.name] = self._sampled(arm)

    def end_below(self, turn: Next, reason: str) -> None:
        """The arm failed in this turn: its curve ends below that batch, and there is none if that was batch 1."""
        arm = self._arms[turn.name]
        arm.ceiling, arm.end = turn.batch - 1, f"{ENDED} {turn.batch}: {reason}"
        kept = [i for i in arm.turns if self._turns[i].batch < turn.batch]
        arm.turns = kept
        self._known[turn.name] = self._sampled(arm)

    def plan(self, left_s: float) -> Next | Done:
        """The next turn of all arms that can run."""
        running = [self._known[name] for name in self._running()]
        lately = [(str(turn.arm), turn.batch) for turn in self._turns[-LATELY:]]
        return plan(running, self._terms, left_s / self._slower(), lately)

    def first(self, arm: str) -> Next | Done:
        """The next turn that brings this arm alone to use."""
        running = [self._known[name] for name in self._running()]
        return first(self._known[arm], running, self._terms)

    def reference(self) -> Next | None:
        """The quickest arm's single row, where no turn that others could be compared with was taken for REFERENCE_S."""
        seen = [known for name in self._running() if (known := self._known[name]).seen]
        if len(seen) < 2:
            return None
        quickest = min(seen, key=lambda arm: arm.seen[0].p50_s)
        turns = [self._turns[i] for i in self._arms[quickest.name].turns]
        last_s = max((turn.at_s for turn in turns if turn.batch == 1), default=0.0)
        takes_s = LONE_RUNS * quickest.seen[0].p50_s * self._slower()
        due = self._ended_s - last_s >= max(REFERENCE_S, takes_s / REFERENCE_SHARE)
        return Next(quickest.name, 1, LONE_RUNS) if due else None

    def is_running(self, arm: str) -> bool:
        """Whether the arm has not failed for good."""
        return self._arms[arm].ceiling >= 1

    def is_new(self, turn: Next) -> bool:
        """Whether the arm has never run so many rows."""
        return all(seen.batch != turn.batch for seen in self._known[turn.name].seen)

    def is_usable(self, arm: str) -> bool:
        """Whether its profile can be served with: batch 1 and the large batch are there."""
        if not self.is_running(arm):
            return False
        beaten = arm in beaten_of([self._known[name] for name in self._running()])
        return is_usable(self._known[arm], self._terms, beaten=beaten)

    def profile(self, arm: str) -> Profile | None:
        """The arm's profile as far as it is known; None before its first turn."""
        measured = self._arms[arm]
        if not measured.turns:
            return None
        points = points_of(self._took_s(measured), self._pool, self._doubts(measured))
        return replace(measured.blank, points=points, note=measured.end, seconds=measured.seconds)

    def profiles(self) -> tuple[Profile, ...]:
        """Every arm's profile; those that others beat at every batch size say so."""
        self._keep_pace()
        found = [p for p in map(self.profile, self._arms) if p is not None]
        return noted(found, {name: arm.accuracy for name, arm in self._arms.items()})

    def _running(self) -> list[str]:
        return [name for name in self._arms if self.is_running(name)]

    def _slower(self) -> float:
        """How many times as long as their own time turns took lately, waiting for a CPU."""
        turns = self._turns[-LATELY:]
        own_s = sum(sum(turn.took_s) for turn in turns)
        took_s = sum(
            s * by for turn in turns for s, by in zip(turn.took_s, turn.slower, strict=True)
        )
        return took_s / own_s if own_s else 1.0

    def _keep_pace(self) -> None:
        self._speeds = speeds(self._turns)
        ratios = [r for arm in self._arms.values() for r in ratios_of(self._took_s(arm))]
        ran = [self._turns[i] for arm in self._arms.values() for i in arm.turns]
        slower = sorted(pair for t in ran for pair in zip(t.took_s, t.slower, strict=True))
        self._pool = Pool(tuple(ratios), tuple(slower))
        self._known = {name: self._sampled(arm) for name, arm in self._arms.items()}

    def _sampled(self, arm: _Measured) -> Sampled:
        counts = Counter(self._turns[i].batch for i in self._steady(arm))
        medians = medians_of(self._took_s(arm), self._pool, self._doubts(arm)) if arm.turns else ()
        seen = tuple(
            Seen(m.batch, counts[m.batch], m.n, m.p50_s, m.low_s, m.high_s) for m in medians
        )
        return Sampled(arm.blank.label, arm.accuracy, seen, arm.ceiling)

    def _took_s(self, arm: _Measured) -> Mapping[int, Sequence[float]]:
        """The arm's runs by batch (s), each at the machine's middle speed."""
        found: dict[int, list[float]] = {}
        for i in self._steady(arm):
            turn, factor = self._turns[i], self._speed(i).factor
            found.setdefault(turn.batch, []).extend(s / factor for s in turn.took_s)
        return found

    def _steady(self, arm: _Measured) -> list[int]:
        """The arm's turns without those in which the machine changed its speed, where a batch size has others."""
        doubts = self._doubts(arm)
        return [i for i in arm.turns if self._speed(i).doubt <= doubts[self._turns[i].batch]]

    def _doubts(self, arm: _Measured) -> Mapping[int, float]:
        """By batch size how far (logarithm) the machine's speed may be off in the surest of the arm's turns."""
        found: dict[int, float] = {}
        for i in arm.turns:
            batch, doubt = self._turns[i].batch, self._speed(i).doubt
            found[batch] = min(doubt, found.get(batch, doubt))
        return found

    def _speed(self, turn: int) -> Speed:
        return self._speeds[turn] if turn < len(self._speeds) else Speed()


def _own_s(took_s: Sequence[float], waited_s: Sequence[float]) -> tuple[float, ...]:
    if not waited_s:
        return tuple(took_s)
    return tuple(
        max(took - waited, OWN_LEAST * took) for took, waited in zip(took_s, waited_s, strict=True)
    )
