"""A graph that is kept answers as the one that was compiled; one that is no good is compiled anew."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.backends import Way, open_backend
from models.backends.base import Backend, graphs_of
from models.catalog import TensorSpec
from tests.support.tiny import a_family, a_variant, need, some_rows, write_onnx

WAY = Way("openvino")
PLAN = (1, 2, 4, 4)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    need(WAY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_onnx(tmp_path / "tiny.onnx")
    return tmp_path / "cache" / "gearshift" / "graphs"


def opened(folder: Path, *, keeps: bool = True, graphs: tuple[int, ...] = PLAN) -> Backend:
    return open_backend(
        folder,
        a_family(".onnx"),
        a_variant(".onnx"),
        threads=1,
        way=WAY,
        graphs=graphs,
        keeps=keeps,
    )


def answers(backend: Backend) -> list[bytes]:
    return [
        values.tobytes()
        for rows in (1, 2, 3, 7)
        for values in backend.run({"x": some_rows(rows)}).values()
    ]


def test_what_is_kept_answers_to_the_last_bit_as_what_was_compiled(tmp_path: Path, cache: Path):
    compiled = answers(opened(tmp_path, keeps=False))

    assert not cache.exists()
    assert answers(opened(tmp_path)) == compiled
    assert len(list(cache.iterdir())) == 3
    assert answers(opened(tmp_path)) == compiled


def test_what_is_kept_is_used(tmp_path: Path, cache: Path):
    opened(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}

    opened(tmp_path)

    assert before.keys() == set(cache.iterdir())
    assert all(path.stat().st_mtime_ns > mtime for path, mtime in before.items())


@pytest.mark.parametrize("damage", [b"", b"rubbish", b"\0" * 5000])
def test_damaged_entries_are_passed_over_and_written_anew(
    tmp_path: Path, cache: Path, damage: bytes
):
    compiled = answers(opened(tmp_path))
    for path in cache.iterdir():
        path.write_bytes(damage)

    assert answers(opened(tmp_path)) == compiled
    assert all(
        path.read_bytes() != damage for path in cache.iterdir() if path.name.endswith(".graph")
    )


def test_another_artefact_under_the_same_name_is_not_answered_for(tmp_path: Path, cache: Path):
    before = answers(opened(tmp_path))
    write_onnx(tmp_path / "tiny.onnx", top=100)

    after = answers(opened(tmp_path))

    assert after != before
    assert after == answers(opened(tmp_path, keeps=False))
    assert cache.exists()


def test_rows_that_fill_a_graph_up_change_no_answer(tmp_path: Path, cache: Path):
    alone = opened(tmp_path, graphs=(1,))
    filled = opened(tmp_path, graphs=(4, 4, 4, 4))
    rows = some_rows(7)

    for name, values in filled.run({"x": rows}).items():
        np.testing.assert_allclose(values, alone.run({"x": rows})[name], rtol=1e-5)
        assert len(values) == 7
    assert cache.exists()


def test_it_says_on_which_graphs_it_runs(tmp_path: Path, cache: Path):
    found = graphs_of(opened(tmp_path, graphs=()))

    assert found
    assert graphs_of(opened(tmp_path)) == PLAN
    assert cache.exists()


def test_each_input_is_filled_up_with_its_own_rows(tmp_path: Path, cache: Path):
    names, shape = ("a", "b"), ["n", 3]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)
    node = helper.make_node("Sub", [*names], ["y"])
    graph = helper.make_graph([node], "difference", inputs, [output])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "tiny.onnx")
    family = replace(
        a_family(".onnx"),
        inputs=tuple(TensorSpec(name, "FP32", (-1, 3)) for name in names),
        outputs=(TensorSpec("y", "FP32", (-1, 3)),),
    )
    variant = a_variant(".onnx")

    backend = open_backend(
        tmp_path, family, variant, threads=1, way=WAY, graphs=(32,) * 32, keeps=True
    )
    a, b = (np.random.default_rng(seed).random((5, 3), np.float32) for seed in (1, 2))

    np.testing.assert_array_equal(backend.run({"a": a, "b": b})["y"], a - b)
    assert cache.exists()
