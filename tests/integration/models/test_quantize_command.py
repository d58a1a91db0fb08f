"""`gearshift models quantize`: an operator's family gets further precisions, or one line says why not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.__main__ import main
from models.artifacts import load_family, publish_family
from models.build.graphs import Graph
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

FULL = Variant("net-fp32", "fp32", "", "", Accuracy(0.8, "own validation set", 500))
FAMILY = Family(
    "own",
    (TensorSpec("x", "FP32", (-1, 3, 8, 8)),),
    (TensorSpec("y", "FP32", (-1, 5)),),
    (FULL,),
    Slo(0.05),
)


def a_network(scale: float = 0.3) -> onnx.ModelProto:
    """x [N, 3, 8, 8] -> two convolutions -> mean -> dense -> y [N, 5]."""
    rng = np.random.default_rng(4)

    def normal(*shape: int) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    graph = Graph()
    first = graph.relu6(graph.convolution("x", "a", (normal(16, 3, 3, 3), normal(16)), 1, (1, 1)))
    second = graph.relu6(
        graph.convolution(first, "b", (normal(32, 16, 3, 3), normal(32)), 2, (1, 1))
    )
    flat = graph.node("Flatten", [graph.node("GlobalAveragePool", [second], "p")], "f", axis=1)
    dense = [graph.constant("w", normal(5, 32)), graph.constant("c", normal(5))]
    graph.node("Gemm", [flat, *dense], "y", transB=1)
    return graph.model(
        "own",
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5]),
    )


def publish(root: Path, variant: Variant = FULL, scale: float = 0.3) -> None:
    source = root.parent / "net.onnx"
    onnx.save(a_network(scale), source)
    publish_family(root, replace(FAMILY, variants=(variant,)), {variant.name: source})


def some_rows(count: int = 80) -> np.ndarray:
    return np.random.default_rng(9).standard_normal((count, 3, 8, 8)).astype(np.float32)


def with_nan(rows: np.ndarray, count: int) -> np.ndarray:
    rows[3 : 3 + count, 1, 2, 2] = np.nan
    return rows


def quantize(root: Path, precisions: str = "int8,bf16,fp16", **arrays: Any) -> int:
    file = root.parent / "rows.npz"
    np.savez(file, **(arrays or {"x": some_rows()}))
    options = ["--calibration", str(file), "--precisions", precisions]
    return main(["quantize", "own", "--repository", str(root), *options])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    publish(tmp_path / "models")
    return tmp_path / "models"


def test_every_precision_is_published_beside_fp32(root: Path):
    assert quantize(root) == 0

    family = load_family(root / "own")
    assert [v.name for v in family.variants] == ["net-fp32", "net-int8", "net-bf16", "net-fp16"]
    assert family.variants[0].accuracy == FULL.accuracy
    for variant in family.variants[1:]:
        assert 0.5 < variant.accuracy.value <= 0.8
        assert variant.accuracy.source.startswith("estimate: fp32's (own validation set)")
    kinds = {n.op_type for n in onnx.load(root / "own" / family.variants[1].artifact).graph.node}
    assert "QuantizeLinear" in kinds


def test_with_labels_the_loss_is_measured(root: Path):
    labels = np.random.default_rng(1).integers(0, 5, 80)

    assert quantize(root, "int8", x=some_rows(), labels=labels) == 0

    known = load_family(root / "own").variants[1].accuracy
    assert known.n == 40
    assert known.value <= 0.8
    assert "40 labelled held-out rows" in known.source


def test_a_second_run_replaces_what_the_first_made(root: Path):
    assert quantize(root) == quantize(root, "bf16") == 0

    names = sorted(v.name for v in load_family(root / "own").variants)
    assert names == ["net-bf16", "net-fp16", "net-fp32", "net-int8"]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"z": some_rows()}, "the family's inputs ['x']"),
        ({"x": some_rows()[:, :2]}, "the family wants FP32 [-1, 3, 8, 8]"),
        ({"x": some_rows().astype(np.float64)}, "is float64"),
        ({"x": some_rows(10)}, "10 rows are too few"),
        ({"x": some_rows(), "labels": np.zeros(7, int)}, "unlike numbers of rows"),
        ({"x": some_rows(), "labels": np.zeros(80)}, "one class number a row"),
        ({"x": np.array([{}], dtype=object)}, "cannot be read as .npz"),
        ({"x": with_nan(some_rows(450), 50)}, "array 'x' holds NaN in 50 of 450 rows; leave those"),
    ],
)
def test_wrong_calibration_is_one_line_and_nothing_is_published(
    root: Path, capsys: pytest.CaptureFixture[str], arrays: dict[str, Any], said: str
):
    assert quantize(root, **arrays) == 2
    assert_refused(root, capsys, said)


def test_a_damaged_file_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]):
    file = root.parent / "rows.npz"
    file.write_bytes(b"PK\x03\x04 not a zip")

    assert main(["quantize", "own", "--repository", str(root), "--calibration", str(file)]) == 2
    assert_refused(root, capsys, "cannot be read as .npz")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"0.1 0.2 0.3\n", "cannot be read as .npz: it is no archive of arrays; write it with"),
        (b"", "cannot be read as .npz: it is no archive of arrays"),
        (None, "is one array without a name (.npy); write it with numpy.savez, each array under"),
    ],
    ids=["text", "empty", "npy"],
)
def test_a_file_that_is_no_archive_is_called_what_it_is(
    root: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, said: str
):
    file = root.parent / "rows.npz"
    if content is None:
        with file.open("wb") as opened:
            np.save(opened, some_rows())
    else:
        file.write_bytes(content)

    assert main(["quantize", "own", "--repository", str(root), "--calibration", str(file)]) == 2
    assert_refused(root, capsys, said)


def test_an_unknown_precision_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]):
    assert quantize(root, "int8,int3") == 2
    assert_refused(root, capsys, "unknown precision 'int3'; known: bf16, fp16, int8")


def test_a_precision_that_weights_do_not_fit_is_left_out_and_the_others_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    publish(tmp_path / "models", scale=1e6)

    assert quantize(tmp_path / "models", "bf16,fp16") == 0

    said = capsys.readouterr().err
    assert "net-fp16 is left out: weight a.weight: fp16 cannot hold a weight" in said
    names = [v.name for v in load_family(tmp_path / "models" / "own").variants]
    assert names == ["net-fp32", "net-bf16"]


def test_a_family_without_fp32_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    publish(tmp_path / "models", replace(FULL, name="net-int8", precision="int8"))

    assert quantize(tmp_path / "models") == 2
    assert_refused(tmp_path / "models", capsys, "has no fp32 variant in ONNX")


def assert_refused(root: Path, capsys: pytest.CaptureFixture[str], said: str) -> None:
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert len(load_family(root / "own").variants) == 1
    assert not list(root.glob(".building-*"))
