"""SLO classes as an operator writes them: `NAME`, or `NAME=WEIGHT`."""

import math
from collections.abc import Iterable


def class_weights(classes: Iterable[str]) -> dict[str, float]:
    """Weight by name of classes given as `NAME` or `NAME=WEIGHT`. Raises ValueError naming the one that is no good."""
    weights: dict[str, float] = {}
    for text in classes:
        name, given, weight = text.partition("=")
        try:
            weights[name.strip()] = float(weight) if given else 1.0
        except ValueError:
            raise ValueError(f"'{text}': the weight must be a number") from None
        if not name.strip() or not 0.0 < weights[name.strip()] < math.inf:
            raise ValueError(f"'{text}': expected NAME or NAME=WEIGHT, the weight above 0")
    return weights
