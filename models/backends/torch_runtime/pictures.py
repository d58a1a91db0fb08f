"""ONNX's operators over pictures as functions of torch tensors: convolution, pooling, resizing."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def conv(  # noqa: PLR0913 - ONNX's own attributes
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    kernel_shape: Sequence[int] = (),
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    dilations: Sequence[int] = (),
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> Tensor:
    """Any number of spatial dimensions; weight [out, in / group, ...]."""
    del kernel_shape
    rank = weight.dim() - 2
    x, padding = _padded(x, rank, pads, auto_pad, 0.0)
    ones, none = [1] * rank, [0] * rank
    steps, spacing = strides or ones, dilations or ones
    return torch.convolution(x, weight, bias, steps, padding, spacing, False, none, group)


def _padded(
    x: Tensor, rank: int, pads: Sequence[int], auto_pad: str, value: float
) -> tuple[Tensor, list[int]]:
    """The padding that the operator itself can do; one that differs before and after is done here."""
    if auto_pad not in {"NOTSET", "VALID", ""}:
        raise ValueError(f"auto_pad {auto_pad} is not known here; export with explicit pads")
    before, after = list(pads[:rank]) or [0] * rank, list(pads[rank:]) or [0] * rank
    if before == after:
        return x, before
    pairs = [side for ends in zip(reversed(before), reversed(after), strict=True) for side in ends]
    return functional.pad(x, pairs, value=value), [0] * rank


def max_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    ceil_mode: int = 0,
) -> Tensor:
    """Over pictures [N, C, H, W]."""
    x, padding = _padded(x, len(kernel_shape), pads, "", float("-inf"))
    steps = strides or [1] * len(kernel_shape)
    return functional.max_pool2d(
        x, tuple(kernel_shape), tuple(steps), padding, ceil_mode=bool(ceil_mode)
    )


def average_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (),
    pads: Sequence[int] = (),
    count_include_pad: int = 0,
) -> Tensor:
    """Over pictures [N, C, H, W]."""
    rank = len(kernel_shape)
    if list(pads[:rank]) != list(pads[rank:]):
        raise ValueError("AveragePool with pads that differ before and after is not known here")
    padding = list(pads[:rank]) or [0] * rank
    steps = strides or [1] * rank
    return functional.avg_pool2d(
        x, tuple(kernel_shape), tuple(steps), padding, count_include_pad=bool(count_include_pad)
    )


_MODES = {
    ("linear", "half_pixel"): ("bilinear", False),
    ("linear", "pytorch_half_pixel"): ("bilinear", False),
    ("linear", "align_corners"): ("bilinear", True),
    ("cubic", "half_pixel"): ("bicubic", False),
    ("cubic", "pytorch_half_pixel"): ("bicubic", False),
    ("cubic", "align_corners"): ("bicubic", True),
    ("nearest", "asymmetric"): ("nearest", None),
}
"""(mode, coordinate_transformation_mode) -> torch's mode and align_corners."""


def resize(  # noqa: PLR0913 - ONNX's own attributes
    x: Tensor,
    roi: object = None,
    scales: Sequence[float] | None = None,
    sizes: Sequence[int] | None = None,
    *,
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    cubic_coeff_a: float = -0.75,
    antialias: int = 0,
) -> Tensor:
    """Of pictures [N, C, H, W]. torch's bicubic has ONNX's default coefficient and no other."""
    del roi
    chosen = _MODES.get((mode, coordinate_transformation_mode))
    odd = (mode == "nearest" and nearest_mode != "floor") or cubic_coeff_a != -0.75
    if chosen is None or odd or x.dim() != 4:
        raise ValueError(f"Resize by {mode}, {coordinate_transformation_mode} is not known here")
    if scales:  # ONNX multiplies in float32, whose rounding makes 260 * float32(224 / 260) 224
        sizes = [int(n * s * (1 + 2**-24)) for n, s in zip(x.shape, scales, strict=True)]
    size = [int(n) for n in (sizes or ())[-2:]]
    torch_mode, align_corners = chosen
    return functional.interpolate(
        x, size, mode=torch_mode, align_corners=align_corners, antialias=bool(antialias)
    )
