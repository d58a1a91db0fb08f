"""NVIDIA's own client gives inputs and takes outputs in system shared memory, on either front."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.utils.shared_memory as shm
from tritonclient.utils import InferenceServerException

from tests.support import fronts
from tests.support.serving.families import expected_echo, rows
from tests.support.serving.server import Server, a_request, output, serving
from tests.support.serving.triton import an_input

KEY = f"/gearshift_test_{os.getpid()}"
SIZE = 4096


@pytest.fixture(scope="module", params=["grpcio", "native"])
def local(
    request: pytest.FixtureRequest, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with this front."""
    if request.param == "native":
        fronts.skip_unbuilt()
    with serving(repository, tmp_path_factory.mktemp("cache"), "--front", request.param) as running:
        yield running


@pytest.fixture
def client(local: Server) -> Iterator[Any]:
    """A client, whose regions are forgotten in the end."""
    with triton.InferenceServerClient(local.url) as opened:
        yield opened
        opened.unregister_system_shared_memory()


@pytest.fixture
def memory(client: Any) -> Iterator[Any]:
    """4096 bytes, registered as `memory`."""
    made = shm.create_shared_memory_region("memory", KEY, SIZE)
    try:
        client.register_system_shared_memory("memory", KEY, SIZE)
        yield made
    finally:
        with suppress(shm.SharedMemoryException):
            shm.destroy_shared_memory_region(made)


def lying(x: Any, offset: int = 0, size: int | None = None, region: str = "memory") -> Any:
    """`x`'s place as tritonclient names it."""
    tensor = triton.InferInput("x", list(x.shape), "FP32")
    tensor.set_shared_memory(region, x.nbytes if size is None else size, offset)
    return tensor


def wanted(offset: int, size: int, region: str = "memory") -> Any:
    """The output in a region."""
    asked = triton.InferRequestedOutput("y")
    asked.set_shared_memory(region, size, offset)
    return asked


def test_inputs_and_outputs_lie_in_a_region(client: Any, memory: Any):
    x = rows(3.0, 2)
    shm.set_shared_memory_region(memory, [np.full(SIZE, 7, np.uint8)])
    shm.set_shared_memory_region(memory, [x], offset=64)

    result = client.infer("echo", [lying(x, 64)], outputs=[wanted(1024, 64)])

    said = result.get_output("y")
    assert {
        k: getattr(v, v.WhichOneof("parameter_choice")) for k, v in said.parameters.items()
    } == {
        "shared_memory_region": "memory",
        "shared_memory_offset": 1024,
        "shared_memory_byte_size": 32,
    }
    assert list(said.shape) == [2, 4]
    assert list(result.get_response().raw_output_contents) == [b""]
    y = shm.get_contents_as_numpy(memory, np.float32, [2, 4], 1024)
    np.testing.assert_array_equal(y, expected_echo(x))
    around = shm.get_contents_as_numpy(memory, np.uint8, [SIZE])
    assert (np.delete(around, np.r_[64:192, 1024:1056]) == 7).all()


def test_an_input_in_a_region_is_answered_in_the_message_where_that_is_asked(
    client: Any, memory: Any
):
    x = rows(5.0)
    shm.set_shared_memory_region(memory, [x])

    result = client.infer("echo", [lying(x)])

    np.testing.assert_array_equal(result.as_numpy("y"), expected_echo(x))


def test_an_output_goes_into_a_region_where_the_input_is_in_the_message(client: Any, memory: Any):
    x = rows(6.0)

    client.infer("echo", [an_input(x)], outputs=[wanted(0, 16)])

    np.testing.assert_array_equal(
        shm.get_contents_as_numpy(memory, np.float32, [1, 4]), expected_echo(x)
    )


def test_one_input_in_a_region_and_one_in_the_message(client: Any, memory: Any):
    a, b = np.array([[3, 4]], np.int32), np.array([[1, 2, 3]], np.uint8)
    plain = [triton.InferInput("a", [1, 2], "INT32"), triton.InferInput("b", [1, 3], "UINT8")]
    plain[0].set_data_from_numpy(a)
    plain[1].set_data_from_numpy(b)
    whole = client.infer("pair", plain)
    shm.set_shared_memory_region(memory, [a], offset=8)
    mixed = triton.InferInput("a", [1, 2], "INT32")
    mixed.set_shared_memory("memory", a.nbytes, 8)
    t = triton.InferRequestedOutput("t")
    t.set_shared_memory("memory", 16, 256)

    result = client.infer("pair", [mixed, plain[1]], outputs=[t, triton.InferRequestedOutput("s")])

    np.testing.assert_array_equal(result.as_numpy("s"), whole.as_numpy("s"))
    np.testing.assert_array_equal(
        shm.get_contents_as_numpy(memory, np.int64, [1, 2], 256), whole.as_numpy("t")
    )


