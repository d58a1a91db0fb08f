"""The batcher under any order of events: no job is lost, answered twice, or run again unless an arm let it down."""

import time
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from server.metrics import Metrics
from server.policy import registry
from server.policy.arms.incidents import Failed, Probed
from server.runtime.dispatch.dispatcher import CanaryRun, Dispatcher, Limits, Step
from server.runtime.dispatch.jobs import Batch, Job, JobAnswer, Listeners
from server.runtime.dispatch.waiting import MOST_RETRIES
from tests.support.builders import a_profile

EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"), st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=6)
        ),
        st.tuples(st.just("cancel"), st.integers(0, 40)),
        st.tuples(st.just("step"), st.none()),
        st.tuples(st.just("finish"), st.none()),
        st.tuples(st.just("let down"), st.booleans()),
        st.tuples(st.just("give up"), st.none()),
        st.tuples(st.just("offence"), st.booleans()),
    ),
    max_size=40,
)
"""`submit` takes (rows, hopeless) per job; up to 8 rows fit a batch, 30 may wait.

`let down`: a step is requeued, by a worker that forgets it or by one that comes back with answers; `give up`: the watch
takes from a step what others can serve, and its worker comes back later; `offence`: one of two arms fails, or both do.
"""

ARMS = [a_profile(name, first_s=1e-3, more_s=1e-4, max_batch=8) for name in ("one", "two")]


class Ledger:
    """A dispatcher driven by hand, and what became of every job."""

    def __init__(self) -> None:
        metrics = Metrics(CollectorRegistry(), []).family("m")
        self.jobs: list[Job] = []
        self.answered: Counter[int] = Counter()
        self.run: Counter[int] = Counter()
        self.ran: list[Job] = []  # pieces too, so that no other has the id of one
        self.cancelled: set[int] = set()
        self.steps: list[Step] = []
        listeners = Listeners(lambda answers: self.answered.update(id(a.job) for a in answers))
        policy = registry.policy("adaptive")
        self.dispatcher = Dispatcher("m", policy, Limits(64, 30), metrics, listeners)
        self.dispatcher.apply(ARMS)

    def happen(self, name: str, argument: object) -> None:
        match name, argument:
            case "submit", list():
                self.submit(argument)
            case "cancel", int():
                self.cancel(argument)
            case "step", _ if self.dispatcher.depth and self.dispatcher.arms:
                self.step()
            case "finish", _:
                self.finish()
            case _, _ if self.steps:
                self.trouble(name, argument)
            case _:
                pass

    def trouble(self, name: str, argument: object) -> None:
        match name, argument:
            case "let down", bool():
                self.dispatcher.requeue(self.steps.pop(0) if argument else self.steps[0])
            case "give up", _:
                self.dispatcher.give_up(self.steps[0])
            case "offence", bool():
                for profile in ARMS[: 1 + argument]:
                    self.dispatcher.quarantine.tell(Failed(profile.arm, canary_passed=False))
            case _:
                pass

    def end(self) -> None:
        self.dispatcher.close()
        while self.step():
            pass
        while self.steps:
            self.finish()

    def submit(self, wanted: list[tuple[int, bool]]) -> None:
        now_s = time.monotonic()
        jobs = [
            Job({}, rows, now_s, now_s + (1e-5 if hopeless else 60.0), 0.0, None, "default", None)
            for rows, hopeless in wanted
        ]
        self.jobs += jobs
        self.dispatcher.submit(jobs)

    def cancel(self, index: int) -> None:
        if self.jobs:
            job = self.jobs[index % len(self.jobs)]
            if self.dispatcher.cancel(job):
                self.cancelled.add(id(job))

    def step(self) -> bool:
        """Take the next step; False where there is none left."""
        while isinstance(step := self.dispatcher.next_step(), CanaryRun):
            self.dispatcher.quarantine.tell(Probed(step.profile.arm, True, 1e-3, 1e-3))
        if step is not None:
            assert step.rows == sum(job.rows for job in step.jobs) <= 8
            self.ran += step.jobs
            self.run.update(id(job) for job in step.jobs)
            self.steps.append(step)
        return step is not None

    def finish(self) -> None:
        if self.steps:
            step = self.steps.pop(0)
            batch = Batch(
                step.profile, "fp32", step.rows, step.begun_s, step.begun_s, step.begun_s, step.rows
            )
            self.dispatcher.finish(step, [JobAnswer(job, {}, batch) for job in step.jobs])


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_every_job_ends_exactly_once(events: list[tuple[str, object]]):
    ledger = Ledger()

    for name, argument in events:
        ledger.happen(name, argument)
    ledger.end()

    for job, retries in [(id(job), job.retries) for job in ledger.jobs]:
        assert ledger.answered[job] + (job in ledger.cancelled) == 1
        assert not (ledger.run[job] and job in ledger.cancelled and not retries)
        assert ledger.run[job] <= 1 + retries <= 1 + MOST_RETRIES
