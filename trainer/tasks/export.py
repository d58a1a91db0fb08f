"""The base as one ONNX network whose cuts are named tensors, every head as one from its tensor to scores."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from models.build.graphs import OPSET
from trainer.errors import TrainError
from trainer.publish.signature import INPUT
from trainer.tasks.cuts import stem_of

ACTIVATION = "activation"
SCORE = "score"


def tensor_name(frozen: int) -> str:
    """What the tensor behind so many layers is called in the exported base."""
    return f"point_{frozen}" if frozen else INPUT


def export_stem(base: nn.Sequential, points: Sequence[int], image: Tensor, path: Path) -> None:
    """Write `base` up to the deepest of `points`: FP32 `images` (any, c, h, w) in, the deepest point's activation out.

    `image` (n, c, h, w) gives the shape. The other points are tensors inside, called as `tensor_name` says. Raises
    TrainError where a layer has no ONNX, OSError where `path` cannot be written.
    """
    cuts = [point for point in points if point]
    _export(_Staged(base, cuts).eval(), image, path, [INPUT, *map(tensor_name, cuts)])
    model = onnx.load(path)
    inner = list(model.graph.output)[:-1]
    model.graph.value_info.extend(inner)
    for value in inner:
        model.graph.output.remove(value)
    onnx.save(model, path)


def export_head(head: nn.Sequential, activation: Tensor, path: Path) -> None:
    """Write a head: FP32 `activation` (any, ...) in, `score` (any,) in [0, 1] out. Raises as `export_stem`."""
    _export(scored(head), activation, path, [ACTIVATION, SCORE])


def scored(head: nn.Sequential) -> nn.Sequential:
    """`head` and what makes a score of its logit, in evaluation mode."""
    return nn.Sequential(*head, nn.Sigmoid(), nn.Flatten(0)).eval()


class _Staged(nn.Module):
    """The activations at several points, each from the one before."""

    def __init__(self, base: nn.Sequential, cuts: Sequence[int]) -> None:
        super().__init__()
        begins = [0, *cuts[:-1]]
        self.stages = nn.ModuleList(
            stem_of(base, end)[begin:] for begin, end in zip(begins, cuts, strict=True)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        found: list[Tensor] = []
        for stage in self.stages:
            images = stage(images)
            found.append(images)
        return tuple(found)


def _export(module: nn.Module, example: Tensor, path: Path, names: Sequence[str]) -> None:
    """By the older exporter, for the reason that `trainer.publish.export` gives."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (example.contiguous(),),
                path,
                dynamo=False,
                input_names=list(names[:1]),
                output_names=list(names[1:]),
                dynamic_axes={name: {0: "N"} for name in names},
                opset_version=OPSET,
            )
    except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        raise TrainError(
            f"{path.stem} cannot be written as ONNX: {error}; build it of layers that ONNX (opset {OPSET}) has"
        ) from error
