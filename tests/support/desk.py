"""A dispatcher in one thread, its jobs and its workers, for tests."""

import sys
import threading
import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from server.metrics import FamilyMetrics, Metrics
from server.policy.decision import ArmProfile, Decision, Outlook, Policy, PolicyFactory, Ticket
from server.policy.dispatch.choose import adaptive
from server.runtime.dispatch.dispatcher import Dispatcher, Limits, Step
from server.runtime.dispatch.jobs import Batch, Job, JobAnswer, Listeners, Loan
from tests.support.builders import a_profile


class Desk:
    """A dispatcher, the answers that it has given, and what it has counted."""

    def __init__(
        self,
        limits: Limits | None = None,
        arms: Sequence[ArmProfile] | None = None,
        factory: PolicyFactory = adaptive,
    ) -> None:
        self.registry = CollectorRegistry()
        metrics: FamilyMetrics = Metrics(self.registry, []).family("m")
        self.answers: list[JobAnswer] = []
        listeners = Listeners(self.answers.extend)
        self.dispatcher = Dispatcher("m", factory, limits or Limits(), metrics, listeners)
        chosen = [a_profile(first_s=0.001, more_s=0.0001)] if arms is None else arms
        if chosen:
            self.dispatcher.apply(chosen)

    def submit(self, *jobs: Job) -> None:
        """Submit together."""
        self.dispatcher.submit(jobs)

    def outcomes(self) -> dict[str, float]:
        """Requests by outcome."""
        return {
            sample.labels["outcome"]: sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "gearshift_requests_total"
        }


def a_job(
    slo_s: float = 60.0, rows: int = 1, variant: str | None = None, loan: Loan | None = None
) -> Job:
    """A job that arrives now."""
    now_s = time.monotonic()
    return Job({}, rows, now_s, now_s + slo_s, 0.0, variant, "default", origin=None, loan=loan)


def taken(desk: Desk) -> Step:
    """The next step, which must be one."""
    step = desk.dispatcher.next_step()
    assert isinstance(step, Step)
    return step


def finish(desk: Desk, step: Step) -> None:
    """A worker ran this step's jobs together."""
    now_s = time.monotonic()
    batch = Batch(step.profile, "fp32", step.rows, now_s, now_s, now_s, step.rows)
    desk.dispatcher.finish(step, [JobAnswer(job, {}, batch) for job in step.jobs])


def watched(arms: Sequence[ArmProfile], seen: list[Outlook]) -> Policy:
    """The adaptive policy, and a note of every outlook it was given."""
    decide = adaptive(arms)

    def watched(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
        seen.append(outlook)
        return decide(tickets, outlook, now_s)

    return watched


def asleep(call: Callable[[], object]) -> threading.Thread:
    """A thread that makes this call and has come to wait in it for a condition."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    until_s = time.monotonic() + 10.0
    while time.monotonic() < until_s and thread.is_alive():
        frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - nothing else tells
        if frame is not None and frame.f_code is threading.Condition.wait.__code__:
            return thread
    raise AssertionError("it does not wait")
