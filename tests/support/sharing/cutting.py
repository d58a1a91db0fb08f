"""Where a network may be cut, found by asking of every tensor in it."""

import onnx

from models.stems import CutError
from models.stems.cutting import check_points


def cut_points(model: onnx.ModelProto) -> tuple[str, ...]:
    """The tensors at which `model` may be cut, from its input to its output."""
    made = (name for node in model.graph.node for name in node.output)
    return tuple(t for t in (model.graph.input[0].name, *made) if _is_point(model, t))


def _is_point(model: onnx.ModelProto, tensor: str) -> bool:
    try:
        check_points(model, [tensor])
    except CutError:
        return False
    return True
