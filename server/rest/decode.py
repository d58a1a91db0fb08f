"""A body and its headers -> the engine's Request, and how its outputs are wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from models.catalog import Family
from server.engine.contents import Buffer, Contents, Values
from server.engine.values import Request, Scalar, Tensor
from server.errors import BadInput, TooLarge, Unsupported
from server.rest import json_text
from server.rest.json_text import Object
from server.texts import shown

SPLIT = "inference-header-content-length"
"""The header that says how much of a body is JSON; what follows is tensors' memory."""
_NUMBERS = {"slo_ms": float, "min_accuracy": float, "priority": int, "timeout": int}
_BY_HEADER = {
    f"gearshift-{name.replace('_', '-')}": name for name in (*_NUMBERS, "slo_class", "variant")
}
_REGION = "shared_memory_region"
_SIZE = "binary_data_size"
_PER_ELEMENT, _PER_BYTE, _BESIDES = 64, 6, 128 << 10
"""Bytes that a number takes in JSON, with room for blanks; a byte of a text, escaped; and all else."""


@dataclass(slots=True)
class Wanted:
    """How outputs go out: `binary` by name, `otherwise` for those that are not named."""

    otherwise: bool = False
    binary: Mapping[str, bool] = field(default_factory=dict[str, bool])

    def is_binary(self, name: str) -> bool:
        """Whether this output follows the JSON, instead of being in it."""
        return self.binary.get(name, self.otherwise)


def json_bytes(headers: Mapping[str, str], size: int) -> int:
    """How much of a body of this size is JSON. Raises BadInput."""
    stated = headers.get(SPLIT)
    if stated is None:
        return size
    if not (stated.isascii() and stated.isdigit() and len(stated) < 12) or int(stated) > size:
        raise BadInput(
            f"{SPLIT} is '{shown(stated)}', not a number of bytes that the body has: {size}"
        )
    return int(stated)


def most_json_bytes(family: Family) -> int:
    """Of the JSON of a request for its largest batch: to read more holds up every other thread for nothing."""
    row = sum(spec.row_elements for spec in family.largest.inputs) * _PER_ELEMENT
    row = max(row, *(_PER_BYTE * coded.most_bytes for coded in family.coded), 0)
    return row * family.max_batch + _BESIDES


def request(
    model: str, version: str, body: memoryview, headers: Mapping[str, str], most_json: int
) -> tuple[Request, Wanted]:
    """The request in plain values. Raises RequestError."""
    split = json_bytes(headers, len(body))
    if split > most_json:
        raise TooLarge(
            f"{split} bytes of JSON for model '{shown(model)}'; its largest batch takes less than {most_json}"
        )
    asked = json_text.parsed(bytes(body[:split]))
    given = json_text.parameters(asked)
    outputs = json_text.entries(asked, "outputs")
    wanted = _wanted(outputs, json_text.flag(given, "binary_data_output", usual=False))
    request = Request(
        model,
        _inputs(json_text.entries(asked, "inputs"), body[split:]),
        json_text.text(asked, "id", ""),
        version,
        [json_text.text(one, "name") for one in outputs],
        {**_demands(headers), **given},
        origin=wanted,
    )
    return request, wanted


def _demands(headers: Mapping[str, str]) -> Mapping[str, Scalar]:
    """What headers demand; a parameter of the same name goes before."""
    found: dict[str, Scalar] = {}
    for header, name in _BY_HEADER.items():
        if (stated := headers.get(header)) is not None:
            try:
                found[name] = _NUMBERS.get(name, str)(stated)
            except ValueError as error:
                raise BadInput(f"header {header} is '{shown(stated)}', not a number") from error
    return found


def _wanted(outputs: Sequence[Object], otherwise: bool) -> Wanted:
    binary: dict[str, bool] = {}
    for one in outputs:
        given = _parameters(one)
        binary[json_text.text(one, "name")] = json_text.flag(given, "binary_data", otherwise)
    return Wanted(otherwise, binary)


def _inputs(given: Sequence[Object], memory: memoryview) -> Sequence[Tensor]:
    found: list[Tensor] = []
    at = 0
    for one in given:
        name, datatype = json_text.text(one, "name"), json_text.text(one, "datatype")
        shape, stated = json_text.shape(one, name), _parameters(one).get(_SIZE)
        if stated is None:
            contents = _typed(one, shape, name, datatype)
        else:
            size = _size(stated, one, name, len(memory) - at)
            contents = Buffer(memory[at : at + size])
            at += size
        found.append(Tensor(name, datatype, shape, contents))
    if at != len(memory):
        raise BadInput(f"unexpected additional input data: {len(memory) - at} bytes belong to none")
    return found


def _size(stated: Scalar, one: Object, name: str, left: int) -> int:
    where = f"input '{shown(name)}'"
    if type(stated) is not int or stated < 0:
        raise BadInput(f"{where}: parameter '{_SIZE}' must be a number of bytes")
    if "data" in one:
        raise BadInput(f"{where} has both 'data' and '{_SIZE}'")
    if stated > left:
        raise BadInput(f"{where}: '{_SIZE}' is {shown(str(stated))}, and the body has {left} more")
    return stated


def _typed(one: Object, shape: Sequence[int], name: str, datatype: str) -> Contents:
    if datatype == "FP16":
        raise BadInput(f"input '{shown(name)}': sending FP16 data via JSON is not supported")
    data: Any = json_text.flat(one.get("data"), shape, name)
    return Values(data, "'data'")


def _parameters(tensor: Object) -> Mapping[str, Scalar | None]:
    found = json_text.parameters(tensor)
    if "classification" in found or _REGION in found:
        what = "classification" if "classification" in found else _REGION
        name = shown(str(tensor.get("name", "")))
        raise Unsupported(f"tensor '{name}': parameter '{what}' is not served over REST")
    return found
