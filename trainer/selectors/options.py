"""The numbers that a selector's options may be. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """A number from `least` to `most`; `default` where none is given."""

    default: float
    least: float
    most: float
    whole: bool = False

    def allows(self, value: float) -> bool:
        return self.least <= value <= self.most and (not self.whole or value == int(value))

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return f"{kind} from {self.least:g} to {self.most:g}"


SWITCH = Option(0, 0, 1, whole=True)
"""Off or on."""


def read(name: str, given: Mapping[str, float], known: Mapping[str, Option]) -> dict[str, float]:
    """Every known option of the selector `name`, given or by default.

    Raises ValueError, telling what is known or allowed, for any other option or value.
    """
    for key, value in given.items():
        if key not in known:
            raise ValueError(f"{name} has no option {key!r}; known: {', '.join(known) or 'none'}")
        if not known[key].allows(value):
            raise ValueError(f"{name}: {key} must be {known[key]}, not {value:g}")
    return {key: given.get(key, option.default) for key, option in known.items()}
