"""The batcher under any order of events: no job is lost, answered twice, run twice, or run after it was cancelled."""

import time
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from server.metrics import Metrics
from server.policy import registry
from server.runtime.dispatcher import Dispatcher, Limits, Step
from server.runtime.jobs import Answer, Batch, Job
from tests.builders import a_profile

EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("submit"), st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=6)
        ),
        st.tuples(st.just("cancel"), st.integers(0, 40)),
        st.tuples(st.just("step"), st.none()),
        st.tuples(st.just("finish"), st.none()),
    ),
    max_size=40,
)
"""`submit` takes (rows, hopeless) per job; up to 8 rows fit a batch, 30 may wait."""


class Ledger:
    """A dispatcher driven by hand, and what became of every job."""

    def __init__(self) -> None:
        metrics = Metrics(CollectorRegistry(), []).family("m")
        self.dispatcher = Dispatcher("m", registry.policy("adaptive"), Limits(1, 30), metrics)
        self.jobs: list[Job] = []
        self.answered: Counter[int] = Counter()
        self.run: Counter[int] = Counter()
        self.cancelled: set[int] = set()
        self.steps: list[Step] = []
        self.dispatcher.answer_to(lambda answers: self.answered.update(id(a.job) for a in answers))
        self.dispatcher.apply([a_profile(first_s=1e-3, more_s=1e-4, max_batch=8)])

    def happen(self, name: str, argument: object) -> None:
        match name, argument:
            case "submit", list():
                self.submit(argument)
            case "cancel", int():
                self.cancel(argument)
            case "step", _ if self.dispatcher.depth:
                self.step()
            case "finish", _:
                self.finish()
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
        step = self.dispatcher.next_step()
        if step is not None:
            assert step.rows == sum(job.rows for job in step.jobs) <= 8
            self.run.update(id(job) for job in step.jobs)
            self.steps.append(step)
        return step is not None

    def finish(self) -> None:
        if self.steps:
            step = self.steps.pop(0)
            batch = Batch(step.arm, "fp32", step.rows, step.begun_s, step.begun_s, step.begun_s)
            self.dispatcher.finish(step, [Answer(job, {}, batch) for job in step.jobs])


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_every_job_ends_exactly_once(events: list[tuple[str, object]]):
    ledger = Ledger()

    for name, argument in events:
        ledger.happen(name, argument)
    ledger.end()

    for job in map(id, ledger.jobs):
        assert ledger.answered[job] + (job in ledger.cancelled) == 1
        assert ledger.run[job] <= 1
        assert not (ledger.run[job] and job in ledger.cancelled)
