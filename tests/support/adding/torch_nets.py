"""Networks of torch to export: programs (`.pt2`) and scripts (`.pt`). Import only where torch is installed."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, export, save


class Pictures(torch.nn.Module):
    """A convolutional network with two named outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 8, 3)
        self.norm = torch.nn.BatchNorm2d(8)
        self.head = torch.nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.norm(self.convolution(x)).relu().mean((2, 3))
        return {"class scores": self.head(features), "features": features}


class Texts(torch.nn.Module):
    """A small transformer: positions for 64 tokens, a mean over those that the mask shows."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = torch.nn.Embedding(50, 16)
        self.positions = torch.nn.Embedding(64, 16)
        layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0)
        self.layers = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = torch.nn.Linear(16, 3)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        states = self.tokens(input_ids) + self.positions(places)
        states = self.layers(states, src_key_padding_mask=attention_mask == 0)
        shown = attention_mask.unsqueeze(2).to(states.dtype)
        return self.head((states * shown).sum(1) / shown.sum(1)), states


class Branches(torch.nn.Module):
    """Which way it goes follows from what a row holds, and so do its rounds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, n: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.layer(x)
        if bool(x.sum() > 0):
            for _ in range(int(n.max())):
                y = y.tanh() + x
        else:
            y = -y
        return y, n + 1


def seeded(net: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """The network with the same weights each time, ready to answer."""
    torch.manual_seed(5)
    return net().eval()


def rows(most: int = 32) -> Any:
    """A first axis of one to so many rows."""
    return Dim("rows", min=1, max=most)


def write_program(path: Path, net: torch.nn.Module, example: Sequence[Any], shapes: Any) -> None:
    """`shapes`: for each input its free axes."""
    save(export(net, tuple(example), dynamic_shapes=shapes), path)


def write_pictures(path: Path) -> torch.nn.Module:
    """A program that takes up to 32 pictures of 16 x 16."""
    net = seeded(Pictures)
    write_program(path, net, [torch.zeros(2, 3, 16, 16)], {"x": {0: rows()}})
    return net


def write_texts(path: Path) -> torch.nn.Module:
    """A program that takes up to 32 texts of up to 64 tokens."""
    net = seeded(Texts)
    axes = {0: rows(), 1: Dim("tokens", min=1, max=64)}
    example = [
        torch.ones(2, 7, dtype=torch.int64) for _ in range(2)
    ]  # of one tensor torch makes one input
    write_program(path, net, example, {"input_ids": axes, "attention_mask": axes})
    return net


def write_traced(path: Path, net: torch.nn.Module, *example: torch.Tensor) -> None:
    """A TorchScript by tracing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.trace(net, example, strict=False).save(str(path))


def write_scripted(path: Path, net: torch.nn.Module) -> None:
    """A TorchScript by compiling."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(net).save(str(path))
