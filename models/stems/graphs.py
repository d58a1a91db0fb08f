"""An ONNX graph as a net of tensors: who makes each, what it depends on, what is constant. Nothing here runs it."""

from collections.abc import Iterable
from dataclasses import dataclass

import onnx
from onnx import AttributeProto, TensorProto

from models.artifacts import ArtifactError


class CutError(ArtifactError):
    """A network that cannot be cut as asked; the message names the tensor and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Net:
    """A network of one input and one output; nodes that the output does not depend on are left out."""

    nodes: tuple[onnx.NodeProto, ...]
    """In the model's order, which is topological."""
    source: str
    target: str
    weights: dict[str, TensorProto]
    """Initializers and what `Constant` nodes give, by name."""
    varying: frozenset[str]
    """The tensors that depend on the input, itself among them."""


def net_of(model: onnx.ModelProto) -> Net:
    """The network that `model` is. Raises CutError where it has several inputs or outputs, or hides graphs in nodes."""
    graph = model.graph
    weights = _weights(graph)
    sources = [i.name for i in graph.input if i.name not in weights]
    targets = [o.name for o in graph.output]
    if len(sources) != 1 or len(targets) != 1:
        raise CutError(
            f"the network has inputs {sources} and outputs {targets}; only one of each can be cut"
        )
    _check_plain(model)
    nodes = tuple(n for n in graph.node if not set(n.output) <= weights.keys())
    varying = _after(nodes, sources[0])
    return Net(_before(nodes, targets[0]), sources[0], targets[0], weights, frozenset(varying))


def before(net: Net, tensor: str) -> tuple[onnx.NodeProto, ...]:
    """The nodes that `tensor` depends on, in order."""
    return _before(net.nodes, tensor)


def stretch(net: Net, start: str, end: str) -> tuple[onnx.NodeProto, ...]:
    """The nodes that turn `start` into `end`, in order, with those that make the constants between them."""
    return _before(net.nodes, end, stop=start)


def outputs_of(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    """All that these nodes make."""
    return {name for node in nodes for name in node.output if name}


def _before(
    nodes: Iterable[onnx.NodeProto], tensor: str, stop: str = ""
) -> tuple[onnx.NodeProto, ...]:
    needed, found = {tensor} - {stop}, list[onnx.NodeProto]()
    for node in reversed(tuple(nodes)):
        if needed.intersection(node.output):
            found.append(node)
            needed.update(name for name in node.input if name and name != stop)
    return tuple(reversed(found))


def _after(nodes: Iterable[onnx.NodeProto], source: str) -> set[str]:
    reached = {source}
    for node in nodes:
        if reached.intersection(node.input):
            reached.update(name for name in node.output if name)
    return reached


def _weights(graph: onnx.GraphProto) -> dict[str, TensorProto]:
    """By every name they have: exporters write a weight that is there already as an Identity of it."""
    weights = {i.name: i for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            weights[node.output[0]] = node.attribute[0].t
    return weights


def _check_plain(model: onnx.ModelProto) -> None:
    """A graph within a node reads tensors that the node does not list: what depends on what would not show."""
    hiding = [
        n.name or n.op_type
        for n in model.graph.node
        if any(a.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for a in n.attribute)
    ]
    if hiding or model.functions:
        what = f"node {hiding[0]!r} has" if hiding else "the model defines"
        raise CutError(f"{what} a graph of its own; export the network without control flow")
