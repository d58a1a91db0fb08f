"""The one thread that runs networks: takes the frames that wait on all streams, runs them together, answers each once.

It goes by the program that is in force when it has taken them, and looks at nothing else that control calls change.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from server.sharing.planner.feedback import Own, Part, Stretch
from server.sharing.planner.frames import Due
from server.sharing.planner.voting import Begun, Ended, Vote, vote
from server.sharing.runtime.answers import Answers
from server.sharing.runtime.engine import ProgramRunner, RoundResult, Score
from server.sharing.runtime.frames import FrameDone, Result
from server.sharing.runtime.ledger import Ledger, Round
from server.sharing.runtime.meter import Meter
from server.sharing.runtime.program import Cut, Program
from server.sharing.runtime.reports import Reports
from server.sharing.runtime.streams import FrameStream, Streams, WaitingFrame

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class FrameWorkerContext:
    """What a worker works with, and its replacement after it. `program` is replaced by control calls."""

    program: Program
    streams: Streams
    ledger: Ledger
    reports: Reports
    meter: Meter
    clock: Callable[[], float]
    max_batch: int
    gate: threading.Lock = field(default_factory=threading.Lock)
    """Held while networks run, so that a measurement never shares the device with them."""

    @property
    def answers(self) -> Answers:
        """Where answers go."""
        return Answers(self.ledger, self.meter)


class FrameWorker(threading.Thread):
    """Works until the streams are stopped or it is given up."""

    def __init__(self, context: FrameWorkerContext) -> None:
        super().__init__(name="sharing-worker", daemon=True)
        self._context = context
        self._answers = context.answers
        self._engine = ProgramRunner(context.clock, self._begun)
        self._lock = threading.Lock()
        self._running: Sequence[WaitingFrame] = ()
        self._call: tuple[Part, float] | None = None
        self._lost = False

    def run(self) -> None:
        """Every frame that is taken gets its answer, whatever the networks do."""
        context = self._context
        while (
            not self._lost
            and (taken := context.streams.take(context.max_batch, context.clock)) is not None
        ):
            for dropped in taken.dropped:
                self._answers.drop(dropped)
            for stream in taken.ready:
                self._answers.room(stream)
            if taken.run:
                self._serve(taken.run)

    def stuck(self, after_s: float) -> Part | None:
        """What it has been in for longer than `after_s`."""
        with self._lock:
            late = self._call is not None and self._context.clock() - self._call[1] > after_s
            return self._call[0] if late and self._call is not None else None

    def give_up(self, text: str) -> bool:
        """Answer its frames as failed; it ends when its call returns. False where that has happened just now."""
        with self._lock:
            if self._call is None or self._lost:
                return False
            self._lost, frames, self._running = True, self._running, ()
        for waiting in frames:
            program = self._context.program
            due = program.due(waiting.index, waiting.stream.fps)
            results = tuple(Result(task, frozen, None, False, text) for task, frozen in due.tasks)
            self._answers.give(waiting, FrameDone(waiting.frame.id, "failed", results))
        return True

    def _serve(self, frames: Sequence[WaitingFrame]) -> None:
        context, self._running = self._context, frames
        with context.gate:  # whoever replaces the program and then holds the gate knows that the old one is out of use
            program, begun_s = context.program, context.clock()
            dues = [program.due(w.index, w.stream.fps) for w in frames]
            ran = self._run(program, frames, dues)
        if not self._ended():
            return
        for waiting, scores in zip(frames, ran.scores, strict=True):
            self._answers.give(waiting, self._done(program, waiting, scores))
        now_s = context.clock()
        self._count(ran, now_s, now_s - begun_s)

    def _run(
        self, program: Program, frames: Sequence[WaitingFrame], dues: Sequence[Due]
    ) -> RoundResult:
        try:
            return self._engine.run(program, [w.frame.pixels for w in frames], dues)
        except Exception:  # noqa: BLE001 - a fault of ours must not end the worker: frames need their answers
            _log.exception("%d frames could not be run", len(frames))
            text = "the frame could not be run; the server's log has the cause"
            return RoundResult(tuple(dict.fromkeys(due.tasks, text) for due in dues))

    def _begun(self, part: Part) -> None:
        with self._lock:
            self._call = part, self._context.clock()

    def _ended(self) -> bool:
        """What was taken has been run. False where it was given up."""
        with self._lock:
            self._call, self._running = None, ()
            return not self._lost

    def _done(self, program: Program, waiting: WaitingFrame, scores: dict[Cut, Score]) -> FrameDone:
        if not scores:  # the plan has changed while it waited
            return FrameDone(waiting.frame.id, "skipped")
        results = tuple(_result(program, cut, scores[cut]) for cut in sorted(scores))
        stream, frame_id = waiting.stream, waiting.frame.id
        for gone in stream.votes.keys() - program.choices.keys():
            del stream.votes[gone]
        scored = [result for result in results if result.score is not None]
        voted = [_voted(program, stream, frame_id, result) for result in scored]
        events = tuple(event for event in voted if event is not None)
        self._context.reports.said(stream.id, frame_id, ((r.task, r.positive) for r in scored))
        return FrameDone(frame_id, "analysed" if scored else "failed", results, events)

    def _count(self, ran: RoundResult, now_s: float, busy_s: float) -> None:
        meter = self._context.meter
        cuts = [(cut, isinstance(score, float)) for of in ran.scores for cut, score in of.items()]
        tasks = Counter(task for (task, _), scored in cuts if scored)
        on_stem = sum(scored for (_, frozen), scored in cuts if frozen)
        self._context.ledger.ran(Round(now_s, busy_s, ran.spent, ran.stem_frames, tasks, on_stem))
        due = Counter(task for (task, _), _ in cuts)
        for task, frames in due.items():
            meter.task(task, frames, frames - tasks[task])
        stem = [spent for part, spent in ran.spent.items() if isinstance(part, Stretch)]
        if ran.stem_frames:
            meter.stem(ran.stem_frames, sum(spent.seconds for spent in stem))
        for part, spent in ran.spent.items():
            if isinstance(part, Own):
                meter.head(part.task, round(spent.frames), spent.seconds)
        meter.busy(busy_s)


def _result(program: Program, cut: Cut, score: Score) -> Result:
    task, frozen = cut
    if isinstance(score, str):
        return Result(task, frozen, None, False, score)
    return Result(task, frozen, score, score >= program.thresholds[cut])


def _voted(
    program: Program, stream: FrameStream, frame_id: int, result: Result
) -> Begun | Ended | None:
    state = stream.votes.get(result.task) or Vote(result.task)
    x_vote = program.choices[result.task].x_vote
    score = result.score or 0.0
    stream.votes[result.task], event = vote(state, frame_id, score, (result.positive, x_vote))
    return event
