"""Which examples are trained on: selectors by name, as configuration files and command lines give them. Pure."""

from collections.abc import Callable, Mapping

from trainer.selectors.adaptive import adaptive
from trainer.selectors.base import Kept, Selector
from trainer.selectors.batches import Batches
from trainer.selectors.controls import random, uniform
from trainer.selectors.infobatch import infobatch
from trainer.selectors.selective_backprop import selective_backprop
from trainer.selectors.stale import stale

__all__ = ["SELECTORS", "Batches", "Kept", "Selector", "make"]

SELECTORS: dict[str, Callable[[int, Mapping[str, float]], Selector]] = {
    "uniform": uniform,
    "random": random,
    "selective_backprop": selective_backprop,
    "stale": stale,
    "adaptive": adaptive,
    "infobatch": infobatch,
}


def make(spec: str, n: int) -> Selector:
    """The selector for `n` examples that a text such as `selective_backprop:beta=2,floor=0.02` describes.

    Raises ValueError, telling what is known or allowed, for any other name, option or value.
    """
    name, _, options = spec.partition(":")
    if name not in SELECTORS:
        raise ValueError(f"unknown selector {name!r}; known: {', '.join(SELECTORS)}")
    return SELECTORS[name](n, _options(name, options))


def _options(name: str, text: str) -> dict[str, float]:
    options: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise ValueError(
                f"{name}: {part!r} is not an option and its number, as in beta=2"
            ) from None
        if key in options:
            raise ValueError(f"{name}: {part!r} comes twice")
        options[key] = number
    return options
