"""What an activation depends on, as one hash: stems are the same where it is, however their tensors are called."""

import hashlib
from collections.abc import Sequence

import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from models.stems.cutting import shape_of
from models.stems.graphs import CutError, Net, net_of
from models.stems.package import Base, Point


def stem_hashes(
    model: onnx.ModelProto, tensors: Sequence[str], shape: tuple[int, ...]
) -> tuple[str, ...]:
    """For each of `tensors` the sha256, in hex, of all that affects it, for frames of `shape` (without the batch).

    Operators and their versions, attributes, weights (values and types), how they are connected, the input's type and
    shape: a Merkle tree over the graph, so neither names nor the order of nodes matter, nor anything after the tensor.
    Raises CutError where a tensor is unknown.
    """
    net = net_of(model)
    known = _weights(net) | {net.source: _hash("input", str(_kind(model, net.source)), str(shape))}
    versions = {o.domain: str(o.version) for o in model.opset_import}
    for node in net.nodes:
        made = _hash(
            "node",
            node.domain,
            versions.get(node.domain, ""),
            node.op_type,
            *(part for a in sorted(node.attribute, key=lambda a: a.name) for part in _attribute(a)),
            *(known[name] if name else "none" for name in node.input),
        )
        known |= {name: _hash("output", str(i), made) for i, name in enumerate(node.output)}
    if unknown := [t for t in tensors if t not in known]:
        raise CutError(f"tensor {unknown[0]!r} is unknown in this network; name one of its own")
    return tuple(known[t] for t in tensors)


def points_of(model: onnx.ModelProto, cuts: Sequence[tuple[int, str]]) -> tuple[Point, ...]:
    """The points of a base network for (frozen layers, tensor) pairs, with their shapes and hashes. Raises CutError."""
    source = net_of(model).source
    names = [tensor for _, tensor in cuts]
    hashes = stem_hashes(model, names, shape_of(model, source))
    return tuple(
        Point(frozen, tensor, shape_of(model, tensor), stem)
        for (frozen, tensor), stem in zip(cuts, hashes, strict=True)
    )


def base_of(name: str, model: onnx.ModelProto, cuts: Sequence[tuple[int, str]]) -> Base:
    """A base to be published: its file's name and sha256 are for the publisher to fill in. Raises CutError."""
    return Base(name, shape_of(model, net_of(model).source), "", "", points_of(model, cuts))


def _weights(net: Net) -> dict[str, str]:
    return {name: _tensor(weight) for name, weight in net.weights.items()}


def _kind(model: onnx.ModelProto, source: str) -> int:
    return next(i.type.tensor_type.elem_type for i in model.graph.input if i.name == source)


def _tensor(tensor: TensorProto) -> str:
    content = numpy_helper.to_array(tensor).tobytes()
    return _hash("weight", str(tensor.data_type), str(list(tensor.dims)), content)


def _attribute(attribute: AttributeProto) -> tuple[str | bytes, ...]:
    value = helper.get_attribute_value(attribute)
    if attribute.type == AttributeProto.TENSOR:
        return attribute.name, _tensor(value)
    return attribute.name, str(attribute.type), value if isinstance(value, bytes) else repr(value)


def _hash(*parts: str | bytes) -> str:
    """Each part goes in with its length, so that no two lists of parts run together."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.hexdigest()
