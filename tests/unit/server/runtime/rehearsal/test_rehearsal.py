"""The rehearsal hands over to who does better on the last requests, and nothing that befalls its process matters."""

import logging
import os
import signal
import threading
from functools import partial

import pytest

from server.policy.decision import ArmProfile
from server.policy.dispatch.choose import adaptive
from server.policy.dispatch.static import largest
from server.runtime.rehearsal.rehearsal import Rehearsal, RehearsedFamily, ReplaySchedule
from server.runtime.rehearsal.replay_process import Recorder, ReplayProcess, tickets
from server.simulator import replay
from server.simulator.arrivals import poisson
from server.simulator.engine import tickets_at
from tests.support.builders import a_ticket, three_arms

OFTEN = ReplaySchedule(period_s=0.01, share=1.0, least=1)
BOTH = partial(
    replay.replay,
    candidates={"adaptive": adaptive, "largest": largest},
    stage=replay.ReplaySetup(),
)
EMPTY = ReplaySchedule(period_s=0.01, window_s=-1.0, share=1.0, least=1)
"""A window without requests: no replay survives it."""
OVERLOAD = tickets_at(poisson(250.0, 3.0, seed=1).tolist(), 0.1)
PATIENCE_S = 60.0


def ignore(_name: str) -> None:
    """Put nothing in force."""


class Warned(logging.Handler):
    """Tells when the second warning came."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.twice = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        if len(self.texts) == 2:
            self.twice.set()


def test_under_overload_the_better_candidate_is_put_in_force():
    applied: list[str] = []
    done = threading.Event()

    def apply(name: str) -> None:
        applied.append(name)
        done.set()

    rehearsal = Rehearsal(RehearsedFamily("pictures", three_arms, apply), BOTH, "largest", OFTEN)
    for ticket in OVERLOAD:
        rehearsal.record(ticket)
    rehearsal.start()
    assert done.wait(PATIENCE_S)
    rehearsal.stop()

    assert applied == ["adaptive"]


def test_a_process_that_dies_is_a_warning_each_time_and_changes_nothing():
    applied: list[str] = []
    warned = Warned()
    logging.getLogger("server.runtime.rehearsal.rehearsal").addHandler(warned)

    def arms() -> list[ArmProfile]:
        rehearsal.record(a_ticket())  # so that every round has something to replay
        return three_arms()

    rehearsal = Rehearsal(
        RehearsedFamily("pictures", arms, applied.append), BOTH, "adaptive", EMPTY
    )
    rehearsal.record(a_ticket())
    rehearsal.start()
    assert warned.twice.wait(PATIENCE_S)
    rehearsal.stop()
    logging.getLogger("server.runtime.rehearsal.rehearsal").removeHandler(warned)

    assert applied == []
    assert rehearsal.contest.in_force == "adaptive"
    assert "adaptive stays in force" in warned.texts[0]


def test_stopping_in_the_middle_of_a_long_replay_does_not_wait_for_it():
    begun = threading.Event()
    endless = tickets_at(poisson(3000.0, 10.0, seed=1).tolist(), 0.1)

    def arms() -> list[ArmProfile]:
        begun.set()
        return three_arms()

    rehearsal = Rehearsal(RehearsedFamily("pictures", arms, ignore), BOTH, "adaptive", OFTEN)
    for ticket in endless:
        rehearsal.record(ticket)
    rehearsal.start()
    assert begun.wait(PATIENCE_S)
    rehearsal.stop()

    assert rehearsal.verdict is None


def test_one_that_never_started_stops():
    Rehearsal(RehearsedFamily("pictures", three_arms, ignore), BOTH, "adaptive").stop()


def test_the_understudy_scores_what_was_recorded():
    recorder = Recorder()
    for ticket in OVERLOAD:
        recorder.record(ticket)
    process = ReplayProcess(BOTH)

    process.ask(three_arms(), recorder.recorded(), 20.0)
    scores, took_s = process.answer()
    process.end()

    assert scores == pytest.approx(BOTH(three_arms(), tickets(recorder.recorded(), 20.0)))
    assert took_s > 0.0


def test_a_killed_understudy_is_an_error_not_a_wait():
    process = ReplayProcess(BOTH)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    with pytest.raises((EOFError, OSError)):
        process.answer()

    process.end()


def test_the_understudy_ends_when_its_owner_is_gone():
    process = ReplayProcess(BOTH)

    process.answers.close()
    _, status = os.waitpid(process.pid, 0)
    process.end()

    assert os.waitstatus_to_exitcode(status) == 0


def test_the_recorder_keeps_the_last_window_in_order_from_zero():
    recorder = Recorder()
    for i in range(30):
        recorder.record(a_ticket(id=i, arrival_s=100.0 + i, slo_s=0.5, rows=2, min_accuracy=0.7))

    kept = tickets(recorder.recorded(), window_s=9.5)

    assert [t.arrival_s for t in kept] == pytest.approx(range(10))
    assert {(round(t.deadline_s - t.arrival_s, 9), t.rows, t.min_accuracy) for t in kept} == {
        (0.5, 2, 0.7)
    }


def test_a_full_recorder_forgets_the_oldest():
    recorder = Recorder(most=8)
    for i in range(20):
        recorder.record(a_ticket(id=i, arrival_s=float(i)))

    assert [t.arrival_s for t in tickets(recorder.recorded(), 100.0)] == pytest.approx(range(8))
    assert recorder.count == 20


def test_nothing_recorded_is_no_ticket():
    assert tickets(Recorder().recorded(), 20.0) == []
