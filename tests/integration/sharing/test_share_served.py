"""gearshift.v1.Tasks on the real server and a real package: streams, and changes and endings meanwhile."""

import itertools
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.support.serving.commands import gearshift
from tests.support.serving.families import rows
from tests.support.serving.feed import Feed
from tests.support.serving.server import (
    PATIENCE_S,
    Server,
    a_request,
    eventually,
    serving,
)
from tests.support.sharing.asked import (
    LEVELS,
    a_frame,
    analyse,
    ask,
    frames_of,
    has_streams,
    names_in,
    opening,
    refusal,
    scores,
    until,
)
from tests.support.sharing.packages import (
    a_package,
    add_task,
    expected_score,
    flat_frames,
)
from wire import tasks_pb2 as pb


def test_every_frame_is_answered_by_its_id_with_what_the_tasks_say(shared: Server):
    means = [float(m) for m in range(0, 256, 5)]
    sent = [a_frame(1000 + i, mean) for i, mean in enumerate(means)]

    first, *rest = analyse(shared, iter([opening(), *sent]))
    answers = frames_of(rest)

    assert sorted(one.task for one in first.plan.choices) == ["a", "b"]
    assert [one.frame_id for one in answers] == [1000 + i for i in range(len(means))]
    assert {one.outcome for one in answers} <= {"analysed", "skipped"}
    for task in ("a", "b"):
        said = scores(answers, task)
        assert len(said) > len(means) / 20  # the slowest rate is one frame in twenty
        expected = expected_score(LEVELS[task], flat_frames(*(means[i - 1000] for i in said)))
        assert np.allclose(list(said.values()), expected, atol=1e-4)


def test_events_are_told_when_they_begin_and_when_they_end(shared: Server):
    means = [0.0] * 20 + [150.0] * 40 + [0.0] * 20
    sent = [a_frame(i, mean) for i, mean in enumerate(means)]

    answers = frames_of(analyse(shared, iter([opening(), *sent])))

    events = [event for one in answers for event in one.events if event.task == "b"]
    assert [event.what for event in events] == ["begun", "ended"]
    begun, ended = events
    assert 20 <= begun.first_frame <= begun.last_frame < 60
    assert ended.first_frame == begun.first_frame
    assert begun.last_frame <= ended.last_frame < 60
    assert 0.5 <= ended.score <= 1.0


def test_tasks_come_and_go_while_frames_flow_and_no_frame_of_the_others_is_lost(shared: Server):
    feed = Feed(opening(max_in_flight=4))
    answers = analyse(shared, feed)
    numbers = itertools.count()

    def send(count: int) -> list[Any]:
        ids = [next(numbers) for _ in range(count)]
        for i in ids:
            feed.put(a_frame(i, 200.0))
        return until(answers, ids[-1])

    before = send(30)
    feed.put(a_frame(next(numbers), 200.0))  # one is under way while the task comes
    added = ask(shared, "AddTask", task="c")
    during = send(30)
    feed.put(a_frame(next(numbers), 200.0))
    removed = ask(shared, "RemoveTask", task="c")
    feed.end()
    after = list(answers)

    got = frames_of([*before, *during, *after])
    told = [names_in(one.plan) for one in [*during, *after] if one.HasField("plan")]
    assert [one.frame_id for one in got] == list(range(next(numbers)))
    assert {one.outcome for one in got} <= {"analysed", "skipped"}
    assert [names_in(added.plan), names_in(removed.plan)] == [["a", "b", "c"], ["a", "b"]]
    assert (told[0], told[-1]) == (["a", "b", "c"], ["a", "b"])
    assert scores(frames_of(during), "c")
    assert all(scores(frames_of(part), task) for part in (before, during) for task in ("a", "b"))


def test_two_streams_at_once_are_each_answered_in_their_own_order(shared: Server):
    feeds = [Feed(opening()), Feed(opening())]
    calls = [analyse(shared, feed) for feed in feeds]
    for i in range(40):
        for number, feed in enumerate(feeds):
            feed.put(a_frame(100 * number + i, 128.0))
    for feed in feeds:
        feed.end()

    got = [[one.frame_id for one in frames_of(call)] for call in calls]

    assert got == [list(range(40)), list(range(100, 140))]


def test_a_client_that_leaves_in_the_midst_frees_its_stream_and_others_go_on(shared: Server):
    feed = Feed(opening())
    staying = analyse(shared, feed)
    leaving = analyse(
        shared, itertools.chain([opening()], (a_frame(i, 9.0) for i in itertools.count()))
    )
    until(leaving, 5)
    feed.put(a_frame(0, 9.0))
    until(staying, 0)

    leaving.cancel()

    eventually(lambda: has_streams(shared, 1), within_s=PATIENCE_S)
    feed.put(a_frame(1, 9.0))
    feed.end()
    assert [one.frame_id for one in frames_of(staying)] == [1]


