"""How much work a row is for a network: multiplications of its convolutions and fully connected layers."""

from typing import Any

import torch
from torch import nn

from models import trainable
from trainer.errors import TrainError


def multiplications(network: str, shape: tuple[int, ...], classes: int) -> int:
    """For one image of `shape` [c, h, w]. Counted on a network without memory, so that large ones cost nothing.

    Raises TrainError where there is no such network, or not for such images.
    """
    try:
        with torch.device("meta"):
            module = trainable.build(
                trainable.parse(network), channels=shape[0], side=shape[1], classes=classes
            )
            return sum(layer_multiplications(module, torch.empty(1, *shape)))
    except ValueError as error:
        raise TrainError(f"network: {error}") from error


def layer_multiplications(layers: nn.Module, image: torch.Tensor) -> list[int]:
    """For `image` (1, c, h, w), of each of the `layers` that follow one another; they are as they were afterwards."""
    found: list[int] = []

    def count(part: Any, _inputs: Any, output: torch.Tensor) -> None:
        found[-1] += output[0].numel() * part.weight[0].numel()

    parts = [m for m in layers.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [part.register_forward_hook(count) for part in parts]
    was_training = layers.training
    layers.eval()
    with torch.inference_mode():
        for layer in layers.children():
            found.append(0)
            image = layer(image)
    for hook in hooks:
        hook.remove()
    layers.train(was_training)
    return found
