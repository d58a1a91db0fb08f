"""Names in an ONNX graph made one's own: bodies beside each other may call different values the same.

A body sees the names of the graphs around it, and its own before theirs. Once no name is used twice, what is known of
values can be kept by name alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count

import onnx

from models.backends.graph_nodes import bodies_of


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Those of its bodies too, each after the node that runs it."""
    for node in graph.node:
        yield node
        for body in bodies_of(node):
            yield from nodes_of(body)


def bodies_in(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Every body in the graph, at any depth."""
    return (body for node in nodes_of(graph) for body in bodies_of(node))


def make_unique(graph: onnx.GraphProto) -> None:
    """Rename what bodies define, in place, so that each name stands for one value. Names of `graph` itself stay."""
    taken = {name for one in (graph, *bodies_in(graph)) for name in _defined(one)}
    fresh = (name for n in count() if (name := f"body{n}") not in taken)
    for node in graph.node:
        for body in bodies_of(node):
            _rename(body, {}, fresh)


def _defined(graph: onnx.GraphProto) -> Iterator[str]:
    yield from (value.name for value in graph.input)
    yield from (tensor.name for tensor in graph.initializer)
    yield from (tensor.values.name for tensor in graph.sparse_initializer)
    yield from (name for node in graph.node for name in node.output if name)


def _rename(body: onnx.GraphProto, around: Mapping[str, str], fresh: Iterator[str]) -> None:
    """`around`: what the names that it takes from outside are called now."""
    names = {**around, **{name: next(fresh) for name in dict.fromkeys(_defined(body))}}
    for named in _declarations(body):
        named.name = names.get(named.name, named.name)
    for node in body.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for inner in bodies_of(node):
            _rename(inner, names, fresh)


def _declarations(body: onnx.GraphProto) -> Iterable[onnx.ValueInfoProto | onnx.TensorProto]:
    sparse = (tensor.values for tensor in body.sparse_initializer)
    return [*body.input, *body.output, *body.value_info, *body.initializer, *sparse]
