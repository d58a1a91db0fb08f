"""Jobs of more rows than any batch: every row answered once and in its place, one end for the whole job."""

import gc
import time

import numpy as np
from prometheus_client import CollectorRegistry

from server.errors import ComputeFailed, DeadlineMissed, NotReady, Overloaded
from server.metrics import Metrics
from server.policy.decision import ArmProfile
from server.policy.dispatch.choose import adaptive
from server.runtime.dispatch.dispatcher import Dispatcher, Limits, Step
from server.runtime.dispatch.jobs import Batch, Job, JobAnswer, Listeners
from tests.support.builders import a_profile

SMALL = a_profile("small", 0.6, max_batch=8, first_s=0.001, more_s=0.0001)
LARGE = a_profile("large", 0.8, max_batch=4, first_s=0.002, more_s=0.0002)


class Bench:
    """A dispatcher, its answers, its counts; `work` runs what waits, on this thread."""

    def __init__(self, *arms: ArmProfile, limits: Limits | None = None) -> None:
        self.registry = CollectorRegistry()
        self.answers: list[JobAnswer] = []
        metrics = Metrics(self.registry, []).family("m")
        listeners = Listeners(self.answers.extend)
        self.dispatcher = Dispatcher("m", adaptive, limits or Limits(), metrics, listeners)
        self.dispatcher.apply(arms)

    def step(self) -> Step:
        """What a worker would run next."""
        step = self.dispatcher.next_step()
        assert isinstance(step, Step)
        return step

    def finish(self, step: Step, arm: ArmProfile | None = None) -> None:
        """As a backend would that adds a hundred to every row."""
        now_s = time.monotonic()
        batch = Batch(arm or step.profile, "fp32", step.rows, now_s, now_s, now_s, step.rows)
        self.dispatcher.finish(
            step, [JobAnswer(job, {"y": job.inputs["x"] + 100.0}, batch) for job in step.jobs]
        )

    def work(self) -> list[Step]:
        """Until nothing waits; what was run."""
        steps: list[Step] = []
        while self.dispatcher.depth:
            steps.append(self.step())
            self.finish(steps[-1])
        return steps

    def outcomes(self) -> dict[str, float]:
        """Requests by outcome."""
        return {
            sample.labels["outcome"]: sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "gearshift_requests_total"
        }


def a_job(rows: int, slo_s: float = 60.0, min_accuracy: float = 0.0) -> Job:
    """Rows 0, 1, 2, ... that arrive now."""
    now_s, x = time.monotonic(), np.arange(float(rows))[:, None]
    return Job({"x": x}, rows, now_s, now_s + slo_s, min_accuracy, None, "default", None)


def test_a_whole_job_is_answered_once_with_its_rows_in_order():
    bench, job = Bench(SMALL, LARGE), a_job(30)

    bench.dispatcher.submit([a_job(1), job, a_job(2)])
    steps = bench.work()

    assert max(step.rows for step in steps) <= 8
    (answer,) = [one for one in bench.answers if one.job is job]
    assert answer.outputs is not None
    assert answer.outputs["y"][:, 0].tolist() == [100.0 + n for n in range(30)]
    assert len(bench.answers) == 3
    assert bench.outcomes() == {"ok": 3}


def test_the_least_accurate_variant_answers_for_all_of_them():
    bench, job = Bench(SMALL, LARGE), a_job(12)
    bench.dispatcher.submit([job])

    for arm in (LARGE, SMALL):
        bench.finish(bench.step(), arm)

    (answer,) = bench.answers
    assert answer.batch is not None
    assert (answer.batch.profile, answer.batch.variants) == (SMALL, ("small", "large"))
    assert answer.batch.started_s <= answer.batch.ended_s


def test_a_least_accuracy_holds_for_every_row():
    bench = Bench(SMALL, LARGE)

    bench.dispatcher.submit([a_job(10, min_accuracy=0.7)])
    steps = bench.work()

    assert {step.profile for step in steps} == {LARGE}
    assert len(bench.answers) == 1


def test_a_piece_that_fails_fails_the_job_and_spares_the_rest():
    bench = Bench(SMALL)
    bench.dispatcher.submit([a_job(24)])
    step = bench.step()

    bench.dispatcher.finish(step, [JobAnswer(job, error=ComputeFailed("no")) for job in step.jobs])

    (answer,) = bench.answers
    assert isinstance(answer.error, ComputeFailed)
    assert (bench.dispatcher.depth, bench.outcomes()) == (0, {"failed": 1})


def test_answers_that_cannot_be_joined_fail_their_job_alone():
    bench, job, other = Bench(SMALL), a_job(9), a_job(1)
    bench.dispatcher.submit([job])
    bench.finish(bench.step())
    second = bench.step()
    now_s = time.monotonic()
    batch = Batch(second.profile, "fp32", second.rows, now_s, now_s, now_s, second.rows)

    bench.dispatcher.finish(
        second,
        [JobAnswer(second.jobs[0], {"y": np.zeros((4, 2))}, batch), JobAnswer(other, {}, batch)],
    )

    errors = {id(answer.job): answer.error for answer in bench.answers}
    assert isinstance(errors[id(job)], ComputeFailed)
    assert "its answers cannot be joined: ValueError" in str(errors[id(job)])
    assert errors[id(other)] is None


