"""A small family of convolutional networks as torch modules, in several widths and depths, to train candidates from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Kind = Literal["cnn", "resnet"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_NAME = re.compile(r"([a-z]+)-w([1-9]\d{0,3})-d([1-9]\d?)")
_FLAT_SIDE = 7  # a CNN's last feature map at most: beyond it the fully connected layer would outweigh the rest
_STAGES = 3


@dataclass(frozen=True, slots=True)
class Network:
    """A network by kind; `width`: channels of the first block; `depth`: blocks of a cnn, blocks a stage of a resnet."""

    kind: Kind
    width: int
    depth: int

    @property
    def name(self) -> str:
        """Such as cnn-w32-d2; `parse` reads it back."""
        return f"{self.kind}-w{self.width}-d{self.depth}"


def parse(name: str) -> Network:
    """The network of that name. Raises ValueError, which lists the kinds."""
    found = _NAME.fullmatch(name)
    kind: Kind | None = next((k for k in KINDS if found and found[1] == k), None)
    if found is None or kind is None:
        raise ValueError(
            f"network {name!r} is unknown; write KIND-wWIDTH-dDEPTH, for instance cnn-w32-d2, KIND one of "
            f"{', '.join(KINDS)}"
        )
    return Network(kind, int(found[2]), int(found[3]))


def build(  # noqa: PLR0913 - one says which network, five what pictures it sees
    network: Network,
    *,
    channels: int,
    side: int,
    classes: int,
    mean: float | Sequence[float] = 127.5,
    std: float | Sequence[float] = 64.0,
) -> nn.Module:
    """A module from pixel values 0..255, float32 (n, channels, side, side), to logits (n, classes).

    It subtracts `mean` and divides by `std`, pixel values as well, one for all channels or one for each; both are
    buffers of the module, so that what is exported wants no preparation. Weights are drawn from torch's global
    generator. Raises ValueError where `side` is too small for the network's depth, or a number makes no sense.
    """
    if min(channels, side, classes, network.width, network.depth) < 1:
        raise ValueError(
            f"{network.name}: channels {channels}, side {side} and classes {classes} must be at least 1"
        )
    normalise = Normalise(_per_channel(mean, channels, "mean"), _per_channel(std, channels, "std"))
    body = _cnn if network.kind == "cnn" else _resnet
    return nn.Sequential(normalise, *body(network, channels, side, classes))


def _per_channel(values: float | Sequence[float], channels: int, what: str) -> Tensor:
    each = [float(values)] * channels if isinstance(values, int | float) else list(values)
    if len(each) != channels or (what == "std" and not min(each) > 0):
        raise ValueError(
            f"{what} {values} must be one number for each of {channels} channels, and std above 0"
        )
    return torch.tensor(each, dtype=torch.float32).reshape(1, channels, 1, 1)


class Normalise(nn.Module):
    """(pixels - mean) / std; neither is trained."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, pixels: Tensor) -> Tensor:
        """Of the same shape as `pixels`."""
        return (pixels - self.mean) / self.std


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Without bias: batch normalisation, before or after it, has one."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


def _cnn(network: Network, channels: int, side: int, classes: int) -> list[nn.Module]:
    """`depth` blocks, each halving the side and doubling the channels, then one hidden fully connected layer."""
    if side >> network.depth < 1:
        raise ValueError(
            f"{network.name} halves the side {network.depth} times and {side} pixels are too few; "
            f"the depth can be {side.bit_length() - 1} at most"
        )
    widths = [network.width << i for i in range(network.depth)]
    blocks = [
        nn.Sequential(_conv(i, o), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))
        for i, o in pairwise([channels, *widths])
    ]
    last = side >> network.depth
    pooled = -(-last // _FLAT_SIDE)  # 1: nothing is pooled
    features, hidden = widths[-1] * (last // pooled) ** 2, 4 * network.width
    head = [nn.Flatten(), nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes)]
    return [*blocks, *([nn.AvgPool2d(pooled)] if pooled > 1 else []), *head]


class Residual(nn.Module):
    """The pre-activation block of He et al. 2016 (arXiv 1603.05027); where the shape changes, a 1x1 shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.opening = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.residue = nn.Sequential(
            _conv(inputs, outputs, stride=stride),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            _conv(outputs, outputs),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else _conv(inputs, outputs, kernel=1, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """(n, inputs, s, s) -> (n, outputs, ceil(s / stride), ceil(s / stride))."""
        opened = self.opening(features)
        kept = features if self.shortcut is None else self.shortcut(opened)
        return kept + self.residue(opened)


def _resnet(network: Network, channels: int, side: int, classes: int) -> list[nn.Module]:
    """Three stages of `depth` blocks, the second and third at half the side and twice the width, then the mean."""
    if side < 1 << (_STAGES - 1):
        raise ValueError(
            f"{network.name} halves the side twice and {side} pixels are too few; 4 will do"
        )
    widths = [network.width << stage for stage in range(_STAGES) for _ in range(network.depth)]
    strides = [2 if i and i % network.depth == 0 else 1 for i in range(len(widths))]
    blocks = [
        Residual(i, o, stride)
        for (i, o), stride in zip(pairwise([network.width, *widths]), strides, strict=True)
    ]
    head = [nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return [_conv(channels, network.width), *blocks, *head, nn.Linear(widths[-1], classes)]
