"""Families made of one file, as `gearshift models add` makes them, and what they answer."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.adding.adding import Asked, add
from models.adding.found import models_in
from models.artifacts import load_family
from models.backends import open_backend
from models.backends.base import Tensors
from models.catalog import Family, TensorSpec


def added(source: Path, asked: Asked | None = None) -> tuple[Family, str]:
    """(the family as a server would load it, what was said)."""
    asked, said = asked or Asked(source.parent / "models"), list[str]()
    work = source.parent / "work"
    work.mkdir(exist_ok=True)
    (found,) = models_in(source)
    add(found, asked, work, said.append)
    return load_family(asked.repository / found.name), "\n".join(said)


def answers(family: Family, models: Path, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
    """The outputs of its only variant, by the runtime that comes first."""
    backend = open_backend(models / family.name, family, family.variants[0], threads=1)
    return backend.run(inputs)


def specs(tensors: Iterable[TensorSpec]) -> list[tuple[str, str, tuple[int, ...]]]:
    """Names, datatypes and shapes."""
    return [(t.name, t.datatype, t.shape) for t in tensors]
