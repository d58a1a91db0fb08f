"""gearshift.v1.Tasks asked for its plan, changed and measured, over the wire and by the command."""

import json
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from prometheus_client.parser import text_string_to_metric_families

from tests.support.serving.commands import Ended, gearshift
from tests.support.serving.scraping import fetch
from tests.support.serving.server import (
    PATIENCE_S,
    Server,
    eventually,
    refused_start,
)
from tests.support.sharing.asked import (
    SHARED,
    a_frame,
    analyse,
    ask,
    frames_of,
    opening,
    refusal,
)
from tests.support.sharing.packages import (
    SHAPE,
    STREAM_FPS,
)


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


def tasks(*words: str) -> Ended:
    """`gearshift tasks` to its end."""
    return gearshift("tasks", *words)


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
    ("setting", "words"),
    [
        ("PACKAGE=none", "tasks.toml cannot be read"),
        ("TASKS=a,zebra", "package tiny has no task zebra; it has a, b, c"),
        ("OBJECTIVE=best", "OBJECTIVE = 'best': must be one of mean, maxmin"),
        ("BUDGET=0", "BUDGET = '0': must be between 1e-06 and"),
        ("BUDGET=0.000001", "the smallest budget that has a plan is"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_words(
    package: Path, tmp_path: Path, setting: str, words: str
):
    key, value = setting.split("=")
    environment = SHARED | {f"GEARSHIFT__SHARING__{key}": value}

    said = refused_start(tmp_path, "--repository", str(package / "models"), **environment)

    assert words in said
