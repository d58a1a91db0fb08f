"""protobuf -> domain, nothing else. Every check of a request happens here, before it may join a batch.

Wording follows Triton's, which clients assert on.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.catalog import Family, Slo, TensorSpec
from models.datatypes import DATATYPES
from server.errors import BadInput, UnknownModel, Unsupported
from server.rpc.demands import Demand, Demands
from server.rpc.row_bounds import RowBounds
from server.texts import listed, shown

_PIECE = 32_768
"""Elements of typed contents that are converted in one go."""
_VERSIONS = ("", "1")


@dataclass(frozen=True, slots=True)
class Request:
    """A checked request: arrays with `rows` rows each, the demand, the outputs wanted, and how to answer."""

    id: str
    inputs: dict[str, NDArray[np.generic]]
    rows: int
    demand: Demand
    outputs: tuple[str, ...]
    raw: bool


class Reader:
    """Checks and converts requests for one family. `classes`: the SLO classes requests may name, with weights.

    `bounds`: what else limits a request's size.
    """

    def __init__(
        self,
        family: Family,
        slo: Slo,
        classes: Mapping[str, float],
        *,
        finite: bool,
        bounds: RowBounds | None = None,
    ) -> None:
        self.bounds = bounds or RowBounds(family)
        self._family = family
        self._demands = Demands(family, slo, classes)
        self._finite = finite
        self._specs = {spec.name: spec for spec in family.inputs}
        self._outputs = tuple(spec.name for spec in family.outputs)

    def adopt(self, family: Family) -> None:
        """The family has other variants now, and the same signature."""
        self._family = family
        self._demands.adopt(family)

    def read(self, message: Any) -> Request:
        """The request in domain terms. Raises BadInput, UnknownModel or Unsupported, naming what and where."""
        inputs, rows = self._read_inputs(message)
        variant = self.pinned(message.model_version)
        special = message.parameters or variant is not None
        demand = self._demands.read(message.parameters, variant) if special else self._demands.plain
        self.bounds.check_rows(rows, demand)
        outputs = self._read_outputs(message) if message.outputs else self._outputs
        raw = bool(message.raw_input_contents)
        self.bounds.answers.check(rows, outputs, message.id, raw=raw)
        return Request(message.id, inputs, rows, demand, outputs, raw)

    def pinned(self, version: str) -> str | None:
        """The variant a version string names; None for the family itself. Raises UnknownModel."""
        if version in _VERSIONS:
            return None
        if self._family.variant(version) is None:
            raise UnknownModel(
                f"Request for unknown model: '{self._family.name}' version {shown(version)} is not found; "
                f"versions are 1 and {', '.join(v.name for v in self._family.variants)}"
            )
        return version

    def _read_inputs(self, message: Any) -> tuple[dict[str, NDArray[np.generic]], int]:
        tensors, raw = message.inputs, message.raw_input_contents
        self._check_names(tensors)
        if raw and len(raw) != len(tensors):
            raise BadInput(
                f"expected {len(tensors)} raw input buffers but got {len(raw)} for model '{self._family.name}'"
            )
        arrays: dict[str, NDArray[np.generic]] = {}
        rows = 0
        for index, tensor in enumerate(tensors):
            spec = self._specs[tensor.name]
            shape = self._shape(tensor, spec)
            if rows not in (0, shape[0]):
                raise BadInput(
                    f"input '{tensor.name}' has {shape[0]} rows, other inputs of the request for model "
                    f"'{self._family.name}' have {rows}"
                )
            rows = shape[0]
            arrays[tensor.name] = self._array(tensor, spec, shape, raw[index] if raw else None)
        return arrays, rows

    def _check_names(self, tensors: Any) -> None:
        model = self._family.name
        first = [tensor.name for tensor in tensors[: len(self._specs) + 1]]  # however many they are
        for name in first:
            if name not in self._specs:
                raise BadInput(f"unexpected inference input '{shown(name)}' for model '{model}'")
        if len(tensors) != len(self._specs) or len(set(first)) != len(first):
            missing = [name for name in self._specs if name not in first]
            raise BadInput(
                f"expected {len(self._specs)} inputs but got {len(tensors)} inputs for model '{model}'. "
                f"Got input(s) {listed(first)}, but missing required input(s) {listed(missing)}. "
                "Please provide all required input(s), each once."
            )

    def _shape(self, tensor: Any, spec: TensorSpec) -> tuple[int, ...]:
        model = self._family.name
        if tensor.datatype != spec.datatype:
            raise BadInput(
                f"inference input '{spec.name}' data-type is '{shown(tensor.datatype)}', "
                f"but model '{model}' expects '{spec.datatype}'"
            )
        if tensor.parameters:
            _check_tensor_parameters(tensor)
        shape = tuple(tensor.shape[: len(spec.shape) + 1])  # however many there are
        fits = len(shape) == len(spec.shape) and all(
            got == want or (want < 0 <= got)
            for got, want in zip(shape[1:], spec.shape[1:], strict=True)
        )
        if not fits or shape[0] < 1:
            raise BadInput(
                f"unexpected shape for input '{spec.name}' for model '{model}'. "
                f"Expected {_text(spec.shape)}, got {_text(shape)}" + (
                    "; the first dimension counts rows and must be at least 1" if fits else "")
            )  # fmt: skip
        if shape[0] > self._family.max_batch:
            raise self.bounds.too_many(shape[0])
        return shape

    def _array(
        self, tensor: Any, spec: TensorSpec, shape: tuple[int, ...], raw: bytes | None
    ) -> NDArray[np.generic]:
        if raw is None:
            array = self._typed(tensor, spec, shape)
        elif tensor.HasField("contents"):
            raise BadInput(
                f"contents field must not be set for input '{spec.name}' when raw_input_contents is used, "
                f"for model '{self._family.name}'"
            )
        else:
            dtype = spec.dtype
            self._check_size(spec, math.prod(shape) * dtype.itemsize, len(raw))
            array = np.frombuffer(raw, dtype).reshape(shape)
        self._check_values(spec, array)
        return array

    def _check_values(self, spec: TensorSpec, array: NDArray[np.generic]) -> None:
        where = f"input '{spec.name}' for model '{self._family.name}'"
        if self._finite and array.dtype.kind == "f" and not np.isfinite(array).all():
            raise BadInput(
                f"{where} has NaN or infinite values; "
                "clean them, or start the server with reject_non_finite = false"
            )
        if array.dtype.kind == "b" and (array.view(np.uint8) > 1).any():
            raise BadInput(f"{where}: a BOOL is a byte 0 or 1, others mean nothing")

    def _typed(self, tensor: Any, spec: TensorSpec, shape: tuple[int, ...]) -> NDArray[np.generic]:
        where = f"input '{spec.name}' for model '{self._family.name}'"
        kind = DATATYPES[spec.datatype]
        field, dtype = kind.field, kind.dtype
        if not field:
            raise BadInput(f"{where}: {spec.datatype} must be sent in raw_input_contents")
        others = [f.name for f, _ in tensor.contents.ListFields() if f.name != field]
        if others:
            raise BadInput(
                f"{where}: {spec.datatype} belongs in {field}, not in {', '.join(others)}"
            )
        values = getattr(tensor.contents, field)
        if len(values) != math.prod(shape):
            raise BadInput(
                f"{where}: expected {math.prod(shape)} elements in {field}, got {len(values)}"
            )
        wide = _wide(values, kind.widest)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype.name)
            if wide.min() < limits.min or wide.max() > limits.max:
                raise BadInput(
                    f"{where}: values outside {limits.min}..{limits.max}, the range of {spec.datatype}"
                )
        return wide.astype(dtype).reshape(shape)

    def _check_size(self, spec: TensorSpec, expected: int, got: int) -> None:
        if expected != got:
            raise BadInput(
                f"input byte size mismatch for input '{spec.name}' for model '{self._family.name}'. "
                f"Expected {expected}, got {got}"
            )

    def _read_outputs(self, message: Any) -> tuple[str, ...]:
        first = message.outputs[: len(self._outputs) + 1]  # of more, one is asked for twice
        names = tuple(output.name for output in first)
        for output in first:
            if output.name not in self._outputs:
                raise BadInput(
                    f"unexpected inference output '{shown(output.name)}' for model '{self._family.name}'; "
                    f"it has {', '.join(self._outputs)}"
                )
            if output.parameters:
                _check_tensor_parameters(output)
        if len(set(names)) != len(names):
            raise BadInput(
                f"inference output requested twice for model '{self._family.name}': {listed(names)}"
            )
        return names


def _check_tensor_parameters(tensor: Any) -> None:
    for key in ("shared_memory_region", "classification"):
        if key in tensor.parameters:
            raise Unsupported(
                f"tensor '{shown(tensor.name)}': parameter '{key}' is not served here; send and read raw contents"
            )


def _wide(values: Any, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """The values as an array, made a piece at a time: of millions no other thread would get a word in."""
    wide = np.empty(len(values), dtype)
    for at in range(0, len(values), _PIECE):
        wide[at : at + _PIECE] = values[at : at + _PIECE]
    return wide


def _text(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(str(n) for n in shape) + "]"


def parse(message_type: Any, data: bytes) -> Any:
    """The protobuf message in `data`. Raises BadInput for bytes that are none (garbage, non-UTF-8 names)."""
    try:
        return message_type.FromString(data)
    except Exception as error:
        raise BadInput(f"cannot parse {message_type.DESCRIPTOR.name}: {error}") from error
