"""ModelInferRequest -> the engine's Request. It converts and checks what only protobuf's form of it can get wrong.

Nothing is made of entries that nobody asks for: a message may claim to have thousands.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, overload

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from models.catalog import TensorSpec
from models.datatypes import DATATYPES
from server.engine.contents import Buffer, Contents, Values
from server.engine.values import Request, Scalar, Tensor
from server.errors import BadInput, Unsupported
from server.rpc.sizes import REGION
from server.texts import shown
from wire import inference_pb2 as pb

_MOST_MIXED = 256
"""Inputs of a request that may lie here and there."""

_Message = TypeVar("_Message", bound=Message)
_InputTensor = pb.ModelInferRequest.InferInputTensor
_OutputTensor = pb.ModelInferRequest.InferRequestedOutputTensor


class Place(Contents, Protocol):
    """Where an input is, or an output is to be put, that is not in the message."""

    def check(self, size: int) -> None:
        """Raises BadInput where so many bytes do not fit."""
        ...

    def write(self, memory: memoryview) -> None:
        """The output's elements are these. Raises BadInput where they cannot be put there."""
        ...

    def note(self, output: pb.ModelInferResponse.InferOutputTensor, size: int) -> None:
        """Say in the answer where its `size` bytes are."""
        ...

    def overlaps(self, other: "Place") -> bool:
        """Whether both have memory in common."""
        ...


Elsewhere = _InputTensor | _OutputTensor
"""A tensor with parameters that say where it is."""
Find = Callable[[Elsewhere], Place]
"""The place that a tensor's parameters name. Raises RequestError."""


def nowhere(tensor: Elsewhere) -> Place:
    """Raises Unsupported."""
    raise Unsupported(f"tensor '{shown(tensor.name)}': shared memory is not served here")


def parse(message_type: type[_Message], data: bytes) -> _Message:
    """The protobuf message in `data`. Raises BadInput for bytes that are none (garbage, non-UTF-8 names)."""
    try:
        return message_type.FromString(data)
    except Exception as error:
        raise BadInput(f"cannot parse {message_type.DESCRIPTOR.name}: {error}") from error


def request(
    message: pb.ModelInferRequest,
    arrival_s: float,
    deadline_s: float | None,
    origin: object,
    find: Find = nowhere,
) -> Request:
    """The request in plain values; `find` is asked for tensors that are not in the message. Raises RequestError."""
    tensors = message.inputs
    raw: Sequence[bytes | None] = message.raw_input_contents
    if raw and len(raw) != len(tensors) and not (raw := _mixed(message)):
        got = len(message.raw_input_contents)
        raise BadInput(
            f"expected {len(tensors)} raw input buffers but got {got} for model '{shown(message.model_name)}'"
        )
    return Request(
        message.model_name,
        _Inputs(tensors, raw, find)
        if len(tensors) != 1
        else (_tensor(tensors[0], raw[0] if raw else None, find),),
        message.id,
        message.model_version,
        _Outputs(message.outputs, find) if message.outputs else (),
        Parameters(message.parameters) if message.parameters else {},
        arrival_s,
        deadline_s,
        origin=origin,
    )


def places(request: Request) -> Mapping[str, Place]:
    """Where outputs of a request that was checked are to be put, by name, if not into the answer."""
    outputs = request.outputs
    return outputs.places if isinstance(outputs, _Outputs) else {}


def is_raw(message: pb.ModelInferRequest) -> bool:
    """Whether an answer is to have raw contents: as the request has, or where it has none in the message at all."""
    return bool(message.raw_input_contents) or any(
        REGION in tensor.parameters for tensor in message.inputs[:_MOST_MIXED]
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
    def __init__(
        self, tensors: Sequence[_InputTensor], raw: Sequence[bytes | None], find: Find
    ) -> None:
        self._tensors, self._raw, self._find = tensors, raw, find

    @overload
    def __getitem__(self, at: int) -> Tensor: ...
    @overload
    def __getitem__(self, at: slice) -> list[Tensor]: ...
    def __getitem__(self, at: int | slice) -> Tensor | list[Tensor]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        return _tensor(self._tensors[at], self._raw[at] if self._raw else None, self._find)

    def __len__(self) -> int:
        return len(self._tensors)


class _Outputs(Sequence[str]):
    def __init__(self, outputs: Sequence[_OutputTensor], find: Find) -> None:
        self._outputs, self._find = outputs, find
        self.places: Mapping[str, Place] = {}
        """Of those that have been looked at."""

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
            if REGION in output.parameters:
                self._place(output)
        return output.name

    def __len__(self) -> int:
        return len(self._outputs)

    def _place(self, output: _OutputTensor) -> None:
        place = self._find(output)
        for name, other in self.places.items():
            if name != output.name and place.overlaps(other):
                raise BadInput(
                    f"outputs '{shown(name)}' and '{shown(output.name)}' are wanted in the same shared memory"
                )
        self.places = {**self.places, output.name: place}


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


def _tensor(message: _InputTensor, raw: bytes | None, find: Find) -> Tensor:
    if message.parameters:
        _check_parameters(message)
        if REGION in message.parameters:
            if raw is not None or message.HasField("contents"):
                raise BadInput(
                    f"tensor '{shown(message.name)}' lies in shared memory and must have no contents in the message"
                )
            return Tensor(message.name, message.datatype, message.shape, find(message))
    return Tensor(message.name, message.datatype, message.shape, _contents(message, raw))


def _mixed(message: pb.ModelInferRequest) -> Sequence[bytes | None]:
    """Raw contents by input, None for those that lie elsewhere; nothing where there are more or fewer than the rest."""
    tensors, raw = message.inputs[:_MOST_MIXED], iter(message.raw_input_contents)
    found = [None if REGION in one.parameters else next(raw, b"") for one in tensors]
    here = sum(one is not None for one in found)
    fits = here == len(message.raw_input_contents) and len(tensors) == len(message.inputs)
    return found if fits else []


def _contents(message: _InputTensor, raw: bytes | None) -> Contents:
    if raw is None:
        return _Typed(message.contents)
    return _Twice() if message.HasField("contents") else Buffer(raw)


def _check_parameters(tensor: Elsewhere) -> None:
    if "classification" in tensor.parameters:
        raise Unsupported(
            f"tensor '{shown(tensor.name)}': parameter 'classification' is not served here; read raw contents"
        )
