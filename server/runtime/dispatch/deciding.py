"""One decision: the policy is asked, and what it says is done to the queue. Guarded by the dispatcher's lock.

A policy of somebody's own may fail: the adaptive one then decides in its place, this once.
"""

import logging
import time
from collections.abc import Sequence

from server.metrics import FamilyMetrics
from server.policy.decision import Arm, Decision, Drop, Idle, Outlook, Policy, Run, WaitUntil
from server.policy.dispatch.choose import adaptive
from server.policy.imported import OwnPolicy, PolicyFailed
from server.runtime.dispatch import outcomes
from server.runtime.dispatch.jobs import JobAnswer
from server.runtime.dispatch.journal import MOST_TICKETS, Journal, Record
from server.runtime.dispatch.running import Running, Step
from server.runtime.dispatch.tables import Tables
from server.runtime.dispatch.traffic import Traffic
from server.runtime.dispatch.waiting import Waiting

_log = logging.getLogger(__name__)

INSTEAD = "adaptive"
"""Name of the policy that decides where one of somebody's own fails to."""
MOST_SAID = 16
"""Different failures that the log is told of, each once."""


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
        self._instead = Tables()
        self._said: set[str] = set()

    def decide(
        self, name: str, begun_s: float, last: Arm | None = None
    ) -> tuple[Step | None, list[JobAnswer], float | None]:
        """Ask the policy of this name once, for a worker that began to ask at `begun_s` and ran `last` before.

        What to run, the answers to those dropped, and how long (s) to wait where there is nothing to run; None: until
        something comes.
        """
        policy, queue = self._waiting.tables.policy, self._waiting.queue
        crowded = len(self._running) >= self._traffic.workers
        if not self._waiting or policy is None or crowded:
            return None, [], None
        if not queue:
            return self._late_step(begun_s, last), [], None
        now_s = time.monotonic()
        running = self._running
        outlook = self._traffic.outlook(running.take_ended(), now_s, last, running.busy_s(now_s))
        try:
            decision = policy(queue, outlook, now_s)
            self._check(policy, decision, now_s)
        except PolicyFailed as error:
            decision, name = self._decide_instead(error, outlook, now_s), INSTEAD
        took_s = time.monotonic() - now_s
        if self._journal.wants(decision, now_s):
            arms, seen = self._waiting.tables.arms, tuple(queue[:MOST_TICKETS])
            self._journal.keep(
                Record(now_s, took_s, arms, seen, len(queue), outlook, decision, name)
            )
        dropped = self._take_drops(decision.dropped, now_s) if decision.dropped else []
        match decision:
            case Run() as run:
                self._metrics.decided(run.reason, took_s)
                return self._take_run(run, begun_s, last), dropped, None
            case WaitUntil(at_s):
                self._metrics.decided("wait", took_s)
                return None, dropped, self._wait_s(policy, max(0.0, at_s - time.monotonic()))
            case Idle():
                step = self._late_step(begun_s, last)
                return step, dropped, None if step else self._wait_s(policy, None)

    def _check(self, policy: Policy, decision: Decision, now_s: float) -> None:
        """Nobody waits in vain: a policy of somebody's own may not leave one waiting whose time is up."""
        if isinstance(policy, OwnPolicy) and not isinstance(decision, Run):
            first = self._waiting.queue[0]
            if first.deadline_s < now_s and first not in [drop.ticket for drop in decision.dropped]:
                raise PolicyFailed(f"policy {policy.name} left a ticket waiting whose time is up")

    def _wait_s(self, policy: Policy, wait_s: float | None) -> float | None:
        """How long to wait where the policy says so long: one's own is asked again when a deadline comes."""
        if not isinstance(policy, OwnPolicy) or not self._waiting:
            return wait_s
        left_s = max(0.0, self._waiting.queue[0].deadline_s - time.monotonic())
        return left_s if wait_s is None else min(wait_s, left_s)

    def _decide_instead(self, error: PolicyFailed, outlook: Outlook, now_s: float) -> Decision:
        self._metrics.policy_failed()
        text = str(error)
        if text not in self._said and len(self._said) < MOST_SAID:
            self._said.add(text)
            _log.error("%s: %s; %s decides this time", self._waiting.family, text, INSTEAD)
            _log.debug("%s: where it failed", self._waiting.family, exc_info=error)
        arms = self._waiting.tables.arms
        if self._instead.arms is not arms:
            self._instead = Tables(adaptive(arms), arms)
        assert self._instead.policy is not None
        return self._instead.policy(self._waiting.queue, outlook, now_s)

    def _late_step(self, begun_s: float, last: Arm | None) -> Step | None:
        """A batch of those whose time is up, where some wait and nobody else does."""
        waiting = self._waiting
        run = waiting.late.batch(waiting.tables.arms, waiting.limits.slo_s)
        if run is None or waiting.queue:
            return None
        self._metrics.decided(run.reason, 0.0)
        jobs = tuple(waiting.take_late(run.tickets))
        return self._running.begin(Step(run.profile, jobs, run.rows, begun_s, last))

    def _take_run(self, run: Run, begun_s: float, last: Arm | None) -> Step:
        jobs = tuple(self._waiting.take(run.tickets))
        return self._running.begin(Step(run.profile, jobs, run.rows, begun_s, last))

    def _take_drops(self, drops: Sequence[Drop], now_s: float) -> list[JobAnswer]:
        jobs = self._waiting.take([drop.ticket for drop in drops])
        retry_s = self._waiting.queue.rows * self._waiting.tables.pace_s
        answers: list[JobAnswer] = []
        for drop, job in zip(drops, jobs, strict=True):
            if job.soft:
                self._traffic.missed_once(job)
                self._waiting.keep(job, drop.ticket)
            else:
                answers.append(outcomes.dropped(self._waiting.family, drop, job, now_s, retry_s))
        return answers
