"""Heads of one graph but different weights as one network: `fused` reads it node by node, `rules.py` says how for each.

The tasks' channels lie beside each other along axis 1, task by task. What is the same for all tasks, such as the
activation itself, is computed once. As in HFTA (Wang et al., MLSys 2021), there for training.
"""

from collections.abc import Sequence
from dataclasses import replace

import onnx
from onnx import TensorProto, helper, numpy_helper

from models.stems.cutting import shapes_of
from models.stems.fusion import Array, Fusion, Layer, NoRule
from models.stems.graphs import CutError, Net, net_of
from models.stems.rules import RULES, Rule


def fused(heads: Sequence[onnx.ModelProto]) -> onnx.ModelProto | None:
    """One model with the heads' input, whose output is all their scores (any, heads), columns in their order.

    None where the heads differ in more than their weights, or have an operator that has no rule (`rules.py`).
    """
    try:
        nets = [_without_sizes(net_of(head)) for head in heads]
        if len({_form(net, head) for net, head in zip(nets, heads, strict=True)}) != 1:
            return None
        fusion = Fusion(len(heads), shapes_of(heads[0]))
        for nodes in zip(*(net.nodes for net in nets), strict=True):
            layer = Layer(nodes[0], _params(nets, nodes))
            _add(fusion, layer, RULES.get(nodes[0].op_type))
    except (NoRule, CutError):
        return None
    target = nets[0].target
    if target not in fusion.stacked or fusion.shape(target):
        return None
    return _model(fusion, heads[0], target)


def _add(fusion: Fusion, layer: Layer, rule: Rule | None) -> None:
    names = [name for i, name in enumerate(layer.node.input) if name and i not in layer.params]
    if layer.alike and not fusion.stacked.intersection(names) and not _is_sized(layer):
        fusion.copy(layer)
        return
    if rule is None or len(layer.node.output) != 1 or layer.node.domain:
        raise NoRule(layer.node.op_type)
    rule(fusion, layer)
    fusion.stacked.add(layer.node.output[0])


def _is_sized(layer: Layer) -> bool:
    return layer.node.op_type == "Reshape" and 1 not in layer.params


def _without_sizes(net: Net) -> Net:
    """Without the nodes that only work out a new shape, as torch exports flattening: its rule goes by known shapes."""
    needed, kept = {net.target}, list[onnx.NodeProto]()
    for node in reversed(net.nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input[:1] if node.op_type == "Reshape" else node.input)
    return replace(net, nodes=tuple(reversed(kept)))


def _params(nets: Sequence[Net], nodes: Sequence[onnx.NodeProto]) -> dict[int, list[Array]]:
    return {
        i: [
            numpy_helper.to_array(net.weights[node.input[i]])
            for net, node in zip(nets, nodes, strict=True)
        ]
        for i, name in enumerate(nodes[0].input)
        if name in nets[0].weights
    }


def _form(net: Net, head: onnx.ModelProto) -> str:
    """The head without names and weights: equal for heads that differ in nothing else."""
    made = {net.source: "source", "": "none"}
    made |= {name: f"weight {w.data_type} {list(w.dims)}" for name, w in net.weights.items()}
    rows = [f"{o.domain} {o.version}" for o in head.opset_import]
    for i, node in enumerate(net.nodes):
        attributes = sorted(a.SerializeToString(deterministic=True) for a in node.attribute)
        inputs = [made.get(name, "a size") for name in node.input]
        rows.append(f"{node.domain} {node.op_type} {attributes} {inputs}")
        made |= {name: f"node {i} {j}" for j, name in enumerate(node.output)}
    return "\n".join([*rows, made[net.target]])


def _model(fusion: Fusion, head: onnx.ModelProto, target: str) -> onnx.ModelProto:
    source = [i for i in head.graph.input if i.name not in {w.name for w in head.graph.initializer}]
    scores = helper.make_tensor_value_info(target, TensorProto.FLOAT, ["N", fusion.tasks])
    graph = helper.make_graph(fusion.nodes, "fused heads", source, [scores], fusion.weights)
    model = helper.make_model(graph, opset_imports=head.opset_import, ir_version=head.ir_version)
    onnx.checker.check_model(model)
    return model
