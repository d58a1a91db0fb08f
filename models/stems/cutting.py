"""Cutting a network at tensors that everything goes through: what lies between two of them is a network of its own."""

from collections.abc import Sequence
from itertools import pairwise

import onnx
from onnx import TensorProto, helper

from models.stems.graphs import CutError, Net, before, net_of, outputs_of, stretch

_SHOWN = 3
"""Tensors that a message names of many."""


def cut(model: onnx.ModelProto, tensors: Sequence[str]) -> tuple[onnx.ModelProto, ...]:
    """The segments between consecutive `tensors`, each a model from one to the next; the batch is free in all.

    The input's and the output's names may be among them. Raises CutError where a tensor is unknown, lies inside a block
    (other tensors lead past it) or comes out of order.
    """
    net = check_points(model, tensors)
    known = onnx.shape_inference.infer_shapes(model)
    return tuple(_segment(known, net, start, end) for start, end in pairwise(tensors))


def check_points(model: onnx.ModelProto, tensors: Sequence[str]) -> Net:
    """Raises CutError where `model` cannot be cut at `tensors`; see `cut`."""
    net = net_of(model)
    for tensor in tensors:
        _check_single(net, tensor)
    for earlier, later in pairwise(tensors):
        if earlier == later or earlier not in _upstream(net, later):
            raise CutError(
                f"tensor {later!r} does not come after {earlier!r} in the network; order the cuts from the input on"
            )
    return net


def shape_of(model: onnx.ModelProto, tensor: str) -> tuple[int, ...]:
    """The shape of one frame's `tensor`, without the batch. Raises CutError where it is not fixed, or the batch is."""
    return _shape(_value(onnx.shape_inference.infer_shapes(model), tensor))


def shapes_of(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Of every tensor with a free batch and otherwise fixed shape, that of one frame."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {v.name: shape for v in values if (shape := _frame_shape(v)) is not None}


def _check_single(net: Net, tensor: str) -> None:
    if tensor not in net.varying:
        what = "is constant" if tensor in net.weights else "is unknown"
        raise CutError(f"tensor {tensor!r} {what} in this network; name one of its activations")
    if crossing := _crossing(net, tensor):
        more = ", ..." * (len(crossing) > _SHOWN)
        raise CutError(
            f"tensor {tensor!r} lies inside a block: {len(crossing)} other tensors cross it: "
            f"{', '.join(crossing[:_SHOWN])}{more}; cut before or after the block"
        )


def _crossing(net: Net, tensor: str) -> list[str]:
    """What leads from the input past `tensor` to the output; empty: every path goes through it.

    A path that avoids it leaves the nodes before it by another tensor than itself.
    """
    if tensor == net.source:
        return []
    earlier = before(net, tensor)
    names = {id(node) for node in earlier}
    inside = ((outputs_of(earlier) & net.varying) | {net.source}) - {tensor}
    used = [name for node in net.nodes if id(node) not in names for name in node.input]
    return sorted(inside.intersection([*used, net.target]))


def _upstream(net: Net, tensor: str) -> set[str]:
    return outputs_of(before(net, tensor)) | {net.source}


def _segment(known: onnx.ModelProto, net: Net, start: str, end: str) -> onnx.ModelProto:
    nodes = stretch(net, start, end)
    used = {name for node in nodes for name in node.input}
    weights = [_named(net.weights[name], name) for name in sorted(used & net.weights.keys())]
    ends = [_free(_value(known, name)) for name in (start, end)]
    graph = helper.make_graph(list(nodes), f"{start} to {end}", ends[:1], ends[1:], weights)
    segment = helper.make_model(
        graph, opset_imports=known.opset_import, ir_version=known.ir_version
    )
    onnx.checker.check_model(segment)
    return segment


def _named(weight: TensorProto, name: str) -> TensorProto:
    """A Constant node's tensor need not be called what its output is."""
    copy = TensorProto()
    copy.CopyFrom(weight)
    copy.name = name
    return copy


def _value(known: onnx.ModelProto, tensor: str) -> onnx.ValueInfoProto:
    graph = known.graph
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.name == tensor:
            return value
    raise CutError(f"tensor {tensor!r} has no known shape; export the network with fixed shapes")


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    shape = _frame_shape(value)
    if shape is None:
        raise CutError(
            f"tensor {value.name!r} must have a free batch and fixed sizes else; export the network so"
        )
    return shape


def _frame_shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """Without the batch; None where the batch is fixed or something else is not."""
    dims = list(value.type.tensor_type.shape.dim)
    sizes = tuple(d.dim_value for d in dims[1:])
    return sizes if dims and not dims[0].dim_value and min(sizes, default=1) > 0 else None


def _free(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    kind = value.type.tensor_type.elem_type
    return helper.make_tensor_value_info(value.name, kind, ["N", *_shape(value)])
