"""Looks after a share once a second: a worker that does not return, streams that have ended, costs that have moved."""

import logging
import threading
from collections.abc import Callable

from server.sharing.control.control import ShareControl
from server.sharing.planner import feedback
from server.sharing.planner.feedback import Own, Part, Recalibrate
from server.sharing.runtime.worker import FrameWorker, FrameWorkerContext

_log = logging.getLogger(__name__)

EVERY_S = 1.0


class Keeper(threading.Thread):
    """Owns the worker, since it may have to be replaced."""

    def __init__(self, context: FrameWorkerContext, control: ShareControl, hung_s: float) -> None:
        super().__init__(name="sharing-keeper", daemon=True)
        self._context = context
        self._control = control
        self._hung_s = hung_s
        self._woken = threading.Event()
        self._stopped = False
        self._state = feedback.Memory()
        self._looked_s = context.clock()
        self.worker = FrameWorker(context)

    def run(self) -> None:
        """Tend until stopped."""
        while not self._stopped:
            self._woken.wait(EVERY_S)
            self._woken.clear()
            if not self._stopped:
                self.tend()

    def wake(self) -> None:
        """There is something to look at now."""
        self._woken.set()

    def stop(self) -> None:
        """Tend no more; returns at once."""
        self._stopped = True
        self._woken.set()

    def tend(self) -> None:
        """Look once; what fails keeps nothing else from being looked at."""
        with self._control.turn():
            control = self._control
            for step in (self._revive, control.left, self._forget, self._look, control.tidy):
                self._attempt(step)

    def _forget(self) -> None:
        self._context.reports.keep(self._context.streams.ids())

    def _revive(self) -> None:
        stuck = self.worker.stuck(self._hung_s)
        if stuck is not None:
            self._replace(stuck)

    def _replace(self, stuck: Part) -> None:
        text = f"{feedback.name(stuck)} did not come back within {self._hung_s:g} s"
        old_gate, old = self._context.gate, self.worker
        self._context.gate = threading.Lock()  # the other is held by a thread that nobody can stop
        if not old.give_up(text):
            self._context.gate = old_gate
            return
        _log.error("%s; another worker goes on", text)
        self.worker = FrameWorker(self._context)
        if isinstance(stuck, Own):
            self._control.shelve(stuck.task, f"{text}; upgrade or remove it")
        self.worker.start()

    def _look(self) -> None:
        context, now_s = self._context, self._context.clock()
        seconds, self._looked_s = now_s - self._looked_s, now_s
        rates_fps = context.streams.rates_fps()
        expected = seconds * sum(context.program.task_frames(fps) for fps in rates_fps)
        costs, seen = self._control.in_service.costs, context.ledger.seen(expected, seconds)
        self._state, verdict = feedback.look(self._state, seen, costs, now_s)
        if isinstance(verdict, Recalibrate):
            self._control.recalibrate(verdict.costs)

    def _attempt(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception:  # noqa: BLE001 - the share goes on with the plan it has; the next look may fare better
            _log.exception("looking after the shared tasks failed; they go on as they are")
