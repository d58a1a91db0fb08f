"""ModelInferRequest -> the engine's Request. It converts and checks what only protobuf's form of it can get wrong.

Nothing is made of entries that nobody asks for: a message may claim to have thousands.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, overload

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from models.catalog import TensorSpec
from models.datatypes import DATATYPES
from server.engine.contents import Buffer, Contents, Values
from server.engine.values import Request, Scalar, Tensor
from server.errors import BadInput, Unsupported
from server.texts import shown
from wire import inference_pb2 as pb

_Message = TypeVar("_Message", bound=Message)
_InputTensor = pb.ModelInferRequest.InferInputTensor
_OutputTensor = pb.ModelInferRequest.InferRequestedOutputTensor


def parse(message_type: type[_Message], data: bytes) -> _Message:
    """The protobuf message in `data`. Raises BadInput for bytes that are none (garbage, non-UTF-8 names)."""
    try:
        return message_type.FromString(data)
    except Exception as error:
        raise BadInput(f"cannot parse {message_type.DESCRIPTOR.name}: {error}") from error


def request(
    message: pb.ModelInferRequest, arrival_s: float, deadline_s: float | None, origin: object
) -> Request:
    """The request in plain values. Raises BadInput or Unsupported."""
    tensors, raw = message.inputs, message.raw_input_contents
    if raw and len(raw) != len(tensors):
        raise BadInput(
            f"expected {len(tensors)} raw input buffers but got {len(raw)} for model '{shown(message.model_name)}'"
        )
    return Request(
        message.model_name,
        _Inputs(tensors, raw)
        if len(tensors) != 1
        else (_tensor(tensors[0], raw[0] if raw else None),),
        message.id,
        message.model_version,
        _Outputs(message.outputs) if message.outputs else (),
        Parameters(message.parameters) if message.parameters else {},
        arrival_s,
        deadline_s,
        origin=origin,
    )


class Parameters(Mapping[str, Scalar | None]):
    """A message's parameters, read when asked for; None where one has no value."""

    def __init__(self, message: Mapping[str, pb.InferParameter]) -> None:
        self._message = message

    def __getitem__(self, key: str) -> Scalar | None:
        if key not in self._message:  # protobuf would add it
            raise KeyError(key)
        parameter = self._message[key]
        kind = parameter.WhichOneof("parameter_choice")
        return None if kind is None else getattr(parameter, kind)

    def __contains__(self, key: object) -> bool:
        return key in self._message

    def __iter__(self) -> Iterator[str]:
        return iter(self._message)

    def __len__(self) -> int:
        return len(self._message)


class _Inputs(Sequence[Tensor]):
    def __init__(self, tensors: Sequence[_InputTensor], raw: Sequence[bytes]) -> None:
        self._tensors, self._raw = tensors, raw

    @overload
    def __getitem__(self, at: int) -> Tensor: ...
    @overload
    def __getitem__(self, at: slice) -> list[Tensor]: ...
    def __getitem__(self, at: int | slice) -> Tensor | list[Tensor]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        return _tensor(self._tensors[at], self._raw[at] if self._raw else None)

    def __len__(self) -> int:
        return len(self._tensors)


class _Outputs(Sequence[str]):
    def __init__(self, outputs: Sequence[_OutputTensor]) -> None:
        self._outputs = outputs

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        output = self._outputs[at]
        if output.parameters:
            _check_parameters(output)
        return output.name

    def __len__(self) -> int:
        return len(self._outputs)


@dataclass(frozen=True, slots=True)
class _Typed:
    """Typed contents: the one field that belongs to the datatype."""

    message: pb.InferTensorContents

    def array(self, spec: TensorSpec, elements: int, model: str) -> NDArray[np.generic]:
        where = f"input '{spec.name}' for model '{model}'"
        field = DATATYPES[spec.datatype].field
        if not field:
            raise BadInput(f"{where}: {spec.datatype} must be sent in raw_input_contents")
        others = [f.name for f, _ in self.message.ListFields() if f.name != field]
        if others:
            raise BadInput(
                f"{where}: {spec.datatype} belongs in {field}, not in {', '.join(others)}"
            )
        values = Values(getattr(self.message, field), field, typed=True)
        return values.array(spec, elements, model)

    def strings(self, elements: int, where: str) -> Sequence[bytes]:
        return Values(self.message.bytes_contents, "bytes_contents").strings(elements, where)


@dataclass(frozen=True, slots=True)
class _Twice:
    """Contents both raw and typed."""

    def array(self, spec: TensorSpec, elements: int, model: str) -> NDArray[np.generic]:  # noqa: ARG002 - Contents' signature
        raise BadInput(
            f"contents field must not be set for input '{spec.name}' when raw_input_contents is used, "
            f"for model '{model}'"
        )

    def strings(self, elements: int, where: str) -> Sequence[bytes]:  # noqa: ARG002 - Contents' signature
        raise BadInput(f"{where}: contents must not be set when raw_input_contents is used")


def _tensor(message: _InputTensor, raw: bytes | None) -> Tensor:
    if message.parameters:
        _check_parameters(message)
    return Tensor(message.name, message.datatype, message.shape, _contents(message, raw))


def _contents(message: _InputTensor, raw: bytes | None) -> Contents:
    if raw is None:
        return _Typed(message.contents)
    return _Twice() if message.HasField("contents") else Buffer(raw)


def _check_parameters(tensor: _InputTensor | _OutputTensor) -> None:
    for key in ("shared_memory_region", "classification"):
        if key in tensor.parameters:
            raise Unsupported(
                f"tensor '{shown(tensor.name)}': parameter '{key}' is not served here; send and read raw contents"
            )
