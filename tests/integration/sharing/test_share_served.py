"""gearshift.v1.Tasks on the real server and a real package: streams, changes meanwhile, refusals, metrics, command."""

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.operating.test_metrics import fetch
from tests.support.serving.families import ECHO, publish_scripted, rows
from tests.support.serving.feed import Feed
from tests.support.serving.server import (
    PATIENCE_S,
    ROOT,
    Server,
    a_request,
    eventually,
    refused_start,
    serving,
)
from tests.support.sharing.packages import (
    SHAPE,
    STREAM_FPS,
    a_package,
    add_task,
    expected_score,
    flat_frames,
)
from wire import tasks_pb2 as pb

LEVELS = {"a": 0.25, "b": 0.5, "c": 0.75}
SHARED = {"GEARSHIFT__SHARING__PACKAGE": "tiny", "GEARSHIFT__SHARING__TASKS": "a,b"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the package `tiny` (tasks a, b, c) and the family `echo`."""
    root = tmp_path_factory.mktemp("shared")
    publish_scripted(root / "models", ECHO)
    a_package(root / "models", tuple(LEVELS))
    return root


@pytest.fixture(scope="module")
def shared(package: Path) -> Iterator[Server]:
    """A server of both; a and b are in service from the start, and each test leaves it so."""
    with serving(package / "models", package, **SHARED) as running:
        yield running


def ask(server: Server, method: str, **request: Any) -> Any:
    """One unary call. Raises grpc.RpcError."""
    call = server.channel.unary_unary(
        f"/gearshift.v1.Tasks/{method}",
        getattr(pb, f"{method}Request").SerializeToString,
        getattr(pb, f"{method}Response").FromString,
    )
    return call(getattr(pb, f"{method}Request")(**request), timeout=PATIENCE_S)


def refusal(server: Server, method: str, **request: Any) -> tuple[grpc.StatusCode, str]:
    """How a unary call fails."""
    with pytest.raises(grpc.RpcError) as error:
        ask(server, method, **request)
    return error.value.code(), error.value.details()  # type: ignore[attr-defined] - an RpcError of a call is a Call too


def analyse(server: Server, messages: Any) -> Any:
    """One stream of these messages."""
    call = server.channel.stream_stream(
        "/gearshift.v1.Tasks/Analyse",
        pb.AnalyseRequest.SerializeToString,
        pb.AnalyseResponse.FromString,
    )
    return call(messages, timeout=PATIENCE_S)


def opening(**more: Any) -> Any:
    """The first message: recorded frames, none of which may be lost."""
    return pb.AnalyseRequest(opening=pb.Opening(**{"late": "wait", **more}))


def a_frame(frame_id: int, mean: float) -> Any:
    """A flat frame of this brightness, 0 to 255."""
    (pixels,) = flat_frames(mean)
    frame = pb.StreamFrame(frame_id=frame_id, pixels=pixels.tobytes(), shape=SHAPE, datatype="FP32")
    return pb.AnalyseRequest(frame=frame)


def frames_of(answers: Any) -> list[Any]:
    """The answers to frames."""
    return [one.frame for one in answers if one.HasField("frame")]


def scores(answers: Sequence[Any], task: str) -> dict[int, float]:
    """Frame id -> what the task said."""
    return {
        f.frame_id: result.score for f in answers for result in f.results if result.task == task
    }


def names_in(plan: Any) -> list[str]:
    """The tasks of a plan, in its order."""
    return [choice.task for choice in plan.choices]


def until(answers: Iterator[Any], frame_id: int) -> list[Any]:
    """The answers up to that of this frame."""
    got: list[Any] = []
    while not got or not (got[-1].HasField("frame") and got[-1].frame.frame_id == frame_id):
        got.append(next(answers))
    return got


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

    eventually(lambda: _has_streams(shared, 1), within_s=PATIENCE_S)
    feed.put(a_frame(1, 9.0))
    feed.end()
    assert [one.frame_id for one in frames_of(staying)] == [1]


def _has_streams(server: Server, count: int) -> None:
    assert ask(server, "GetTaskPlan").streams == count


def test_a_frame_of_the_wrong_shape_is_refused_and_the_next_one_served(shared: Server):
    wrong = pb.AnalyseRequest(frame=pb.StreamFrame(frame_id=7, pixels=b"123", shape=[3]))

    answers = list(analyse(shared, iter([opening(), wrong, a_frame(8, 9.0)])))

    (refused,) = [one.refused for one in answers if one.HasField("refused")]
    assert (refused.frame_id, refused.code) == (7, "INVALID_ARGUMENT")
    assert "Expected [1,8,8], got [3]" in refused.error
    assert [one.frame_id for one in frames_of(answers)] == [8]


def test_the_list_tells_what_the_package_holds_and_what_is_in_service(shared: Server):
    told = ask(shared, "ListTasks")

    assert (told.package, tuple(told.frame_shape), told.stream_fps) == ("tiny", SHAPE, STREAM_FPS)
    assert [(t.task, t.in_service) for t in told.tasks] == [("a", True), ("b", True), ("c", False)]
    assert all(list(t.frozen) == [0, 1, 2, 3] and t.in_package for t in told.tasks)


def test_the_plan_explains_itself_and_its_parts_cost_what_it_costs(shared: Server):
    told = ask(shared, "GetTaskPlan")

    plan = told.plan
    parts = sum(step.cost for step in plan.stem) + sum(choice.cost for choice in plan.choices)
    assert (told.package, told.budget) == ("tiny", 0.5)
    assert plan.cost == pytest.approx(parts)
    assert 0.0 < plan.cost <= told.budget
    assert all(choice.cost > 0.0 and choice.rate_fps > 0.0 for choice in plan.choices)
    assert all(0.0 < min(c.f1, c.recall, c.precision) <= 1.0 for c in plan.choices)
    assert [one.task for one in told.tasks] == [c.task for c in plan.choices] == ["a", "b"]
    assert told.replans["task_added"] >= 2


@pytest.mark.parametrize(
    ("method", "task", "code", "words"),
    [
        ("AddTask", "zebra", grpc.StatusCode.NOT_FOUND, "'tiny' has no task 'zebra'; it has"),
        ("AddTask", "a", grpc.StatusCode.ALREADY_EXISTS, "task 'a' is in service already"),
        ("RemoveTask", "c", grpc.StatusCode.NOT_FOUND, "task 'c' is not in service"),
    ],
)
def test_a_task_that_is_not_there_or_is_already_is_refused_in_words(
    shared: Server, method: str, task: str, code: grpc.StatusCode, words: str
):
    got, details = refusal(shared, method, task=task)

    assert got is code
    assert words in details


def test_a_budget_too_small_names_the_smallest_that_does(shared: Server):
    code, details = refusal(shared, "SetTaskBudget", budget=1e-9)
    smallest = float(details.split("smallest budget that has a plan is ")[1].split(":")[0])

    made = ask(shared, "SetTaskBudget", budget=smallest * 1.001).plan
    below, _ = refusal(shared, "SetTaskBudget", budget=smallest * 0.99)
    ask(shared, "SetTaskBudget", budget=0.5)

    assert code is below is grpc.StatusCode.FAILED_PRECONDITION
    assert 0.0 < made.cost <= smallest * 1.001


@pytest.mark.parametrize("budget", [0.0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_is_none_is_an_invalid_argument(shared: Server, budget: float):
    code, details = refusal(shared, "SetTaskBudget", budget=budget)

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "budget" in details


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


def series(server: Server) -> dict[tuple[str, ...], float]:
    """(name, label values in the order of their names) -> value of every series of shared tasks."""
    _, _, body = fetch(server, "/metrics")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if sample.name.startswith(("gearshift_share_", "gearshift_task_", "gearshift_stem_"))
    }


def test_metrics_tell_of_frames_and_of_the_tasks_that_are_in_service(shared: Server):
    before = series(shared)
    ask(shared, "AddTask", task="c")
    beside = series(shared)
    answers = list(analyse(shared, iter([opening(), *(a_frame(i, 9.0) for i in range(40))])))
    ask(shared, "RemoveTask", task="c")

    def counted() -> None:
        after = series(shared)
        ended = sum(
            after["gearshift_share_frames_total", o] - before["gearshift_share_frames_total", o]
            for o in ("analysed", "skipped")
        )
        assert ended == len(frames_of(answers)) == 40
        assert ("gearshift_task_planned_fps", "c") not in after
        assert not [key for key in after if key[0].startswith("gearshift_task_") and "c" in key]

    eventually(counted)
    assert beside["gearshift_task_planned_fps", "c"] > 0.0
    assert beside["gearshift_task_frames_total", "ok", "c"] == 0.0
    assert 0.0 < beside["gearshift_task_predicted_f1_ratio", "a"] <= 1.0
    assert beside["gearshift_share_budget_ratio",] == 0.5
    added = "gearshift_share_replans_total", "task_added"
    assert beside[added] == before[added] + 1
    assert before["gearshift_share_dropped_frames_total", "late"] == 0.0
    assert before["gearshift_stem_frames_total",] <= series(shared)["gearshift_stem_frames_total",]


def tasks(*words: str) -> "subprocess.CompletedProcess[str]":
    """`gearshift tasks` to its end."""
    return gearshift("tasks", *words)


def gearshift(*words: str) -> "subprocess.CompletedProcess[str]":
    """One command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "gearshift", *words],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def test_the_command_lists_plans_adds_and_removes(shared: Server):
    listed = tasks("--url", shared.url)
    added = tasks("add", "c", "--url", shared.url)
    planned = tasks("plan", "--json", "--url", shared.url)
    removed = tasks("remove", "c", "--url", shared.url)
    set_to = tasks("budget", "0.5", "--url", shared.url)

    assert [one.returncode for one in (listed, added, planned, removed, set_to)] == [0] * 5
    assert "c: not in service" in listed.stdout
    assert "task     c:" in added.stdout
    plan = json.loads(planned.stdout)
    assert [one["task"] for one in plan["plan"]["choices"]] == ["a", "b", "c"]
    assert plan["tasks"][1]["measured_f1"] is None
    assert "task     c:" not in removed.stdout
    assert "task     a:" in set_to.stdout


