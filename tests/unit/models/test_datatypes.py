"""The table of datatypes, held against what each library calls them."""

import numpy as np
import onnx
import openvino as ov
import pytest

from models.datatypes import DATATYPES, Datatype
from wire import inference_pb2 as pb

ROWS = pytest.mark.parametrize("row", DATATYPES.values(), ids=DATATYPES)


@ROWS
def test_onnx_has_the_same_type_by_that_code(row: Datatype):
    assert onnx.helper.tensor_dtype_to_np_dtype(row.onnx) == row.dtype


@ROWS
def test_openvino_has_the_same_type_by_that_name(row: Datatype):
    assert ov.Type(row.dtype).get_type_name() == row.openvino


@ROWS
def test_the_protocol_knows_the_name(row: Datatype):
    assert f"TYPE_{row.name}" in set(pb.DataType.keys())


@ROWS
def test_typed_contents_hold_the_ends_of_each_type_in_no_more_bytes(row: Datatype):
    if not row.field:
        pytest.skip("sent raw only")
    if row.dtype.kind in "iu":
        limits = np.iinfo(row.dtype.name)
        ends = [int(limits.min), int(limits.max)]
    else:
        ends = [row.dtype.type(1).item()]

    for value in ends:
        alone, head = (pb.InferTensorContents(**{row.field: [value] * n}) for n in (101, 1))
        assert alone.ByteSize() - head.ByteSize() <= 100 * row.typed_bytes + 1


def test_whole_numbers_agree_when_they_are_equal_and_floats_when_they_are_near():
    assert {row.name for row in DATATYPES.values() if row.tolerance} == {"FP16", "FP32", "FP64"}


@ROWS
def test_torch_has_the_same_type_by_numpys_name(row: Datatype):
    torch = pytest.importorskip("torch")

    assert torch.zeros(1, dtype=getattr(torch, row.dtype.name)).numpy().dtype == row.dtype
