"""Small training runs for tests: three kinds of 8x8 pictures that a tiny network tells apart. Imports torch."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer.run.cost import Prices
from trainer.run.prepare import Prepared, prepare
from trainer.run.settings import Settings, made

PRICES = Prices(step=3.0, selection=1.0, bookkeeping=0.1, unit_s=1e-5)
PRICES_FLAG = "3,1,0.1,1e-5"
SMALL: dict[str, Any] = {"budget": 8000.0, "network": "cnn-w2-d1", "batch": 16, "lr": 0.05}


def write_stripes(path: Path, train: int = 700, test: int = 90) -> Path:
    """A bright stripe in one of three places, in noise: more examples than a run looks at together."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(train + test) % 3)
    images = rng.integers(0, 160, (train + test, 8, 8), np.uint8)
    for stripe in range(3):
        images[labels == stripe, :, 3 * stripe : 3 * stripe + 2] += 90
    np.savez(path, xtr=images[:train], ytr=labels[:train], xte=images[train:], yte=labels[train:])
    return path


def some_settings(stripes: Path, **values: Any) -> Settings:
    return made({"data": str(stripes), **SMALL, **values})


def a_prepared(stripes: Path, prices: Prices | None = PRICES, **values: Any) -> Prepared:
    """At known prices, so that it goes the same way on any machine; None: measured."""
    torch.set_num_threads(1)
    return prepare(some_settings(stripes, **values), torch.device("cpu"), prices)


def scrambled(prepared: Prepared) -> Prepared:
    """The same run with weights as another process would have drawn them."""
    with torch.no_grad():
        for parameter in prepared.learner.module.parameters():
            parameter.normal_()
    return prepared


def frozen(value: Any) -> Any:
    """All of a nested state as values that compare by their bits, and that later steps do not change."""
    if isinstance(value, torch.Tensor):
        value = value.float().numpy() if value.dtype == torch.bfloat16 else value.numpy()
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return {key: frozen(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [frozen(entry) for entry in value]
    return repr(value)
