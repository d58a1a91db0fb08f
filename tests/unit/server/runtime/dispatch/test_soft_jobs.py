"""Jobs that say nothing of time: late rather than not at all, each answered once, counted as missed once."""

import time
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from server.errors import DeadlineMissed, Overloaded
from server.policy.queueing.standing import Standing
from server.runtime.dispatch.dispatcher import Limits
from server.runtime.dispatch.jobs import Batch, Job, JobAnswer
from tests.support.builders import a_profile
from tests.support.desk import Desk, a_job, finish, taken


def soft(slo_s: float = 60.0, rows: int = 1) -> Job:
    return replace(a_job(slo_s, rows), soft=True)


def test_what_cannot_be_in_time_is_answered_late_when_nobody_else_waits():
    desk = Desk()
    late, usual = soft(slo_s=0.0005), a_job()

    desk.submit(late, usual)
    first = taken(desk)
    finish(desk, first)
    second = taken(desk)
    time.sleep(0.001)
    finish(desk, second)

    assert (first.jobs, second.jobs) == ((usual,), (late,))
    assert [answer.error for answer in desk.answers] == [None, None]
    assert desk.outcomes() == {"ok": 1, "late": 1}


def test_what_waited_in_vain_is_kept():
    desk = Desk()
    jobs = [soft(slo_s=0.02), a_job(slo_s=0.02)]

    desk.submit(*jobs)
    time.sleep(0.03)
    step = taken(desk)  # the policy gives both up

    assert step.jobs == (jobs[0],)
    assert [type(answer.error) for answer in desk.answers] == [DeadlineMissed]


def test_a_miss_is_told_once():
    desk = Desk()
    with patch.object(Standing, "ended") as told:
        desk.submit(soft(slo_s=0.0005))
        finish(desk, taken(desk))

    told.assert_not_called()  # nobody could have served it, and it asks for less than the SLO allows
    with patch.object(Standing, "ended") as told:
        job = soft(slo_s=0.02)
        desk.submit(job)
        time.sleep(0.03)
        finish(desk, taken(desk))

    assert [call.kwargs["in_time"] for call in told.call_args_list] == [False]


def test_where_no_more_may_wait_those_whose_time_is_up_give_way():
    desk = Desk(Limits(capacity_rows=3))
    late = [soft(slo_s=0.0005) for _ in range(3)]
    desk.submit(*late)

    desk.submit(a_job(), a_job())

    assert [answer.job for answer in desk.answers] == late[:2]
    assert all(isinstance(answer.error, Overloaded) for answer in desk.answers)
    assert desk.dispatcher.depth == 3


def test_where_all_that_wait_are_in_time_it_is_refused_as_others_are():
    desk = Desk(Limits(capacity_rows=2))
    desk.submit(a_job(), a_job(), soft(), soft(slo_s=0.0005))

    assert [type(answer.error) for answer in desk.answers] == [Overloaded, DeadlineMissed]


def test_a_client_that_leaves_is_forgotten():
    desk = Desk()
    job = soft(slo_s=0.0005)
    desk.submit(job)

    assert desk.dispatcher.cancel(job)
    assert not desk.dispatcher.cancel(job)
    assert desk.dispatcher.depth == 0


def test_an_arm_that_lets_it_down_does_not_lose_it():
    desk = Desk(arms=[a_profile("a", first_s=0.001), a_profile("b", first_s=0.001)])
    job = soft(slo_s=0.0005)
    desk.submit(job)
    step = taken(desk)

    desk.dispatcher.requeue(step)
    again = taken(desk)

    assert again.jobs == (job,)
    assert desk.answers == []


@pytest.mark.parametrize("slo_s", [0.0005, 60.0])
def test_at_the_end_of_the_drain_it_is_answered(slo_s: float):
    desk = Desk()
    desk.submit(soft(slo_s))

    desk.dispatcher.close()
    desk.dispatcher.abandon()

    assert len(desk.answers) == 1
    assert desk.dispatcher.next_step() is None


def test_one_of_more_rows_than_any_batch_is_answered_late_and_whole():
    desk = Desk(arms=[a_profile(first_s=0.004, more_s=0.002, max_batch=4)])
    x = np.arange(10)
    job = replace(soft(slo_s=0.01, rows=10), inputs={"x": x})

    with patch.object(Standing, "ended") as told:
        desk.submit(job)
        ran = 0
        while not desk.answers:
            step = taken(desk)
            ran += step.rows
            now_s = time.monotonic()
            batch = Batch(step.profile, "fp32", step.rows, now_s, now_s, now_s, step.rows)
            answers = [JobAnswer(j, {"x": j.inputs["x"]}, batch) for j in step.jobs]
            desk.dispatcher.finish(step, answers)

    (answer,) = desk.answers
    assert (ran, answer.job, answer.error) == (10, job, None)
    assert np.array_equal((answer.outputs or {})["x"], x)
    assert told.call_count <= 1
