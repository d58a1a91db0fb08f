"""Answers -> response bytes. What a batch's answers share is encoded once: concatenated protobuf messages merge."""

import struct
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from models.catalog import Family, TensorSpec
from models.datatypes import BY_DTYPE
from server.engine.values import Execution
from wire import inference_pb2 as pb

_PIECE = 1 << 14
"""Elements that are converted at a time."""
_SHORT = [bytes((value,)) for value in range(0x80)]
_DOUBLE = struct.Struct("<d")


def _tag(message: type[Message], field: str) -> bytes:
    """What a length-delimited field begins with."""
    return varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | 2)


def _timed(name: str) -> bytes:
    """What a parameter that is a time begins with: the time itself is its last eight bytes."""
    response = pb.ModelInferResponse()
    response.parameters[name].double_param = 0.0
    return response.SerializeToString()[: -_DOUBLE.size]


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
    lasting = _lasting(family.name, execution._replace(compute_s=0.0), (*outputs,), (*shapes,))
    return lasting + _COMPUTE_MS + _DOUBLE.pack(execution.compute_s * 1e3)


@lru_cache(maxsize=1024)
def _lasting(
    model: str,
    execution: Execution,
    outputs: Sequence[TensorSpec],
    shapes: Sequence[tuple[int, ...]],
) -> bytes:
    """All of that but for the time."""
    response = pb.ModelInferResponse(model_name=model, model_version="1")
    parameters = response.parameters
    parameters["variant"].string_param = execution.variant
    parameters["precision"].string_param = execution.precision
    parameters["backend"].string_param = execution.backend
    parameters["accuracy"].double_param = execution.accuracy
    parameters["batch_size"].int64_param = execution.batch_size
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
    parts: list[bytes | memoryview] = [common, _own(request_id, queue_s)]
    for array in arrays:
        parts += (_RAW_OUTPUT, varint(array.nbytes), _memory(array))
    return b"".join(parts)


class RunAnswers:
    """Answers to requests of `rows` rows each that ran together: `common` is what they share, `whole` all outputs."""

    def __init__(self, common: bytes, whole: Sequence[NDArray[np.generic]], rows: int) -> None:
        self._common = common
        self._outputs: list[tuple[bytes, memoryview, int, int]] = []
        for array in whole:
            row_bytes = array.nbytes // len(array)
            size = rows * row_bytes
            self._outputs.append((_RAW_OUTPUT + varint(size), _memory(array), row_bytes, size))

    def whole(self, request_id: str, queue_s: float, first: int) -> bytes:
        """One of them, whose rows begin with `first`; outputs are copied once."""
        parts: list[bytes | memoryview] = [self._common, _own(request_id, queue_s)]
        for head, memory, row_bytes, size in self._outputs:
            at = first * row_bytes
            parts += (head, memory[at : at + size])
        return b"".join(parts)


def _own(request_id: str, queue_s: float) -> bytes:
    queue = _QUEUE_MS + _DOUBLE.pack(queue_s * 1e3)
    if not request_id:
        return queue
    given = request_id.encode()
    return b"".join((_ID, varint(len(given)), given, queue))


def _memory(array: NDArray[np.generic]) -> memoryview:
    dense = np.ascontiguousarray(array)
    return dense.reshape(-1).view(np.uint8).data if dense.size else memoryview(b"")


def streamed(message: bytes) -> bytes:
    """A ModelStreamInferResponse of this answer, which is marked as its request's last."""
    return b"".join((_INFER_RESPONSE, varint(len(message) + len(_FINAL)), message, _FINAL))


def varint(value: int) -> bytes:
    """As protobuf writes a length."""
    if value < len(_SHORT):
        return _SHORT[value]
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


_ID = _tag(pb.ModelInferResponse, "id")
_QUEUE_MS, _COMPUTE_MS = _timed("queue_ms"), _timed("compute_ms")
_RAW_OUTPUT = _tag(pb.ModelInferResponse, "raw_output_contents")
_INFER_RESPONSE = _tag(pb.ModelStreamInferResponse, "infer_response")
_FINAL = _final()
