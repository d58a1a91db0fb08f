"""gearshift.v1.Control and `gearshift status`: what was decided and why, and how the server fares, over real gRPC."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from tests.support.serving.commands import Ended, gearshift
from tests.support.serving.families import ECHO, SLOW, publish_scripted, rows
from tests.support.serving.server import PATIENCE_S, ROOT, Server, a_request, eventually, serving
from wire import control_pb2 as pb

ANSWERS = {"GetDecisions": pb.GetDecisionsResponse, "GetPlan": pb.GetPlanResponse}
EVERYTHING = {"GEARSHIFT__POLICY__JOURNAL_EVERY": "1"}


@pytest.fixture(scope="module")
def open_book(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that keeps every decision: `echo` in two variants, and `slow`, easily overloaded."""
    root = tmp_path_factory.mktemp("open")
    scripts = {"quick": "fixed_s = 0.0005", "sharp": "fixed_s = 0.002"}
    publish_scripted(root / "models", ECHO, scripts, {"quick": 0.6, "sharp": 0.8})
    publish_scripted(root / "models", SLOW, {"only": "fixed_s = 0.1"})
    flags = ("--workers", "1")
    with serving(root / "models", root, *flags, **EVERYTHING) as running:
        yield running


def ask(server: Server, method: str, request: Any) -> Any:
    """One question. Raises grpc.RpcError."""
    call = server.channel.unary_unary(f"/gearshift.v1.Control/{method}")
    return ANSWERS[method].FromString(call(request.SerializeToString(), timeout=PATIENCE_S))


def decisions(server: Server, family: str, count: int = 0) -> list[Any]:
    """The family's last decisions, newest first."""
    return list(
        ask(server, "GetDecisions", pb.GetDecisionsRequest(family=family, count=count)).decisions
    )


def plan(server: Server, family: str) -> Any:
    """The family's plan."""
    (only,) = ask(server, "GetPlan", pb.GetPlanRequest(family=family)).plans
    return only


def status(*flags: str) -> Ended:
    """`gearshift status` to its end."""
    return gearshift("status", *flags)


def test_a_decision_tells_step_members_terms_and_what_else_was_weighed(open_book: Server):
    open_book.infer(a_request("echo", rows(1.0, 2), slo_ms=1000.0, min_accuracy=0.5))

    one = decisions(open_book, "echo", 1)[0]

    assert (one.action, one.reason, one.variant, one.backend) == (
        "run",
        "drain",
        "sharp",
        "scripted",
    )
    assert (one.rows, one.queue_length, len(one.dropped)) == (2, 1, 0)
    (member,) = one.members
    assert (member.rows, member.min_accuracy, member.slo_class) == (2, 0.5, "default")
    assert 0.0 <= member.waited_ms < 1000.0 - member.left_ms < 1000.0
    assert one.HasField("terms")
    assert one.terms.waiting_rows == 2
    assert one.terms.rate_rps == one.forecast_rps > 0.0
    assert 0.0 <= one.seconds_ago < PATIENCE_S
    assert 1.0 < one.took_us < 1e6
    assert 2.0 < one.expected_ms < 100.0
    assert [(c.variant, c.in_time) for c in one.candidates[:2]] == [
        ("sharp", True),
        ("quick", True),
    ]
    assert one.candidates[0].rows == 2
    assert one.candidates[0].worth > one.candidates[1].worth


def test_decisions_come_newest_first_and_no_more_than_asked_for(open_book: Server):
    for i in range(12):
        open_book.infer(a_request("echo", rows(float(i))))

    ages = [one.seconds_ago for one in decisions(open_book, "echo", 5)]

    assert len(ages) == 5
    assert ages == sorted(ages)
    assert len(decisions(open_book, "echo")) == 10


def test_what_was_dropped_is_told_with_its_reason(open_book: Server):
    begun_s = time.monotonic()
    requests = [a_request("slow", rows(float(i)), str(i), slo_ms=350.0) for i in range(24)]
    calls = open_book.begin_together(requests)
    codes = [call.code() for call in calls]

    told = decisions(open_book, "slow", 100)
    since_s = time.monotonic() - begun_s
    dropped = [drop for one in told if one.seconds_ago < since_s for drop in one.dropped]

    assert codes.count(grpc.StatusCode.OK) >= 4
    assert len(dropped) == sum(code is not grpc.StatusCode.OK for code in codes) > 0
    assert {drop.reason for drop in dropped} <= {"shed", "late"}
    assert all(drop.request.left_ms < 350.0 for drop in dropped)


