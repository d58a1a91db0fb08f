"""Answers -> response bytes. What a batch's answers share is encoded once: concatenated protobuf messages merge."""

from collections.abc import Sequence

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from models.catalog import Family, TensorSpec
from models.datatypes import BY_DTYPE
from server.engine.values import Execution
from wire import inference_pb2 as pb

_PIECE = 1 << 14
"""Elements that are converted at a time."""


def _tag(message: type[Message], field: str) -> bytes:
    """What a length-delimited field begins with."""
    return varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | 2)


def _final() -> bytes:
    response = pb.ModelInferResponse()
    response.parameters["triton_final_response"].bool_param = True
    return response.SerializeToString()


def shared(
    family: Family,
    execution: Execution,
    outputs: Sequence[TensorSpec],
    shapes: Sequence[tuple[int, ...]],
) -> bytes:
    """What all answers computed alike, with these outputs of these shapes, have in common."""
    response = pb.ModelInferResponse(model_name=family.name, model_version="1")
    parameters = response.parameters
    parameters["variant"].string_param = execution.variant
    parameters["precision"].string_param = execution.precision
    parameters["backend"].string_param = execution.backend
    parameters["accuracy"].double_param = execution.accuracy
    parameters["batch_size"].int64_param = execution.batch_size
    parameters["compute_ms"].double_param = execution.compute_s * 1e3
    if execution.variants:
        parameters["variants"].string_param = ",".join(execution.variants)
    for spec, shape in zip(outputs, shapes, strict=True):
        response.outputs.add(name=spec.name, datatype=spec.datatype, shape=shape)
    return response.SerializeToString()


def whole(
    common: bytes, request_id: str, queue_s: float, arrays: Sequence[NDArray[np.generic]]
) -> bytes:
    """One answer: what it has in common with others, its id, its time in the queue, its raw outputs.

    The outputs are copied once, into the message: protobuf would copy them three times, and gives the memory of large
    messages back to the system each time, at a price that every thread pays.
    """
    response = pb.ModelInferResponse(id=request_id)
    response.parameters["queue_ms"].double_param = queue_s * 1e3
    parts: list[bytes | memoryview] = [common, response.SerializeToString()]
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
    response = pb.ModelInferResponse.FromString(message)
    fields = [BY_DTYPE[array.dtype.name].field for array in arrays]
    if not all(fields):
        return message  # FP16 has no typed field: raw is the only way
    for output, array, field in zip(response.outputs, arrays, fields, strict=True):
        contents, flat = getattr(output.contents, field), array.ravel()
        for begin in range(0, flat.size, _PIECE):  # other threads take turns in between
            contents.extend(flat[begin : begin + _PIECE].tolist())
    del response.raw_output_contents[:]
    return response.SerializeToString()


_RAW_OUTPUT = _tag(pb.ModelInferResponse, "raw_output_contents")
_INFER_RESPONSE = _tag(pb.ModelStreamInferResponse, "infer_response")
_FINAL = _final()
