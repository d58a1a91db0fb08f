"""Refusals carry when to ask again as trailing metadata, and gRPC's own retries obey it."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from tests.support.serving.families import SLOW, publish_scripted, rows
from tests.support.serving.server import PATIENCE_S, SERVICE, Server, a_request, serving
from wire import inference_pb2 as pb

BATCH_S = 0.1
"""What a batch of up to 4 rows takes."""
BACKOFF_S = 30
"""How long the retrying client would wait without a hint."""
_SAID = re.compile(r"\(what waits now takes about (\d+) ms\)$")


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that is easily overloaded: `slow`, one worker, a short queue."""
    root = tmp_path_factory.mktemp("hints")
    publish_scripted(root / "models", SLOW, {"only": f"fixed_s = {BATCH_S}"})
    with serving(
        root / "models", root, "--workers", "1", GEARSHIFT__LIMITS__QUEUE_CAPACITY="16"
    ) as running:
        yield running


def test_refused_and_shed_requests_carry_the_hint_that_their_message_tells(busy: Server):
    requests = [a_request("slow", rows(float(i)), slo_ms=350.0) for i in range(40)]
    calls = busy.begin_together(requests)

    refused = [c for c in calls if c.code() is grpc.StatusCode.RESOURCE_EXHAUSTED]

    assert {"limit is 16" in c.details() for c in refused} == {True, False}
    for call in refused:
        said = _SAID.search(call.details())
        trailers = dict(call.trailing_metadata())
        assert said is not None
        assert trailers["retry-after-ms"] == trailers["grpc-retry-pushback-ms"]
        assert 0 <= int(trailers["retry-after-ms"]) - int(said[1]) <= 1


def test_what_time_will_not_mend_carries_no_hint(busy: Server):
    with pytest.raises(grpc.RpcError) as refusal:
        busy.infer(a_request("slow", rows(0.0), slo_ms=50.0))

    call: Any = refusal.value
    assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "retry-after-ms" not in dict(call.trailing_metadata())


def test_a_client_with_grpc_retries_comes_back_when_it_was_told_to(busy: Server):
    policy = {
        "maxAttempts": 5,
        "initialBackoff": f"{BACKOFF_S}s",
        "maxBackoff": f"{BACKOFF_S}s",
        "backoffMultiplier": 1,
        "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
    }
    config = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy}]})
    flood = busy.begin_together([a_request("slow", rows(float(i))) for i in range(40)])
    assert next(c for c in flood if c.code() is not grpc.StatusCode.OK)
    begun_s = time.monotonic()
    with grpc.insecure_channel(busy.url, [("grpc.service_config", config)]) as channel:
        call = channel.unary_unary(
            f"{SERVICE}ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )
        futures = [call.future(a_request("slow", rows(0.0)), timeout=PATIENCE_S) for _ in range(24)]
        codes = [future.code() for future in futures]

    assert set(codes) == {grpc.StatusCode.OK}
    assert time.monotonic() - begun_s < BACKOFF_S / 4