def test_a_shed_request_is_told_when_to_ask_again(open_book: Server):
    requests = [a_request("slow", rows(float(i)), slo_ms=350.0) for i in range(24)]
    calls = open_book.begin_together(requests)

    shed = [c.details() for c in calls if c.code() is grpc.StatusCode.RESOURCE_EXHAUSTED]

    assert shed
    assert all(re.search(r"\(what waits now takes about \d+ ms\)$", text) for text in shed), shed


def test_more_ahead_than_can_be_done_in_time_is_refused_at_arrival(open_book: Server):
    waiting = open_book.begin_together([a_request("slow", rows(0.0), slo_ms=999.0)] * 400)
    codes = [call.code() for call in waiting]
    refused = [call.details() for call in waiting if "earlier deadlines wait" in call.details()]

    assert refused
    assert all("retry later or allow more time (what waits now takes about" in r for r in refused)
    assert codes.count(grpc.StatusCode.OK) >= 20


def test_a_plan_tells_arms_load_and_results(open_book: Server):
    for i in range(5):
        open_book.infer(a_request("echo", rows(float(i))))

    eventually(lambda: _at_rest(open_book))
    told = plan(open_book, "echo")

    assert (told.policy, told.slo_ms) == ("adaptive", ECHO.slo.latency_s * 1e3)
    assert [(a.variant, a.accuracy) for a in told.arms] == [("sharp", 0.8), ("quick", 0.6)]
    for arm, least_ms in zip(told.arms, (2.0, 0.5), strict=True):
        sizes = [one.rows for one in arm.latency]
        assert sizes == [1, 2, 4, 8]
        assert all(least_ms < one.mean_ms <= one.upper_ms for one in arm.latency)
        assert 0.2 < arm.speed_scale < 5.0
    assert (told.load.workers, told.load.queue_length, told.load.queue_rows) == (1, 0, 0)
    assert told.load.arrived_rows >= 5
    assert told.outcomes["ok"] >= 5
    assert told.recent.offered >= 5
    assert 0 < told.recent.in_time <= told.recent.offered
    assert told.recent.attainment == told.recent.in_time / told.recent.offered
    assert 0.6 <= told.recent.effective_accuracy <= 0.8 + 1e-9


def test_without_a_name_every_family_is_told(open_book: Server):
    answer = ask(open_book, "GetPlan", pb.GetPlanRequest())

    assert [one.family for one in answer.plans] == ["echo", "slow"]


@pytest.mark.parametrize("method", ["GetDecisions", "GetPlan"])
def test_an_unknown_family_is_not_found_and_the_known_are_named(open_book: Server, method: str):
    request: Any = getattr(pb, f"{method}Request")(family="ekko")

    with pytest.raises(grpc.RpcError, match="'ekko' here; there is echo, slow") as refusal:
        ask(open_book, method, request)

    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("count", [-1, 101])
def test_a_bad_count_is_an_invalid_argument(open_book: Server, count: int):
    with pytest.raises(grpc.RpcError, match=f"count {count} is not between 1 and 100") as refusal:
        decisions(open_book, "echo", count)

    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_garbage_is_an_invalid_argument(open_book: Server):
    call = open_book.channel.unary_unary("/gearshift.v1.Control/GetPlan")

    with pytest.raises(grpc.RpcError, match="cannot parse GetPlanRequest") as refusal:
        call(b"\xff\xff", timeout=PATIENCE_S)

    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_many_questions_at_once_are_each_answered_once(open_book: Server):
    def one(_: int) -> grpc.StatusCode:
        try:
            decisions(open_book, "slow", 100)
        except grpc.RpcError as error:
            call: Any = error
            return call.code()
        return grpc.StatusCode.OK

    with ThreadPoolExecutor(40) as crowd:
        codes = list(crowd.map(one, range(120)))

    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert codes.count(grpc.StatusCode.OK) >= 16
    assert decisions(open_book, "slow", 1)


def test_the_service_is_listed_in_health_and_reflection(open_book: Server):
    name = "gearshift.v1.Control"
    health = open_book.channel.unary_unary("/grpc.health.v1.Health/Check")
    asked = health_pb2.HealthCheckRequest(service=name).SerializeToString()
    answer = health_pb2.HealthCheckResponse.FromString(health(asked, timeout=10))
    listed, found = (
        _reflected(open_book, **question)
        for question in ({"list_services": ""}, {"file_containing_symbol": name})
    )

    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert name in {one.name for one in listed.list_services_response.service}
    file = FileDescriptorProto.FromString(found.file_descriptor_response.file_descriptor_proto[0])
    methods = ["GetDecisions", "GetPlan", "GetFrontier", "Promote", "RollBack"]
    assert [m.name for m in file.service[0].method] == methods