def test_the_command_tells_a_refusal_in_one_line(shared: Server):
    done = tasks("add", "zebra", "--url", shared.url)

    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("gearshift tasks: the server at")
    assert "NOT_FOUND: package 'tiny' has no task 'zebra'" in done.stderr


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

        eventually(lambda: _has_streams(server, 0), within_s=PATIENCE_S)

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


def test_a_server_without_a_package_says_what_to_configure(server: Server):
    answers = analyse(server, iter([opening()]))
    health = server.channel.unary_unary("/grpc.health.v1.Health/Check")
    of_tasks = health_pb2.HealthCheckRequest(service="gearshift.v1.Tasks").SerializeToString()

    code, details = refusal(server, "GetTaskPlan")
    with pytest.raises(grpc.RpcError, match="share-package") as error:
        list(answers)

    assert code is error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "share-package" in details
    status = health_pb2.HealthCheckResponse.FromString(health(of_tasks, timeout=PATIENCE_S)).status
    assert status == health_pb2.HealthCheckResponse.NOT_SERVING


def test_reflection_and_health_know_the_service(shared: Server):
    path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="gearshift.v1.Tasks")
    (answer,) = shared.channel.stream_stream(path)(iter([request.SerializeToString()]), timeout=10)
    found = reflection_pb2.ServerReflectionResponse.FromString(answer).file_descriptor_response
    files = [FileDescriptorProto.FromString(one) for one in found.file_descriptor_proto]

    shared.await_serving("gearshift.v1.Tasks")

    assert "Tasks" in [service.name for one in files for service in one.service]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"GEARSHIFT__SHARING__PACKAGE": "none"}, "tasks.toml cannot be read"),
        ({**SHARED, "GEARSHIFT__SHARING__TASKS": "a,zebra"}, "package tiny has no task zebra; it has a, b, c"),
        ({**SHARED, "GEARSHIFT__SHARING__OBJECTIVE": "best"}, "OBJECTIVE = 'best': must be one of mean, maxmin"),
        ({**SHARED, "GEARSHIFT__SHARING__BUDGET": "0"}, "BUDGET = '0': must be between 1e-06 and"),
        ({**SHARED, "GEARSHIFT__SHARING__BUDGET": "0.000001"}, "the smallest budget that has a plan is"),
    ],
)  # fmt: skip
def test_a_start_that_cannot_be_is_refused_in_words(
    package: Path, tmp_path: Path, environment: dict[str, str], words: str
):
    said = refused_start(tmp_path, "--repository", str(package / "models"), **environment)

    assert words in said
