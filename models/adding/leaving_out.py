"""What is left out of a graph: the maps in which scikit-learn's exports answer, and what no output needs any more."""

from collections.abc import Iterator, Sequence

import onnx

from models.backends.graph_nodes import bodies_of

ROWS = "rows"
"""The name of the axis that counts rows."""


def without_maps(model: onnx.ModelProto) -> tuple[tuple[str, ...], Sequence[str]]:
    """(the classes that the maps had, a remark for each that was taken out of the model)."""
    nodes, labels, remarks = model.graph.node, (), list[str]()
    for node in [n for n in nodes if n.op_type == "ZipMap"]:
        labels = _classes(node)
        value = next(v for v in model.graph.output if v.name == node.output[0])
        scores = onnx.helper.make_tensor_value_info(
            value.name, onnx.TensorProto.FLOAT, [ROWS, len(labels) or None]
        )
        value.CopyFrom(scores)
        renamed = onnx.helper.make_node("Identity", [node.input[0]], [node.output[0]])
        nodes.remove(node)
        nodes.append(renamed)
        remarks.append(f"output {value.name!r} is given as scores, not as maps (ZipMap)")
    return labels, remarks


def _classes(zipmap: onnx.NodeProto) -> tuple[str, ...]:
    for attribute in zipmap.attribute:
        if attribute.name == "classlabels_strings" and attribute.strings:
            return tuple(text.decode("utf-8", "replace") for text in attribute.strings)
        if attribute.name == "classlabels_int64s" and attribute.ints:
            return tuple(str(number) for number in attribute.ints)
    return ()


def pruned(graph: onnx.GraphProto) -> None:
    """Take out the operators from which no output follows, and the weights that only they need."""
    wanted = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):  # each comes after what it needs
        if wanted.intersection(node.output):
            kept.append(node)
            wanted |= set(_needed(node))
    if len(kept) < len(graph.node):
        kept.reverse()
        del graph.node[:]
        graph.node.extend(kept)
        weights = [one for one in graph.initializer if one.name in wanted]
        del graph.initializer[:]
        graph.initializer.extend(weights)


def _needed(node: onnx.NodeProto) -> Iterator[str]:
    """What it takes, and what the graphs that it runs take from outside."""
    yield from node.input
    for body in bodies_of(node):
        yield from (value.name for value in body.output)
        for inner in body.node:
            yield from _needed(inner)
