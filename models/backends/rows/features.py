"""ArrayFeatureExtractor on a list, as scikit-learn's exports look up classes: told by operators that are followed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

_IN_ONE_ROW = "features/in one row"
"""The shape [1, -1]; no exporter calls a value so."""


def looked_up(
    model: onnx.ModelProto, constants: Mapping[str, NDArray[Any]]
) -> Mapping[str, NDArray[Any]]:
    """Put a Gather and a Reshape in the place of each such node of the graph, which is changed; returns the constants.

    ONNX's own shapes of it are wrong where the places are no list: it takes the last of their lengths for all.
    """
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "ArrayFeatureExtractor" and _is_list(constants.get(node.input[0])):
            found = f"{node.output[0]}/found"
            nodes.append(helper.make_node("Gather", node.input, [found], axis=0))
            nodes.append(helper.make_node("Reshape", [found, _IN_ONE_ROW], node.output))
        else:
            nodes.append(node)
    if len(nodes) == len(model.graph.node):
        return constants
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    shape = np.array([1, -1], np.int64)
    model.graph.initializer.append(onnx.numpy_helper.from_array(shape, _IN_ONE_ROW))
    return {**constants, _IN_ONE_ROW: shape}


def _is_list(values: NDArray[Any] | None) -> bool:
    return values is not None and values.ndim == 1
