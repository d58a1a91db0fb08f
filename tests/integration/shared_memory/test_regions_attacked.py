"""Whatever clients do with shared memory, each request gets its answer or its error, and the server goes on."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from models.catalog import Family, Slo, TensorSpec
from server.rpc.shared_memory.registry import MOST_REGIONS
from tests.support import fronts
from tests.support.serving.families import (
    ECHO,
    PAIR,
    WIDTH,
    expected_echo,
    publish_scripted,
    rows,
)
from tests.support.serving.scraping import Samples, rises, scrape
from tests.support.serving.server import Server, a_request, eventually, output, serving
from wire import inference_pb2 as pb

BAD, GONE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
KEY = f"gearshift_attack_{os.getpid()}"
SIZE = 64 << 10
WIDE_WIDTH = 400_000
WIDE = Family(
    "wide",
    (TensorSpec("x", "FP32", (-1, WIDE_WIDTH)),),
    (TensorSpec("y", "FP32", (-1, 4)),),
    (),
    Slo(5.0),
    max_batch=2,
)
SLEEPY = Family("sleepy", ECHO.inputs, ECHO.outputs, (), Slo(5.0), max_batch=8)


@pytest.fixture(scope="module", params=["grpcio", "native"])
def local(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with this front, of `echo`, `pair`, `wide` (rows of 1.6 MB) and `sleepy` (0.6 s a batch)."""
    if request.param == "native":
        fronts.skip_unbuilt()
    root = tmp_path_factory.mktemp("shared")
    for family in (ECHO, PAIR, WIDE):
        publish_scripted(root / "models", family)
    publish_scripted(root / "models", SLEEPY, {"only": "fixed_s = 0.6"})
    with serving(root / "models", root / "cache", "--front", request.param) as running:
        yield running


@pytest.fixture
def memory(local: Server) -> Iterator[Path]:
    """A file of `SIZE` bytes of 7, registered as `r`."""
    path = Path("/dev/shm") / KEY
    path.write_bytes(b"\7" * SIZE)
    register(local, "r", f"/{KEY}", 0, SIZE)
    yield path
    unregister(local, "")
    path.unlink(missing_ok=True)


def register(server: Server, name: str, key: str, offset: int, size: int) -> None:
    """Raises grpc.RpcError."""
    asked = pb.SystemSharedMemoryRegisterRequest(name=name, key=key, offset=offset, byte_size=size)
    server.ask("SystemSharedMemoryRegister", asked, pb.SystemSharedMemoryRegisterResponse)


def unregister(server: Server, name: str) -> None:
    """Of that name; "": all."""
    asked = pb.SystemSharedMemoryUnregisterRequest(name=name)
    server.ask("SystemSharedMemoryUnregister", asked, pb.SystemSharedMemoryUnregisterResponse)


def place(tensor: Any, size: int, offset: int = 0, region: str = "r") -> None:
    """Say that the tensor lies there."""
    tensor.parameters["shared_memory_region"].string_param = region
    tensor.parameters["shared_memory_byte_size"].int64_param = size
    if offset:
        tensor.parameters["shared_memory_offset"].int64_param = offset


def lying(x: Any, model: str = "echo", offset: int = 0, size: int | None = None) -> Any:
    """A request whose input lies in `r`."""
    request = a_request(model, x)
    del request.raw_input_contents[:]
    place(request.inputs[0], x.nbytes if size is None else size, offset)
    return request


def refused(server: Server, request: Any, code: grpc.StatusCode, words: str) -> None:
    """That is its answer, and the next request is answered as ever."""
    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(request)
    assert words in refusal.value.details()
    assert refusal.value.code() is code
    x = rows(11.0)
    np.testing.assert_array_equal(output(server.infer(a_request("echo", x))), expected_echo(x))


@pytest.mark.parametrize(
    "key", ["/../etc/passwd", "../../etc/passwd", "/etc/passwd", "..", "", "/.", "/link", "/nobody"]
)
def test_nothing_but_files_of_shared_memory_is_registered(local: Server, memory: Path, key: str):
    link = memory.with_name(f"{KEY}_link")
    link.symlink_to("/etc/passwd")
    try:
        with pytest.raises(grpc.RpcError) as refusal:
            register(local, "p", f"/{link.name}" if key == "/link" else key, 0, 8)
    finally:
        link.unlink()

    assert refusal.value.code() is BAD
    assert "Unable to open shared memory region" in refusal.value.details()
    assert "root" not in refusal.value.details()


