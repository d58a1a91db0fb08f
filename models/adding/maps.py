"""scikit-learn's exports answer in maps, by ZipMap; served are the scores that it is given."""

from collections.abc import Sequence

import onnx

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
