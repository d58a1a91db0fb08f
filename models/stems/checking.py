"""Whether the networks of a package are what it says: the base's points are its own, every head fits its point."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from models.artifacts import ArtifactError
from models.artifacts.external import references
from models.backends.graph_nodes import input_nodes, output_nodes
from models.stems.cutting import check_points, shape_of
from models.stems.hashing import stem_hashes
from models.stems.package import Base, Head

SCORE = "score"
"""A head's output."""


def network_at(path: Path) -> onnx.ModelProto:
    """The network in the file. Raises ArtifactError where it is none, OSError where it cannot be read."""
    if outside := references(path):
        raise ArtifactError(
            f"{path} keeps weights in {outside[0].location!r}; the networks of a task package hold theirs themselves, "
            "export it again so"
        )
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as error:
        raise ArtifactError(f"{path} is no ONNX network: {error}; export it again") from error
    return model


def check_base(base: Base, model: onnx.ModelProto) -> None:
    """Raises ArtifactError where a point is no place to cut `model`, or has another shape or hash than `base` says."""
    tensors = [p.tensor for p in base.points]
    check_points(model, tensors)
    if [n.name for n in input_nodes(model.graph)] != tensors[:1]:
        raise ArtifactError(
            f"base {base.name}: point 0 must be the network's input, not {tensors[0]!r}; correct its tensor"
        )
    for point, stem in zip(base.points, stem_hashes(model, tensors, base.shape), strict=True):
        shape = shape_of(model, point.tensor)
        if shape != point.shape:
            raise ArtifactError(
                f"base {base.name}, point {point.frozen} (tensor {point.tensor!r}): its shape is {list(shape)}, the "
                f"package says {list(point.shape)}; publish the package again"
            )
        if stem != point.stem:
            raise ArtifactError(
                f"base {base.name}, point {point.frozen} (tensor {point.tensor!r}): mismatched stem hash, the network "
                f"has {stem}, the package says {point.stem}; publish the package again, with heads trained on this base"
            )


def check_head(base: Base, task: str, head: Head, model: onnx.ModelProto) -> None:
    """Raises ArtifactError where `model` does not take the activation at its point, or give one score a row."""
    where = f"head of task {task} behind {head.frozen} frozen layers of {base.name}"
    point = next((p for p in base.points if p.frozen == head.frozen), None)
    if point is None:
        raise ArtifactError(
            f"{where}: there is no such point; the base has {[p.frozen for p in base.points]}"
        )
    if head.stem != point.stem:
        raise ArtifactError(
            f"{where}: mismatched stem hash, it was trained behind {head.stem}, the base's point {point.frozen} has "
            f"{point.stem}; train it on this base, or publish it with its own"
        )
    inputs = [(n.datatype, n.shape) for n in input_nodes(model.graph)]
    if inputs != [("FP32", (None, *point.shape))]:
        raise ArtifactError(
            f"{where}: it takes {inputs}, the point (tensor {point.tensor!r}) gives FP32 (None, "
            f"{', '.join(map(str, point.shape))}), None being the batch; export it for this point"
        )
    outputs = [(n.name, n.datatype, n.shape) for n in output_nodes(model.graph)]
    if outputs != [(SCORE, "FP32", (None,))]:
        raise ArtifactError(
            f"{where}: it gives {outputs}, wanted is {(SCORE, 'FP32', (None,))}, None being the batch; export it so"
        )
