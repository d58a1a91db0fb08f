"""What steps still owe when the drain's time is up."""

import pytest

from server.errors import NotReady
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
