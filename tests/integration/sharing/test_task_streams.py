"""Analyse between a client and a share that answers when the test says so: order, misuse, back-pressure, endings."""

import itertools
import re
import threading
from typing import Any

import grpc
import numpy as np
import pytest

from server.sharing.rpc.decode import MOST_WINDOWS
from server.sharing.rpc.stalls import Stallable
from server.sharing.rpc.stream import MOST_UNSENT
from server.sharing.runtime.views import PlanView
from tests.support.serving.feed import Feed
from tests.support.sharing.scripted import (
    PATIENCE_S,
    SMALLEST_S,
    Bench,
    ScriptedShare,
    a_frame,
    a_plan,
    bench,
    opening,
)
from wire import tasks_pb2 as pb

NANS = np.full(6, np.nan, np.float32)


def ids(answers: Any) -> list[int]:
    """Frame ids of the answers to frames."""
    return [one.frame.frame_id for one in answers if one.WhichOneof("message") == "frame"]


class Noting:
    """Notes that those before it have been given up."""

    def __init__(self, noted: threading.Event) -> None:
        self._noted = noted

    def give_up(self, after_s: float) -> None:  # noqa: ARG002 - Stallable's
        self._noted.set()


def failed(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a call that must fail has."""
    with pytest.raises(grpc.RpcError) as error:
        list(call)
    return error.value.code(), error.value.details()  # type: ignore[attr-defined] - an RpcError of a call is a Call too


def test_the_first_message_is_the_plan_and_every_frame_is_answered_before_the_end():
    with bench(ScriptedShare(at_once=True)) as on:
        first, *answers = on.analyse(iter([opening(), a_frame(7), a_frame(9)]))

        assert [choice.task for choice in first.plan.choices] == ["a"]
        assert ids(answers) == [7, 9]
        assert {one.frame.outcome for one in answers} == {"skipped"}


def test_a_stream_ends_once_its_last_frame_is_answered_and_gives_back_what_it_held():
    share = ScriptedShare()
    with bench(share) as on:
        answers = on.analyse(iter([opening(), a_frame(1), a_frame(2)]))
        share.await_that(lambda: len(share.offered) == 2)
        next(answers)

        share.answer(1, 2)
        early = next(answers)
        share.answer(1, 1)

        assert early.frame.frame_id == 2
        assert ids(answers) == [1]
        assert share.closed == [1]


def test_pixels_arrive_as_they_were_sent():
    share = ScriptedShare(at_once=True)
    pixels = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    with bench(share) as on:
        list(on.analyse(iter([opening(), a_frame(1, pixels=pixels.tobytes(), datatype="FP32")])))

    got = share.offered[0][1].pixels
    assert got.dtype == np.float32
    assert np.array_equal(got, pixels)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"shape": [2, 3]}, r"Expected \[1,2,3\], got \[2,3\]"),
        ({"pixels": b"12345"}, "Expected 6, got 5"),
        ({"datatype": "INT8"}, "'INT8'; expected UINT8 or FP32"),
        ({"pixels": NANS.tobytes(), "datatype": "FP32"}, "NaN or infinite"),
        ({"captured_unix_ms": np.inf}, "captured_unix_ms inf is no time"),
    ],
)
def test_a_wrong_frame_is_refused_by_its_id_and_the_stream_goes_on(wrong: Any, words: str):
    with bench(ScriptedShare(at_once=True)) as on:
        answers = list(on.analyse(iter([opening(), a_frame(1, **wrong), a_frame(2)])))

        (refused,) = [one.refused for one in answers if one.HasField("refused")]
        assert (refused.frame_id, refused.code) == (1, "INVALID_ARGUMENT")
        assert re.search(words, refused.error)
        assert ids(answers) == [2]
        assert len(on.refused) == 1


def test_labels_reach_the_share_and_those_of_an_unknown_task_are_refused():
    share = ScriptedShare(at_once=True)
    window = pb.LabelledWindow(first_frame=3, last_frame=5, event=True)
    good, bad, empty = (
        pb.AnalyseRequest(labels=pb.Labels(task=task, windows=windows))
        for task, windows in (("a", [window]), ("z", [window]), ("a", []))
    )
    many = pb.AnalyseRequest(labels=pb.Labels(task="a", windows=[window] * (MOST_WINDOWS + 1)))
    with bench(share) as on:
        answers = list(on.analyse(iter([opening(), good, bad, empty, many, a_frame(1)])))

    refused = [one.refused for one in answers if one.HasField("refused")]
    assert [(r.task, r.code) for r in refused] == [
        ("z", "NOT_FOUND"),
        ("a", "INVALID_ARGUMENT"),
        ("a", "INVALID_ARGUMENT"),
    ]
    assert "1 to 256 a message" in refused[2].error
    assert [(task, len(windows)) for task, windows in share.learnt] == [("a", 1)]
    assert ids(answers) == [1]


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([a_frame(1)], "got frame; the first message must be an opening"),
        ([opening(), opening()], "got opening; the first message must be an opening, and no other"),
        ([opening(), pb.AnalyseRequest()], "got an empty message"),
        ([opening(late="never")], "late is 'never'; expected drop or wait"),
        ([opening(fps=-1.0)], "fps -1 is not between 0.001 and 1000"),
        ([opening(fps=1e-9)], "fps 1e-09 is not between 0.001 and 1000"),
        ([opening(max_in_flight=-1)], "max_in_flight -1 is below 0"),
    ],
)
def test_misuse_ends_the_call(messages: list[Any], words: str):
    share = ScriptedShare()
    with bench(share) as on:
        code, details = failed(on.analyse(iter(messages)))

        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert words in details
        assert len(share.closed) == share._next  # noqa: SLF001 - every stream opened is given back


def test_a_stream_that_the_budget_does_not_allow_is_told_the_smallest():
    with bench(ScriptedShare()) as on:
        code, details = failed(on.analyse(iter([opening(fps=500.0)])))

        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert str(SMALLEST_S) in details


def test_a_stream_that_waits_has_no_more_in_flight_than_it_asked_for():
    share = ScriptedShare()
    with bench(share) as on:
        frames = [a_frame(i) for i in range(6)]
        answers = on.analyse(iter([opening(late="wait", max_in_flight=2), *frames]))
        share.await_that(lambda: len(share.offered) == 2)
        beside = list(
            on.analyse(iter([opening()]))
        )  # the front has gone round, and read no third frame
        held = len(share.offered)

        for i in range(6):
            share.await_that(lambda i=i: len(share.offered) > i)
            share.answer(1, i)

        assert (held, len(beside)) == (2, 1)
        assert ids(answers) == list(range(6))


def test_a_live_stream_is_read_as_it_comes():
    share = ScriptedShare()
    with bench(share, queue_frames=2) as on:
        answers = on.analyse(iter([opening(max_in_flight=1), *(a_frame(i) for i in range(9))]))

        share.await_that(lambda: len(share.offered) == 9)

        for i in range(9):
            share.answer(1, i)
        assert ids(answers) == list(range(9))


LONG = "w" * 50_000
"""In every answer, so that the transport itself takes few."""


def stuffed(on: Bench) -> Any:
    """A call whose client sends on and reads nothing, once the server has stopped reading it."""
    full = threading.Event()
    whole = on.tasks.stalls.full

    def noted(stream: Any) -> None:
        whole(stream)
        full.set()

    on.tasks.stalls.full = noted
    endless = itertools.chain([opening()], (a_frame(i) for i in itertools.count()))
    answers = on.analyse(endless, on.connect())
    assert full.wait(PATIENCE_S)
    return answers


def test_the_frames_of_a_client_that_does_not_read_are_not_read_either_and_reading_goes_on():
    share = ScriptedShare(at_once=True, words=LONG)
    with bench(share) as on:
        answers = stuffed(on)
        held = len(share.offered)
        beside = ids(on.analyse(iter([opening(), a_frame(1), a_frame(2)])))
        after = len(share.offered) - 2

        got = ids(itertools.islice(answers, held + MOST_UNSENT))

        assert beside == [1, 2]
        assert after == held
        assert got == list(range(len(got)))
        assert len(got) > held
        answers.cancel()


def test_a_client_that_has_stopped_reading_is_cut_off_with_a_reason_and_others_are_not():
    share = ScriptedShare(at_once=True, words=LONG)
    with bench(share, stall_s=0.05) as on:
        feed = Feed(opening(), a_frame(1))
        beside = on.analyse(feed)
        assert ids(itertools.islice(beside, 2)) == [1]
        answers = stuffed(on)
        share.await_that(lambda: share.closed == [2])

        code, details = failed(answers)

        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details.startswith("no answer was taken for 0.05 s")
        feed.put(a_frame(2))
        feed.end()
        assert ids(beside) == [2]


def test_a_client_that_has_sent_its_last_frame_and_reads_no_answer_is_cut_off_as_well():
    share = ScriptedShare(at_once=True, words=8 * LONG)
    with bench(share, stall_s=0.05) as on:
        cut_off, overdue = threading.Event(), on.tasks.stalls.overdue

        def noted() -> list[Stallable]:
            late = overdue()
            return [*late, *([Noting(cut_off)] if late else [])]

        on.tasks.stalls.overdue = noted
        few = (a_frame(i) for i in range(MOST_UNSENT // 2))
        answers = on.analyse(itertools.chain([opening()], few), on.connect())
        assert cut_off.wait(PATIENCE_S)

        assert failed(answers)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_client_that_leaves_gives_its_stream_back():
    share = ScriptedShare()
    with bench(share) as on:
        answers = on.analyse(Feed(opening(), a_frame(1)))
        share.await_that(lambda: len(share.offered) == 1)

        answers.cancel()

        share.await_that(lambda: share.closed == [1])


def test_a_change_of_the_plan_is_told_to_every_stream_and_the_same_plan_is_not():
    share = ScriptedShare(at_once=True)
    with bench(share) as on:
        feeds = [Feed(opening()), Feed(opening())]
        calls = [on.analyse(feed) for feed in feeds]
        for call in calls:
            next(call)

        on.tasks.replanned("costs_moved", a_plan("a"))
        on.tasks.replanned("task_added", a_plan("a", "b"))
        for feed in feeds:
            feed.end()

        for call in calls:
            (told,) = [one.plan for one in call]
            assert told.reason == "task_added"
            assert [choice.task for choice in told.choices] == ["a", "b"]


def test_a_plan_that_changes_while_a_stream_opens_is_the_one_that_is_told_last():
    class Replanned(ScriptedShare):
        def plan(self) -> PlanView:
            before = super().plan()
            on.tasks.replanned("costs_moved", a_plan("a", "b"))
            return before

    share = Replanned(at_once=True)
    with bench(share) as on:
        answers = list(on.analyse(iter([opening(), a_frame(1)])))

    plans = [one.plan for one in answers if one.HasField("plan")]
    assert [choice.task for choice in plans[-1].choices] == ["a", "b"]


def test_a_server_that_stops_answers_what_is_in_flight_and_says_that_it_stops():
    share = ScriptedShare()
    with bench(share) as on:
        answers = on.analyse(Feed(opening(), a_frame(1)))
        share.await_that(lambda: len(share.offered) == 1)
        stopping = threading.Thread(target=on.stop, args=(PATIENCE_S,))
        stopping.start()
        share.answer(1, 1)
        next(answers)
        got = next(answers)

        code, details = failed(answers)

        assert got.frame.frame_id == 1
        assert (code, details.split(";")[0]) == (
            grpc.StatusCode.UNAVAILABLE,
            "the server is stopping",
        )
        stopping.join()
