"""The tuner's errands: in order, and none of them ends it."""

import logging

import pytest

from server.runtime.arms.work_queue import WorkQueue


def test_what_is_added_is_done_in_order_until_the_end():
    done: list[str] = []
    tasks = WorkQueue()
    tasks.add("first", lambda: done.append("first"))
    tasks.add("second", lambda: done.append("second"))
    tasks.end()

    tasks.work(lambda: 60.0, lambda: done.append("idle"))

    assert done == ["first", "second"]


def test_an_errand_that_fails_is_logged_and_the_next_is_done(caplog: pytest.LogCaptureFixture):
    done: list[str] = []
    tasks = WorkQueue()
    tasks.add("the broken one", lambda: 1 // 0)
    tasks.add("the next", lambda: done.append("next"))
    tasks.end()

    with caplog.at_level(logging.ERROR):
        tasks.work(lambda: 60.0, lambda: None)

    assert done == ["next"]
    assert "the broken one failed" in caplog.text


def test_where_nothing_is_added_the_idle_errand_is_done():
    tasks = WorkQueue()
    seen: list[int] = []

    def idle() -> None:
        seen.append(1)
        if len(seen) == 3:
            tasks.end()

    tasks.work(lambda: 1e-4, idle)

    assert len(seen) >= 3
