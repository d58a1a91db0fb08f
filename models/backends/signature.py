"""Whether a loaded graph has the family's inputs and outputs: names, types, shapes with rows of any number."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from models.backends.base import BackendError, Tensors
from models.catalog import TensorSpec


@dataclass(frozen=True, slots=True)
class Node:
    """A graph's input or output. `datatype` is the Open Inference Protocol's word, or the runtime's where it has none;
    a dimension that may be anything is None."""

    name: str
    datatype: str
    shape: tuple[int | None, ...]


def check(
    label: str,
    kind: str,
    wanted: Sequence[TensorSpec],
    found: Sequence[Node],
    *,
    one_row: bool = False,
) -> None:
    """Raises BackendError, beginning with `label`, where the `found` nodes (inputs or outputs) are not as wanted.

    `one_row`: rows need not be free, one is enough.
    """
    by_name = {node.name: node for node in found}
    if by_name.keys() != {spec.name for spec in wanted}:
        raise BackendError(
            f"{label}: its {kind}s are {sorted(by_name)}, the family's {sorted(s.name for s in wanted)}; "
            "correct the family's manifest, or publish a graph that fits"
        )
    for spec in wanted:
        node = by_name[spec.name]
        if node.datatype != spec.datatype or not _fits(spec, node.shape, one_row):
            raise BackendError(
                f"{label}: {kind} {spec.name!r} is {node.datatype} {_shown(node.shape)}, the family says "
                f"{spec.datatype} {list(spec.shape)} with rows of any number; "
                "correct its manifest, or publish a graph that fits"
            )


def check_names(label: str, wanted: AbstractSet[str], got: Tensors) -> None:
    """Raises BackendError where a batch's inputs are not those `wanted`."""
    if got.keys() != wanted:
        missing, extra = sorted(wanted - got.keys()), sorted(got.keys() - wanted)
        raise BackendError(
            f"{label}: missing inputs {missing}, unexpected inputs {extra}; expected {sorted(wanted)}"
        )


def check_batch(label: str, wanted: Sequence[TensorSpec], got: Tensors) -> None:
    """Raises BackendError where a batch's names, types or shapes are not those `wanted`, or rows differ in number."""
    check_names(label, {spec.name for spec in wanted}, got)
    for spec in wanted:
        array = got[spec.name]
        if array.dtype != spec.dtype or not spec.fits(array.shape[1:]):
            raise BackendError(
                f"{label}: input {spec.name!r} is {array.dtype} {list(array.shape)}, "
                f"expected {spec.datatype} {list(spec.shape)}"
            )
    if len({len(array) for array in got.values()}) > 1:
        raise BackendError(
            f"{label}: its inputs have different numbers of rows; give them all the same"
        )


def _fits(wanted: TensorSpec, found: tuple[int | None, ...], one_row: bool) -> bool:
    """Whether the rows are free and every other dimension is as declared, or free too."""
    dims = wanted.shape[1:]
    if len(dims) + 1 != len(found) or not (one_row or found[0] is None):
        return False
    return all(f is None or f == w for w, f in zip(dims, found[1:], strict=True))


def _shown(shape: tuple[int | None, ...]) -> list[int | str]:
    return ["any" if d is None else d for d in shape]
