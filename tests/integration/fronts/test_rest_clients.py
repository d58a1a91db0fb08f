"""NVIDIA's own HTTP client, and curl, against the server's REST port."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.support.rest.front import call
from tests.support.serving.families import expected_echo, rows
from tests.support.serving.server import Server

triton = pytest.importorskip("tritonclient.http", reason="not installed: tritonclient[http]")


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    """A synchronous client."""
    opened = triton.InferenceServerClient(f"127.0.0.1:{server.rest_port}")
    yield opened
    opened.close()


def asked(client: Any, *, binary: bool, model: str = "echo", **more: Any) -> Any:
    """Three rows of echo, both ways as memory or as JSON."""
    x = rows(2.0, 3)
    given = triton.InferInput("x", x.shape, "FP32")
    given.set_data_from_numpy(x, binary_data=binary)
    wanted = [triton.InferRequestedOutput("y", binary_data=binary)]
    return client.infer(model, [given], outputs=wanted, **more)


@pytest.mark.parametrize("packing", [None, "gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_rows_come_back(client: Any, binary: bool, packing: str | None):
    answer = asked(
        client,
        binary=binary,
        request_id="R1",
        request_compression_algorithm=packing,
        response_compression_algorithm=packing,
    )

    np.testing.assert_allclose(answer.as_numpy("y"), expected_echo(rows(2.0, 3)), rtol=1e-6)
    said = answer.get_response()
    assert (said["id"], said["model_name"]) == ("R1", "echo")
    assert said["parameters"]["variant"] in ("quick", "sharp")


def test_many_at_once_are_each_given_their_own(client: Any):
    pending: list[Any] = []
    for first in range(8):
        given = triton.InferInput("x", (1, 16), "FP32")
        given.set_data_from_numpy(rows(float(first)))
        pending.append((first, client.async_infer("echo", [given])))
    for first, one in pending:
        wanted = expected_echo(rows(float(first)))
        np.testing.assert_allclose(one.get_result().as_numpy("y"), wanted, rtol=1e-6)


def test_what_is_told_is_what_grpc_tells(client: Any, server: Server):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("echo", "sharp")
    assert not client.is_model_ready("nobody")
    assert client.get_server_metadata()["name"] == "gearshift"
    metadata = client.get_model_metadata("echo")
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 16]}]
    assert client.get_model_config("echo")["max_batch_size"] == 8
    assert {one["name"] for one in client.get_model_repository_index()} >= {"echo", "frail"}
    asked(client, binary=True)
    told = client.get_inference_statistics("echo")["model_stats"][0]
    assert told["inference_count"] == server.statistics("echo").inference_count


def test_families_go_and_come(client: Any):
    client.unload_model("pair")
    assert not client.is_model_ready("pair")
    client.load_model("pair")
    assert client.is_model_ready("pair")


def test_an_error_has_its_code_and_words(client: Any):
    with pytest.raises(triton.InferenceServerException) as refusal:
        asked(client, binary=True, model="ekko")

    assert refusal.value.status() == "404"
    assert "Request for unknown model: 'ekko' is not found" in refusal.value.message()


def test_demands_come_as_headers_too(client: Any):
    answer = asked(client, binary=True, headers={"Gearshift-Variant": "quick"})
    assert answer.get_response()["parameters"]["variant"] == "quick"

    with pytest.raises(triton.InferenceServerException, match="gearshift-slo-ms is 'soon'"):
        asked(client, binary=True, headers={"Gearshift-Slo-Ms": "soon"})

    with pytest.raises(triton.InferenceServerException) as late:
        asked(client, binary=True, headers={"Gearshift-Slo-Ms": "0.001"})
    assert late.value.status() == "504"


def test_the_control_service_is_not_here(server: Server):
    status, body, _ = call(server.rest_port, "POST", "/gearshift.v1.Control/GetPlan", b"{}")

    assert status == 404
    assert "/openapi.json" in json.loads(body)["error"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl_needs_no_client(server: Server):
    text = json.dumps(
        {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [1, 16], "data": rows(1.0).tolist()}
            ]
        }
    )
    url = f"http://127.0.0.1:{server.rest_port}/v2/models/echo/infer"
    done = subprocess.run(
        ["curl", "-sS", "-d", text, url], capture_output=True, check=True, timeout=60
    )

    (output,) = json.loads(done.stdout)["outputs"]
    np.testing.assert_allclose(output["data"], expected_echo(rows(1.0)).ravel(), rtol=1e-6)
