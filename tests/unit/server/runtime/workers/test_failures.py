"""What fails again and again is said once, then counted."""

import logging

import pytest

from models.backends.base import BackendError, objection
from server.policy.decision import Arm
from server.runtime.workers.failures import EVERY_S, MOST_KINDS, Failures

ARM = Arm("only", "onnxruntime")


class Clock:
    """A clock that stands still until it is moved."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was said since the last time."""
    said = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return said


def test_errors_that_differ_in_numbers_are_said_once_and_counted_once_a_minute(
    caplog: pytest.LogCaptureFixture,
):
    clock = Clock()
    failures = Failures("ids", clock)
    for k in range(813):
        failures.tell(ARM, 1, BackendError(f"idx={k} is\nout of bounds"))
        failures.tick()

    assert lines(caplog) == [
        "ids: batch of 1 rows failed on only (onnxruntime): idx=0 is out of bounds"
    ]
    clock.now_s += EVERY_S
    failures.tick()
    failures.tick()
    said = lines(caplog)
    assert len(said) == 1
    assert "... and 812 more batches failed on only (onnxruntime)" in said[0]
    clock.now_s += 2 * EVERY_S
    failures.tick()
    failures.tell(ARM, 1, BackendError("idx=7 is out of bounds"))
    assert "batch of 1 rows failed" in lines(caplog)[0]


def test_a_runtimes_own_words_need_no_traceback_the_first_of_others_does(
    caplog: pytest.LogCaptureFixture,
):
    failures = Failures("ids", Clock())
    for _ in range(3):
        failures.tell(ARM, 2, BackendError("bad"))
        failures.tell(ARM, 2, KeyError("odd"))

    assert [bool(record.exc_info) for record in caplog.records] == [False, True]


def test_ever_new_texts_are_counted_together(caplog: pytest.LogCaptureFixture):
    clock = Clock()
    failures = Failures("ids", clock)
    with caplog.at_level(logging.ERROR):
        for k in range(MOST_KINDS + 50):
            failures.tell(ARM, 1, BackendError(f"kind {'x' * k}"))
        assert len(lines(caplog)) == MOST_KINDS
        clock.now_s += EVERY_S
        failures.tick()

    assert lines(caplog) == ["ids: ... and 50 more batches failed in other ways"]


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (RuntimeError("idx=9 is\nout of bounds"), "idx=9 is out of bounds"),
        (RuntimeError("Failed to allocate memory"), ""),
        (MemoryError("x"), ""),
        (None, ""),
    ],
)
def test_what_a_runtime_has_against_a_batch(cause: Exception | None, said: str):
    error = BackendError("only (/srv/models/only.onnx) failed")
    error.__cause__ = cause

    assert objection(error) == said


def test_what_is_no_error_of_an_adapter_is_no_objection():
    error = KeyError("x")
    error.__cause__ = RuntimeError("y")

    assert not objection(error)
