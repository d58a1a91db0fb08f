"""Request parameters -> what a request asks for: its SLO, its class, a pinned variant. Checked here.

Read: `slo_ms`, `min_accuracy`, `slo_class`, `variant`, and Triton's `priority` and `timeout` (microseconds).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from models.catalog import Family, Slo
from server.engine.values import Scalar
from server.errors import BadInput, UnknownModel
from server.texts import shown

Parameters = Mapping[str, Scalar | None]
"""A request's; None is one that was named without a value."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one request asks for: its SLO, a pinned variant if any, a client timeout (s) if any.

    `soft`: it says nothing of time, and may be answered late.
    """

    slo: Slo
    variant: str | None
    timeout_s: float | None
    soft: bool = False


class Demands:
    """Reads demands on one family; `slo` is its default, `classes` those that requests may name, with their weights.

    `late`: requests that say nothing of time may be answered late.
    """

    def __init__(
        self, family: Family, slo: Slo, classes: Mapping[str, float], *, late: bool = False
    ) -> None:
        self._family = family
        self._slo = slo
        self._classes = {slo.name: 1.0, **classes}
        self._by_weight = sorted(self._classes, key=lambda name: -self._classes[name])
        self._late = late
        self.plain = Demand(slo, None, None, late)
        """What a request without parameters asks for."""

    def adopt(self, family: Family) -> None:
        """The family has other variants now."""
        self._family = family

    def read(self, parameters: Parameters, variant: str | None) -> Demand:
        """The demand in a request's parameters; `variant` is what its version pins. Raises BadInput or UnknownModel."""
        slo = self._slo
        latency_s = _number(parameters, "slo_ms", slo.latency_s * 1e3) / 1e3
        if not 0.0 < latency_s <= 3600.0:
            raise BadInput(
                f"parameter 'slo_ms' must be above 0 and at most 3,600,000, got {latency_s * 1e3}"
            )
        name = _string(parameters, "slo_class", self._class_of(parameters))
        if name not in self._classes:
            raise BadInput(
                f"unknown slo_class '{shown(name)}'; this server has {', '.join(sorted(self._classes))}"
            )
        variant = _string(parameters, "variant", variant or "") or None
        usual = slo.min_accuracy if variant is None else 0.0  # who pins a variant has chosen
        least = _number(parameters, "min_accuracy", usual)
        self._check_reachable(least, variant)
        timeout_us = _number(parameters, "timeout", 0.0)
        if timeout_us < 0:
            raise BadInput(
                f"parameter 'timeout' (microseconds) must not be negative, got {timeout_us}"
            )
        silent = name == slo.name and not timeout_us and "slo_ms" not in parameters
        own = Slo(latency_s, least, slo.percentile, name)
        return Demand(own, variant, timeout_us / 1e6 or None, self._late and silent)

    def _class_of(self, parameters: Parameters) -> str:
        """The class that `priority` means: 0 the family's own, 1 the heaviest, 2 the next, ..., the lightest."""
        priority = _number(parameters, "priority", 0.0)
        if priority < 0 or priority != int(priority):
            raise BadInput(f"parameter 'priority' must be a whole number from 0, got {priority}")
        if not priority:
            return self._slo.name
        return self._by_weight[min(int(priority), len(self._by_weight)) - 1]

    def _check_reachable(self, least: float, variant: str | None) -> None:
        if variant is not None and self._family.variant(variant) is None:
            raise UnknownModel(
                f"model '{self._family.name}' has no variant '{shown(variant)}'; "
                f"it has {', '.join(v.name for v in self._family.variants)}"
            )
        able = [v for v in self._family.variants if variant in (None, v.name)]
        best = max((v.accuracy.value for v in able), default=0.0)
        if not 0.0 <= least <= best:
            raise BadInput(
                f"parameter 'min_accuracy' is {least}; it must be between 0 and {best}, the best that "
                f"{variant or 'model ' + repr(self._family.name)} has"
            )


def _number(parameters: Parameters, key: str, default: float) -> float:
    if key not in parameters:
        return default
    given = parameters[key]
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise BadInput(f"parameter '{key}' must be a number, got {_kind(given)}")
    try:
        value = float(given)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise BadInput(f"parameter '{key}' must be finite, got {value}")
    return value


def _string(parameters: Parameters, key: str, default: str) -> str:
    if key not in parameters:
        return default
    given = parameters[key]
    if not isinstance(given, str):
        raise BadInput(f"parameter '{key}' must be a string, got {_kind(given)}")
    return given


def _kind(given: object) -> str:
    if given is None:
        return "nothing"
    names: dict[type, str] = {
        str: "a string",
        bool: "a truth value",
        int: "a number",
        float: "a number",
    }
    return names.get(type(given), f"a {type(given).__name__}")
