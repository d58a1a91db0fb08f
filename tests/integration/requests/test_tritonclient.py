"""NVIDIA's own client against the server: every call for what is served, in the process that also holds our wire."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from tests.support.serving.families import expected_echo, expected_mlp, rows
from tests.support.serving.server import Server, eventually
from tests.support.serving.triton import an_input, said
from wire import inference_pb2 as pb


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    """A synchronous client."""
    with triton.InferenceServerClient(server.url) as opened:
        yield opened


def test_our_wire_and_tritonclients_live_in_one_process():
    ours = pb.ModelInferRequest(model_name="m", id="1").SerializeToString()

    theirs = service_pb2.ModelInferRequest.FromString(ours)

    assert (theirs.model_name, theirs.id) == ("m", "1")
    assert service_pb2.DESCRIPTOR.pool is not pb.DESCRIPTOR.pool


def test_the_server_is_live_and_ready(client: Any):
    assert client.is_server_live()
    assert client.is_server_ready()


@pytest.mark.parametrize(
    ("model", "version", "ready"),
    [
        ("echo", "", True),
        ("echo", "1", True),
        ("echo", "sharp", True),
        ("echo", "99", False),
        ("nobody", "", False),
    ],
)
def test_a_model_is_ready_or_not_but_never_an_error(
    client: Any, model: str, version: str, ready: bool
):
    assert client.is_model_ready(model, version) is ready


def test_the_server_tells_its_name_and_extensions(client: Any):
    metadata = client.get_server_metadata(as_json=True)

    assert metadata["name"] == "gearshift"
    assert {"statistics", "model_configuration"} <= set(metadata["extensions"])


def test_a_models_metadata_is_its_familys_signature(client: Any):
    metadata = client.get_model_metadata("pair")

    assert metadata.name == "pair"
    assert list(metadata.versions) == ["1", "only"]
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.inputs] == [
        ("a", "INT32", [-1, 2]),
        ("b", "UINT8", [-1, 3]),
    ]
    assert [(t.name, t.datatype, list(t.shape)) for t in metadata.outputs] == [
        ("s", "FP32", [-1, 1]),
        ("t", "INT64", [-1, 2]),
    ]


def test_a_models_configuration_leaves_the_batch_dimension_out(client: Any):
    config = client.get_model_config("pair").config

    assert config.max_batch_size == 8
    assert [(t.name, t.data_type, list(t.dims)) for t in config.input] == [
        ("a", 8, [2]),
        ("b", 2, [3]),
    ]
    assert config.HasField("dynamic_batching")


def test_the_index_lists_every_family_as_ready(client: Any):
    index = client.get_model_repository_index(as_json=True)["models"]

    assert {(m["name"], m["state"]) for m in index} == {
        ("echo", "READY"),
        ("frail", "READY"),
        ("mlp", "READY"),
        ("pair", "READY"),
    }


def test_statistics_count_requests_rows_and_stages(client: Any):
    before = client.get_inference_statistics("pair").model_stats[0]
    a = triton.InferInput("a", [3, 2], "INT32")
    a.set_data_from_numpy(np.ones((3, 2), np.int32))
    b = triton.InferInput("b", [3, 3], "UINT8")
    b.set_data_from_numpy(np.ones((3, 3), np.uint8))

    client.infer("pair", [a, b])

    def counted() -> None:
        after = client.get_inference_statistics("pair").model_stats[0]
        stats = after.inference_stats
        assert after.inference_count - before.inference_count == 3
        assert after.execution_count - before.execution_count == 1
        assert stats.success.count - before.inference_stats.success.count == 1
        counts = {stats.compute_input.count, stats.compute_infer.count, stats.compute_output.count}
        assert counts == {stats.success.count}
        assert stats.compute_input.ns > before.inference_stats.compute_input.ns
        assert stats.success.ns >= stats.compute_input.ns + stats.compute_infer.ns + stats.queue.ns
        assert 3 in [batch.batch_size for batch in after.batch_stats]

    eventually(counted)


def test_statistics_of_all_families_come_in_one_answer(client: Any):
    names = {m.name for m in client.get_inference_statistics().model_stats}

    assert names == {"echo", "frail", "mlp", "pair"}


@pytest.mark.parametrize("count", [1, 2, 8])
def test_an_onnx_family_answers_with_its_numbers(client: Any, count: int):
    x = rows(-0.5, count)

    result = client.infer("mlp", [an_input(x)])

    np.testing.assert_allclose(result.as_numpy("y"), expected_mlp(x), atol=1e-5)
    assert result.get_response().model_version == "1"


def test_outputs_come_in_the_order_asked_for(client: Any):
    a = triton.InferInput("a", [1, 2], "INT32")
    a.set_data_from_numpy(np.array([[2, 4]], np.int32))
    b = triton.InferInput("b", [1, 3], "UINT8")
    b.set_data_from_numpy(np.array([[7, 7, 7]], np.uint8))
    wanted = [triton.InferRequestedOutput(name) for name in ("t", "s")]

    result = client.infer("pair", [a, b], outputs=wanted)

    assert [o.name for o in result.get_response().outputs] == ["t", "s"]
    assert result.as_numpy("s").tolist() == [[10.0]]
    assert result.as_numpy("t").tolist() == [[10, 5]]


def test_an_answer_carries_its_requests_id_and_how_it_was_made(client: Any):
    result = client.infer("echo", [an_input(rows(1.0, 3))], request_id="né 1")

    told = said(result)
    assert result.get_response().id == "né 1"
    arm = {"variant", "precision", "backend", "accuracy"}
    assert told.keys() == arm | {"batch_size", "queue_ms", "compute_ms"}
    assert (told["precision"], told["backend"], told["batch_size"]) == ("fp32", "scripted", 3)
    assert told["accuracy"] == {"quick": 0.6, "sharp": 0.8}[told["variant"]]
    assert told["queue_ms"] > 0.0
    assert told["compute_ms"] >= {"quick": 0.5, "sharp": 2.0}[told["variant"]]


@pytest.mark.parametrize("variant", ["quick", "sharp"])
def test_a_version_names_a_variant(client: Any, variant: str):
    result = client.infer("echo", [an_input(rows(1.0))], model_version=variant)

    assert said(result)["variant"] == variant


@pytest.mark.parametrize("variant", ["quick", "sharp"])
def test_a_parameter_pins_a_variant(client: Any, variant: str):
    result = client.infer("echo", [an_input(rows(1.0))], parameters={"variant": variant})

    assert said(result)["variant"] == variant


def test_an_accuracy_demand_rules_variants_out(client: Any):
    for _ in range(5):
        result = client.infer(
            "echo", [an_input(rows(1.0))], parameters={"min_accuracy": 0.7, "slo_ms": 1500}
        )
        assert said(result)["variant"] == "sharp"


def test_a_short_slo_takes_the_quick_variant_or_is_refused(client: Any):
    with pytest.raises(InferenceServerException, match="DEADLINE_EXCEEDED") as refusal:
        client.infer("echo", [an_input(rows(1.0))], parameters={"slo_ms": 0.1})

    assert "its deadline passed" in str(refusal.value)


def test_priority_and_timeout_are_understood(client: Any):
    x = rows(2.0)

    result = client.infer("echo", [an_input(x)], priority=1, timeout=1_500_000)

    np.testing.assert_allclose(result.as_numpy("y"), expected_echo(x), rtol=1e-6)
    with pytest.raises(InferenceServerException, match="DEADLINE_EXCEEDED"):
        client.infer("echo", [an_input(x)], timeout=100)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests_are_read(client: Any, algorithm: str):
    x = rows(2.5, 8)

    result = client.infer("echo", [an_input(x)], compression_algorithm=algorithm)

    np.testing.assert_allclose(result.as_numpy("y"), expected_echo(x), rtol=1e-6)


def test_a_bad_request_raises_with_tritons_words(client: Any):
    short = triton.InferInput("x", [1, 15], "FP32")
    short.set_data_from_numpy(np.zeros((1, 15), np.float32))

    with pytest.raises(InferenceServerException) as refusal:
        client.infer("echo", [short], request_id="7")

    assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert refusal.value.message() == (
        "[request id: 7] unexpected shape for input 'x' for model 'echo'. Expected [-1,16], got [1,15]"
    )
