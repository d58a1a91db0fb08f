"""Answers -> response bytes. What a batch's answers share is encoded once: concatenated protobuf messages merge."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.catalog import Family, TensorSpec
from server.runtime.dispatch.jobs import Batch
from wire import inference_pb2 as pb

_TYPED = {
    "bool": "bool_contents", "uint8": "uint_contents", "uint16": "uint_contents", "uint32": "uint_contents",
    "uint64": "uint64_contents", "int8": "int_contents", "int16": "int_contents", "int32": "int_contents",
    "int64": "int64_contents", "float32": "fp32_contents", "float64": "fp64_contents",
}  # fmt: skip
_PIECE = 1 << 14
"""Elements that are converted at a time."""


def _tag(message: Any, field: str) -> bytes:
    """What a length-delimited field begins with."""
    return varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | 2)


def _final() -> bytes:
    response: Any = pb.ModelInferResponse()
    response.parameters["triton_final_response"].bool_param = True
    return response.SerializeToString()


def shared(family: Family, batch: Batch, outputs: Sequence[TensorSpec], rows: int) -> bytes:
    """What all answers of `batch` with these outputs and this many rows have in common."""
    response: Any = pb.ModelInferResponse(model_name=family.name, model_version="1")
    parameters = response.parameters
    parameters["variant"].string_param = batch.profile.arm.variant
    parameters["precision"].string_param = batch.precision
    parameters["backend"].string_param = batch.profile.arm.backend
    parameters["accuracy"].double_param = batch.profile.accuracy
    parameters["batch_size"].int64_param = batch.rows
    parameters["compute_ms"].double_param = batch.compute_s * 1e3
    for spec in outputs:
        response.outputs.add(name=spec.name, datatype=spec.datatype, shape=(rows, *spec.shape[1:]))
    return response.SerializeToString()


def whole(
    common: bytes, request_id: str, queue_s: float, arrays: Sequence[NDArray[np.generic]]
) -> bytes:
    """One answer: what it has in common with others, its id, its time in the queue, its raw outputs.

    The outputs are copied once, into the message: protobuf would copy them three times, and gives the memory of large
    messages back to the system each time, at a price that every thread pays.
    """
    response: Any = pb.ModelInferResponse(id=request_id)
    response.parameters["queue_ms"].double_param = queue_s * 1e3
    parts: list[Any] = [common, response.SerializeToString()]
    for array in arrays:
        parts += (_RAW_OUTPUT, varint(array.nbytes), np.ascontiguousarray(array).data)
    return b"".join(parts)


def streamed(message: bytes) -> bytes:
    """A ModelStreamInferResponse of this answer, which is marked as its request's last."""
    return b"".join((_INFER_RESPONSE, varint(len(message) + len(_FINAL)), message, _FINAL))


def varint(value: int) -> bytes:
    """As protobuf writes a length."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def typed(message: bytes, arrays: list[NDArray[np.generic]]) -> bytes:
    """The same response with typed contents in place of raw ones, for a request that came that way."""
    response: Any = pb.ModelInferResponse.FromString(message)
    if any(array.dtype.name not in _TYPED for array in arrays):
        return message  # FP16 has no typed field: raw is the only way
    for output, array in zip(response.outputs, arrays, strict=True):
        contents, flat = getattr(output.contents, _TYPED[array.dtype.name]), array.ravel()
        for begin in range(0, flat.size, _PIECE):  # other threads take turns in between
            contents.extend(flat[begin : begin + _PIECE].tolist())
    del response.raw_output_contents[:]
    return response.SerializeToString()


_RAW_OUTPUT = _tag(pb.ModelInferResponse, "raw_output_contents")
_INFER_RESPONSE = _tag(pb.ModelStreamInferResponse, "infer_response")
_FINAL = _final()
