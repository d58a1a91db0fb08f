"""Whom a job wakes: as many idle workers as there is work for, and nobody is left asleep on it."""

import queue
import threading
from collections.abc import Callable, Sequence

from server.policy.arms.incidents import Failed
from server.policy.decision import ArmProfile, Decision, Idle, Outlook, Policy, Run, Ticket
from server.runtime.dispatch.dispatcher import CanaryRun, Limits, Step
from tests.support.builders import three_arms
from tests.support.desk import Desk, a_job, asleep, finish


class Asked:
    """A policy that runs the first that waits, and how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, arms: Sequence[ArmProfile]) -> Policy:
        def first(tickets: Sequence[Ticket], _outlook: Outlook, _now_s: float) -> Decision:
            self.times += 1
            return Run(arms[0], (tickets[0],), "first") if tickets else Idle()

        return first


class Crew:
    """Idle workers of a desk, and what each came back with."""

    def __init__(self, desk: Desk, count: int) -> None:
        self.came: queue.SimpleQueue[Step | CanaryRun | None] = queue.SimpleQueue()
        self._ask: Callable[[], None] = lambda: self.came.put(desk.dispatcher.next_step())
        for _ in range(count):
            asleep(self._ask)

    def join(self) -> None:
        """One more, which may find something to do at once."""
        threading.Thread(target=self._ask, daemon=True).start()


def test_one_job_wakes_one_worker():
    asked = Asked()
    desk = Desk(Limits(workers=3), factory=asked)
    crew = Crew(desk, 3)

    desk.submit(a_job())

    assert isinstance(crew.came.get(timeout=10.0), Step)
    assert (asked.times, crew.came.empty()) == (1, True)
    desk.dispatcher.close()


def test_several_jobs_wake_a_worker_each():
    desk = Desk(Limits(workers=3), factory=Asked())
    crew = Crew(desk, 3)

    desk.submit(a_job(), a_job())

    steps = [crew.came.get(timeout=10.0) for _ in range(2)]
    assert all(isinstance(step, Step) for step in steps)
    assert crew.came.empty()
    desk.dispatcher.close()


def test_a_worker_that_goes_to_probe_an_arm_leaves_the_job_to_the_next():
    arms = three_arms()
    desk = Desk(Limits(workers=2), arms, factory=Asked())
    desk.dispatcher.quarantine.tell(Failed(arms[2].arm, canary_passed=False))
    crew = Crew(desk, 2)
    desk.submit(a_job())
    while not isinstance(came := crew.came.get(timeout=10.0), CanaryRun):  # it is due in a moment
        assert isinstance(came, Step)
        finish(desk, came)
        crew.join()
        desk.submit(a_job())

    assert isinstance(crew.came.get(timeout=10.0), Step)
