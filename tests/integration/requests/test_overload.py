"""More than can be served, too late, given up, failing or not ready yet: every request still gets one clear answer."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from models.catalog import Slo
from tests.support.serving.families import (
    ECHO,
    FRAIL,
    MARKER,
    SLOW,
    expected_echo,
    publish_scripted,
    rows,
)
from tests.support.serving.server import Server, a_request, equal, eventually, output, serving
from wire import inference_pb2 as pb

BATCH_S = 0.2
"""What a batch of `slow` takes; at most 4 rows go into one, so it carries 20 rows a second."""
CAPACITY = 16
"""Rows that may wait."""
REFUSALS = {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED}


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is easily overloaded: `slow`, one worker, a short queue."""
    root = tmp_path_factory.mktemp("busy")
    publish_scripted(root / "models", SLOW, {"only": f"fixed_s = {BATCH_S}"})
    settings = {"GEARSHIFT__LIMITS__QUEUE_CAPACITY": str(CAPACITY)}
    with serving(root / "models", root, "--workers", "1", **settings) as running:
        yield running


def batches(server: Server, family: str = "slow") -> int:
    """Batches that the family has run."""
    return server.statistics(family).execution_count


def settle(server: Server, *calls: Any) -> None:
    """Wait until these calls are over and their batches counted."""
    for call in calls:
        call.code()
    last = server.infer(a_request("slow", rows(0.0)))
    assert last.id == ""


def test_a_flood_beyond_the_queue_is_refused_at_once_and_answered_once_each(busy: Server):
    count = 60
    begun_s = time.monotonic()
    calls = busy.begin_together([a_request("slow", rows(float(i)), str(i)) for i in range(count)])

    refused = [call for call in calls if call.code() is not grpc.StatusCode.OK]
    answered = [call.result() for call in calls if call.code() is grpc.StatusCode.OK]

    assert time.monotonic() - begun_s < SLOW.slo.latency_s / 2
    assert len(refused) + len(answered) == count
    assert {call.code() for call in refused} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert all("rows wait already and the limit is 16; retry later" in c.details() for c in refused)
    assert CAPACITY <= len(answered) <= CAPACITY + 8  # those waiting, and up to two batches beyond
    for answer in answered:
        wanted = expected_echo(rows(float(answer.id)))
        np.testing.assert_allclose(output(answer), wanted, rtol=1e-6)
    assert len({answer.id for answer in answered}) == len(answered)


def test_refusals_do_not_wait_for_the_queue(busy: Server):
    calls = busy.begin_together([a_request("slow", rows(0.0, 4)) for _ in range(26)])
    waiting, late = calls[:6], calls[6:]
    begun_s = time.monotonic()

    refused_s: list[float] = []
    for call in late:
        call.add_done_callback(
            lambda c: c.code() is not grpc.StatusCode.OK and refused_s.append(time.monotonic())
        )
    codes = [call.code() for call in late]
    settle(busy, *waiting)

    assert set(codes) <= {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.OK}
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) >= 18  # a batch may end meanwhile
    assert max(refused_s) - begun_s < 3 * BATCH_S  # the queue alone holds four batches


def test_an_overload_of_tight_deadlines_is_shed_and_what_is_answered_is_in_time(busy: Server):
    slo_ms = 3.5e3 * BATCH_S
    requests = [a_request("slow", rows(float(i)), str(i), slo_ms=slo_ms) for i in range(40)]
    calls = busy.begin_together(requests)
    begun_s = time.monotonic()

    codes = [call.code() for call in calls]
    took_s = time.monotonic() - begun_s

    assert set(codes) <= REFUSALS | {grpc.StatusCode.OK}
    assert codes.count(grpc.StatusCode.OK) >= 4
    assert sum(code in REFUSALS for code in codes) >= 20
    assert took_s < 2 * slo_ms / 1e3
    settle(busy)


def test_a_hopeless_deadline_is_answered_at_once_and_costs_no_batch(busy: Server):
    settle(busy)
    before = batches(busy)
    begun_s = time.monotonic()

    with pytest.raises(grpc.RpcError, match="the fastest acceptable arm needs") as refusal:
        busy.infer(a_request("slow", rows(0.0), slo_ms=5e2 * BATCH_S))
    took_s = time.monotonic() - begun_s

    assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert took_s < BATCH_S / 2
    settle(busy)
    eventually(lambda: equal(batches(busy), before + 1))


def test_a_grpc_deadline_tightens_the_slo(busy: Server):
    with pytest.raises(grpc.RpcError, match="its deadline") as refusal:
        busy.infer(a_request("slow", rows(0.0)), timeout=0.8 * BATCH_S)

    assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_cancelled_call_costs_no_batch(busy: Server):
    settle(busy)
    before = batches(busy)
    first = busy.begin(a_request("slow", rows(0.0, 4)))
    # All four fit the queue of 16 rows, also where the first is not yet with a worker when the last comes.
    doomed = [busy.begin(a_request("slow", rows(float(i), 4))) for i in range(2)]
    last = busy.begin(a_request("slow", rows(9.0, 4)))

    for call in doomed:
        call.cancel()
    answers = [first.result(), last.result()]

    np.testing.assert_allclose(output(answers[1]), expected_echo(rows(9.0, 4)), rtol=1e-6)
    eventually(lambda: equal(batches(busy), before + 2))


