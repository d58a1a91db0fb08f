"""Rows and bytes: what ModelConfig says is served; what cannot be is refused beforehand, with the limit named."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from models.artifacts import remove_variants
from models.catalog import Family, Slo, TensorSpec
from tests.support.serving.families import WIDTH, expected_echo, publish_scripted, rows
from tests.support.serving.server import Server, a_request, count, equal, eventually, serving
from tests.support.serving.triton import an_input
from wire import inference_pb2 as pb

STEPS = Family(
    "steps",
    inputs=(TensorSpec("x", "FP32", (-1, WIDTH)),),
    outputs=(TensorSpec("y", "FP32", (-1, 4)),),
    variants=(),
    slo=Slo(0.15),
    max_batch=32,
)
QUICK, SLOW = "per_row_s = 0.0005", "per_row_s = 0.01"
ROW_BYTES = 4 * 300_000
BULKY = Family(
    "bulky",
    inputs=STEPS.inputs,
    outputs=(
        TensorSpec("wide", "FP32", (-1, ROW_BYTES // 4)),
        TensorSpec("count", "INT64", (-1, 40_000)),
        TensorSpec("thin", "FP32", (-1, 4)),
    ),
    variants=(),
    slo=Slo(5.0),
    max_batch=16,
)
GIANT = Family(
    "giant", BULKY.inputs, (TensorSpec("y", "UINT8", (-1, 5 << 20)),), (), Slo(5.0), max_batch=4
)


WORDY = Family(
    "wordy",
    BULKY.inputs,
    (TensorSpec("y" * (5 << 20), "FP32", (-1, 1)),),
    (),
    Slo(5.0),
    max_batch=4,
)


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of `steps` at two paces, and of two families with large answers, at 4 MiB a message."""
    root = tmp_path_factory.mktemp("sized")
    publish_scripted(root / "models", STEPS, {"quick": QUICK, "slow": SLOW}, {"quick": 0.6})
    publish_scripted(root / "models", BULKY)
    publish_scripted(root / "models", GIANT)
    publish_scripted(root / "models", WORDY)
    with serving(
        root / "models", root, "--workers", "1", GEARSHIFT__LIMITS__MAX_MESSAGE_MIB="4"
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(sized: Server) -> Iterator[Any]:
    """A stock client."""
    with triton.InferenceServerClient(sized.url) as opened:
        yield opened


def test_slower_variants_are_said_to_take_fewer_rows_at_a_time(client: Any):
    told = {
        version: client.get_model_config("steps", version).config.max_batch_size
        for version in ("", "1", "quick", "slow")
    }

    assert told["slow"] < told["quick"] <= 32
    assert told[""] == told["1"] == told["quick"]


@pytest.mark.parametrize("version", ["", "slow"])
def test_as_many_rows_as_the_configuration_says_are_served(client: Any, version: str):
    x = rows(1.0, client.get_model_config("steps", version).config.max_batch_size)

    answered = client.infer("steps", [an_input(x)], model_version=version).as_numpy("y")

    np.testing.assert_allclose(answered, expected_echo(x), rtol=1e-6)


def test_more_rows_are_refused_with_the_number_that_the_configuration_says(client: Any):
    def is_told() -> None:
        most = client.get_model_config("steps", "slow").config.max_batch_size

        with pytest.raises(InferenceServerException, match=f"be <= {most} for 'steps'") as refusal:
            client.infer("steps", [an_input(rows(1.0, 32))], model_version="slow")

        assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"

    eventually(is_told)  # costs may be found to have moved between the two


def test_who_allows_more_time_may_send_more_rows_than_any_batch_has(client: Any):
    config = client.get_model_config("steps", "slow").config
    most = int(config.parameters["max_batch_with_time"].string_value)
    x, patient = rows(1.0, most), {"slo_ms": 10_000}

    answered = client.infer("steps", [an_input(x)], model_version="slow", parameters=patient)

    parameters = answered.get_response().parameters
    assert config.max_batch_size < most == 32
    assert parameters["batch_size"].int64_param < 32
    assert parameters["variants"].string_param == parameters["variant"].string_param == "slow"
    np.testing.assert_allclose(answered.as_numpy("y"), expected_echo(x), rtol=1e-6)
    with pytest.raises(InferenceServerException, match=f"must be <= {most} for 'steps'"):
        client.infer(
            "steps", [an_input(rows(1.0, most + 1))], model_version="slow", parameters=patient
        )


def test_a_stock_client_can_see_what_it_will_be_held_to(client: Any):
    config = client.get_model_config("steps").config
    policy = config.dynamic_batching.default_queue_policy

    assert policy.default_timeout_microseconds == 150_000
    assert 1 <= policy.max_queue_size <= 1024
    assert {key: one.string_value for key, one in config.parameters.items()} == {
        "slo_ms": "150",
        "min_accuracy": "0",
        "queue_capacity": "1024",
        "max_batch_with_time": "32",
    }


def test_the_configuration_follows_variants_as_they_come_and_go(tmp_path: Path):
    both = {"slow": SLOW, "quick": QUICK}
    publish_scripted(tmp_path / "models", STEPS, {"slow": SLOW})
    with (
        serving(tmp_path / "models", tmp_path, "--workers", "1") as server,
        triton.InferenceServerClient(server.url) as client,
    ):

        def is_told(least: int, most: int) -> None:
            assert least <= client.get_model_config("steps").config.max_batch_size <= most

        is_told(1, 15)
        publish_scripted(tmp_path / "models", STEPS, both)
        eventually(lambda: is_told(32, 32), within_s=20.0)
        remove_variants(tmp_path / "models", "steps", ["quick"])
        eventually(lambda: is_told(1, 15), within_s=20.0)


def outputs(*names: str) -> list[Any]:
    """These outputs, asked for."""
    return [triton.InferRequestedOutput(name) for name in names]


def test_an_answer_that_would_not_fit_a_message_is_refused_beforehand(client: Any, sized: Server):
    before = sized.statistics("bulky").execution_count
    most = client.get_model_config("bulky").config.max_batch_size

    fits = client.infer("bulky", [an_input(rows(1.0, most))])
    with pytest.raises(InferenceServerException, match="max_message_mib") as refusal:
        client.infer("bulky", [an_input(rows(1.0, most + 1))])

    assert most == 2
    assert fits.as_numpy("wide").nbytes == 2 * ROW_BYTES
    assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "ask for 2 rows at most, ask for fewer outputs" in refusal.value.message()
    eventually(lambda: equal(sized.statistics("bulky").execution_count, before + 1))


@pytest.mark.parametrize(("wanted", "count"), [(("thin",), 16), (("wide",), 3), (("count",), 12)])
def test_only_the_outputs_asked_for_count(client: Any, wanted: tuple[str, ...], count: int):
    answered = client.infer("bulky", [an_input(rows(1.0, count))], outputs=outputs(*wanted))

    assert len(answered.as_numpy(wanted[0])) == count


def test_typed_contents_are_counted_as_long_as_they_may_get(sized: Server):
    with pytest.raises(grpc.RpcError, match=r"in typed contents.*send raw contents"):
        sized.infer(a_typed_request(11, "count"))
    answered = sized.infer(a_typed_request(10, "count"))

    assert len(answered.outputs[0].contents.int64_contents) == 10 * 40_000


def test_an_operator_is_told_at_the_start_which_answers_do_not_fit(sized: Server):
    assert "bulky: a row's outputs take 1520016 bytes" in sized.log
    assert "may have 2 rows of max_batch's 16; raise max_message_mib (4) for more" in sized.log
    assert "giant cannot be served: one row of it takes 5 MiB in a message" in sized.log
    assert "steps: a row's outputs" not in sized.log


def test_not_even_a_row_of_a_giant_family_is_run(client: Any, sized: Server):
    with pytest.raises(InferenceServerException, match="max_message_mib") as refusal:
        client.infer("giant", [an_input(rows(1.0))])

    assert refusal.value.status() == "StatusCode.UNAVAILABLE"
    assert not client.is_model_ready("giant")
    assert "giant: measuring" not in sized.log


def test_an_endless_id_counts_too(sized: Server):
    request: Any = a_request("bulky", rows(1.0, 3), "i" * (1 << 20))
    request.outputs.add(name="wide")

    with pytest.raises(grpc.RpcError, match="besides its tensors' contents"):
        sized.infer(request)


def test_refusals_for_size_are_counted_as_bad_input(client: Any, sized: Server):
    before = count(sized, "invalid", "bulky")

    with pytest.raises(InferenceServerException):
        client.infer("bulky", [an_input(rows(1.0, 4))])

    eventually(lambda: equal(count(sized, "invalid", "bulky"), before + 1))


def test_no_more_rows_are_promised_or_run_than_may_wait(tmp_path: Path):
    publish_scripted(tmp_path / "models", STEPS, {"quick": "per_row_s = 0.0001"})
    with (
        serving(
            tmp_path / "models", tmp_path, "--workers", "1", GEARSHIFT__LIMITS__QUEUE_CAPACITY="20"
        ) as server,
        triton.InferenceServerClient(server.url) as client,
    ):
        config = client.get_model_config("steps").config
        patient = {"slo_ms": 10_000}
        fits = client.infer("steps", [an_input(rows(1.0, 20))], parameters=patient)
        for parameters in (None, patient):
            with pytest.raises(InferenceServerException, match="queue_capacity") as refusal:
                client.infer("steps", [an_input(rows(1.0, 21))], parameters=parameters)
            assert refusal.value.status() == "StatusCode.INVALID_ARGUMENT"

    assert config.max_batch_size == 20
    assert config.parameters["max_batch_with_time"].string_value == "20"
    assert len(fits.as_numpy("y")) == 20


def test_an_slo_that_no_arm_meets_is_told_once_all_are_loaded(tmp_path: Path):
    publish_scripted(tmp_path / "models", STEPS, {"only": "fixed_s = 0.3"})
    publish_scripted(tmp_path / "models", BULKY)
    with serving(tmp_path / "models", tmp_path, "--workers", "1") as server:
        with pytest.raises(grpc.RpcError, match="the fastest acceptable arm needs") as refusal:
            server.infer(a_request("steps", rows(1.0)))

        assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        eventually(lambda: equal(server.log.count("no arm answers a row within the SLO"), 1))
        assert (
            "steps: no arm answers a row within the SLO of 150 ms: the fastest, only on scripted"
            in server.log
        )


def test_any_other_answer_above_the_limit_is_refused_in_words_and_logged(
    client: Any, sized: Server
):
    with pytest.raises(InferenceServerException, match="more than max_message_mib") as refusal:
        client.get_model_metadata("wordy")

    assert refusal.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
    eventually(lambda: equal("bytes is more than max_message_mib allows" in sized.log, True))


def a_typed_request(count: int, wanted: str) -> Any:
    """So many rows for `bulky` in typed contents, for this output."""
    request: Any = pb.ModelInferRequest(model_name="bulky")
    tensor = request.inputs.add(name="x", datatype="FP32", shape=(count, WIDTH))
    tensor.contents.fp32_contents.extend([1.0] * (count * WIDTH))
    request.outputs.add(name=wanted)
    return request