@pytest.mark.parametrize(
    ("offset", "size"),
    [(0, SIZE + 1), (SIZE, 1), (2**64 - 1, 2), (2, 2**64 - 1), (2**63, 2**63), (0, 0)],
)
def test_what_is_not_there_is_not_registered(local: Server, memory: Path, offset: int, size: int):
    with pytest.raises(grpc.RpcError) as refusal:
        register(local, "p", f"/{memory.name}", offset, size)

    assert refusal.value.code() is BAD
    assert "failed to register shared memory region 'p': invalid args" in refusal.value.details()


def test_an_input_that_was_cut_away_is_an_error_and_not_the_servers_end(
    local: Server, memory: Path
):
    os.truncate(memory, 10)

    refused(local, lying(rows(1.0)), BAD, "was cut short after it was registered")


def test_an_output_whose_place_was_cut_away_is_an_error_and_makes_no_file_grow(
    local: Server, memory: Path
):
    request = a_request("echo", rows(1.0))
    place(request.outputs.add(name="y"), 16, 4096)
    os.truncate(memory, 4096)

    refused(local, request, BAD, "was cut short after it was registered")
    assert memory.stat().st_size == 4096


def test_a_file_that_shrinks_and_grows_all_the_time_harms_nobody(local: Server, memory: Path):
    x = rows(4.0)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            os.truncate(memory, 8)
            os.truncate(memory, SIZE)

    churning = threading.Thread(target=churn)
    churning.start()
    try:
        for at in range(300):
            request = lying(x)
            place(request.outputs.add(name="y"), 16, 256 * (at % 200))
            try:
                local.infer(request)
            except grpc.RpcError as error:
                assert error.code() is BAD, error.details()  # noqa: PT017 - either way is right
                assert "was cut short" in error.details()  # noqa: PT017
    finally:
        stop.set()
        churning.join()
    np.testing.assert_array_equal(output(local.infer(a_request("echo", x))), expected_echo(x))


@pytest.mark.parametrize(
    ("offset", "size", "words"),
    [
        (-4, 64, "Invalid offset for shared memory region: 'r'"),
        (SIZE, 64, "Invalid offset for shared memory region: 'r'"),
        (2**63 - 1, 64, "Invalid offset for shared memory region: 'r'"),
        (-(2**63), 64, "Invalid offset for shared memory region: 'r'"),
        (SIZE - 63, 64, "Invalid offset + byte size for shared memory region: 'r'"),
        (0, -64, "Invalid offset + byte size for shared memory region: 'r'"),
        (0, 68, "input byte size mismatch for input 'x' for model 'echo'. Expected 64, got 68"),
        (0, 0, "input byte size mismatch for input 'x' for model 'echo'. Expected 64, got 0"),
    ],
)
def test_an_input_outside_of_its_region_is_refused(
    local: Server, memory: Path, offset: int, size: int, words: str
):
    assert memory.exists()
    refused(local, lying(rows(1.0), offset=offset, size=size), BAD, words)


@pytest.mark.parametrize("size", [2**63 - 1, 2 << 20])
def test_more_than_the_familys_largest_request_is_not_read(local: Server, memory: Path, size: int):
    assert memory.exists()
    refused(
        local,
        lying(rows(1.0), size=size),
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        f"request of {size} bytes for model 'echo'",
    )


def no_size(tensor: Any) -> None:
    """The size is missing."""
    del tensor.parameters["shared_memory_byte_size"]


def odd_region(tensor: Any) -> None:
    """The region's name is a number."""
    tensor.parameters["shared_memory_region"].int64_param = 1


def odd_offset(tensor: Any) -> None:
    """The offset is a fraction."""
    tensor.parameters["shared_memory_offset"].double_param = 0.5


