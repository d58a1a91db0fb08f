"""Reading an artefact into a torch module that takes the family's inputs in order: `.onnx` graphs, `.pt2` programs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind, TensorArgument
from torch.export.passes import move_to_device_pass
from torch.utils import _pytree as pytree

from models.backends.base import BackendError
from models.backends.graph_nodes import input_nodes, output_nodes
from models.backends.signature import Node
from models.backends.torch_runtime.archive import load_program
from models.backends.torch_runtime.graph import translate
from models.datatypes import DATATYPES

NARROW = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision of a variant -> the type its heavy operators compute in."""

_DATATYPES = {getattr(torch, row.dtype.name): row.name for row in DATATYPES.values()}
"""torch's type -> Open Inference Protocol datatype."""


@dataclass(frozen=True, slots=True)
class Program:
    """`call` takes tensors on its device in `inputs`' order and returns one for each of `outputs`, in that order."""

    call: Callable[..., Sequence[Tensor]]
    inputs: tuple[Node, ...]
    outputs: tuple[Node, ...]


def read_graph(path: Path, precision: str, device: str) -> Program:
    """An `.onnx` file; bf16 and fp16 variants compute in that type. Raises BackendError or what parsing raises."""
    model = onnx.load(path)
    module = translate(model, NARROW.get(precision)).to(device)
    return Program(module, input_nodes(model.graph), output_nodes(model.graph))


def read_program(path: Path, outputs: Sequence[str], device: str) -> Program:
    """A `.pt2` file (torch.export.save); a program that returns no dict gives `outputs` in the family's order.

    Raises BackendError, where it holds more than operators and tensors too, or what torch raises for a damaged file.
    """
    return program_of(load_program(path), outputs, device)


def program_of(exported: Any, outputs: Sequence[str], device: str = "cpu") -> Program:
    """A torch.export.ExportedProgram, on that device. What it takes and gives beside tensors is filled in or left out.

    Raises BackendError.
    """
    if device != "cpu":  # constants made inside the program move too, which module.to would leave
        exported = move_to_device_pass(exported, device)
    values = {n.name: n.meta.get("val") for n in exported.graph.nodes}
    given, returned = arguments(exported), results(exported)
    tensors = [values[one.name] for one in returned if is_tensor(one)]
    names = output_names(exported, outputs)
    module, shape = exported.module(), exported.call_spec.in_spec
    kept = [i for i, one in enumerate(returned) if is_tensor(one)]

    def call(*inputs: Tensor) -> Sequence[Tensor]:
        rows = iter(inputs)
        leaves = [next(rows) if is_tensor(one) else one.value for one in given]
        args, kwargs = pytree.tree_unflatten(leaves, shape)
        answers = pytree.tree_leaves(module(*args, **kwargs))
        return [answers[i] for i in kept]

    taken = tuple(_traced(one.name, values[one.name]) for one in given if is_tensor(one))
    found = tuple(_traced(name, value) for name, value in zip(names, tensors, strict=True))
    return Program(call, taken, found)


def arguments(exported: Any) -> list[Any]:
    """What the program takes, tensors and constants that it was exported with, in order. Raises BackendError."""
    specs = exported.graph_signature.input_specs
    found = [spec.arg for spec in specs if spec.kind is InputKind.USER_INPUT]
    for one in found:
        if not isinstance(one, TensorArgument | ConstantArgument):
            raise BackendError(
                f"input {one.name!r} is no tensor; export it as one, or as a constant"
            )
    return found


def results(exported: Any) -> list[Any]:
    """What the program returns, in order."""
    specs = exported.graph_signature.output_specs
    return [spec.arg for spec in specs if spec.kind is OutputKind.USER_OUTPUT]


def is_tensor(argument: Any) -> bool:
    """Whether it is rows, and no constant."""
    return isinstance(argument, TensorArgument)


def output_names(exported: Any, wanted: Sequence[str]) -> list[str]:
    """The names of the tensors that it returns: a dict's keys, else those `wanted`. Raises BackendError."""
    spec, returned = exported.call_spec.out_spec, results(exported)
    kept = [i for i, one in enumerate(returned) if is_tensor(one)]
    if spec.type is dict and len(spec.context) == len(returned):
        return [str(spec.context[i]) for i in kept]
    if len(kept) != len(wanted):
        raise BackendError(
            f"it returns {len(kept)} tensors, the family has {len(wanted)} outputs; "
            "return a dict with the outputs' names"
        )
    return list(wanted)


def _traced(name: str, value: Any) -> Node:
    shape = tuple(d if isinstance(d, int) else None for d in value.shape)
    return Node(name, _DATATYPES.get(value.dtype, str(value.dtype)), shape)
