"""Who may use shared memory, and what is written where."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.catalog import TensorSpec
from server.errors import BadInput, Unsupported
from server.rpc.shared_memory import files
from server.rpc.shared_memory.placing import RegionPart, Regions, check_room, put
from wire import inference_pb2 as pb

LOCAL = b"ipv4:127.0.0.1:1"
SPECS = [TensorSpec("y", "FP32", (-1, 4)), TensorSpec("free", "FP32", (-1, -1))]


@pytest.fixture
def regions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Regions:
    """With a region `r` of 64 bytes."""
    monkeypatch.setattr(files, "FOLDER", tmp_path)
    (tmp_path / "memory").write_bytes(bytes(64))
    made = Regions(allowed=True)
    made.registry.register("r", "/memory", 0, 64)
    return made


def part(regions: Regions, name: str, size: int, offset: int = 0) -> RegionPart:
    """An output's."""
    output: Any = pb.ModelInferRequest.InferRequestedOutputTensor(name=name)
    output.parameters["shared_memory_region"].string_param = "r"
    output.parameters["shared_memory_byte_size"].int64_param = size
    output.parameters["shared_memory_offset"].int64_param = offset
    return regions.part(output, LOCAL)


@pytest.mark.parametrize("peer", [b"ipv4:10.0.0.7:4711", b"ipv6:[2001:db8::1]:4711", b""])
def test_clients_elsewhere_have_no_shared_memory_here(regions: Regions, peer: bytes):
    with pytest.raises(Unsupported, match="clients on the server's own machine"):
        regions.check(peer)


def test_clients_on_this_machine_have_where_it_is_allowed(regions: Regions):
    regions.check(LOCAL)
    with pytest.raises(Unsupported, match=r"server\.shared_memory = true"):
        Regions().check(LOCAL)


def test_all_outputs_are_written_or_none(regions: Regions, tmp_path: Path):
    places = {"y": part(regions, "y", 16), "z": part(regions, "z", 15, 32)}
    outputs = {name: np.ones((1, 4), np.float32) for name in "yz"}

    with pytest.raises(BadInput, match=r"output 'z' \(15 bytes\) should be at least 16 bytes"):
        put(places, pb.ModelInferResponse().SerializeToString(), outputs)

    assert (tmp_path / "memory").read_bytes() == bytes(64)


def test_rows_that_do_not_lie_together_are_written_in_order(regions: Regions, tmp_path: Path):
    response: Any = pb.ModelInferResponse()
    response.outputs.add(name="y")
    columns = np.arange(8, dtype=np.float32).reshape(4, 2).T

    common, arrays = put(
        {"y": part(regions, "y", 40, 8)}, response.SerializeToString(), {"y": columns}
    )

    written = (tmp_path / "memory").read_bytes()
    assert written[8:40] == columns.tobytes()
    assert written[:8] + written[40:] == bytes(32)
    assert [array.size for array in arrays] == [0]
    said = pb.ModelInferResponse.FromString(common).outputs[0].parameters
    assert said["shared_memory_byte_size"].int64_param == 32


def test_what_cannot_fit_is_known_before_it_is_computed_but_for_free_sizes(regions: Regions):
    check_room({"y": part(regions, "y", 32)}, SPECS, 2)
    check_room({"free": part(regions, "free", 1)}, SPECS, 2)
    with pytest.raises(BadInput, match=r"\(31 bytes\) should be at least 32 bytes"):
        check_room({"y": part(regions, "y", 31)}, SPECS, 2)


@pytest.mark.parametrize(("begin", "alike"), [(0, True), (15, True), (16, False), (48, False)])
def test_parts_overlap_where_they_have_a_byte_in_common(regions: Regions, begin: int, alike: bool):
    regions.registry.register("again", "/memory", 0, 64)
    one, other = part(regions, "y", 16), part(regions, "z", 16, begin)

    assert one.overlaps(other) is other.overlaps(one) is alike


def test_what_was_read_once_stays_and_its_file_is_let_go(regions: Regions, tmp_path: Path):
    x = part(regions, "x", 16)
    spec = TensorSpec("x", "FP32", (-1, 4))
    first = x.array(spec, 4, "m")
    (tmp_path / "memory").write_bytes(b"\1" * 64)

    assert (first == 0).all()
    assert (x.array(spec, 4, "m") == 0).all()
    assert x.file is None
