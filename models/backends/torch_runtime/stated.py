"""What a program of torch.export says of itself: what it takes and gives, which sizes are free, and how far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from torch.utils import _pytree as pytree

from models.backends.torch_runtime.archive import load_program
from models.backends.torch_runtime.backend import CpuLane
from models.backends.torch_runtime.program import (
    NARROW,
    is_tensor,
    output_names,
    program_of,
    results,
)

_PRECISIONS = {dtype: name for name, dtype in NARROW.items()}

_TRAINING = {"batch_norm": 5, "dropout": 2, "feature_dropout": 2, "alpha_dropout": 2}
"""Operators that compute otherwise in training -> which argument says so."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A fixed `size`; where that is None a free one, called by its symbol or by what it is reckoned from.

    `most` is None where no bound is known.
    """

    size: int | None
    symbol: str = ""
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output; `datatype` is the Open Inference Protocol's, or torch's where it has none."""

    name: str
    datatype: str
    dims: tuple[Dimension, ...]


@dataclass(frozen=True, slots=True)
class StatedProgram:
    """A program's signature, what most of its weights are, and the program itself.

    `training`: the operator that shows that it was exported to be trained, "" where none does. `run` takes arrays in
    the inputs' order, on one thread of the CPU, and gives one for each output.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    precision: str
    training: str
    run: Callable[[Sequence[NDArray[Any]]], list[NDArray[Any]]]


def read_stated(path: Path) -> StatedProgram:
    """The program in the file. Raises BackendError, or what torch raises for a damaged file."""
    exported = load_program(path)
    values = {n.name: n.meta.get("val") for n in exported.graph.nodes}
    returned = [one.name for one in results(exported) if is_tensor(one)]
    names = output_names(exported, _own_names(exported))
    program = program_of(exported, names)

    def tensor(name: str, datatype: str, node: str) -> Tensor:
        return Tensor(name, datatype, tuple(_dimension(d, exported) for d in values[node].shape))

    return StatedProgram(
        tuple(tensor(n.name, n.datatype, n.name) for n in program.inputs),
        tuple(
            tensor(n.name, n.datatype, node)
            for n, node in zip(program.outputs, returned, strict=True)
        ),
        _precision(exported),
        _training(exported),
        CpuLane(program.call, threads=1).run,
    )


def _dimension(found: Any, exported: Any) -> Dimension:
    if isinstance(found, int):
        return Dimension(found)
    symbol = found.node.expr
    if (bounds := exported.range_constraints.get(symbol)) is None:
        return Dimension(None, str(symbol))
    least, most = bounds.lower, bounds.upper
    return Dimension(
        None,
        str(symbol),
        int(least),
        int(most) if getattr(most, "is_Integer", isinstance(most, int)) else None,
    )


def _own_names(exported: Any) -> list[str]:
    """The names of the tensors that it returns, by where they stand: a dict's key, `output`, `output_0`, ..."""
    returned = results(exported)
    tree = pytree.tree_unflatten(list(range(len(returned))), exported.call_spec.out_spec)
    paths, _ = pytree.tree_flatten_with_path(tree)
    return [_name(path) for path, i in paths if is_tensor(returned[i])]


def _name(path: Sequence[Any]) -> str:
    parts = [
        str(next(getattr(k, a) for a in ("key", "name", "idx") if hasattr(k, a))) for k in path
    ]
    named = bool(path) and not hasattr(path[0], "idx")
    return "_".join(parts if named else ["output", *parts])


def _training(exported: Any) -> str:
    for node in exported.graph.nodes:
        operator = getattr(node.target, "__name__", "").partition(".")[0]
        place = _TRAINING.get(operator)
        if place is not None and len(node.args) > place and node.args[place] is True:
            return operator
    return ""


def _precision(exported: Any) -> str:
    """What it computes in, by most of its weights."""
    counts: dict[str, int] = {}
    for weight in exported.state_dict.values():
        name = _PRECISIONS.get(weight.dtype, "fp32")
        counts[name] = counts.get(name, 0) + weight.numel()
    return max(counts, key=lambda name: counts[name], default="fp32")