def odd_size(tensor: Any) -> None:
    """The size is a text."""
    tensor.parameters["shared_memory_byte_size"].string_param = "64"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_size, "'shared_memory_byte_size' parameter must be specified along with"),
        (odd_region, "invalid value type for 'shared_memory_region' parameter for tensor 'x'"),
        (odd_offset, "invalid value type for 'shared_memory_offset' parameter for tensor 'x'"),
        (odd_size, "invalid value type for 'shared_memory_byte_size' parameter for tensor 'x'"),
    ],
)
def test_parameters_that_say_nothing_are_refused(
    local: Server, memory: Path, spoil: Callable[[Any], None], words: str
):
    assert memory.exists()
    request = lying(rows(1.0))
    spoil(request.inputs[0])

    refused(local, request, BAD, words)


def test_an_output_that_does_not_fit_is_refused_with_both_sizes_and_nothing_is_written(
    local: Server, memory: Path
):
    request = a_request("echo", rows(1.0, 2))
    place(request.outputs.add(name="y"), 31, 100)

    refused(local, request, BAD, "for output 'y' (31 bytes) should be at least 32 bytes")
    assert memory.read_bytes() == b"\7" * SIZE


def test_two_outputs_in_one_place_are_refused_by_whatever_names(local: Server, memory: Path):
    register(local, "alias", f"/{memory.name}", 8, 64)
    request: Any = pb.ModelInferRequest(model_name="pair", raw_input_contents=[bytes(8), bytes(3)])
    request.inputs.add(name="a", datatype="INT32", shape=[1, 2])
    request.inputs.add(name="b", datatype="UINT8", shape=[1, 3])
    place(request.outputs.add(name="s"), 4, 20)
    place(request.outputs.add(name="t"), 16, region="alias")

    refused(local, request, BAD, "outputs 's' and 't' are wanted in the same shared memory")


def is_taken(server: Server, before: Samples) -> None:
    """A batch of `sleepy` has been released since then."""
    now, name = scrape(server), "gearshift_decisions_total"
    waits = rises(before, now, name, family="sleepy", reason="wait")
    assert rises(before, now, name, family="sleepy") > waits


def test_a_region_may_be_unregistered_while_requests_use_it(local: Server, memory: Path):
    x = rows(3.0)
    with memory.open("r+b") as file:
        file.write(x.tobytes())
    asked = lying(x, "sleepy")
    place(asked.outputs.add(name="y"), 16, 1024)
    before = scrape(local)
    running = local.begin(asked)
    eventually(lambda: is_taken(local, before))

    unregister(local, "r")
    refused(local, lying(x), GONE, "Unable to find shared memory region: 'r'")

    answer = running.result()
    assert answer.outputs[0].parameters["shared_memory_region"].string_param == "r"
    y = np.frombuffer(memory.read_bytes()[1024:1040], np.float32)
    np.testing.assert_array_equal(y, expected_echo(x)[0])


def test_a_large_input_is_copied_beside_the_fronts_thread(local: Server, memory: Path):
    x = np.arange(2 * WIDE_WIDTH, dtype=np.float32).reshape(2, WIDE_WIDTH)
    big = memory.with_name(f"{KEY}_big")
    big.write_bytes(x.tobytes())
    try:
        register(local, "r2", f"/{big.name}", 0, x.nbytes)
        request: Any = pb.ModelInferRequest(model_name="wide")
        request.inputs.add(name="x", datatype="FP32", shape=x.shape)
        place(request.inputs[0], x.nbytes, region="r2")
        by_region = output(local.infer(request))
        by_message = output(local.infer(a_request("wide", x)))
    finally:
        big.unlink()

    np.testing.assert_array_equal(by_region, by_message)


def test_regions_are_bounded_in_number(local: Server, memory: Path):
    registered = 1
    refusal: Any = None
    while registered <= MOST_REGIONS and refusal is None:
        try:
            register(local, f"{registered}", f"/{memory.name}", 0, WIDTH)
            registered += 1
        except grpc.RpcError as error:
            refusal = error

    assert refusal is not None
    assert refusal.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "256 shared memory regions are registered" in refusal.details()
    assert (
        registered > MOST_REGIONS - 16
    )  # a few may be in use: a worker keeps its last batch for a while
    unregister(local, "")
    register(local, "0", f"/{memory.name}", 0, WIDTH)
