"""Every check of a request against its family's signature: nothing that fails one may join a batch.

Wording follows Triton's, which clients assert on.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.catalog import Family, TensorSpec
from server.engine.checking.coded import Coded, forms
from server.engine.checking.demands import Demand, Demands
from server.engine.checking.free_sizes import FreeSizes
from server.engine.checking.row_bounds import RowBounds
from server.engine.values import Request, Scalar, Tensor
from server.errors import BadInput, UnknownModel
from server.texts import listed, shown

_VERSIONS = ("", "1")
_FEW = 4096
"""Elements."""


class Checked(NamedTuple):
    """What a good request comes to: arrays with `rows` rows each, what is demanded, the outputs wanted.

    `row_units`: units of work in each row; 1 where no size is free. `sizes`: the free ones, as the family names them.
    """

    inputs: dict[str, NDArray[np.generic]]
    rows: int
    demand: Demand
    outputs: tuple[str, ...]
    row_units: int = 1
    sizes: tuple[int, ...] = ()


class Checks:
    """Checks requests for one family. `classes`: the SLO classes that requests may name, with weights.

    `finite`: NaN and infinities are refused. `bounds`: what else limits a request's size. `late`: requests that say
    nothing of time may be answered late.
    """

    def __init__(
        self,
        family: Family,
        classes: Mapping[str, float],
        *,
        finite: bool,
        bounds: RowBounds | None = None,
        late: bool = False,
    ) -> None:
        self.bounds = bounds or RowBounds(family)
        self.late = late
        self._family = family
        self._demands = Demands(family, family.slo, classes, late=late)
        self.finite = finite
        self.most_rows = family.max_batch
        """Of one request, whatever runs."""
        self._specs = {spec.name: spec for spec in family.inputs}
        self._fixed = {
            s.name: tuple(s.shape[1:]) for s in family.inputs if min(s.shape[1:], default=0) >= 0
        }
        self.outputs = tuple(spec.name for spec in family.outputs)
        """What who names none is given."""
        self._sizes = FreeSizes(family)
        self._required = {s.name for s in family.inputs if s.default is None}
        self.coded: Coded | None = None
        """What decodes rows that are given as bytes, where they may be."""

    def adopt(self, family: Family) -> None:
        """The family has other variants now, and the same signature."""
        self._family = family
        self._demands.adopt(family)

    def check(self, request: Request) -> Checked:
        """The request as arrays and demand. Raises BadInput or UnknownModel, naming what and where."""
        inputs, rows = self._inputs(request.inputs, request.is_wanted)
        demand = self.demand(request.parameters, request.version)
        units, sizes = self._sizes.work(inputs) if self._family.sizes else (1, ())
        self.bounds.check_rows(rows, demand, units)
        outputs = self._wanted(request.outputs) if request.outputs else self.outputs
        return Checked(inputs, rows, demand, outputs, units, sizes)

    def demand(self, parameters: Mapping[str, Scalar | None], version: str) -> Demand:
        """What a request with these asks for. Raises BadInput or UnknownModel."""
        variant = self.pinned(version)
        special = parameters or variant is not None
        return self._demands.read(parameters, variant) if special else self._demands.plain

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

    def _inputs(
        self, tensors: Sequence[Tensor], wanted: Callable[[], bool]
    ) -> tuple[dict[str, NDArray[np.generic]], int]:
        coded = self.coded
        if coded is not None and len(tensors) == 1 and tensors[0].name in coded:
            made = dict(coded.inputs(tensors[0], wanted))
            return made, len(made[self._family.inputs[0].name])
        self._check_names(tensors)
        arrays: dict[str, NDArray[np.generic]] = {}
        rows = 0
        for tensor in tensors:
            spec = self._specs[tensor.name]
            shape = self._shape(tensor, spec)
            if rows not in (0, shape[0]):
                raise BadInput(
                    f"input '{tensor.name}' has {shape[0]} rows, other inputs of the request for model "
                    f"'{self._family.name}' have {rows}"
                )
            rows = shape[0]
            arrays[tensor.name] = self._array(tensor, spec, shape)
        if len(arrays) < len(self._specs):
            self._sizes.fill(arrays, rows)
        return arrays, rows

    def _check_names(self, tensors: Sequence[Tensor]) -> None:
        if len(tensors) == len(self._specs) == 1 and tensors[0].name in self._specs:
            return
        model = self._family.name
        first = [t.name for t in tensors[: len(self._specs) + 1]]  # however many they are
        for name in first:
            if name not in self._specs:
                raise BadInput(self._odd(name))
        names = set(first)
        if not names or len(tensors) != len(names) or not self._required <= names:
            missing = [name for name in self._specs if name not in names]
            raise BadInput(
                f"expected {len(self._specs)} inputs{forms(self._family.coded)} but got {len(tensors)} inputs "
                f"for model '{model}'. "
                f"Got input(s) {listed(first)}, but missing required input(s) {listed(missing)}. "
                "Please provide all required input(s), each once."
            )

    def _odd(self, name: str) -> str:
        """What to say of an input that has no place among these."""
        text = f"unexpected inference input '{shown(name)}' for model '{self._family.name}'"
        if self.coded is not None and name in self.coded:
            return f"{text}: it is given in place of all others, not beside them"
        return f"{text}; it takes {', '.join(self._specs)}{forms(self._family.coded)}"

    def _shape(self, tensor: Tensor, spec: TensorSpec) -> tuple[int, ...]:
        model = self._family.name
        if tensor.datatype != spec.datatype:
            raise BadInput(
                f"inference input '{spec.name}' data-type is '{shown(tensor.datatype)}', "
                f"but model '{model}' expects '{spec.datatype}'"
            )
        shape = tuple(tensor.shape[: len(spec.shape) + 1])  # however many there are
        if shape[1:] == self._fixed.get(spec.name) and 1 <= shape[0] <= self.most_rows:
            return shape
        fits = len(shape) == len(spec.shape) and all(
            got == want or (want < 0 <= got)
            for got, want in zip(shape[1:], spec.shape[1:], strict=True)
        )
        if not fits or shape[0] < 1:
            counted = "; the first dimension counts rows and must be at least 1" if fits else ""
            raise BadInput(
                f"unexpected shape for input '{spec.name}' for model '{model}'. "
                f"Expected {_text(spec.shape)}, got {_text(shape)}{counted}"
            )
        if shape[0] > self.most_rows:
            raise self.bounds.too_many(shape[0])
        return shape

    def _array(
        self, tensor: Tensor, spec: TensorSpec, shape: tuple[int, ...]
    ) -> NDArray[np.generic]:
        model = self._family.name
        array = tensor.contents.array(spec, math.prod(shape), model).reshape(shape)
        if self.finite and array.dtype.kind == "f" and not _all_finite(array):
            raise BadInput(
                f"input '{spec.name}' for model '{model}' has NaN or infinite values; "
                "clean them, or start the server with reject_non_finite = false"
            )
        return array

    def _wanted(self, outputs: Sequence[str]) -> tuple[str, ...]:
        names = tuple(outputs[: len(self.outputs) + 1])  # of more, one is asked for twice
        for name in names:
            if name not in self.outputs:
                raise BadInput(
                    f"unexpected inference output '{shown(name)}' for model '{self._family.name}'; "
                    f"it has {', '.join(self.outputs)}"
                )
        if len(set(names)) != len(names):
            raise BadInput(
                f"inference output requested twice for model '{self._family.name}': {listed(names)}"
            )
        return names


def _all_finite(array: NDArray[np.generic]) -> bool:
    found = np.isfinite(array)
    if found.size <= _FEW:  # numpy's own way takes longer to begin
        return found.tobytes().find(0) < 0
    return bool(found.all())


def _text(shape: tuple[int, ...]) -> str:
    return "[" + ",".join(str(n) for n in shape) + "]"
