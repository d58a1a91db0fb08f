"""What `gearshift models quantize` says of copies that are doubtful, and how it judges them."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from models.artifacts import load_family
from tests.support.networks import (
    CLASSES,
    ROWS,
    WIDTH,
    Nodes,
    Weights,
    a_family,
    constant,
    dense,
    made,
    quantize,
    some,
)


def test_labels_that_contradict_the_manifest_are_said_and_not_written_as_fact(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    a_family(root, dense(), accuracy=0.9)
    labels = np.random.default_rng(1).integers(0, CLASSES, ROWS)

    assert quantize(root, "bf16", labels=labels) == 0

    said = capsys.readouterr().err
    assert "net-bf16 is doubtful: fp32 is right on " in said
    assert "of 40 labelled rows, the manifest says 90.0% (own test split)" in said
    known = made(root)["net-bf16"]
    assert known.value < 0.3
    assert "doubtful: fp32 is right on " in known.source
    assert known.interval > 0.05


def test_labels_that_fit_the_manifest_raise_no_doubt(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    a_family(root, dense(), accuracy=0.9)
    x = some(ROWS, WIDTH, seed=9)
    labels = (x @ some(WIDTH, CLASSES)).argmax(axis=1)
    labels[::9] = (labels[::9] + 1) % CLASSES

    assert quantize(root, "bf16", labels=labels) == 0

    assert capsys.readouterr().err == ""
    known = made(root)["net-bf16"]
    assert known.value == pytest.approx(0.9)
    assert 0.08 < known.interval < 0.1  # no row lost of 40: up to 3.84 / 43.84 may be


def test_a_low_agreement_is_said(root: Path, capsys: pytest.CaptureFixture[str]):
    """Columns of one weight beside columns a thousandth as large, on inputs that hide the former: int8 loses them."""
    weights = 1e-3 * some(WIDTH, CLASSES)
    weights[0] = 100.0
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="y")]
    a_family(root, (nodes, [constant("w", weights)]), labelled=True)
    x = some(ROWS, WIDTH, seed=9)
    x[:, 0] = 0.01 * x[:, 0]
    x[0, :] = 5.0

    assert quantize(root, "int8", x=x) == 0

    said = capsys.readouterr().err
    assert "net-int8 is doubtful: 'y' says what fp32 says on only " in said
    assert "'y' says what fp32 says on only " in made(root)["net-int8"].source
    assert made(root)["net-int8"].value < 0.8


def test_rows_that_are_all_answered_alike_are_said(root: Path, capsys: pytest.CaptureFixture[str]):
    a_family(root, dense(), labelled=True)

    assert quantize(root, "bf16", x=np.ones((ROWS, WIDTH), np.float32)) == 0

    assert "fp32's 'y' says the same on all 40 rows" in capsys.readouterr().err


def a_detector() -> tuple[Nodes, Weights]:
    """Four positions in pixels and a confidence, all of one product whose outputs share their 256 levels."""
    weights = some(WIDTH, 5)
    weights[:, :4] *= 1000.0
    weights[:, 4] *= 0.1
    return [helper.make_node("MatMul", ["x", "w"], ["y"], name="y")], [constant("w", weights)]


def test_a_detector_that_loses_its_confidence_is_no_equal_of_fp32(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    a_family(root, a_detector(), (("y", "FP32", (5,)),))

    assert quantize(root, "int8") == 0

    said = capsys.readouterr().err
    assert (
        "net-int8 is doubtful: column 4 of 'y' became the same on all rows; fp32's differs" in said
    )
    assert "net-int8 is published as a candidate" in said
    copy = load_family(root / "own").variants[1]
    assert copy.candidate
    assert copy.accuracy.value < 0.6


def test_rows_of_zeros_make_candidates_and_no_equals(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    a_family(root, dense())

    assert quantize(root, x=np.zeros((450, WIDTH), np.float32)) == 0

    assert "is the same on all rows; give rows that differ" in capsys.readouterr().err
    for copy in load_family(root / "own").variants[1:]:
        assert copy.candidate
        assert copy.accuracy.value < 0.5


def test_rows_in_another_scale_are_found_out_by_the_familys_samples(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    folder = a_family(root, dense())
    rows = some(ROWS, WIDTH, seed=9)

    assert quantize(root, "int8,bf16", x=rows / 100) == 0
    before = load_family(folder).variant("net-int8")
    np.savez(folder / "samples.npz", x=rows[:20])
    assert quantize(root, "int8,bf16", x=rows / 100) == 0

    assert before is not None
    assert not before.candidate
    said = capsys.readouterr().err
    assert "net-int8 is doubtful: 'y' is off by " in said
    assert "of how much 20 rows of the family's samples differ" in said
    assert "net-bf16" not in said
    copies = {v.precision: v for v in load_family(folder).variants}
    assert copies["int8"].candidate
    assert copies["int8"].accuracy.value < 0.5
    assert not copies["bf16"].candidate


def test_samples_that_cannot_be_used_are_said_and_left_out(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    folder = a_family(root, dense())
    np.savez(folder / "samples.npz", z=np.zeros(3))

    assert quantize(root, "bf16") == 0

    assert (
        "samples.npz is left out, copies are not compared on it: it has no array for input 'x'"
        in (capsys.readouterr().err)
    )


def test_an_output_that_is_no_number_any_more_leaves_the_precision_out(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    """1 / (w * x) where w is too small for fp16: a division by nothing, and nothing by nothing is no number."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Div", ["z", "z"], ["y"]),
    ]
    a_family(root, (nodes, [constant("w", 1e-9 * np.abs(some(WIDTH, CLASSES)))]))

    assert quantize(root, "bf16,fp16", x=np.abs(some(ROWS, WIDTH, seed=9))) == 0

    said = capsys.readouterr().err
    assert "net-fp16 is left out: its output 'y' is not finite on 40 of 40 held-out rows" in said


def test_every_output_counts_and_the_worst_is_named(root: Path):
    (one, weights), (two, more) = dense(), dense("z")
    outputs = (("y", "FP32", (CLASSES,)), ("z", "FP32", (CLASSES,)))
    a_family(root, ([*one, *two], [*weights, *more]), outputs)

    assert quantize(root) == 0

    for known in made(root).values():
        assert "the worst of 2" in known.source
        assert known.interval > 0.05


def test_a_regression_is_judged_by_its_error(root: Path, capsys: pytest.CaptureFixture[str]):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("ReduceSum", ["h", "axis"], ["y"], keepdims=1),
    ]
    weights = [constant("w", some(WIDTH, WIDTH)), constant("axis", np.array([1]))]
    a_family(root, (nodes, weights), (("y", "FP32", (1,)),))

    assert quantize(root, "bf16") == 0

    known = made(root)["net-bf16"]
    assert "less its relative error of 0.00" in known.source
    assert 0.89 < known.value < 0.9
    assert known.interval > 0.05
    assert capsys.readouterr().err == ""