def test_a_cancelled_stream_costs_no_batch(busy: Server):
    settle(busy)
    before = batches(busy)
    requests = [a_request("slow", rows(float(i), 4), str(i)) for i in range(4)]
    stream = busy.channel.stream_stream(
        "/inference.GRPCInferenceService/ModelStreamInfer",
        pb.ModelInferRequest.SerializeToString,
        pb.ModelStreamInferResponse.FromString,
    )(iter(requests), timeout=10)

    first = next(stream)
    stream.cancel()
    busy.infer(a_request("slow", rows(9.0, 4)))

    assert first.infer_response.id == "0"
    eventually(lambda: equal(batches(busy) in {before + 2, before + 3}, True))


def test_a_failing_row_fails_its_own_request_only(server: Server):
    sent = {str(i): rows(float(i), 1) for i in range(24)}
    bad = {"3"}
    for name in bad:
        sent[name][0, 0] = MARKER
    requests = [a_request("frail", x, name, slo_ms=5000.0) for name, x in sent.items()]
    calls = dict(zip(sent, server.begin_together(requests), strict=True))

    assert {n for n, c in calls.items() if c.code() is not grpc.StatusCode.OK} == bad
    for name, call in calls.items():
        if name in bad:
            assert call.code() is grpc.StatusCode.INTERNAL
            assert call.details().startswith(f"[request id: {name}] variant only failed")
            assert "Traceback" not in call.details()
        else:
            np.testing.assert_allclose(output(call.result()), expected_echo(sent[name]), rtol=1e-6)
    assert "failed on a row that begins with 666.0, as scripted" in server.log
    assert max(b.batch_size for b in server.statistics("frail").batch_stats) > 1


def test_before_it_is_ready_the_server_says_so_everywhere(tmp_path: Path):
    publish_scripted(tmp_path / "models", FRAIL, {"only": "fixed_s = 0.04"})
    publish_scripted(tmp_path / "models", ECHO)
    flags = ("--families", "frail,echo")
    with serving(tmp_path / "models", tmp_path, *flags, wait=False) as server:
        ready = server.ask("ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse).ready
        live = server.ask("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse).live
        model = server.ask("ModelReady", pb.ModelReadyRequest(name="echo"), pb.ModelReadyResponse)
        index = server.ask(
            "RepositoryIndex", pb.RepositoryIndexRequest(), pb.RepositoryIndexResponse
        )
        only_ready = server.ask(
            "RepositoryIndex", pb.RepositoryIndexRequest(ready=True), pb.RepositoryIndexResponse
        )
        with pytest.raises(grpc.RpcError, match="model 'echo' is loading; try again") as refusal:
            server.infer(a_request("echo", rows(1.0)))

        assert (ready, live, model.ready) == (False, True, False)
        assert {m.name: m.state for m in index.models} == {"frail": "LOADING", "echo": "LOADING"}
        assert not only_ready.models
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE
        server.await_serving("echo")
        np.testing.assert_allclose(
            output(server.infer(a_request("echo", rows(1.0)))), expected_echo(rows(1.0))
        )


def test_the_watch_tells_when_a_family_begins_to_serve(tmp_path: Path):
    publish_scripted(tmp_path / "models", FRAIL, {"only": "fixed_s = 0.04"})
    with serving(tmp_path / "models", tmp_path, wait=False) as server:
        watch = server.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=30)

        told = [next(watch), next(watch)]

        watch.cancel()
        assert told == [b"\x08\x02", b"\x08\x01"]


def test_stock_clients_that_come_at_once_are_all_answered(tmp_path: Path):
    publish_scripted(tmp_path / "models", replace(SLOW, slo=Slo(0.3)), {"only": "fixed_s = 0.05"})

    with serving(tmp_path / "models", tmp_path, "--workers", "1") as server:
        requests = [a_request("slow", rows(float(i)), str(i)) for i in range(48)]
        calls = server.begin_together(requests, timeout=None)
        answers = [call.result(timeout=30.0) for call in calls]
        hurried = [a_request("slow", rows(0.0), slo_ms=300.0) for _ in range(48)]
        codes = [call.code() for call in server.begin_together(hurried, timeout=None)]

    for i, answer in enumerate(answers):  # 12 batches of four in 0.6 s: half of them are late
        np.testing.assert_allclose(output(answer), expected_echo(rows(float(i))), rtol=1e-6)
    assert REFUSALS >= {code for code in codes if code is not grpc.StatusCode.OK} != set()


def test_an_operator_may_have_late_requests_refused(tmp_path: Path):
    publish_scripted(tmp_path / "models", replace(SLOW, slo=Slo(0.3)), {"only": "fixed_s = 0.05"})

    with serving(
        tmp_path / "models", tmp_path, "--workers", "1", "--late-requests", "refuse"
    ) as server:
        requests = [a_request("slow", rows(0.0)) for _ in range(48)]
        codes = {call.code() for call in server.begin_together(requests, timeout=None)}

    assert codes & REFUSALS