def test_a_pinned_policy_weighed_its_own_arm_only(models: Path, tmp_path: Path):
    flags = ("--policy", "static:only")
    with serving(models, tmp_path, *flags, **EVERYTHING) as server:
        server.infer(a_request("echo", rows(1.0)))

        told = decisions(server, "echo", 1)[0]

        assert plan(server, "echo").policy == "static:only"
        assert {one.variant for one in told.candidates} == {"only"}


def test_the_decision_log_is_off_unless_asked_for_and_then_one_line_each(
    models: Path, tmp_path: Path, open_book: Server
):
    wanted = re.compile(r"INFO echo: 1 rows on only \(drain\): 1 waiting, \d+ rps forecast, price ")
    with serving(models, tmp_path, GEARSHIFT__POLICY__LOG_DECISIONS_EVERY_S="0.05") as server:
        server.infer(a_request("echo", rows(1.0)))
        server.await_line(wanted)

    open_book.infer(a_request("echo", rows(1.0)))
    assert "waiting, " not in open_book.log


def test_the_status_command_shows_families_arms_load_and_decisions(open_book: Server):
    open_book.infer(a_request("echo", rows(1.0)))
    open_book.infer(a_request("slow", rows(1.0)))

    done = status("--url", open_book.url)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(
        r"^echo: policy adaptive, SLO \d+ ms, \d of 1 workers busy$", done.stdout, re.MULTILINE
    )
    assert re.search(r"^slow: ", done.stdout, re.MULTILINE)
    assert re.search(
        r"^  sharp \(scripted on cpu\) +0\.8000 +\d\.\d\d( +\d+\.\d\d){4}$",
        done.stdout,
        re.MULTILINE,
    )
    assert re.search(r"s ago  \d rows on (sharp|quick) \(drain\): 1 waiting, ", done.stdout)
    assert "in time at an effective accuracy of 0." in done.stdout


def test_the_status_command_speaks_json_of_one_family(open_book: Server):
    open_book.infer(a_request("echo", rows(1.0)))

    done = status("--url", open_book.url, "--family", "echo", "--json", "--count", "2")

    (family,) = json.loads(done.stdout)["families"]
    assert done.returncode == 0
    assert family["family"] == "echo"
    assert family["recent"]["offered"] >= 1
    assert len(family["decisions"]) == 2
    assert family["decisions"][0]["terms"]["stay"] > 0.0
    assert family["decisions"][0]["candidates"][0]["in_time"] is True


def test_a_watch_goes_on_until_it_is_interrupted(open_book: Server):
    command = [sys.executable, "-m", "gearshift", "status", "--json", "--watch", "0.05"]
    with subprocess.Popen(
        [*command, "--url", open_book.url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)

        assert process.wait(PATIENCE_S) == 0
    assert all(len(json.loads(line)["families"]) == 2 for line in lines)


def test_the_status_command_names_what_exists_where_a_family_does_not(open_book: Server):
    done = status("--url", open_book.url, "--family", "ekko")

    assert (done.returncode, done.stdout) == (2, "")
    assert "NOT_FOUND: no family is called 'ekko' here; there is echo, slow" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_status_command_says_when_nobody_answers():
    done = status("--url", "127.0.0.1:1")

    assert (done.returncode, done.stdout) == (2, "")
    assert "no server answers at 127.0.0.1:1" in done.stderr
    assert "start `gearshift serve`" in done.stderr


def test_the_status_command_says_when_a_server_is_too_old():
    with ThreadPoolExecutor(1) as pool:
        old = grpc.server(pool)
        port = old.add_insecure_port("127.0.0.1:0")
        old.start()

        done = status("--url", f"127.0.0.1:{port}")
        old.stop(None).wait()

    assert done.returncode == 2
    assert "has no gearshift.v1.Control; it is older than this command: update it" in done.stderr


def _reflected(server: Server, **question: str) -> Any:
    call = server.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    request = reflection_pb2.ServerReflectionRequest(**question).SerializeToString()
    (answer,) = call(iter([request]), timeout=10)
    return reflection_pb2.ServerReflectionResponse.FromString(answer)


def _at_rest(server: Server) -> None:
    load = plan(server, "echo").load
    assert (load.running, load.queue_length) == (0, 0)
