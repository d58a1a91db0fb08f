"""The cell that a run of a comparison stands for, and what came of it. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One run of a comparison; `selector` with its options, such as `selective_backprop:beta=2`; `budget` in units."""

    selector: str
    budget: float
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run ended with. `test_error` and `keep_rate` are shares, costs in units (eval forwards of one example).

    `f`: cost of a forward pass for selection, as a share of a training step's.
    """

    test_error: float
    units: float
    forwards: float
    backprops: float
    cpu_seconds: float
    keep_rate: float | None
    f: float | None


@dataclass(frozen=True, slots=True)
class Finished:
    """A run with its outcome; `settings`: fingerprint of all else that the outcome hangs on."""

    cell: Cell
    settings: str
    outcome: Outcome


def outcome_of(fields: Mapping[str, Any]) -> Outcome:
    """From the JSON object that `gearshift train --json` prints.

    Raises ValueError, TypeError or KeyError where a figure is missing, no finite number or out of its range.
    """
    always = {name: _number(fields[name], name) for name in _ALWAYS}
    keep_rate, f = (_optional(fields.get(name), name) for name in ("keep_rate", "f"))
    found = Outcome(**always, keep_rate=keep_rate, f=f)
    if not 0.0 <= found.test_error <= 1.0:
        raise ValueError(f"test_error {found.test_error} is no share")
    return found


_ALWAYS = ("test_error", "units", "forwards", "backprops", "cpu_seconds")


def _optional(value: object, name: str) -> float | None:
    return None if value is None else _number(value, name)


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} is {value!r}, not a number")
    if not math.isfinite(value) or value < 0.0:
        raise ValueError(f"{name} is {value}")
    return float(value)
