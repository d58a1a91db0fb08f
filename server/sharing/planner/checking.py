"""Looks at parsed JSON and collects what is wrong with it, so that all mistakes are told at once. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Span:
    """Which numbers are allowed."""

    low: float
    high: float
    open: bool = False
    """`low` itself is not."""

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.open else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        low = f"above {self.low:g}" if self.open else f"at least {self.low:g}"
        return low if self.high == inf else f"{low} and at most {self.high:g}"


COST = Span(0.0, inf)
POSITIVE = Span(0.0, inf, open=True)
SHARE = Span(0.0, 1.0)
SOME_SHARE = Span(0.0, 1.0, open=True)


class Mistakes:
    """One line each, in the order found. What is wrong reads as nan or empty, so that reading can go on."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, at: str, what: str) -> None:
        """`at` is the key's place, such as tasks[0].branches."""
        self.lines.append(f"{at}: {what}")

    def table(
        self, value: Any, at: str, must: Sequence[str], may: Sequence[str] = ()
    ) -> Mapping[str, Any]:
        """A JSON object with all keys of `must` and no other than those of `may`; empty where it is no object."""
        found = self.object(value, at or "the input")
        known = [*must, *may]
        for key in found:
            if key not in known:
                self.add(place(at, key), f"unknown; known here: {', '.join(known)}")
        for key in must:
            if key not in found:
                self.add(place(at, key), "missing")
        return found

    def object(self, value: Any, at: str) -> Mapping[str, Any]:
        """Any JSON object."""
        if isinstance(value, dict):
            return cast(dict[str, Any], value)
        self.add(at, f"must be an object, is {shown(value)}")
        return {}

    def items(self, value: Any, at: str) -> Sequence[Any]:
        """A JSON array that is not empty."""
        if isinstance(value, list) and value:
            return cast(list[Any], value)
        self.add(at, f"must be an array of at least one, is {shown(value)}")
        return ()

    def number(self, value: Any, at: str, span: Span) -> float:
        """A finite number within `span`."""
        found = _finite(value)
        if found in span:
            return found
        self.add(at, f"must be a number {span}, is {shown(value)}")
        return nan

    def one_of(self, value: Any, at: str, known: Mapping[str, Any]) -> Any:
        """What is `known` by the value's JSON text."""
        text = shown(value)
        if text not in known:
            self.add(at, f"must be {' or '.join(known)}, is {text}")
        return known.get(text)


def place(at: str, key: str) -> str:
    """Of a key within what lies at `at`; the top has no name."""
    return f"{at}.{key}" if at else key


def shown(value: Any) -> str:
    """As JSON writes it, at most 40 characters."""
    match value:
        case None:
            text = "null"
        case bool():
            text = str(value).lower()
        case str():
            text = f'"{value}"'
        case _:
            text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _finite(value: Any) -> float:
    """nan for all that is no finite number; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return nan
    try:
        return float(value) if isfinite(value) else nan
    except OverflowError:
        return nan
