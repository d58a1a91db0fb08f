"""Priority curves that three numbers describe: what AdaptSB chooses among. Pure."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

STEP: Final = 0.4
"""The most that a proposal moves one number: large enough to show against noise, small enough to be a change."""
ARCHETYPE_SHARE: Final = 1 / 3
"""Of the proposals, once each archetype has had its turn: what fails early in training may win late."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The quadratic through (0, y1), (0.5, y2), (1, y3), each y in [0, 1]; it may leave [0, 1] between them."""

    y1: float
    y2: float
    y3: float

    def __post_init__(self) -> None:
        if not all(0 <= y <= 1 for y in (self.y1, self.y2, self.y3)):
            raise ValueError(f"a shape's three numbers lie between 0 and 1, not {self}")

    def at(self, percentiles: NDArray[np.float64]) -> NDArray[np.float64]:
        bend = 2 * (self.y1 - 2 * self.y2 + self.y3)
        slope = self.y3 - self.y1 - bend
        return self.y1 + percentiles * (slope + bend * percentiles)

    def towards(self, other: "Shape", share: float) -> "Shape":
        """So far (0 to 1) on the way from this shape to `other`."""
        mine, others = (self.y1, self.y2, self.y3), (other.y1, other.y2, other.y3)
        return Shape(*((1 - share) * a + share * b for a, b in zip(mine, others, strict=True)))


HARDEST: Final = Shape(0.0, 0.25, 1.0)
"""Selective-Backprop of beta 2, exactly."""
MIDDLE: Final = Shape(0.1, 0.9, 0.05)
"""Neither what is known nor what may be labelled wrongly."""
EVERYTHING: Final = Shape(1.0, 1.0, 1.0)
"""Uniform: costs no forward."""
ARCHETYPES: Final = (
    HARDEST,
    MIDDLE,
    Shape(0.0, 0.5, 1.0),  # Selective-Backprop of beta 1
    EVERYTHING,
    Shape(0.1, 0.7, 0.5),
    Shape(0.0, 0.125, 1.0),  # nearly that of beta 3
)
"""In the order in which they are proposed: first those that differ most from where a run starts."""


def proposal(incumbent: Shape, drawn: int, rng: Generator) -> Shape:
    """What to try next against `incumbent` when `drawn` shapes were proposed before.

    First each archetype in turn, then perturbations of the incumbent, with archetypes among them. May repeat.
    """
    if drawn < len(ARCHETYPES):
        return ARCHETYPES[drawn]
    if rng.random() < ARCHETYPE_SHARE:
        return ARCHETYPES[rng.integers(len(ARCHETYPES))]
    return perturbed(incumbent, rng)


def perturbed(shape: Shape, rng: Generator) -> Shape:
    """The shape with one or two of its numbers moved by up to STEP, kept within [0, 1]."""
    ys = np.array([shape.y1, shape.y2, shape.y3])
    moved = rng.permutation(3)[: rng.integers(1, 3)]
    ys[moved] = np.clip(ys[moved] + rng.uniform(-STEP, STEP, len(moved)), 0, 1)
    return Shape(*ys.tolist())
