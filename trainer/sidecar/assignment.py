"""What a sidecar is to do: the table `[sidecar]` of a TOML file, checked, all mistakes told together."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any, cast

from surroundings.folders import expanded
from surroundings.server_address import BadAddress, resolved
from trainer.errors import TrainError
from trainer.run.settings import tables


@dataclass(frozen=True, slots=True)
class Pace:
    """`rounds`: networks to train, 0: without end. `idle_s`: until it looks again where there was nothing to do.

    `verdict_s`: how long a server may take to decide on a candidate before it is left to it; `nice` and `threads`: how
    little the sidecar takes of the machine.
    """

    rounds: int = 0
    idle_s: float = 60.0
    verdict_s: float = 900.0
    nice: int = 19
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Aim:
    """Least gain (accuracy, a mean over all requests) worth a run; a new family's latency bound and least accuracy."""

    least_gain: float = 0.002
    slo_ms: float = 50.0
    min_accuracy: float = 0.0


@dataclass(frozen=True, slots=True)
class Assignment:
    """Train `networks`, each with any of `budgets` (units), for `family`, published in `repository`, asked of `server`.

    `precisions`: beside fp32; empty: all. `work`: where running training is saved; empty: the user's cache.
    """

    family: str
    repository: Path
    networks: tuple[str, ...]
    budgets: tuple[float, ...]
    server: str = "localhost:8001"
    precisions: tuple[str, ...] = ()
    work: Path | None = None
    pace: Pace = field(default_factory=Pace)
    aim: Aim = field(default_factory=Aim)


_TEXT = {"family", "repository", "server", "work"}
_LISTS: Mapping[str, type] = {"networks": str, "budgets": float, "precisions": str}
_NEEDED = ("family", "repository", "networks", "budgets")
_PACE: Mapping[str, float] = {"rounds": 0, "idle_s": 0, "verdict_s": 0, "nice": 0, "threads": 1}
_AIM: Mapping[str, float] = {"least_gain": 0, "slo_ms": 1e-3, "min_accuracy": 0}
_WHOLE = {"rounds", "nice", "threads"}
_MOST: Mapping[str, float] = {"nice": 19, "least_gain": 1, "min_accuracy": 1}


def _usual_server(path: Path) -> str:
    try:
        return resolved(None, None, os.environ)
    except BadAddress as error:
        raise TrainError(f"{path}: [sidecar]: no `server` is given, and {error}") from error


def read(path: Path) -> Assignment | None:
    """The assignment in the file; None where it has no table `[sidecar]`. Raises TrainError, naming file and keys."""
    table = tables(path).get("sidecar")
    if table is None:
        return None
    if not isinstance(table, dict):
        raise TrainError(f"{path}: sidecar must be a table, [sidecar]")
    given = cast("dict[str, Any]", table)
    if wrong := [text for text in _mistakes(given) if text]:
        raise TrainError(f"{path}: [sidecar]: {'; '.join(wrong)}")
    texts = {"family": given["family"], "server": given.get("server") or _usual_server(path)}
    folders: dict[str, Any] = {
        key: _folder(path, key, given[key]) for key in ("repository", "work") if given.get(key)
    }
    lists: dict[str, Any] = {
        key: tuple(kind(v) for v in given[key]) for key, kind in _LISTS.items() if key in given
    }
    pace = Pace(**{key: given[key] for key in _PACE if key in given})
    aim = Aim(**{key: given[key] for key in _AIM if key in given})
    return Assignment(**texts, **folders, **lists, pace=pace, aim=aim)


def _folder(path: Path, key: str, text: str) -> Path:
    try:
        return expanded(Path(text))
    except OSError as error:
        raise TrainError(f"{path}: [sidecar]: {key} {text!r}: {error.strerror}") from error


def _mistakes(given: Mapping[str, Any]) -> list[str]:
    known = {*_TEXT, *_LISTS, *_PACE, *_AIM}
    no_text = [key for key in _TEXT & given.keys() if not isinstance(given[key], str)]
    empty = [key for key in ("family", "repository", "server") if given.get(key) == ""]
    numbers = {key: least for key, least in {**_PACE, **_AIM}.items() if key in given}
    return [
        *(f"key {key!r} is unknown" for key in given if key not in known),
        *(f"{key} is missing" for key in _NEEDED if key not in given),
        *(f"{key} must be text, not {given[key]!r}" for key in no_text),
        *(f"{key} must not be empty" for key in empty),
        *(_list_mistake(key, kind, given[key]) for key, kind in _LISTS.items() if key in given),
        *(_number_mistake(key, least, given[key]) for key, least in numbers.items()),
    ]


def _list_mistake(key: str, kind: type, value: Any) -> str:
    """Empty where there is none."""
    entries = cast("list[Any]", value) if isinstance(value, list) else [None]
    if kind is str:
        right, what = all(isinstance(e, str) for e in entries), "texts"
    else:
        right, what = all(_is_number(e, 0.0) for e in entries), "numbers above 0"
    if key in _NEEDED:
        right = right and bool(entries)
    return "" if right else f"{key} must be a list of {what}, not {value!r}"


def _number_mistake(key: str, least: float, value: Any) -> str:
    most = _MOST.get(key, inf)
    whole = key not in _WHOLE or isinstance(value, int)
    if _is_number(value) and whole and least <= value <= most:
        return ""
    what = "a whole number" if key in _WHOLE else "a number"
    upper = f" and {most:g} at most" if isfinite(most) else ""
    return f"{key} must be {what}, {least:g} at least{upper}, not {value!r}"


def _is_number(value: Any, above: float = -inf) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and isfinite(value) and value > above
