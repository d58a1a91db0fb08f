"""Runs frames together by a program: each stretch of the stem once for all who need it, then the heads due on them.

Nothing raises here: what fails leaves an error text in the results it would have had.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

import numpy as np

from server.sharing.planner.feedback import Own, Part, Spent, Stretch, name
from server.sharing.planner.frames import Due
from server.sharing.runtime.frames import Pixels
from server.sharing.runtime.networks import Activation
from server.sharing.runtime.program import Cut, Program

_log = logging.getLogger(__name__)

Rows = tuple[int, ...]
"""Frames by their place among those that run together."""
Score = float | str
"""A score, or why there is none."""


@dataclass(slots=True)
class RoundResult:
    """What came of one round."""

    scores: tuple[dict[Cut, Score], ...]
    """By frame, for every task due on it."""
    spent: dict[Part, Spent] = field(default_factory=dict[Part, Spent])
    stem_frames: int = 0
    """That went through the stem, however deep."""


class ProgramRunner:
    """`begun` hears what is about to be called: a watch may ask which call it is that does not return."""

    def __init__(self, clock: Callable[[], float], begun: Callable[[Part], None]) -> None:
        self._clock = clock
        self._begun = begun
        self._failing: set[Part] = set()

    def run(self, program: Program, frames: Sequence[Pixels], dues: Sequence[Due]) -> RoundResult:
        """Every score that is due on each of `frames`."""
        ran = RoundResult(
            tuple({cut: program.shelved.get(cut[0], "") for cut in due.tasks} for due in dues)
        )
        points = [due.points for due in dues]
        ran.stem_frames = sum(bool(ends) for ends in points)
        if not any(due.tasks for due in dues):
            return ran
        for rows, frozen, activation in self._activations(program, frames, points, ran):
            for tasks, of in _alike(rows, frozen, dues):
                self._heads(program, frozen, tasks, _Some(of, _only(of, rows, activation)), ran)
        return ran

    def _activations(
        self,
        program: Program,
        frames: Sequence[Pixels],
        points: Sequence[tuple[int, ...]],
        ran: RoundResult,
    ) -> Generator[tuple[Rows, int, Activation]]:
        """Walk down the stem, fewer frames at each point: (frames there, point, their activations)."""
        rows = tuple(range(len(frames)))
        x = np.stack(list(frames), dtype=np.float32)
        x.flags.writeable = False
        yield rows, 0, x
        start = 0
        deepest = max((ends[-1] for ends in points if ends), default=0)
        for end in (point for point in program.points if point <= deepest):
            deep = tuple(row for row in rows if points[row] and points[row][-1] >= end)
            x, rows = _only(deep, rows, x), deep
            out = self._stretch(program, Stretch(start, end), x, ran)
            if isinstance(out, str):
                _explain(ran, rows, start, out)
                return
            yield rows, end, out
            x, start = out, end

    def _stretch(
        self, program: Program, part: Stretch, x: Activation, ran: RoundResult
    ) -> Activation | str:
        def call() -> Activation:
            out = program.networks.stem(x, part.start, (part.end,))[part.end]
            return _of_length(out, len(x))

        return self._timed((part,), len(x), call, ran)

    def _heads(
        self, program: Program, frozen: int, tasks: tuple[str, ...], on: "_Some", ran: RoundResult
    ) -> None:
        """Those whose heads are fused in one call; should that fail, and all others, one by one."""
        left = [task for task in tasks if task not in program.shelved]
        for group in program.fused.get(frozen, ()):
            if set(group) <= set(left) and self._together(program, frozen, group, on, ran):
                left = [task for task in left if task not in group]
        for task in left:
            part = Own(task, frozen)

            def call(task: str = task) -> Activation:
                return _of_length(program.networks.head(task, frozen, on.x), len(on.rows))

            scores = self._timed((part,), len(on.rows), call, ran)
            _put(ran, on.rows, (task, frozen), scores)

    def _together(
        self, program: Program, frozen: int, tasks: tuple[str, ...], on: "_Some", ran: RoundResult
    ) -> bool:
        def call() -> Activation:
            scores = program.networks.together(frozen, tasks, on.x)
            return _of_length(scores, len(on.rows))

        parts = tuple(Own(task, frozen) for task in tasks)
        scores = self._timed(parts, len(on.rows), call, ran)
        if isinstance(scores, str):
            return False
        for place, task in enumerate(tasks):
            _put(ran, on.rows, (task, frozen), scores[:, place])
        return True

    def _timed(
        self, parts: tuple[Part, ...], frames: int, call: Callable[[], Activation], ran: RoundResult
    ) -> Activation | str:
        """What `call` returns, its time shared among `parts`; or why it did not."""
        self._begun(parts[0])
        begun_s = self._clock()
        try:
            out = call()
        except Exception as error:  # noqa: BLE001 - one bad network must not end the worker: its neighbours' frames wait
            return self._failed(parts, error)
        each_s = (self._clock() - begun_s) / len(parts)
        self._failing.difference_update(parts)
        for part in parts:
            was = ran.spent.get(part, Spent(0, 0))
            ran.spent[part] = Spent(was.frames + frames, was.seconds + each_s)
        return out

    def _failed(self, parts: tuple[Part, ...], error: Exception) -> str:
        names = ", ".join(name(part) for part in parts)
        if not self._failing.issuperset(parts):  # once until it works again, not once a frame
            _log.error("%s failed", names, exc_info=error)
        self._failing.update(parts)
        return f"{names} failed on this frame; the server's log has the cause"


@dataclass(frozen=True, slots=True)
class _Some:
    """Some of the frames at a point."""

    rows: Rows
    x: Activation


def _only(rows: Rows, of: Rows, x: Activation) -> Activation:
    """The part of `x` for these of its rows; read-only, since tasks share it."""
    some = x if rows == of else x[[of.index(row) for row in rows]]
    some.flags.writeable = False
    return some


def _alike(rows: Rows, frozen: int, dues: Sequence[Due]) -> list[tuple[tuple[str, ...], Rows]]:
    """Tasks that hang at a point, together where they are due on the same frames: (tasks, frames)."""
    frames: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        for task, at in dues[row].tasks:
            if at == frozen:
                frames[task].append(row)
    tasks: dict[Rows, list[str]] = defaultdict(list)
    for task, on in frames.items():
        tasks[tuple(on)].append(task)
    return [(tuple(sorted(names)), on) for on, names in tasks.items()]


def _explain(ran: RoundResult, rows: Rows, below: int, text: str) -> None:
    """The stem went no further than `below`."""
    for row in rows:
        for cut in ran.scores[row]:
            if cut[1] > below:
                ran.scores[row][cut] = text


def _put(ran: RoundResult, rows: Rows, cut: Cut, scores: Activation | str) -> None:
    for place, row in enumerate(rows):
        score = scores if isinstance(scores, str) else float(scores[place])
        if not isinstance(score, str) and not math.isfinite(
            score
        ):  # this frame's fault, not its neighbours'
            score = f"task '{cut[0]}' gave {score} for this frame, which is no score; look at its pixels"
        ran.scores[row][cut] = score


def _of_length(out: Activation, frames: int) -> Activation:
    if len(out) != frames:
        raise ValueError(f"{frames} frames in, {len(out)} out")
    return out
