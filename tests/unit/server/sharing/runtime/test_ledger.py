"""What has run lately, and what labels say of what was said."""

import pytest

from server.errors import BadInput
from server.sharing.planner.feedback import Own, Part, Spent
from server.sharing.runtime.ledger import WINDOW_S, Ledger, Round
from server.sharing.runtime.reports import Reports
from server.sharing.runtime.views import LabelledWindow


def a_round(at_s: float, stem_frames: int = 2, busy_s: float = 0.1) -> Round:
    spent: dict[Part, Spent] = {Own("a", 2): Spent(2, 0.05)}
    return Round(at_s, busy_s, spent, stem_frames, {"a": 2, "b": 1}, on_stem=3)


def test_the_last_seconds_hold_what_ran_in_them_and_no_more():
    ledger = Ledger(now_s=0.0)
    for second in range(30):
        ledger.ran(a_round(float(second)))

    recent = ledger.recent(29.5)

    assert recent.seconds == WINDOW_S
    assert recent.busy_s == pytest.approx(1.0)
    assert (recent.stem_frames, recent.on_stem) == (20, 30)
    assert dict(recent.tasks) == {"a": 20, "b": 10}


def test_a_new_plan_begins_the_last_seconds_anew():
    ledger = Ledger(now_s=0.0)
    ledger.ran(a_round(5.0))

    ledger.restart(6.0)
    ledger.ran(a_round(7.0))

    recent = ledger.recent(8.0)
    assert (recent.seconds, recent.tasks["a"]) == (2.0, 2)


def test_what_was_seen_is_told_once_and_closed_streams_lost_nothing():
    ledger = Ledger(now_s=0.0)
    ledger.ran(a_round(1.0))
    ledger.answered("dropped", "late", tasks=2)
    ledger.answered("dropped", "closed", tasks=5)

    first, second = ledger.seen(10.0, 2.0), ledger.seen(0.0, 1.0)

    assert (first.planned, first.analysed, first.lost, first.busy_s) == (10.0, 3, 2, 0.1)
    assert (first.seconds, first.spent) == (2.0, {Own("a", 2): Spent(2, 0.05)})
    assert (second.analysed, second.lost, second.busy_s, second.spent) == (0, 0, 0.0, {})


def test_the_typical_batch_is_the_median_of_those_on_the_stem():
    ledger = Ledger(now_s=0.0)
    assert ledger.typical_batch() == 1

    for size in (0, 0, 0, 1, 4, 4, 8):
        ledger.ran(a_round(1.0, stem_frames=size))

    assert ledger.typical_batch() == 4


def a_history(reports: Reports, verdicts: str) -> None:
    for frame_id, verdict in enumerate(verdicts, start=100):
        reports.said(1, frame_id, [("a", verdict == "+")])


def test_windows_that_nothing_was_said_of_are_not_counted():
    reports = Reports()
    a_history(reports, "++++")
    windows = [
        LabelledWindow(0, 99, event=True),
        LabelledWindow(100, 103, event=True),
        LabelledWindow(104, 110, event=True),
    ]

    assert reports.label(1, "a", windows, x_vote=2) == 1

    measured = reports.measured("a")
    assert measured is not None
    assert (measured.windows, measured.scores.f1) == (1, 1.0)


def test_a_window_counts_as_reported_only_with_enough_votes_in_a_row():
    reports = Reports()
    a_history(reports, "+-+-++")

    reports.label(
        1,
        "a",
        [LabelledWindow(100, 103, event=True), LabelledWindow(104, 105, event=True)],
        x_vote=2,
    )

    measured = reports.measured("a")
    assert measured is not None
    assert measured.scores.recall == 0.5


def test_a_task_that_has_gone_leaves_nothing_behind():
    reports = Reports()
    a_history(reports, "++++")
    reports.label(1, "a", [LabelledWindow(100, 103, event=True)], x_vote=1)

    reports.forget_task("a")

    assert reports.measured("a") is None
    assert reports.label(1, "a", [LabelledWindow(100, 103, event=True)], x_vote=1) == 0


def test_a_stream_that_has_ended_leaves_nothing_behind_but_what_was_measured_on_it():
    reports = Reports()
    a_history(reports, "++++")
    windows = [LabelledWindow(100, 103, event=True)]
    reports.label(1, "a", windows, x_vote=1)

    reports.keep({2})

    assert reports.label(1, "a", windows, x_vote=1) == 0
    assert (measured := reports.measured("a")) is not None
    assert measured.windows == 1


def test_a_window_that_ends_before_it_begins_is_refused():
    with pytest.raises(BadInput, match="9 to 5 ends before it begins"):
        Reports().label(1, "a", [LabelledWindow(9, 5, event=True)], x_vote=1)
