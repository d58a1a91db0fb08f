"""The Open Inference Protocol's datatypes that are served, a row each: what every library calls them. Pure."""

from dataclasses import dataclass

import numpy as np

_WIDEST = {
    "b": np.dtype("bool"),
    "u": np.dtype("uint64"),
    "i": np.dtype("int64"),
    "f": np.dtype("float64"),
}


@dataclass(frozen=True, slots=True)
class Datatype:
    """A datatype by the protocol's name. `dtype` is numpy's, and its name is torch's too.

    `field` of InferTensorContents holds typed values, `typed_bytes` at most for each (whole numbers are varints, and
    negative ones as long as they get); empty and 0 where values are sent raw only. `onnx` is the TensorProto.DataType,
    `onnxruntime` what stands in its "tensor(...)", `openvino` the element type. `tolerance`: the largest relative
    difference between runtimes that agree in fp32; 0 for whole numbers.
    """

    name: str
    dtype: np.dtype[np.generic]
    field: str
    typed_bytes: int
    onnx: int
    onnxruntime: str
    openvino: str
    tolerance: float = 0.0

    @property
    def is_float(self) -> bool:
        """Whether values may be fractions, infinite or NaN."""
        return self.dtype.kind == "f"

    @property
    def widest(self) -> np.dtype[np.generic]:
        """What holds whatever the typed field may carry; numpy's own choice would round large numbers."""
        return _WIDEST[self.dtype.kind]


_ROWS = (
    Datatype("BOOL", np.dtype("bool"), "bool_contents", 1, 9, "bool", "boolean"),
    Datatype("UINT8", np.dtype("uint8"), "uint_contents", 2, 2, "uint8", "u8"),
    Datatype("UINT16", np.dtype("uint16"), "uint_contents", 3, 4, "uint16", "u16"),
    Datatype("UINT32", np.dtype("uint32"), "uint_contents", 5, 12, "uint32", "u32"),
    Datatype("UINT64", np.dtype("uint64"), "uint64_contents", 10, 13, "uint64", "u64"),
    Datatype("INT8", np.dtype("int8"), "int_contents", 10, 3, "int8", "i8"),
    Datatype("INT16", np.dtype("int16"), "int_contents", 10, 5, "int16", "i16"),
    Datatype("INT32", np.dtype("int32"), "int_contents", 10, 6, "int32", "i32"),
    Datatype("INT64", np.dtype("int64"), "int64_contents", 10, 7, "int64", "i64"),
    Datatype("FP16", np.dtype("float16"), "", 0, 10, "float16", "f16", 4e-3),
    Datatype("FP32", np.dtype("float32"), "fp32_contents", 4, 1, "float", "f32", 1e-4),
    Datatype("FP64", np.dtype("float64"), "fp64_contents", 8, 11, "double", "f64", 1e-9),
)

DATATYPES = {row.name: row for row in _ROWS}
"""By the protocol's name. BYTES and BF16 have no numpy twin: not served."""

BY_DTYPE = {row.dtype.name: row for row in _ROWS}
"""By the name of numpy's type."""
