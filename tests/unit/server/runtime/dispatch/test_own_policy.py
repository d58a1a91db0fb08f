"""A policy of somebody's own that fails: every request is answered, and the log has each failure once."""

import logging
import threading
from collections.abc import Callable, Sequence

import pytest

from server.errors import DeadlineMissed
from server.policy.arms.incidents import Failed, Probed
from server.policy.decision import (
    ArmProfile,
    Decision,
    Idle,
    Outlook,
    Policy,
    Run,
    Ticket,
    WaitUntil,
)
from server.policy.dispatch.choose import adaptive
from server.policy.imported import OwnPolicy
from tests.support.builders import a_profile, three_arms
from tests.support.desk import Desk, a_job, finish, taken

ARMS = three_arms()
Said = Callable[[Sequence[Ticket]], Decision]


def a_desk(said: Said) -> Desk:
    """With a policy that says this of the queue."""

    def decide(tickets: Sequence[Ticket], _outlook: Outlook, _now_s: float) -> Decision:
        return said(tickets)

    return Desk(arms=ARMS, factory=lambda arms: OwnPolicy("mine:own", decide, arms))


def failures(desk: Desk) -> float | None:
    """As counted."""
    return desk.registry.get_sample_value("gearshift_policy_failures_total", {"family": "m"})


def breaking(_: Sequence[Ticket]) -> Decision:
    """It never works."""
    raise ZeroDivisionError


def test_the_adaptive_policy_decides_where_it_raises(caplog: pytest.LogCaptureFixture):
    desk = a_desk(breaking)
    assert failures(desk) == 0

    for _ in range(3):
        desk.submit(a_job())
        finish(desk, taken(desk))

    assert [answer.error for answer in desk.answers] == [None] * 3
    assert failures(desk) == 3
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    words = "m: policy mine:own raised when it was asked: ZeroDivisionError: ; adaptive decides"
    assert record.getMessage().startswith(words)
    assert record.exc_info is None
    assert desk.dispatcher.journal.last(1)[0].policy == "adaptive"


def test_it_decides_itself_again_the_next_time():
    turns: list[Said] = [breaking, lambda tickets: Run(ARMS[0], (tickets[0],), "own")]

    def in_turn(tickets: Sequence[Ticket]) -> Decision:
        return turns.pop(0)(tickets)

    desk = a_desk(in_turn)
    desk.submit(a_job(), a_job())
    steps = [taken(desk)]
    desk.submit(a_job())
    finish(desk, steps[0])
    steps.append(taken(desk))

    assert [step.profile for step in steps] == [ARMS[2], ARMS[0]]
    assert failures(desk) == 1


@pytest.mark.parametrize("said", [Idle(), WaitUntil(float("inf"))])
def test_who_is_left_waiting_is_told_when_the_time_is_up(said: Decision):
    desk = a_desk(lambda _: said)
    desk.submit(a_job(slo_s=0.05))
    worker = threading.Thread(target=desk.dispatcher.next_step, daemon=True)

    worker.start()
    _await(lambda: bool(desk.answers))
    desk.dispatcher.close()
    worker.join(10.0)

    assert [type(answer.error) for answer in desk.answers] == [DeadlineMissed]
    assert not worker.is_alive()


def test_a_factory_that_fails_later_leaves_what_it_made_before_in_force(
    caplog: pytest.LogCaptureFixture,
):
    fails = False

    def factory(arms: Sequence[ArmProfile]) -> Policy:
        if fails:
            raise ValueError("policy mine:own raised when it was built: KeyError: 7")
        return OwnPolicy("mine:own", adaptive(arms), arms)

    desk = Desk(arms=[a_profile("only")], factory=factory)
    desk.dispatcher.quarantine.tell(Failed(desk.dispatcher.arms[0].arm, canary_passed=False))
    fails = True

    desk.dispatcher.quarantine.tell(Probed(a_profile("only").arm, True, 0.001, 0.001))
    desk.dispatcher.resize(2)

    assert "mine:own raised when it was built: KeyError: 7; it goes on with" in caplog.text
    assert desk.dispatcher.limits.workers == 2


def _await(check: Callable[[], bool]) -> None:
    """Until it holds; ten seconds at most."""
    pause = threading.Event()
    for _ in range(1000):
        if check():
            return
        pause.wait(0.01)
    raise AssertionError("it never did")
