"""A request's rows given as bytes, made into the inputs of its family."""

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from models.catalog import CodedInput, Family
from models.coded import Decoder, Undecodable
from server.engine.values import Tensor
from server.errors import BadInput
from server.texts import shown

BYTES = "BYTES"
"""The datatype of rows that are to be decoded."""


class Coded:
    """One family's: `decoders` by the coded input's name."""

    def __init__(self, family: Family, decoders: Mapping[str, Decoder]) -> None:
        self._model = family.name
        self._most_rows = family.max_batch
        self._specs = family.inputs
        self._inputs = {one.name: (one, decoders[one.name]) for one in family.coded}

    def __contains__(self, name: str) -> bool:
        return name in self._inputs

    def inputs(self, tensor: Tensor, wanted: Callable[[], bool]) -> Mapping[str, NDArray[Any]]:
        """The family's inputs, made of this one while it is `wanted`. Raises BadInput, naming what and where."""
        coded, decoder = self._inputs[tensor.name]
        where = f"input '{coded.name}' for model '{self._model}'"
        rows = tensor.contents.strings(self._rows(tensor, where), where)
        for index, row in enumerate(rows):
            if len(row) > coded.most_bytes:
                raise BadInput(
                    f"{where}: row {index} has {len(row)} bytes; {coded.most_bytes} are the most"
                )
        try:
            made = decoder.decode(rows, wanted)
        except Undecodable as error:
            raise BadInput(f"{where}: {shown(str(error))}") from error
        for spec in self._specs:
            array = made[spec.name]
            if (
                array.dtype != spec.dtype
                or len(array) != len(rows)
                or not spec.fits(array.shape[1:])
            ):
                raise BadInput(f"{where}: what it was made into does not fit input '{spec.name}'")
        return made

    def _rows(self, tensor: Tensor, where: str) -> int:
        if tensor.datatype != BYTES:
            raise BadInput(f"{where}: data-type is '{shown(tensor.datatype)}', expected '{BYTES}'")
        shape = tuple(tensor.shape[:3])
        if len(shape) not in (1, 2) or shape[0] < 1 or shape[1:] not in ((), (1,)):
            raise BadInput(f"{where}: unexpected shape {list(shape)}; expected [rows] or [rows,1]")
        if shape[0] > self._most_rows:
            raise BadInput(f"{where}: {shape[0]} rows; {self._most_rows} are the most")
        return shape[0]


def forms(coded: tuple[CodedInput, ...]) -> str:
    """What may be given in place of the inputs, in words; "" where nothing may."""
    return "".join(f" or {BYTES} '{one.name}'" for one in coded)
