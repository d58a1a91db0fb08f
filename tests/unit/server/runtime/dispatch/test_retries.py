"""What an arm or a worker lets down goes elsewhere, is given up, or is told why; each job gets one answer."""

import threading

from server.errors import ComputeFailed, NotReady
from server.policy.arms.incidents import Failed, Overdue, Returned
from server.runtime.dispatch.dispatcher import CanaryRun
from tests.support.builders import three_arms
from tests.support.desk import Desk, a_job, finish, taken


def test_what_an_arm_let_down_goes_to_another_one_with_its_deadline_kept():
    desk = Desk(arms=three_arms())
    job = a_job()
    desk.submit(job)
    first = taken(desk)
    ticket = job.ticket

    desk.dispatcher.quarantine.tell(Failed(first.profile.arm, canary_passed=False))
    desk.dispatcher.requeue(first)
    second = taken(desk)
    finish(desk, second)

    assert second.jobs == (job,)
    assert second.profile.arm != first.profile.arm
    assert (job.ticket, job.retries) == (ticket, 1)
    assert [answer.error for answer in desk.answers] == [None]
    assert desk.dispatcher.load().arrived == 1


def test_after_two_retries_a_job_is_given_up():
    desk = Desk(arms=three_arms())
    desk.submit(a_job())

    for _ in range(3):
        desk.dispatcher.requeue(taken(desk))

    (answer,) = desk.answers
    assert isinstance(answer.error, ComputeFailed)
    assert desk.dispatcher.depth == 0


def test_a_pinned_job_whose_arm_is_out_is_told_so_waiting_running_or_new():
    desk = Desk(arms=three_arms())
    desk.submit(a_job(variant="large"))
    step = taken(desk)
    desk.submit(a_job(variant="large"), a_job())

    desk.dispatcher.quarantine.tell(Failed(step.profile.arm, canary_passed=False))
    desk.dispatcher.requeue(step)
    desk.submit(a_job(variant="large"))

    assert [type(answer.error) for answer in desk.answers] == [NotReady] * 3
    for answer in desk.answers:
        assert "large on scripted (cpu) failed, tried again in 0.1 s" in str(answer.error)
        assert answer.error is not None
        assert 0.0 < (answer.error.retry_s or 0.0) <= 0.1
    assert desk.dispatcher.depth == 1


def test_the_last_arm_out_answers_all_that_wait_and_is_probed_when_due():
    desk = Desk()
    desk.submit(a_job())
    step = taken(desk)
    desk.submit(a_job())

    desk.dispatcher.quarantine.tell(Failed(step.profile.arm, canary_passed=False))
    desk.dispatcher.requeue(step)
    trial = desk.dispatcher.next_step()

    assert [type(answer.error) for answer in desk.answers] == [NotReady] * 2
    assert desk.dispatcher.arms == ()
    assert trial == CanaryRun(step.profile)


def test_an_idle_worker_is_woken_for_a_probe_when_the_run_that_hung_returns():
    desk = Desk(arms=three_arms())
    desk.submit(a_job())
    step = taken(desk)
    desk.dispatcher.quarantine.tell(Overdue(step.profile.arm, 0.003, 1.0))
    desk.dispatcher.requeue(step)
    finish(desk, taken(desk))
    tasks: list[object] = []
    idle = threading.Thread(target=lambda: tasks.append(desk.dispatcher.next_step()))

    idle.start()
    desk.dispatcher.quarantine.tell(Returned(step.profile.arm))
    idle.join(60.0)

    assert tasks == [CanaryRun(step.profile)]


def test_what_a_lost_worker_owes_is_answered_once_by_whoever_is_first():
    desk = Desk(arms=three_arms())
    pinned, free = a_job(variant="large"), a_job()
    desk.submit(pinned, free)
    step = taken(desk)
    assert set(step.jobs) == {pinned, free}

    desk.dispatcher.quarantine.tell(Overdue(step.profile.arm, 0.003, 1.0))
    desk.dispatcher.give_up(step)
    other = taken(desk)
    finish(desk, other)
    finish(desk, step)

    assert other.jobs == (free,)
    assert [answer.job for answer in desk.answers] == [free, pinned]


def test_a_lost_worker_that_is_given_up_for_good_answers_nothing():
    desk = Desk(arms=three_arms())
    desk.submit(a_job(variant="large"))
    step = taken(desk)

    desk.dispatcher.quarantine.tell(Overdue(step.profile.arm, 0.003, 1.0))
    desk.dispatcher.give_up(step)
    desk.dispatcher.requeue(step)
    finish(desk, step)

    assert [type(answer.error) for answer in desk.answers] == [NotReady]


def test_what_a_lost_worker_still_owes_when_the_server_ends_is_answered_then():
    desk = Desk(arms=three_arms())
    desk.submit(a_job(variant="large"))
    step = taken(desk)
    desk.dispatcher.quarantine.tell(Overdue(step.profile.arm, 0.01, 1.0))
    desk.dispatcher.give_up(step)

    desk.dispatcher.close()
    assert desk.dispatcher.await_idle(0.0)
    desk.dispatcher.abandon()
    finish(desk, step)
    desk.dispatcher.abandon()

    assert [type(answer.error) for answer in desk.answers] == [NotReady]
    assert desk.dispatcher.load().running == 0
