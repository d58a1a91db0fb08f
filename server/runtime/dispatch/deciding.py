"""One decision: the policy is asked, and what it says is done to the queue. Guarded by the dispatcher's lock."""

import time
from collections.abc import Sequence

from server.metrics import FamilyMetrics
from server.policy.decision import Drop, Idle, Run, WaitUntil
from server.runtime.dispatch import outcomes
from server.runtime.dispatch.jobs import JobAnswer
from server.runtime.dispatch.journal import MOST_TICKETS, Journal, Record
from server.runtime.dispatch.running import Running, Step
from server.runtime.dispatch.traffic import Traffic
from server.runtime.dispatch.waiting import Waiting


class Deciding:
    """Takes tickets from those `waiting` to what is `running`, by the policy of the tables in force."""

    def __init__(
        self,
        waiting: Waiting,
        running: Running,
        traffic: Traffic,
        journal: Journal,
        metrics: FamilyMetrics,
    ) -> None:
        self._waiting = waiting
        self._running = running
        self._traffic = traffic
        self._journal = journal
        self._metrics = metrics

    def decide(
        self, name: str, begun_s: float
    ) -> tuple[Step | None, list[JobAnswer], float | None]:
        """Ask the policy of this name once, for a worker that began to ask at `begun_s`.

        What to run, the answers to those dropped, and how long (s) to wait where there is nothing to run; None: until
        something comes.
        """
        policy = self._waiting.tables.policy
        crowded = len(self._running) >= self._traffic.workers
        if not self._waiting or policy is None or crowded:
            return None, [], None
        now_s = time.monotonic()
        outlook = self._traffic.outlook(self._running.take_ended(), now_s)
        decision = policy(self._waiting.queue, outlook, now_s)
        took_s = time.monotonic() - now_s
        if self._journal.wants(decision, now_s):
            queue, arms = self._waiting.queue, self._waiting.tables.arms
            seen = tuple(queue[:MOST_TICKETS])
            self._journal.keep(
                Record(now_s, took_s, arms, seen, len(queue), outlook, decision, name)
            )
        dropped = self._take_drops(decision.dropped, now_s) if decision.dropped else []
        match decision:
            case Run() as run:
                self._metrics.decided(run.reason, took_s)
                return self._take_run(run, begun_s), dropped, None
            case WaitUntil(at_s):
                self._metrics.decided("wait", took_s)
                return None, dropped, max(0.0, at_s - time.monotonic())
            case Idle():
                return None, dropped, None

    def _take_run(self, run: Run, begun_s: float) -> Step:
        jobs = tuple(self._waiting.take(run.tickets))
        return self._running.begin(Step(run.profile, jobs, run.rows, begun_s))

    def _take_drops(self, drops: Sequence[Drop], now_s: float) -> list[JobAnswer]:
        jobs = self._waiting.take([drop.ticket for drop in drops])
        retry_s = self._waiting.queue.rows * self._waiting.tables.pace_s
        return [
            outcomes.dropped(self._waiting.family, drop, job, now_s, retry_s)
            for drop, job in zip(drops, jobs, strict=True)
        ]
