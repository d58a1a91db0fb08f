"""Answers -> bodies: JSON, then the outputs that are wanted as memory. Never NaN or infinities in JSON."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.catalog import Family, TensorSpec
from models.datatypes import BY_DTYPE
from server.engine.values import Answer, Execution
from server.errors import BadInput
from server.rest.decode import SPLIT, Wanted

_PIECE = 1 << 14
"""Elements that are written in one go: of millions at once no other thread would get a word in."""
_ENVELOPE = 8192
_PER_ELEMENT = 26
"""Bytes that a number takes in JSON at most, its comma included."""


def check_size(family: Family, rows: int, wanted: Mapping[str, bool], most_bytes: int) -> None:
    """`wanted`: outputs that are asked for, and whether as memory. Raises BadInput where they could not be sent so."""
    size = _ENVELOPE
    for spec in family.outputs:
        if spec.name in wanted:
            if not wanted[spec.name] and spec.datatype == "FP16":
                raise BadInput(
                    f"output '{spec.name}': FP16 is not sent via JSON; ask for it with binary_data"
                )
            size += rows * _row_bytes(spec, binary=wanted[spec.name])
    if size > most_bytes:
        raise BadInput(
            f"the answer for {rows} rows of model '{family.name}' may take {size} bytes; ask for fewer rows or "
            "outputs, for binary_data, or have max_message_mib raised"
        )


def body(answer: Answer, wanted: Wanted) -> tuple[bytes, dict[str, str]]:
    """The body, and its headers. Raises BadInput where JSON cannot carry an output."""
    execution, family = answer.execution, answer.family
    assert execution is not None  # an answer without error has been computed
    assert family is not None
    outputs, memory = [], []
    for name, array in answer.outputs.items():
        head: dict[str, Any] = {
            "name": name,
            "datatype": BY_DTYPE[array.dtype.name].name,
            "shape": array.shape,
        }
        if wanted.is_binary(name):
            head["parameters"] = {"binary_data_size": array.nbytes}
            memory.append(array.tobytes())
            outputs.append(json.dumps(head))
        else:
            outputs.append(f'{json.dumps(head)[:-1]}, "data": [{_numbers(array, name)}]}}')
    text = (
        f'{json.dumps(_head(answer, family, execution))[:-1]}, "outputs": [{", ".join(outputs)}]}}'
    )
    encoded = text.encode()
    if not memory:
        return encoded, {"content-type": "application/json"}
    headers = {"content-type": "application/octet-stream", SPLIT: str(len(encoded))}
    return b"".join((encoded, *memory)), headers


def _head(answer: Answer, family: Family, execution: Execution) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "variant": execution.variant,
        "precision": execution.precision,
        "backend": execution.backend,
        "accuracy": execution.accuracy,
        "batch_size": execution.batch_size,
        "queue_ms": answer.queue_s * 1e3,
        "compute_ms": execution.compute_s * 1e3,
    }
    if execution.variants:
        parameters["variants"] = ",".join(execution.variants)
    head = {"model_name": family.name, "model_version": "1", "parameters": parameters}
    return {**head, "id": answer.request.id} if answer.request.id else head


def _numbers(array: NDArray[np.generic], name: str) -> str:
    values = array.ravel()
    if values.dtype.kind == "f" and not np.isfinite(values).all():  # type: ignore[call-overload] - they are numbers
        raise BadInput(
            f"output '{name}' has NaN or infinite values, which JSON cannot carry; ask for it with binary_data"
        )
    pieces = (values[at : at + _PIECE].tolist() for at in range(0, values.size, _PIECE))
    return ", ".join(json.dumps(piece)[1:-1] for piece in pieces)


def _row_bytes(spec: TensorSpec, *, binary: bool) -> int:
    return spec.row_elements * (spec.dtype.itemsize if binary else _PER_ELEMENT)
