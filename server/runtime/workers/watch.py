"""Watches runs that go on for too long: a worker inside a backend that does not return can tell nobody."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from server.policy.arms import quarantine as rules
from server.policy.arms.incidents import Hung, Overdue, Returned
from server.runtime.dispatch.dispatcher import CanaryRun, Dispatcher, Step
from server.runtime.workers.cpu_waits import CpuWaits, RunWaits

LATE_S = 0.001
"""A watch that wakes so much too late was held up itself: so was the run, by as much, and it is no sign of the arm."""
LEAST_LOOK_S = 0.001
"""A run that waited for a CPU is looked at again after so long at least."""

NOTED_SHARE = 0.02
"""Of the time from which on a run is slow: what its thread had waited may have been noted so long before it began. To
ask Linux takes longer than a small network."""


class RunLimits(NamedTuple):
    """What a run is held to: its prediction, and what the most urgent of its requests may take in all (s).

    `slow_s`: the time of its own from which on it is slow.
    """

    predicted_s: float
    bound_s: float
    slow_s: float


@dataclass(slots=True, eq=False)
class BackendCall:
    """One call of a backend, for `task`. `replace` starts another worker in place of the one that is inside.

    `late_s`: how much of it the watch was held up itself.
    """

    task: Step | CanaryRun
    replace: Callable[[], None]
    limits: RunLimits
    waits: RunWaits
    began_s: float
    look_s: float
    hung_s: float
    late_s: float = 0.0
    given_up: bool = False

    @property
    def retried(self) -> bool:
        """Whether its input may be to blame."""
        return isinstance(self.task, Step) and self.task.retried

    def own_s(self, elapsed_s: float) -> float:
        """Its own time so far: without what its thread is known to have waited."""
        return elapsed_s - max(self.late_s, self.waits.so_far_s(elapsed_s))

    @property
    def waited_s(self) -> float:
        """What its thread is known to have waited (s) in a run that has ended; asked on that thread. A quick one: 0."""
        if time.monotonic() - self.began_s < self.limits.slow_s:
            return 0.0
        return max(self.late_s, self.waits.in_all_s())


class Watch(threading.Thread):
    """Gives up runs that the quarantine says to, and those that hang: jobs go elsewhere, workers are replaced.

    A blocked call of a runtime cannot be cancelled: its thread ends when it returns, and its result is dropped.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        super().__init__(name=f"watch-{dispatcher.name}", daemon=True)
        self._dispatcher = dispatcher
        self._runs: set[BackendCall] = set()
        self._changed = threading.Condition(threading.Lock())
        self._wake_s = inf
        self._stopped = False

    def begin(
        self, task: Step | CanaryRun, rows: int, waits: CpuWaits, replace: Callable[[], None]
    ) -> BackendCall:
        """A run of so many rows begins now, on the calling thread, whose `waits` these are."""
        now_s, limits = time.monotonic(), self._limits(task, rows)
        hung_s = now_s + rules.hung_after_s(limits.predicted_s)
        look_s = now_s + limits.slow_s
        noted = RunWaits(waits, NOTED_SHARE * limits.slow_s)
        run = BackendCall(task, replace, limits, noted, now_s, look_s, hung_s)
        with self._changed:
            self._runs.add(run)
            if look_s < self._wake_s:
                self._changed.notify()
        return run

    def end(self, run: BackendCall) -> bool:
        """The run is over. False where it was given up: then another worker is in this one's place."""
        with self._changed:
            self._runs.discard(run)
            kept = not run.given_up
        if not kept:
            self._dispatcher.quarantine.tell(Returned(run.task.profile.arm))
        return kept

    def run(self) -> None:
        """Until stopped, look at each run when it becomes overdue, and when it counts as hung."""
        while (due := self._due()) is not None:
            for run in due:
                self._look(run)

    def stop(self) -> None:
        """Watch no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _due(self) -> list[BackendCall] | None:
        """Wait for runs to look at; None once stopped."""
        with self._changed:
            while not self._stopped:
                now_s = time.monotonic()
                self._forgive(now_s - self._wake_s)
                due = [run for run in self._runs if run.look_s <= now_s]
                if due:
                    self._wake_s = inf
                    return due
                self._wake_s = min((run.look_s for run in self._runs), default=inf)
                self._changed.wait(None if self._wake_s == inf else self._wake_s - now_s)
        return None

    def _forgive(self, late_s: float) -> None:
        if late_s > LATE_S:
            for run in self._runs:
                run.look_s += late_s
                run.hung_s += late_s
                run.late_s += late_s

    def _look(self, run: BackendCall) -> None:
        now_s = time.monotonic()
        hung, own_s = now_s >= run.hung_s, run.own_s(now_s - run.began_s)
        if not hung and own_s < run.limits.slow_s:
            run.look_s = min(now_s + max(LEAST_LOOK_S, run.limits.slow_s - own_s), run.hung_s)
            return
        if not run.given_up:
            self._tell(run, own_s, hung=hung)
        elif isinstance(run.task, Step):
            self._dispatcher.requeue(run.task)
        run.look_s = inf if hung else run.hung_s

    def _tell(self, run: BackendCall, own_s: float, *, hung: bool) -> None:
        """A run is slow by now, or hung: where its arm is out for it, it is given up."""
        arm, quarantine, limits = (
            run.task.profile.arm,
            self._dispatcher.quarantine,
            run.limits,
        )
        slow = Overdue(arm, limits.predicted_s, own_s, run.retried, limits.bound_s)
        quarantine.tell(Hung(arm, run.retried) if hung else slow)
        if hung or quarantine.is_out(arm):
            self._give_up(run)

    def _limits(self, task: Step | CanaryRun, rows: int) -> RunLimits:
        """A probe is held to what took its arm out."""
        if isinstance(task, Step):
            bound_s = task.bound_s
        else:
            bound_s = rules.bound_s(self._dispatcher.quarantine.state, task.profile.arm)
        predicted_s = task.profile.mean_s[rows]
        return RunLimits(predicted_s, bound_s, rules.slow_after_s(predicted_s, bound_s))

    def _give_up(self, run: BackendCall) -> None:
        with self._changed:
            run.given_up = run in self._runs
        if not run.given_up:  # it ended just now
            self._dispatcher.quarantine.tell(Returned(run.task.profile.arm))
            return
        if isinstance(run.task, Step):
            now = (
                self._dispatcher.requeue
                if time.monotonic() >= run.hung_s
                else self._dispatcher.give_up
            )
            now(run.task)
        run.replace()
