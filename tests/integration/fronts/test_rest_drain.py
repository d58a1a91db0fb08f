"""A stopping server answers what was asked over REST, once, and takes nothing more."""

import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.rest.front import call
from tests.support.serving.families import SLOW, publish_scripted, rows
from tests.support.serving.server import PATIENCE_S, Server, equal, eventually, serving
from wire import control_pb2

REQUESTS = 3


def arrived_rows(server: Server) -> int:
    """Of `slow`, since the start."""
    plan = server.channel.unary_unary(
        "/gearshift.v1.Control/GetPlan", None, control_pb2.GetPlanResponse.FromString
    )
    asked: Any = control_pb2.GetPlanRequest(family="slow")
    return plan(asked.SerializeToString(), timeout=PATIENCE_S).plans[0].load.arrived_rows


def test_what_was_asked_is_answered_and_then_no_more(tmp_path: Path):
    publish_scripted(tmp_path / "models", SLOW, {"only": "fixed_s = 0.5"})
    row = {"name": "x", "datatype": "FP32", "shape": [1, 16], "data": rows(1.0).ravel().tolist()}
    body = json.dumps({"inputs": [row], "parameters": {"slo_ms": 60_000}}).encode()
    with (
        serving(tmp_path / "models", tmp_path / "cache") as server,
        ThreadPoolExecutor(REQUESTS) as clients,
    ):
        port = server.rest_port
        path = "/v2/models/slow/infer"
        pending = [clients.submit(call, port, "POST", path, body) for _ in range(REQUESTS)]
        eventually(lambda: equal(arrived_rows(server), REQUESTS), 10.0)
        server.terminate()
        answers = [one.result() for one in pending]
        server.await_line(re.compile("stopped"))

    assert [status for status, _, _ in answers] == [200] * REQUESTS
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5.0)