def test_pieces_that_run_when_another_fails_are_answered_no_more():
    bench = Bench(SMALL, limits=Limits(workers=2))
    bench.dispatcher.submit([a_job(16)])
    first, second = bench.step(), bench.step()

    bench.dispatcher.finish(
        first, [JobAnswer(job, error=ComputeFailed("no")) for job in first.jobs]
    )
    bench.finish(second)

    assert len(bench.answers) == 1
    assert bench.outcomes() == {"failed": 1}


def test_all_pieces_are_admitted_or_none():
    bench = Bench(SMALL, limits=Limits(capacity_rows=20))

    bench.dispatcher.submit([a_job(2), a_job(19)])

    (answer,) = bench.answers
    assert isinstance(answer.error, Overloaded)
    assert "2 rows wait already and the limit is 20" in str(answer.error)
    assert (bench.dispatcher.depth, bench.outcomes()) == (1, {"shed": 1})


def test_what_its_pieces_cannot_do_in_time_is_refused_at_once():
    bench = Bench(SMALL)

    bench.dispatcher.submit([a_job(24, slo_s=2 * SMALL.upper_s[8])])

    (answer,) = bench.answers
    assert isinstance(answer.error, DeadlineMissed)
    assert "its 3 batches need" in str(answer.error)
    assert bench.dispatcher.depth == 0


def test_what_no_arm_does_in_time_in_one_batch_is_served_in_pieces():
    wide = a_profile("wide", 0.9, first_s=40.0, more_s=0.0, max_batch=16)
    bench = Bench(SMALL, wide, limits=Limits(workers=2))

    bench.dispatcher.submit([a_job(rows, slo_s=30.0) for rows in (12, 20)])
    steps = bench.work()

    assert {step.profile for step in steps} == {SMALL}
    assert [answer.error for answer in bench.answers] == [None, None]
    assert bench.outcomes() == {"ok": 2}


def test_a_job_whose_client_leaves_before_any_piece_runs_costs_nothing():
    bench, job = Bench(SMALL), a_job(24)
    bench.dispatcher.submit([job])

    assert bench.dispatcher.cancel(job)

    assert (bench.dispatcher.depth, bench.answers, bench.outcomes()) == (0, [], {"cancelled": 1})
    assert not bench.dispatcher.cancel(job)


def test_a_job_of_which_a_piece_runs_is_answered_though_its_client_leaves():
    bench, job = Bench(SMALL), a_job(24)
    bench.dispatcher.submit([job])
    step = bench.step()

    assert not bench.dispatcher.cancel(job)
    bench.finish(step)
    bench.work()

    assert [one.job for one in bench.answers] == [job]
    assert not bench.dispatcher.cancel(job)


def test_pieces_that_an_arm_let_down_go_to_others():
    bench, job = Bench(SMALL, LARGE), a_job(24)
    bench.dispatcher.submit([job])

    bench.dispatcher.requeue(bench.step())
    bench.work()

    (answer,) = bench.answers
    assert answer.outputs is not None
    assert answer.outputs["y"][:, 0].tolist() == [100.0 + n for n in range(24)]


def test_pieces_that_no_arm_can_run_any_more_end_their_job():
    bench = Bench(SMALL)
    bench.dispatcher.submit([a_job(24)])

    bench.dispatcher.apply([LARGE])

    (answer,) = bench.answers
    assert answer.error is not None
    assert bench.dispatcher.depth == 0


def test_who_still_waits_when_the_server_ends_is_told_so_once():
    bench = Bench(SMALL)
    bench.dispatcher.submit([a_job(24)])

    bench.dispatcher.abandon()

    (answer,) = bench.answers
    assert isinstance(answer.error, NotReady)
    assert bench.outcomes() == {"not_ready": 1}


def test_pieces_are_shared_by_as_many_workers_as_there_are_now():
    bench = Bench(SMALL, limits=Limits(workers=1))
    bench.dispatcher.resize(8)

    bench.dispatcher.submit([a_job(64, slo_s=3 * SMALL.upper_s[8])])

    assert not bench.answers


def test_pieces_of_a_job_that_was_answered_do_not_wait_again():
    bench = Bench(SMALL, LARGE, limits=Limits(workers=2))
    bench.dispatcher.submit([a_job(16)])
    first, second = bench.step(), bench.step()
    failed = [JobAnswer(job, error=ComputeFailed("no")) for job in first.jobs]
    bench.dispatcher.finish(first, failed)

    bench.dispatcher.requeue(second)

    assert (bench.dispatcher.depth, len(bench.answers)) == (0, 1)


def test_pieces_leave_no_cycles():
    gc.collect()
    gc.disable()
    try:
        before = {id(one) for one in gc.get_objects() if type(one) is Job}
        _run_fail_and_cancel()
        left = [one for one in gc.get_objects() if type(one) is Job and id(one) not in before]
    finally:
        gc.enable()

    assert not left


def _run_fail_and_cancel() -> None:
    bench = Bench(SMALL)
    bench.dispatcher.submit([a_job(24)])
    bench.work()
    bench.dispatcher.submit([a_job(24)])
    step = bench.step()
    failed = [JobAnswer(job, error=ComputeFailed("no")) for job in step.jobs]
    bench.dispatcher.finish(step, failed)
    gone = a_job(24)
    bench.dispatcher.submit([gone])
    bench.dispatcher.cancel(gone)
    bench.answers.clear()
