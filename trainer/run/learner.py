"""The network being trained: takes steps, tells losses and errors. It does not choose examples or count their cost."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainer.run.pixels import Pixels, augmented, floats
from trainer.run.settings import Recipe

ROWS = 128
"""Images a forward takes at a time: their activations still fit into a core's cache."""


_FLATLY = math.log(5)
"""A label is contradicted where another class is held for so many times (here its logarithm) as likely."""


class Judgement(NamedTuple):
    """Mean loss, share of wrong answers, and share of labels that the network flatly contradicts."""

    loss: float
    wrong: float
    contradicted: float


class Learner:
    """A module, its optimiser and the training split. One thread uses it."""

    def __init__(
        self, module: nn.Module, pixels: Pixels, recipe: Recipe, device: torch.device
    ) -> None:
        self.module = module.to(device)
        self.module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - torch's stub lacks it
        self.pixels = pixels
        self.device = device
        self._recipe = recipe
        self._narrow = _is_narrow(recipe.precision, device)
        self.optimiser = torch.optim.SGD(
            decayed(module, recipe.weight_decay),
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
        )

    def step(
        self,
        ids: NDArray[np.intp],
        weights: NDArray[np.float32],
        rate: float,
        rng: np.random.Generator,
    ) -> NDArray[np.float32]:
        """One update on these examples, the mean over them of weight x loss; returns the unweighted losses (rows,)."""
        images, labels = self.pixels.at(ids)
        images = floats(augmented(images, self._recipe.augment, rng))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.module.train()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._narrow):
            logits = self.module(images)
        losses = cross_entropy(logits.float(), labels, reduction="none")
        (losses * torch.from_numpy(weights).to(self.device)).mean().backward()
        self.optimiser.step()
        return losses.detach().cpu().numpy()

    def losses(self, ids: NDArray[np.intp]) -> NDArray[np.float32]:
        """The loss of each of these training examples as the network is now, not augmented (rows,)."""
        return losses_by(self.module.eval(), self.pixels, ids)

    def judge(self, held_out: Pixels) -> Judgement:
        """How the network does on other examples."""
        wrong, contradicted, loss = 0, 0, 0.0
        for logits, labels in _answers(self.module.eval(), held_out):
            wrong += int((logits.argmax(1) != labels).sum())
            loss += float(cross_entropy(logits, labels, reduction="sum"))
            behind = logits.max(1).values - logits[torch.arange(len(labels)), labels]
            contradicted += int((behind > _FLATLY).sum())
        n = len(held_out)
        return Judgement(loss / n, wrong / n, contradicted / n)


def losses_by(
    module: nn.Module, pixels: Pixels, ids: NDArray[np.intp], dtype: torch.dtype = torch.float32
) -> NDArray[np.float32]:
    """The loss that `module` gives each of these examples, its weights being of `dtype` (rows,)."""
    found: list[Tensor] = []
    with torch.inference_mode():
        for at in range(0, len(ids), ROWS):
            images, labels = pixels.at(ids[at : at + ROWS])
            logits = module(floats(images, dtype)).float()
            found.append(cross_entropy(logits, labels, reduction="none"))
    return torch.cat(found).cpu().numpy() if found else np.empty(0, np.float32)


def _answers(module: nn.Module, pixels: Pixels) -> Iterator[tuple[Tensor, Tensor]]:
    with torch.inference_mode():
        for at in range(0, len(pixels), ROWS):
            images, labels = pixels.at(np.arange(at, min(at + ROWS, len(pixels))))
            yield module(floats(images)), labels


def decayed(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weights are decayed; biases and the scales of normalisations, which have one dimension, are not."""
    parameters = list(module.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _is_narrow(precision: str, device: torch.device) -> bool:
    """Whether forwards of training steps compute in bfloat16: "auto" does so on a GPU that has it."""
    if precision == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return precision == "bf16"
