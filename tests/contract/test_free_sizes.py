"""Arms whose rows have free sizes: tried at several, and with padding, before they are believed."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from models.backends import open_backend, reference_way
from models.catalog import Accuracy, Family, FreeSize, Slo, TensorSpec, Variant
from profiler.measuring.conformance import Conformance
from profiler.measuring.rows import sample_rows
from profiler.profiles import Vetted
from tests.support.zoo import graph

SUMS = """
g (int64[N, S] ids) => (float[N, S] y, float[N] total)
<int64[1] tokens = {1}>
{ y = Cast <to = 1> (ids) total = ReduceSum <keepdims = 0> (y, tokens) }
"""
MEANS = SUMS.replace(
    "ReduceSum <keepdims = 0> (y, tokens)", "ReduceMean <axes = [1], keepdims = 0> (y)"
)
ACROSS = SUMS.replace("Cast <to = 1> (ids)", "Sub(z, m)").replace(
    "{ y =", "{ z = Cast <to = 1> (ids) m = ReduceMax <axes = [0]> (z) y ="
)
VARIANT = Variant("only", "fp32", "net.onnx", "", Accuracy(1.0, "made up"))
TEXT = Family(
    "text",
    (TensorSpec("ids", "INT64", (-1, -1), ("S",), pad=0.0),),
    (TensorSpec("y", "FP32", (-1, -1), ("S",)), TensorSpec("total", "FP32", (-1,))),
    (VARIANT,),
    Slo(0.05),
    sizes=(FreeSize("S", 8, 64),),
)


def vetted(folder: Path, text: str, family: Family) -> Vetted:
    """What is found of the graph as a variant of this family."""
    model = graph(text)
    if "ReduceMean" in text:
        model.opset_import[0].version = 17  # axes are an attribute until then
    onnx.save(model, folder / "net.onnx")
    way = reference_way(VARIANT)
    backend = open_backend(folder, family, VARIANT, threads=1, way=way)
    try:
        assert way is not None
        rows = sample_rows(folder, family)
        return Conformance(folder, family, rows).vet(backend, VARIANT, way)
    finally:
        backend.close()


def test_padding_that_changes_no_answer_is_done(tmp_path: Path):
    assert vetted(tmp_path, SUMS, TEXT).alone == ""


def test_padding_that_changes_an_answer_is_not_believed_of_a_manifest(tmp_path: Path):
    assert "padding changes a row's answer" in vetted(tmp_path, MEANS, TEXT).alone


def test_without_padding_there_is_nothing_to_try(tmp_path: Path):
    inputs = (replace(TEXT.inputs[0], pad=None),)

    assert vetted(tmp_path, MEANS, replace(TEXT, inputs=inputs)).alone == ""


@pytest.mark.parametrize("pad", [None, 0.0])
def test_rows_that_hang_on_each_other_do_so_at_any_size(tmp_path: Path, pad: float | None):
    inputs = (replace(TEXT.inputs[0], pad=pad),)

    assert "one by one" in vetted(tmp_path, ACROSS, replace(TEXT, inputs=inputs)).alone