def test_a_frame_of_the_wrong_shape_is_refused_and_the_next_one_served(shared: Server):
    wrong = pb.AnalyseRequest(frame=pb.StreamFrame(frame_id=7, pixels=b"123", shape=[3]))

    answers = list(analyse(shared, iter([opening(), wrong, a_frame(8, 9.0)])))

    (refused,) = [one.refused for one in answers if one.HasField("refused")]
    assert (refused.frame_id, refused.code) == (7, "INVALID_ARGUMENT")
    assert "Expected [1,8,8], got [3]" in refused.error
    assert [one.frame_id for one in frames_of(answers)] == [8]


def test_labels_of_frames_become_a_measured_f1(shared: Server):
    means = [200.0 if i // 10 % 2 else 0.0 for i in range(200)]
    windows = [
        pb.LabelledWindow(first_frame=i, last_frame=i + 9, event=bool(i // 10 % 2))
        for i in range(0, 200, 10)
    ]
    feed = Feed(opening(), *(a_frame(i, mean) for i, mean in enumerate(means)))
    answers = analyse(shared, feed)
    until(answers, 199)

    feed.put(pb.AnalyseRequest(labels=pb.Labels(task="a", windows=windows)))
    feed.end()
    rest = list(answers)

    standing = {one.task: one for one in ask(shared, "GetTaskPlan").tasks}
    assert rest == []
    assert standing["a"].labelled_windows == 20
    assert standing["a"].measured_f1 > 0.9
    assert not standing["b"].HasField("measured_f1")


def test_a_family_is_served_beside_the_tasks(shared: Server):
    assert shared.infer(a_request("echo", rows(1.0))).model_name == "echo"


def test_a_server_of_a_package_alone_starts_and_stops_in_the_midst_of_a_stream(tmp_path: Path):
    a_package(tmp_path / "models")
    with serving(tmp_path / "models", tmp_path, GEARSHIFT__SHARING__PACKAGE="tiny") as server:
        answers = analyse(server, Feed(opening(), a_frame(1, 9.0)))
        until(answers, 1)
        asked = gearshift("status", "--url", server.url)

        server.terminate()

        assert (asked.returncode, asked.stderr) == (0, "")
        assert "no family is served here; `gearshift tasks plan`" in asked.stdout
        with pytest.raises(grpc.RpcError, match="the server is stopping") as error:
            list(answers)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_client_that_stops_reading_is_cut_off_and_the_server_goes_on(tmp_path: Path):
    a_package(tmp_path / "models", tuple(f"{i:0>60}" for i in range(12)))
    quick = {"GEARSHIFT__SHARING__PACKAGE": "tiny", "GEARSHIFT__SHARING__STALL_S": "0.2"}
    with serving(tmp_path / "models", tmp_path, **quick) as server:
        endless = itertools.chain([opening()], (a_frame(i, 9.0) for i in itertools.count()))
        answers = analyse(server, endless)
        until(answers, 0)

        eventually(lambda: has_streams(server, 0), within_s=PATIENCE_S)

        with pytest.raises(grpc.RpcError, match=r"no answer was taken for 0\.2 s") as error:
            list(answers)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(frames_of(analyse(server, iter([opening(), a_frame(1, 9.0)])))) == 1


def test_a_package_damaged_under_a_running_server_is_told_and_what_serves_goes_on(tmp_path: Path):
    made = a_package(tmp_path / "models")
    only = {"GEARSHIFT__SHARING__PACKAGE": "tiny", "GEARSHIFT__SHARING__TASKS": "a"}
    with serving(tmp_path / "models", tmp_path, **only) as server:
        manifest = tmp_path / "models" / "tiny" / "tasks.toml"
        good = manifest.read_text()
        manifest.write_text(good.replace(made.base.points[2].stem, "0" * 64))

        mismatched = refusal(server, "AddTask", task="b")
        frames = frames_of(analyse(server, iter([opening(), *(a_frame(i, 9.0) for i in range(9))])))
        manifest.write_text(good)
        add_task(tmp_path / "models", made, "d")
        added = ask(server, "AddTask", task="d")

        assert mismatched[0] is grpc.StatusCode.FAILED_PRECONDITION
        assert "stem" in mismatched[1]
        assert len(frames) == 9
        assert [c.task for c in added.plan.choices] == ["a", "d"]
