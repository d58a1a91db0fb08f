"""Shapes of what the operators of ai.onnx.ml give, which ONNX's own inference does not tell or gets wrong. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import onnx
from onnx import TensorProto, helper

ML = "ai.onnx.ml"
_OURS = "rows.tables"
"""A domain that ONNX's inference knows nothing of: some of its shapes are wrong (of classifiers with whole numbers)."""
Dims = Sequence[int | None]
_Given = Mapping[str, Any]
_Shape = Callable[[Dims, _Given], Dims | None]
_NAMES = ("classlabels_ints", "classlabels_int64s", "classlabels_strings")


def _alike(table: Dims, _: _Given) -> Dims:
    return table


def _targets(key: str) -> _Shape:
    return lambda table, given: [table[0], given.get(key, 1)]


def _scores(table: Dims, given: _Given) -> Dims | None:
    """A score for each class; of an SVM without probabilities one for each pair."""
    classes = next((len(given[name]) for name in _NAMES if given.get(name)), 0)
    return [table[0], classes] if classes else None


def _probabilities(table: Dims, given: _Given) -> Dims | None:
    return _scores(table, given) if given.get("prob_a") else None


def _one_hot(table: Dims, given: _Given) -> Dims:
    return [*table, len(given.get("cats_int64s") or given.get("cats_strings") or ())]


_SHAPES: Mapping[str, tuple[int, _Shape]] = {
    **dict.fromkeys(("Binarizer", "Imputer", "Normalizer", "Scaler"), (0, _alike)),
    **dict.fromkeys(("LinearClassifier", "TreeEnsembleClassifier"), (1, _scores)),
    "LinearRegressor": (0, _targets("targets")),
    "OneHotEncoder": (0, _one_hot),
    "SVMClassifier": (1, _probabilities),
    "SVMRegressor": (0, _targets("")),
    "TreeEnsembleRegressor": (0, _targets("n_targets")),
}
"""Operator -> which of its outputs has what shape, by the table that it takes; all are floats."""


def take_over(model: onnx.ModelProto) -> None:
    """Keep ONNX's inference from the operators that are told of here."""
    for node in model.graph.node:
        if node.domain == ML and node.op_type in _SHAPES:
            node.domain = _OURS
    model.opset_import.append(helper.make_opsetid(_OURS, 1))


def shapes_in(graph: onnx.GraphProto, dims: Mapping[str, Dims]) -> Iterator[onnx.ValueInfoProto]:
    """What can be told of outputs whose shape is not known yet."""
    for node in graph.node:
        index, shape = _SHAPES.get(node.op_type, (0, None)) if node.domain == _OURS else (0, None)
        if shape is None or index >= len(node.output) or node.output[index] in dims:
            continue
        table = dims.get(node.input[0])
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if table and (found := shape(table, given)) is not None:
            yield helper.make_tensor_value_info(node.output[index], TensorProto.FLOAT, found)
