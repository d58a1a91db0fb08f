"""Engines kept between starts: what is found again, what is built anew, and what an engine is built for."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.backends import Way, open_backend, ways
from models.backends.base import Backend, BackendError
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from tests.support.tensorrt_stand_in import StandIn

WIDTH = 4
VARIANT = Variant("pair", "fp32", "pair.onnx", "", Accuracy(0.5, "invented"))
FAMILY = Family(
    "pair",
    (TensorSpec("x", "UINT8", (-1, 2, WIDTH)),),
    (TensorSpec("y", "FP32", (-1, WIDTH, 2)),),
    (VARIANT,),
    Slo(0.05),
)
Install = Callable[[StandIn], StandIn]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a graph that turns bytes round before it casts them, as pictures come in."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 1]),
        helper.make_node("Cast", ["t"], ["y"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "pair",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", 2, WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", WIDTH, 2])],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "pair.onnx")
    return tmp_path


def opened(folder: Path, precision: str = "fp32", max_batch: int = 32) -> Backend:
    variant = replace(VARIANT, precision=precision)
    family = replace(FAMILY, max_batch=max_batch)
    return open_backend(folder, family, variant, threads=1, way=Way("tensorrt", "cuda"))


def entries(folder: Path, suffix: str = ".engine") -> list[Path]:
    return sorted((folder / "cache" / "gearshift" / "engines").glob(f"*{suffix}"))


def test_a_second_start_builds_nothing(folder: Path, tensorrt_stand_in: StandIn):
    opened(folder)

    opened(folder)

    assert len(tensorrt_stand_in.built) == 1
    assert len(entries(folder)) == 1


@pytest.mark.parametrize("change", [{"precision": "fp16"}, {"max_batch": 8}])
def test_another_precision_or_range_is_another_engine(
    folder: Path, tensorrt_stand_in: StandIn, change: dict[str, object]
):
    opened(folder)

    opened(folder, **change)  # pyright: ignore[reportArgumentType]

    assert len(tensorrt_stand_in.built) == 2
    assert len(entries(folder)) == 2


def test_another_artefact_is_another_engine(folder: Path, tensorrt_stand_in: StandIn):
    opened(folder)
    model = onnx.load(folder / "pair.onnx")
    model.producer_name = "another"
    onnx.save(model, folder / "pair.onnx")

    opened(folder)

    assert len(tensorrt_stand_in.built) == 2


def test_another_version_builds_anew(folder: Path, install_tensorrt: Install):
    install_tensorrt(StandIn("10.0.0"))
    opened(folder)
    newer = install_tensorrt(StandIn("10.9.0"))

    opened(folder)

    assert len(newer.built) == 1


def test_another_gpu_builds_anew(
    folder: Path, tensorrt_stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
):
    opened(folder)
    monkeypatch.setattr("models.backends.tensorrt_backend.gpu", lambda: ("Other", (8, 0)))

    opened(folder)

    assert len(tensorrt_stand_in.built) == 2


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, None], ids=["empty", "foreign", "truncated"])
def test_a_damaged_entry_is_set_aside_and_built_anew(
    folder: Path, tensorrt_stand_in: StandIn, caplog: pytest.LogCaptureFixture, damage: bytes | None
):
    opened(folder)
    (entry,) = entries(folder)
    whole = entry.read_bytes()
    entry.write_bytes(whole[:-3] if damage is None else damage)

    again = opened(folder)

    assert len(tensorrt_stand_in.built) == 2
    assert entry.read_bytes() == whole
    assert len(entries(folder, ".damaged")) == 1
    assert "set aside" in caplog.text
    assert len(again.run({"x": np.zeros((1, 2, WIDTH), np.uint8)})["y"]) == 1


def test_a_whole_entry_that_does_not_load_is_built_anew(folder: Path, install_tensorrt: Install):
    stand_in = install_tensorrt(StandIn())
    opened(folder)
    stand_in.__version__, before = "10.0.0-patched", entries(folder)[0]
    opened(folder)
    entries_now = [e for e in entries(folder) if e != before]
    entries_now[0].write_bytes(before.read_bytes())

    opened(folder)

    assert len(stand_in.built) == 3


def test_a_cache_that_cannot_be_written_costs_a_build_and_one_warning(
    folder: Path, tensorrt_stand_in: StandIn, caplog: pytest.LogCaptureFixture
):
    (folder / "cache").write_text("a file where the folder should be")

    with caplog.at_level(logging.WARNING):
        opened(folder)
        opened(folder)

    assert len(tensorrt_stand_in.built) == 2
    assert caplog.text.count("built anew at every start") == 1


def test_every_batch_size_has_a_profile_and_larger_ones_are_refused(
    folder: Path, tensorrt_stand_in: StandIn
):
    backend = opened(folder, max_batch=20)
    shapes = [profile.shapes["x"] for profile in tensorrt_stand_in.built[0].profiles]

    assert [(low[0], high[0]) for low, _, high in shapes] == [(1, 1), (2, 8), (9, 20)]
    for rows in (1, 2, 8, 9, 20):
        assert len(backend.run({"x": np.zeros((rows, 2, WIDTH), np.uint8)})["y"]) == rows
    with pytest.raises(BackendError, match="batch 21 exceeds"):
        backend.run({"x": np.zeros((21, 2, WIDTH), np.uint8)})


@pytest.mark.parametrize(
    ("precision", "flags", "typed"),
    [("fp32", ["TF32"], 0), ("fp16", ["FP16"], 0), ("bf16", ["BF16"], 0), ("int8", [], 1)],
)
def test_a_precision_sets_its_flag_and_int8_follows_the_graph(
    folder: Path, tensorrt_stand_in: StandIn, precision: str, flags: list[str], typed: int
):
    opened(folder, precision=precision)

    assert tensorrt_stand_in.built[0].flags == flags
    assert bool(tensorrt_stand_in.networks[0].flags) == bool(typed)


def test_bytes_are_cast_before_they_are_turned_round(folder: Path, tensorrt_stand_in: StandIn):
    rows = np.arange(16, dtype=np.uint8).reshape(2, 2, WIDTH)

    answer = opened(folder).run({"x": rows})["y"]

    np.testing.assert_array_equal(answer, rows.transpose(0, 2, 1))
    assert tensorrt_stand_in.built


def test_without_a_gpu_it_is_no_way(tensorrt_stand_in: StandIn, monkeypatch: pytest.MonkeyPatch):
    assert tensorrt_stand_in
    assert Way("tensorrt", "cuda") in ways(VARIANT, ["tensorrt"])
    monkeypatch.setattr("models.backends.tensorrt_backend.devices", tuple)

    assert Way("tensorrt", "cuda") not in ways(VARIANT, ["tensorrt"])
