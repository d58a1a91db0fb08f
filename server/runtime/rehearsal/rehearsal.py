"""The slow loop over dispatchers: every few seconds the last requests are replayed with each candidate.

The replays run in one process of low priority (`replay_process.py`); the contest decides who takes over.
"""

import logging
import pickle
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import wait

from server.policy.decision import ArmProfile, Ticket
from server.policy.rehearsal.contest import Contest, ContestResult, judge
from server.runtime.rehearsal.replay_process import Recorder, Replay, ReplayProcess

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReplaySchedule:
    """How often (s) to replay how long a window (s): less often where replays would take more of a core than `share`.

    Fewer than `least` new requests tell too little; a process that is silent for `patience_s` is replaced.
    """

    period_s: float = 10.0
    window_s: float = 20.0
    share: float = 0.02
    least: int = 200
    patience_s: float = 60.0


@dataclass(frozen=True, slots=True)
class RehearsedFamily:
    """The family's side: what runs there now, how to put a candidate in force by its name, what requests came."""

    family: str
    arms: Callable[[], Sequence[ArmProfile]]
    apply: Callable[[str], None]
    recorder: Recorder = field(default_factory=Recorder)


class Rehearsal:
    """Records requests and, between `start` and `stop`, keeps the best candidate in force."""

    def __init__(
        self,
        stage: RehearsedFamily,
        replay: Replay,
        in_force: str,
        schedule: ReplaySchedule | None = None,
    ) -> None:
        self.contest = Contest(in_force)
        self.verdict: ContestResult | None = None
        """The latest, for those who ask."""
        self._stage = stage
        self._replay = replay
        self._schedule = schedule or ReplaySchedule()
        self._recorder = stage.recorder
        self._process: ReplayProcess | None = None
        self._replayed = 0
        self._rest_s = self._schedule.period_s
        self._stopped, self._stop = Pipe(duplex=False)
        self._thread = threading.Thread(target=self._run, name="rehearsal", daemon=True)

    def record(self, ticket: Ticket) -> None:
        """Remember a request, admitted or not. Cheap, never blocks; one thread at a time."""
        self._recorder.record(ticket)

    def start(self) -> None:
        """Begin, once; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, and the replaying process; whatever it was replaying is lost."""
        self._stop.close()
        process = self._process
        if process is not None:
            process.kill()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not wait([self._stopped], self._rest_s):
            try:
                self._round()
            except (OSError, EOFError, ValueError, pickle.PickleError) as error:
                self._failed(f"{type(error).__name__}: {error}")
        self._leave()

    def _round(self) -> None:
        arms, seen = self._stage.arms(), self._recorder.count
        if not arms or seen - self._replayed < self._schedule.least:
            return
        self._replayed = seen
        if self._process is None:
            self._process = ReplayProcess(self._replay)
        self._process.ask(arms, self._recorder.recorded(), self._schedule.window_s)
        ready = wait([self._stopped, self._process.answers], self._schedule.patience_s)
        if self._stopped in ready:
            return
        if not ready:
            raise TimeoutError(f"no scores after {self._schedule.patience_s:.0f} s")
        scores, took_s = self._process.answer()
        self._rest_s = max(self._schedule.period_s, took_s / self._schedule.share)
        self._heed(scores)

    def _heed(self, scores: dict[str, float]) -> None:
        contest, verdict = judge(self.contest, scores)
        if verdict.in_force != self.contest.in_force:
            self._stage.apply(verdict.in_force)
            _log.info(
                "%s: dispatcher %s takes over from %s (%s, %.2f points ahead)",
                self._stage.family,
                verdict.in_force,
                self.contest.in_force,
                verdict.reason,
                100.0 * verdict.lead,
            )
        self.contest, self.verdict = contest, verdict

    def _failed(self, why: str) -> None:
        if not self._stopped.poll():
            _log.warning(
                "%s: no rehearsal this time, %s stays in force: %s",
                self._stage.family,
                self.contest.in_force,
                why,
            )
        self._leave()

    def _leave(self) -> None:
        if self._process is not None:
            self._process.end()
            self._process = None
