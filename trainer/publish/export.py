"""A trained torch module -> ONNX, and the proof that both say the same about real images.

Exported by torch's TorchScript exporter: the newer one needs the package onnxscript, which nothing else here does.
torch is pinned to one release, so that the older one's announced end cannot surprise; `check_parity` guards its work.
"""

import copy
import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.build.graphs import OPSET
from trainer.errors import TrainError
from trainer.publish.evaluate import Images, scores
from trainer.publish.signature import INPUT, OUTPUT

TOLERANCE = 1e-4
"""Largest difference of two logits as a share of the largest logit: sums in another order differ by 1e-6 to 1e-5."""

_BATCHES = (1, 2, 7, 32)
"""Sizes a parity check runs in turn: an exported batch dimension that is not free would show."""


def to_onnx(module: torch.nn.Module, example_images: NDArray[np.float32], path: Path) -> None:
    """Write `module` in evaluation mode, batch-norms folded: `images` FP32 (any, c, h, w) -> `logits` (any, classes).

    `example_images` (n, c, h, w) give the shape. `module` is left as it is, on whatever device. Raises TrainError where
    the exporter knows no ONNX for it, OSError where `path` cannot be written.
    """
    rows = {0: "N"}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its age and of what it may have missed: see above
            torch.onnx.export(
                _for_serving(module),
                (torch.from_numpy(example_images.astype(np.float32)),),
                path,
                dynamo=False,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: rows, OUTPUT: rows},
                opset_version=OPSET,
            )
    except (RuntimeError, ValueError, TypeError, torch.onnx.errors.OnnxExporterError) as error:
        raise TrainError(
            f"the trained network cannot be written as ONNX to {path}: {_line(error)}; build it of layers that "
            f"ONNX (opset {OPSET}) has"
        ) from error


def check_parity(
    module: torch.nn.Module, path: Path, images: Images, tolerance: float = TOLERANCE
) -> float:
    """The largest difference between the logits of `module` and of the ONNX network at `path`, which serves it.

    Relative to the largest logit, over `images` (n, c, h, w), which should be real ones. Raises TrainError beyond
    `tolerance`, where logits are not finite, or where ONNX Runtime cannot run the network.
    """
    expected = _logits(module, images)
    found = scores(path, images, batches=_BATCHES)
    if expected.shape != found.shape:
        raise TrainError(
            f"{path.name} gives logits {list(found.shape)}, torch {list(expected.shape)}; export it again"
        )
    scale = float(np.abs(expected).max()) or 1.0
    difference = float(np.abs(found - expected).max()) / scale
    if not difference <= tolerance:  # nan is no agreement either
        differing = float((found.argmax(axis=1) != expected.argmax(axis=1)).mean())
        raise TrainError(
            f"{path.name} disagrees with torch on {len(images)} images: logits differ by up to {difference:.2g} of the "
            f"largest (allowed: {tolerance:.2g}), top-1 in {differing:.1%} of them; nothing was published, see whether "
            "the network has layers that behave otherwise in ONNX, or diverged"
        )
    return difference


def _for_serving(module: torch.nn.Module) -> torch.nn.Module:
    """A copy in evaluation mode on the CPU in fp32, where the comparison is made."""
    return copy.deepcopy(module).to("cpu", torch.float32).eval()


def _logits(module: torch.nn.Module, images: Images) -> NDArray[np.float32]:
    serving = _for_serving(module)
    with torch.inference_mode():
        parts = [
            serving(part.float()).numpy() for part in torch.from_numpy(images.copy()).split(256)
        ]
    return np.concatenate(parts)


def _line(error: Exception) -> str:
    """The error's first line that says something."""
    return next((s.strip() for s in str(error).splitlines() if s.strip()), type(error).__name__)
