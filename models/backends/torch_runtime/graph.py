"""An ONNX graph as a torch module, operator by operator; in a narrow model the heavy ones compute in bf16 or fp16.

What is computed narrow: convolutions and matrix products whose weights are stored so (all, where none are), and what
lies between them. Resizing by a matrix product has float32 weights and stays as it is; so do sums over many values,
softmax, and whatever yields an output of the graph: 8 bits of mantissa would tie the best classes.
"""

import inspect
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, fx, nn

from models.backends.base import BackendError
from models.backends.graph_nodes import graph_inputs
from models.backends.torch_runtime.ops import CORE, FOLLOWS, OPS, WIDE, Op, attribute

_OLDEST_OPSET = 13  # before it, Softmax and the reductions meant something else

_NARROW_ELEMENTS = frozenset({onnx.TensorProto.BFLOAT16, onnx.TensorProto.FLOAT16})

Value = fx.Node | Tensor | None
"""What a name stands for while translating: a step of the module, a constant, or an input left out."""


def translate(model: onnx.ModelProto, compute: torch.dtype | None = None) -> fx.GraphModule:
    """A module that takes the graph's inputs in order and returns its outputs in order, as a tuple.

    `compute` is the type of a narrow model; None computes in the types that the graph states. Raises BackendError for
    an operator, an attribute or an opset that is not known here.
    """
    _check_opset(model)
    return _Translation(model.graph, compute).module()


def _check_opset(model: onnx.ModelProto) -> None:
    for opset in model.opset_import:
        if opset.domain in {"", "ai.onnx"} and opset.version < _OLDEST_OPSET:
            raise BackendError(
                f"its opset is {opset.version}, torch reads {_OLDEST_OPSET} and later; export it anew, "
                "or run it by another runtime (key `backends`)"
            )


@dataclass(slots=True)
class _Translation:
    """A module under construction: what each name stands for, and which of them are in the narrow type."""

    source: onnx.GraphProto
    compute: torch.dtype | None
    root: nn.Module = field(default_factory=nn.Module)
    graph: fx.Graph = field(default_factory=fx.Graph)
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    stored_narrow: set[int] = field(default_factory=set[int])
    narrow: set[fx.Node] = field(default_factory=set[fx.Node])
    held: dict[int, tuple[Tensor, fx.Node]] = field(
        default_factory=dict[int, tuple[Tensor, fx.Node]]
    )

    def module(self) -> fx.GraphModule:
        self.values[""] = None
        for initializer in self.source.initializer:
            self.values[initializer.name] = _constant(initializer)
        for given in graph_inputs(self.source):
            self.values[given.name] = self.graph.placeholder(re.sub(r"\W", "_", given.name))
        outputs = {o.name for o in self.source.output}
        for node in self.source.node:
            self.values[node.output[0]] = self._node(node, not outputs.isdisjoint(node.output))
        results = (self._wide(self._named(o.name)) for o in self.source.output)
        self.graph.output(tuple(self._held(r) for r in results))
        self.graph.eliminate_dead_code()
        self.graph.lint()
        return fx.GraphModule(self.root, self.graph)

    def _named(self, name: str) -> Value:
        try:
            return self.values[name]
        except KeyError as error:
            raise BackendError(
                f"tensor {name!r} comes from an output that torch does not give"
            ) from error

    def _node(self, node: onnx.NodeProto, is_output: bool) -> Value:
        attributes = {a.name: attribute(a) for a in node.attribute}
        if node.op_type == "Constant" and "value" in attributes:
            return _constant(attributes["value"])
        op = OPS.get(node.op_type)
        if op is None or node.domain not in {"", "ai.onnx"}:
            raise BackendError(
                f"operator {node.op_type} (node {node.name or node.output[0]!r}) is not known to the torch backend; "
                "run this artefact by another runtime (key `backends`), or add the operator to torch_runtime/ops.py"
            )
        inputs = [
            _numbers(node, name, self._named(name)) if i in op.static else self._named(name)
            for i, name in enumerate(node.input)
        ]
        _check_call(node, op, inputs, attributes)
        if not any(isinstance(value, fx.Node) for value in inputs):
            folded = op.run(*inputs, **attributes)
            if isinstance(inputs[0], Tensor) and inputs[0].dtype == self.compute:
                self.stored_narrow.add(id(folded))
            return folded
        return self._step(op, inputs, attributes, is_output)

    def _step(
        self, op: Op, inputs: list[Any], attributes: dict[str, Any], is_output: bool
    ) -> fx.Node:
        as_narrow = self._is_narrow(op, inputs, is_output)
        if as_narrow:
            inputs = [self._narrowed(value) for value in inputs]
        elif op.width in {CORE, FOLLOWS, WIDE}:
            inputs = [self._wide(value) for value in inputs]
        args = tuple(self._held(value) for value in inputs)
        step = self.graph.call_function(op.run, args, attributes)
        if as_narrow:
            self.narrow.add(step)
        return step

    def _is_narrow(self, op: Op, inputs: list[Any], is_output: bool) -> bool:
        if self.compute is None or op.width not in {CORE, FOLLOWS}:
            return False
        steps = [v for v in inputs if isinstance(v, fx.Node)]
        if op.width == FOLLOWS:
            return all(v in self.narrow for v in steps)
        weighted = any(id(v) in self.stored_narrow for v in inputs)
        return not is_output and (weighted or not self.stores_narrow())

    def stores_narrow(self) -> bool:
        """Whether any weight of the graph is stored in the narrow type."""
        return any(i.data_type in _NARROW_ELEMENTS for i in self.source.initializer)

    def _narrowed(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._held(value.to(self.compute) if value.is_floating_point() else value)
        if isinstance(value, fx.Node) and value not in self.narrow:
            return self.graph.call_method("to", (value, self.compute))
        return value

    def _wide(self, value: Any) -> Any:
        if isinstance(value, fx.Node) and value in self.narrow:
            return self.graph.call_method("to", (value, torch.float32))
        return value

    def _held(self, value: Any) -> Any:
        """A constant as a buffer of the module, so that it moves to the device with it."""
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self.held:
            name = f"c{len(self.held)}"
            self.root.register_buffer(name, _laid_out(value), persistent=False)
            self.held[id(value)] = value, self.graph.get_attr(name)
        return self.held[id(value)][1]


def _laid_out(constant: Tensor) -> Tensor:
    """Weights of convolutions as the pictures are, which come channels last and so stay."""
    last = constant.dim() == 4
    return constant.contiguous(
        memory_format=torch.channels_last if last else torch.contiguous_format
    )


def _constant(proto: onnx.TensorProto) -> Tensor:
    array: NDArray[Any] = np.array(numpy_helper.to_array(proto)).reshape(tuple(proto.dims))
    if proto.data_type == onnx.TensorProto.BFLOAT16:
        return torch.from_numpy(array.view(np.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def _numbers(node: onnx.NodeProto, name: str, value: Value) -> Any:
    """A constant as a number or a list of them."""
    if value is None:
        return None
    if isinstance(value, fx.Node):
        raise BackendError(
            f"input {name!r} of {node.op_type} is computed while running; the torch backend needs a constant there"
        )
    return value.tolist() if value.numel() else None


def _check_call(
    node: onnx.NodeProto, op: Op, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    try:
        signature = inspect.signature(op.run)
    except ValueError:  # torch's own functions do not tell; they take no attributes
        return
    try:
        signature.bind(*inputs, **attributes)
    except TypeError as error:
        raise BackendError(
            f"operator {node.op_type} (node {node.name or node.output[0]!r}): {error}; "
            "run this artefact by another runtime (key `backends`)"
        ) from error
