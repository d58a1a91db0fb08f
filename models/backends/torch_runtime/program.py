"""Reading an artefact into a torch module that takes the family's inputs in order: `.onnx` graphs, `.pt2` programs."""

import os
import re
import threading
import zipfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor
from torch.export.passes import move_to_device_pass
from torch.utils import _pytree as pytree

from models.backends.base import BackendError
from models.backends.graph_nodes import input_nodes, output_nodes
from models.backends.signature import Node
from models.backends.torch_runtime.graph import translate
from models.datatypes import DATATYPES

NARROW = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision of a variant -> the type its heavy operators compute in."""

_DATATYPES = {getattr(torch, row.dtype.name): row.name for row in DATATYPES.values()}
"""torch's type -> Open Inference Protocol datatype."""

_MEMBERS = re.compile(
    r"archive_(format|version)|byteorder|\.data/\w+|models/\w+\.json|data/sample_inputs/\w+\.pt|extra/.*"
    r"|data/(weights|constants)/((weight|tensor)_\d+|\w+\.json)"
)
"""What a program of operators and tensors consists of; pickled objects and compiled libraries have other names."""

_ENVIRONMENT = threading.Lock()


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

    Tensors and operators only: an archive with pickled objects or compiled code is refused, for reading it would run
    what it says. Raises BackendError, or what torch raises for a damaged file.
    """
    _check_members(path)
    with _tensors_only():
        exported: Any = torch.export.load(path)
    _check_divisions(exported)
    if device != "cpu":  # constants made inside the program move too, which module.to would leave
        exported = move_to_device_pass(exported, device)
    values = {n.name: n.meta.get("val") for n in exported.graph.nodes}
    given = [(name, values[name]) for name in exported.graph_signature.user_inputs]
    results = [values[name] for name in exported.graph_signature.user_outputs]
    names = _output_names(exported.call_spec.out_spec, results, outputs)
    module = exported.module()
    shape = exported.call_spec.in_spec

    def call(*tensors: Tensor) -> Sequence[Tensor]:
        args, kwargs = pytree.tree_unflatten(list(tensors), shape)
        return pytree.tree_leaves(module(*args, **kwargs))

    found = tuple(_traced(n, v) for n, v in zip(names, results, strict=True))
    return Program(call, tuple(_traced(name, value) for name, value in given), found)


def _check_members(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        inner = [name.partition("/")[2] for name in archive.namelist()]
    odd = [name for name in inner if not _MEMBERS.fullmatch(name)]
    if odd:
        raise BackendError(
            f"it holds {odd[0]!r}, which is neither operators nor tensors; save it anew with torch.export.save"
        )


def _check_divisions(exported: Any) -> None:
    """Where the smallest whole number is divided by -1 and cut, the processor ends the process: torch does not look."""
    signature = exported.graph_signature
    constants = {*signature.inputs_to_parameters, *signature.inputs_to_buffers}
    constants |= {*signature.inputs_to_lifted_tensor_constants}
    for node in exported.graph.nodes:
        if node.kwargs.get("rounding_mode") != "trunc" or len(node.args) < 2:
            continue
        by, result = node.args[1], node.meta.get("val")
        fixed = by != -1 if isinstance(by, int | float) else getattr(by, "name", "") in constants
        if not fixed and getattr(result, "dtype", None) in {torch.int32, torch.int64}:
            raise BackendError(
                f"{node.name} divides whole numbers by what may be -1, at which the process ends: "
                "clamp the divisor, round by floor, or divide floats"
            )


@contextmanager
def _tensors_only() -> Generator[None]:
    """torch.export.load falls back to unpickling anything; this variable forbids it, process-wide by its nature."""
    with _ENVIRONMENT:
        before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
            else:
                os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = before


def _output_names(spec: Any, results: Sequence[Any], wanted: Sequence[str]) -> list[str]:
    if spec.type is dict and len(spec.context) == len(results):
        return [str(name) for name in spec.context]
    if len(results) != len(wanted):
        raise BackendError(
            f"it returns {len(results)} tensors, the family has {len(wanted)} outputs; "
            "return a dict with the outputs' names"
        )
    return list(wanted)


def _traced(name: str, value: Any) -> Node:
    shape = tuple(d if isinstance(d, int) else None for d in value.shape)
    return Node(name, _DATATYPES.get(value.dtype, str(value.dtype)), shape)
