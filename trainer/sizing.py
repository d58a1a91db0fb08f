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
    counted: list[int] = []

    def count(module: Any, _inputs: Any, output: torch.Tensor) -> None:
        per_value = module.weight[0].numel()
        counted.append(output[0].numel() * per_value)

    try:
        with torch.device("meta"), torch.inference_mode():
            module = trainable.build(
                trainable.parse(network), channels=shape[0], side=shape[1], classes=classes
            ).eval()
            for part in module.modules():
                if isinstance(part, nn.Conv2d | nn.Linear):
                    part.register_forward_hook(count)
            module(torch.empty(1, *shape))
    except ValueError as error:
        raise TrainError(f"network: {error}") from error
    return sum(counted)
