"""SLO classes from a file, and arrivals shared out among them: mixed demands, seeded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from server.policy.decision import Ticket
from surroundings.documents import toml_in

KEYS = ("name", "share", "slo_ms", "min_accuracy", "weight", "rows")


@dataclass(frozen=True, slots=True)
class SloClass:
    """What one class of clients asks for. `share` of the requests (relative to the other classes'), `rows` each."""

    name: str
    share: float
    slo_s: float
    min_accuracy: float = 0.0
    weight: float = 1.0
    rows: int = 1


def read_classes(path: Path, slo_s: float) -> tuple[SloClass, ...]:
    """The classes of a TOML file: `[[class]]` tables with `name`, `share` and, as they differ, the other KEYS.

    `slo_s` is the bound of those that name none. Raises ValueError naming the file, the class and what is wrong.
    """
    try:
        tables: Any = toml_in(path.read_text(encoding="utf-8-sig"))["class"]
        found = tuple(_class(dict(table), slo_s) for table in tables)
    except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: cannot read classes, one [[class]] each: {error}") from error
    names = [c.name for c in found]
    if not found or len(set(names)) < len(names):
        raise ValueError(f"{path}: expected at least one class, each with a name of its own")
    return found


def tickets_of(classes: Sequence[SloClass], times_s: Sequence[float], seed: int) -> list[Ticket]:
    """A ticket per arrival, of a class drawn by its share."""
    shares = np.array([c.share for c in classes])
    drawn = np.random.default_rng((seed, len(classes))).choice(
        len(classes), len(times_s), p=shares / shares.sum()
    )
    return [
        Ticket(i, at_s, at_s + c.slo_s, c.rows, c.min_accuracy, None, c.name)
        for i, (at_s, c) in enumerate(
            zip(times_s, (classes[k] for k in drawn.tolist()), strict=True)
        )
    ]


def _class(table: Mapping[str, Any], slo_s: float) -> SloClass:
    unknown = sorted(set(table) - set(KEYS))
    if unknown:
        raise ValueError(f"unknown key {', '.join(unknown)}; known: {', '.join(KEYS)}")
    found = SloClass(
        str(table["name"]),
        float(table["share"]),
        float(table["slo_ms"]) / 1e3 if "slo_ms" in table else slo_s,
        float(table.get("min_accuracy", 0.0)),
        float(table.get("weight", 1.0)),
        int(table.get("rows", 1)),
    )
    positive = (found.share, found.slo_s, found.weight, found.rows)
    if not all(0 < value < float("inf") for value in positive):
        raise ValueError(f"class {found.name}: share, slo_ms, weight and rows must be positive")
    if not 0.0 <= found.min_accuracy <= 1.0:
        raise ValueError(f"class {found.name}: min_accuracy must be within 0..1")
    return found
