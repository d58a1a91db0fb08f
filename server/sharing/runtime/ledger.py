"""What was run and what became of frames: totals since the start, and rates over the last seconds."""

import threading
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice

from server.sharing.planner.feedback import Part, Spent, Usage
from server.sharing.runtime.frames import DropReason, Outcome
from server.sharing.runtime.views import ReplanReason

WINDOW_S = 10.0
"""What "the last seconds" are: ten frames of a task at one frame a second."""

SOME_ROUNDS = 256
"""For the typical batch: enough for a median."""


@dataclass(frozen=True, slots=True)
class Round:
    """What the worker did with the frames it took at one time."""

    at_s: float
    busy_s: float
    spent: Mapping[Part, Spent]
    stem_frames: int
    tasks: Mapping[str, int]
    """Task-frames with a score."""
    on_stem: int
    """Task-frames with a score whose task shares the stem."""


@dataclass(frozen=True, slots=True)
class RecentWork:
    """Over the last `seconds`."""

    seconds: float
    busy_s: float
    stem_frames: int
    on_stem: int
    tasks: Mapping[str, int]


@dataclass(slots=True)
class _Tally:
    """Since the last look of the feedback."""

    spent: dict[Part, Spent] = field(default_factory=dict[Part, Spent])
    busy_s: float = 0.0
    analysed: int = 0
    lost: int = 0


@dataclass(slots=True)
class _Sums:
    """Of the rounds of the last seconds."""

    busy_s: float = 0.0
    stem_frames: int = 0
    on_stem: int = 0
    tasks: Counter[str] = field(default_factory=Counter[str])

    def add(self, done: Round, sign: int) -> None:
        self.busy_s += sign * done.busy_s
        self.stem_frames += sign * done.stem_frames
        self.on_stem += sign * done.on_stem
        for task, frames in done.tasks.items():
            self.tasks[task] += sign * frames


class Ledger:
    """Any thread may write and read."""

    def __init__(self, now_s: float) -> None:
        self._lock = threading.Lock()
        self._begun_s = now_s
        self._rounds: deque[Round] = deque()
        self._sums = _Sums()
        self._tally = _Tally()
        self.outcomes: Counter[Outcome] = Counter()
        self.dropped: Counter[DropReason] = Counter()
        self.replans: Counter[ReplanReason] = Counter()

    def ran(self, done: Round) -> None:
        """A round of the worker is over."""
        with self._lock:
            self._rounds.append(done)
            self._sums.add(done, 1)
            self._forget(done.at_s)
            tally = self._tally
            tally.busy_s += done.busy_s
            tally.analysed += sum(done.tasks.values())
            for part, spent in done.spent.items():
                was = tally.spent.get(part, Spent(0, 0))
                tally.spent[part] = Spent(was.frames + spent.frames, was.seconds + spent.seconds)

    def answered(self, outcome: Outcome, reason: DropReason | None = None, tasks: int = 0) -> None:
        """One frame was; `tasks` were due on it if it was dropped."""
        with self._lock:
            self.outcomes[outcome] += 1
            if reason is not None:
                self.dropped[reason] += 1
                self._tally.lost += tasks if reason != "closed" else 0

    def replanned(self, reason: ReplanReason) -> None:
        """The plan was made anew."""
        with self._lock:
            self.replans[reason] += 1

    def restart(self, now_s: float) -> None:
        """The last seconds begin now: what ran before ran by another plan, or on other streams."""
        with self._lock:
            self._rounds.clear()
            self._sums = _Sums()
            self._begun_s = now_s

    def seen(self, planned: float, seconds: float) -> Usage:
        """What happened since this was called last, `seconds` ago; `planned` task-frames were to be run meanwhile."""
        with self._lock:
            tally, self._tally = self._tally, _Tally()
        return Usage(tally.spent, tally.busy_s, planned, tally.analysed, tally.lost, seconds)

    def recent(self, now_s: float) -> RecentWork:
        """Of the last `WINDOW_S`, or since the start where that is shorter."""
        with self._lock:
            self._forget(now_s)
            sums, seconds = self._sums, min(WINDOW_S, now_s - self._begun_s)
            return RecentWork(
                seconds, sums.busy_s, sums.stem_frames, sums.on_stem, Counter(sums.tasks)
            )

    def typical_batch(self) -> int:
        """Frames that lately went through the stem together; 1 where none did."""
        with self._lock:
            last = islice(reversed(self._rounds), SOME_ROUNDS)
            sizes = sorted(done.stem_frames for done in last if done.stem_frames)
        return sizes[len(sizes) // 2] if sizes else 1

    def _forget(self, now_s: float) -> None:
        while self._rounds and self._rounds[0].at_s < now_s - WINDOW_S:
            self._sums.add(self._rounds.popleft(), -1)
        if not self._rounds:
            self._sums = _Sums()  # rounding ends here
