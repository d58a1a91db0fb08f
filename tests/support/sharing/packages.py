"""Task packages for tests: a tiny network and heads, made by hand in milliseconds, whose scores can be told beforehand.

Every layer of the base but the first, which divides by 255, is a residual block that makes 1.5 x of x. A task's head
has the layers after its point, with numbers of its own, and says how bright the frame is.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.stems import (
    Base,
    Head,
    Package,
    SharedTask,
    base_of,
    load_package,
    publish_package,
)

SHAPE = (1, 8, 8)
STREAM_FPS = 10.0
GAIN = 20.0
"""How steeply a score rises with the mean pixel value around a task's level."""

Array = NDArray[np.float32]
Nodes = list[onnx.NodeProto]
Weights = list[onnx.TensorProto]
Artefacts = dict[str | tuple[str, int], Path]


def a_package(
    root: Path, tasks: Sequence[str] = ("a", "b"), points: Sequence[int] = (0, 1, 2, 3)
) -> Package:
    """Published under `root` as `tiny`, in the folder root/tiny; task i of n has level (i + 1) / (n + 1).

    A frame's score is sigmoid(GAIN * (mean pixel / 255 - level)), whatever the branch: at least 0.5 from that mean on.
    """
    model = a_network(max(points))
    base = base_of("tiny", model, [(k, tensor(k)) for k in points])
    levels = [(i + 1) / (len(tasks) + 1) for i in range(len(tasks))]
    shared = tuple(a_task(base, task) for task in tasks)
    with TemporaryDirectory() as made:
        files = _heads(base, dict(zip(tasks, levels, strict=True)), Path(made))
        onnx.save(model, Path(made) / "tiny.onnx")
        return publish_package(
            root, Package(base, STREAM_FPS, shared), files | {"tiny": Path(made) / "tiny.onnx"}
        )


def add_task(root: Path, package: Package, task: str, level: float = 0.5) -> Package:
    """The package with `task` added, or upgraded to `level`: its frames are positive from a mean of 255 * level on."""
    present = load_package(root / package.base.name, verify=False)
    kept = tuple(one for one in present.tasks if one.name != task)
    with TemporaryDirectory() as made:
        files = in_place(root, present.base, kept)
        files |= _heads(present.base, {task: level}, Path(made))
        tasks = (*kept, a_task(present.base, task))
        return publish_package(root, replace(present, tasks=tasks), files)


def in_place(root: Path, base: Base, tasks: Iterable[SharedTask]) -> Artefacts:
    """The artefacts of a base and of tasks that are published already."""
    files: Artefacts = {base.name: root / base.name / base.artifact}
    for task in tasks:
        files |= {(task.name, h.frozen): root / base.name / h.artifact for h in task.heads}
    return files


def a_task(base: Base, name: str) -> SharedTask:
    """A task with a head at every point; the deeper it branches, the worse the rates it claims."""
    heads = tuple(
        Head(p.frozen, p.stem, "", "", 0.5, 0.95 - 0.05 * i, 0.05 + 0.02 * i)
        for i, p in enumerate(base.points)
    )
    return SharedTask(name, "brighter than its level", 0.5, 0.3, 0.2, heads, '{"data": "made"}')


def expected_score(level: float, frames: Array) -> Array:
    """(n, *SHAPE) -> (n,): what every head of a task of that level says."""
    means = frames.reshape(len(frames), -1).mean(axis=1) / 255
    return (1 / (1 + np.exp(-GAIN * (means - level)))).astype(np.float32)


def flat_frames(*means: float) -> Array:
    """Frames of one pixel value each: (n, *SHAPE)."""
    return np.stack([np.full(SHAPE, mean, np.float32) for mean in means])


def tensor(frozen: int) -> str:
    """The name of the activation behind that many layers."""
    return f"layer{frozen}" if frozen else "frames"


def a_network(layers: int) -> onnx.ModelProto:
    """The base: `frames` (N, *SHAPE) through all layers to `scores` (N, 1)."""
    nodes, weights = _layers(0, layers, 0.5)
    nodes.append(helper.make_node("GlobalAveragePool", [tensor(layers)], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["scores"]))
    return _model(nodes, weights, (tensor(0), SHAPE), ("scores", (1,)))


def a_head(frozen: int, layers: int, level: float) -> onnx.ModelProto:
    """A task's own layers behind `frozen` of `layers`, then the mean, a linear layer and a sigmoid: `score` (N,)."""
    own = 0.5 + level / 4
    nodes, weights = _layers(frozen, layers, own)
    scale = math.prod(1 / 255 if k == 0 else 1.5 if k < frozen else 1 + own for k in range(layers))
    scale = scale if layers else 1.0
    weights += [
        _constant("final.weight", [[GAIN / 255 / scale]]),
        _constant("final.bias", [-GAIN * level]),
        numpy_helper.from_array(np.array([1], np.int64), "axes"),
    ]
    nodes += [
        helper.make_node("GlobalAveragePool", [tensor(layers)], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "final.weight", "final.bias"], ["logit"], transB=1),
        helper.make_node("Sigmoid", ["logit"], ["column"]),
        helper.make_node("Squeeze", ["column", "axes"], ["score"]),
    ]
    return _model(nodes, weights, (tensor(frozen), SHAPE), ("score", ()))


def _layers(start: int, end: int, weight: float) -> tuple[Nodes, Weights]:
    nodes: Nodes = []
    weights: Weights = []
    for k in range(start + 1, end + 1):
        name = tensor(k)
        if k == 1:
            weights.append(_constant("white", 255.0))
            nodes.append(helper.make_node("Div", [tensor(0), "white"], [name]))
            continue
        weights.append(_constant(f"{name}.weight", [[[[weight]]]]))
        inputs = [tensor(k - 1), f"{name}.weight"]
        nodes += [
            helper.make_node("Conv", inputs, [f"{name}.conv"], kernel_shape=[1, 1]),
            helper.make_node("Relu", [f"{name}.conv"], [f"{name}.residue"]),
            helper.make_node("Add", [tensor(k - 1), f"{name}.residue"], [name]),
        ]
    return nodes, weights


def _constant(name: str, value: object) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value, np.float32), name)


def _model(
    nodes: Nodes,
    weights: Weights,
    source: tuple[str, tuple[int, ...]],
    target: tuple[str, tuple[int, ...]],
) -> onnx.ModelProto:
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        for name, shape in (source, target)
    ]
    graph = helper.make_graph(nodes, "tiny", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def _heads(base: Base, levels: dict[str, float], folder: Path) -> Artefacts:
    layers = base.points[-1].frozen
    files: Artefacts = {}
    for task, level in levels.items():
        for point in base.points:
            path = folder / f"{task}-{point.frozen}.onnx"
            onnx.save(a_head(point.frozen, layers, level), path)
            files[task, point.frozen] = path
    return files
