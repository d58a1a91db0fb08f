"""What steps still owe when the drain's time is up, and how long they are expected to go on."""

import pytest

from server.errors import NotReady
from server.runtime.dispatch.running import Running
from tests.support.desk import Desk, a_job, finish, taken


@pytest.mark.parametrize("entered", [False, True])
def test_abandoning_answers_whose_worker_still_waits_for_its_turn(entered: bool):
    desk = Desk()
    desk.submit(a_job())
    step = taken(desk)
    step.entered = entered

    desk.dispatcher.abandon()

    assert [type(answer.error) for answer in desk.answers] == ([] if entered else [NotReady])
    finish(desk, step)
    assert len(desk.answers) == 1
    assert (desk.answers[0].error is None) == entered


def test_what_runs_is_expected_to_go_on_for_what_its_batch_takes_less_what_has_passed():
    desk, running = Desk(), Running()
    desk.submit(a_job())
    step = taken(desk)
    takes_s = step.profile.mean_s[step.rows]
    assert running.busy_s(step.begun_s) == 0.0

    running.begin(step)

    assert running.busy_s(step.begun_s) == pytest.approx(takes_s)
    assert running.busy_s(step.begun_s + 0.25 * takes_s) == pytest.approx(0.75 * takes_s)
    assert running.busy_s(step.begun_s + 2.0 * takes_s) == 0.0
    running.give_up(step, lambda _: False)
    assert running.busy_s(step.begun_s) == 0.0