def test_typed_contents_and_an_output_in_a_region(local: Server, client: Any, memory: Any):
    del client
    x = rows(2.0)
    request = a_request("echo", x)
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp32_contents.extend(x.ravel().tolist())
    asked = request.outputs.add(name="y")
    asked.parameters["shared_memory_region"].string_param = "memory"
    asked.parameters["shared_memory_byte_size"].int64_param = 16

    answer = local.infer(request)

    assert list(answer.raw_output_contents) == []
    np.testing.assert_array_equal(
        shm.get_contents_as_numpy(memory, np.float32, [1, 4]), expected_echo(x)
    )


def test_streamed_requests_use_regions_too(client: Any, memory: Any):
    x = rows(9.0)
    shm.set_shared_memory_region(memory, [x], offset=128)
    answers: list[Any] = []
    client.start_stream(lambda result, error: answers.append(error or result))
    for at in range(3):
        client.async_stream_infer("echo", [lying(x, 128)], outputs=[wanted(512 + 16 * at, 16)])
    client.async_stream_infer("echo", [lying(x, 0, region="nobody")])
    client.stop_stream()

    errors = [str(one) for one in answers if isinstance(one, InferenceServerException)]
    assert len(answers) == 4
    assert len(errors) == 1
    assert "Unable to find shared memory region: 'nobody'" in errors[0]
    got = shm.get_contents_as_numpy(memory, np.float32, [3, 4], 512)
    np.testing.assert_array_equal(got, expected_echo(x).repeat(3, 0))


def test_regions_are_told_one_by_one_and_all(client: Any, memory: Any):
    del memory
    client.register_system_shared_memory("part", KEY, 100, offset=8)

    every = client.get_system_shared_memory_status().regions
    one = client.get_system_shared_memory_status("part").regions

    assert sorted(every) == ["memory", "part"]
    assert list(one) == ["part"]
    assert (one["part"].key, one["part"].offset, one["part"].byte_size) == (
        KEY,
        8,
        100,
    )
    with pytest.raises(InferenceServerException, match="Unable to find system shared memory") as no:
        client.get_system_shared_memory_status("nobody")
    assert no.value.status() == "StatusCode.NOT_FOUND"
    client.unregister_system_shared_memory("part")
    client.unregister_system_shared_memory("part")  # as Triton has it
    assert list(client.get_system_shared_memory_status().regions) == ["memory"]
    client.unregister_system_shared_memory()
    assert list(client.get_system_shared_memory_status().regions) == []


def test_a_name_is_registered_once(client: Any, memory: Any):
    del memory

    with pytest.raises(InferenceServerException, match="'memory' already in manager") as refused:
        client.register_system_shared_memory("memory", KEY, SIZE)

    assert refused.value.status() == "StatusCode.ALREADY_EXISTS"


def test_of_cudas_there_is_none(client: Any):
    assert list(client.get_cuda_shared_memory_status().regions) == []
    client.unregister_cuda_shared_memory()
    with pytest.raises(InferenceServerException, match="CUDA shared memory is not served"):
        client.register_cuda_shared_memory("c", b"", 0, 8)


def test_the_server_says_that_it_has_shared_memory(client: Any):
    assert "system_shared_memory" in client.get_server_metadata().extensions


def test_an_operator_may_forbid_it(repository: Path, tmp_path: Path):
    options = {"GEARSHIFT__SERVER__SHARED_MEMORY": "false"}
    with (
        serving(repository, tmp_path, **options) as forbidding,
        triton.InferenceServerClient(forbidding.url) as client,
    ):
        with pytest.raises(InferenceServerException, match=r"server\.shared_memory = true") as no:
            client.register_system_shared_memory("r", "/x", 8)
        with pytest.raises(InferenceServerException, match=r"server\.shared_memory = true"):
            client.infer("echo", [lying(rows(1.0))])
        assert output(forbidding.infer(a_request("echo", rows(1.0)))).shape == (1, 4)

    assert no.value.status() == "StatusCode.UNIMPLEMENTED"
