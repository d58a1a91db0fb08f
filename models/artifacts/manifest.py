"""`family.toml`: text to Family and back. Every value is checked; nothing here touches the disk."""

import json
import re
import tomllib
from dataclasses import dataclass
from typing import Any, cast

from models.catalog import DATATYPES, Accuracy, Family, Slo, TensorSpec, Variant

MANIFEST = "family.toml"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ArtifactError(Exception):
    """A family that cannot be used or published; the message names the file, the key and what to do."""


def is_plain_name(text: str) -> bool:
    """Whether a family or a variant may be called so: it is safe as a file name and as a metric label."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A family as written down; `labels_file`, if any, is the file beside that holds its labels, one a line."""

    family: Family
    labels_file: str = ""


class _Table:
    """One TOML table being read: every value is asked for once; what nobody asked for is a mistake."""

    def __init__(self, where: str, values: object) -> None:
        self._where = where
        if not isinstance(values, dict):
            raise ArtifactError(f"{where} must be a table; correct it or build the family again")
        self._left = cast("dict[str, Any]", values).copy()

    def wrong(self, key: str, problem: str) -> ArtifactError:
        """The error to raise about `key`."""
        return ArtifactError(
            f"{self._where}: key {key!r} {problem}; correct it or build the family again"
        )

    def take(self, key: str, default: object = None) -> Any:
        """The value of `key`, whatever it is; missing without a default is an error."""
        value = self._left.pop(key, default)
        if value is None:
            raise self.wrong(key, "is missing")
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """A string."""
        value = self.take(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, f"must be a string, not {value!r}")
        return value

    def name(self, key: str, default: str | None = None) -> str:
        """A string that is safe as a file name and as a metric label."""
        value = self.text(key, default)
        if not is_plain_name(value):
            raise self.wrong(key, f"must be a plain name ({_NAME.pattern}), not {value!r}")
        return value

    def number(self, key: str, default: float | None, low: float, high: float) -> float:
        """A number in [low, high]."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, f"must be a number, not {value!r}")
        if not low <= value <= high:
            raise self.wrong(key, f"must be within [{low:g}, {high:g}], not {value!r}")
        return float(value)

    def whole(self, key: str, default: int | None, low: int) -> int:
        """A whole number of at least `low`."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise self.wrong(key, f"must be a whole number >= {low}, not {value!r}")
        return value

    def flag(self, key: str) -> bool:
        """true or false; false where it is not given."""
        value = self.take(key, default=False)
        if not isinstance(value, bool):
            raise self.wrong(key, f"must be true or false, not {value!r}")
        return value

    def tables(self, key: str) -> list["_Table"]:
        """A non-empty array of tables."""
        rows = self.take(key)
        if not isinstance(rows, list) or not rows:
            raise self.wrong(key, "must be a non-empty array of tables")
        return [
            _Table(f"{self._where}: {key}[{i}]", row) for i, row in enumerate(cast("Any", rows))
        ]

    def table(self, key: str) -> "_Table":
        """A table."""
        return _Table(f"{self._where}: {key}", self.take(key))

    def done(self) -> None:
        """Every key must have been asked for."""
        for key in self._left:
            raise self.wrong(key, "is unknown")


def parse(text: str, where: str) -> Manifest:
    """The family that `text` describes; `where` names it in messages. Raises ArtifactError."""
    try:
        top = _Table(where, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ArtifactError(f"{where} is no TOML: {error}; build the family again") from error
    labels = top.take("labels", [])
    family = Family(
        name=top.name("name"),
        inputs=tuple(_tensor(t) for t in top.tables("inputs")),
        outputs=tuple(_tensor(t) for t in top.tables("outputs")),
        variants=tuple(_variant(t) for t in top.tables("variants")),
        slo=_slo(top.table("slo")),
        max_batch=top.whole("max_batch", 32, 1),
        labels=() if isinstance(labels, str) else _labels(top, labels),
        description=top.text("description", ""),
    )
    top.done()
    for key, names in _named(family).items():
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise top.wrong(key, f"names {twice} more than once")
    return Manifest(family, labels if isinstance(labels, str) else "")


def _named(family: Family) -> dict[str, list[str]]:
    return {
        "inputs": [t.name for t in family.inputs],
        "outputs": [t.name for t in family.outputs],
        "variants": [v.name for v in family.variants],
    }


def _labels(top: _Table, labels: object) -> tuple[str, ...]:
    rows = cast("list[object]", labels) if isinstance(labels, list) else [None]
    if not all(isinstance(row, str) for row in rows):
        raise top.wrong("labels", "must be a file name or an array of strings")
    return tuple(str(row) for row in rows)


def _tensor(table: _Table) -> TensorSpec:
    name, datatype, shape = table.text("name"), table.text("datatype"), table.take("shape")
    if datatype not in DATATYPES:
        raise table.wrong("datatype", f"must be one of {', '.join(DATATYPES)}, not {datatype!r}")
    dims = cast("list[object]", shape) if isinstance(shape, list) else []
    whole = [d for d in dims if isinstance(d, int) and not isinstance(d, bool)]
    if not whole or len(whole) != len(dims) or whole[0] != -1 or min(whole[1:], default=1) < 1:
        raise table.wrong("shape", f"must be [-1, then fixed sizes >= 1], not {shape!r}")
    table.done()
    return TensorSpec(name, datatype, tuple(whole))


def _variant(table: _Table) -> Variant:
    variant = Variant(
        name=table.name("name"),
        precision=table.name("precision"),
        artifact=table.name("artifact"),
        sha256=table.text("sha256"),
        accuracy=_accuracy(table.table("accuracy")),
        candidate=table.flag("candidate"),
        origin=table.text("origin", ""),
    )
    if variant.origin and not _is_object(variant.origin):
        raise table.wrong("origin", f"must be the text of a JSON object, not {variant.origin!r}")
    if not _SHA256.fullmatch(variant.sha256):
        raise table.wrong("sha256", f"must be 64 hexadecimal digits, not {variant.sha256!r}")
    table.done()
    return variant


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _accuracy(table: _Table) -> Accuracy:
    accuracy = Accuracy(
        value=table.number("value", None, 0, 1),
        source=table.text("source"),
        n=table.whole("n", 0, 0),
        interval=table.number("interval", 0.0, 0, 1),
    )
    table.done()
    return accuracy


def _slo(table: _Table) -> Slo:
    slo = Slo(
        latency_s=table.number("latency_ms", None, 1e-3, 1e9) / 1e3,
        min_accuracy=table.number("min_accuracy", 0.0, 0, 1),
        percentile=table.number("percentile", 0.99, 0.5, 1),
        name=table.name("class", "default"),
    )
    table.done()
    return slo


def render(family: Family, labels_file: str = "") -> str:
    """`family.toml` as text, labels in `labels_file` if named, else inline; `parse` gives the same family back."""
    labels = labels_file if labels_file or not family.labels else list(family.labels)
    top = {"name": family.name, "description": family.description, "max_batch": family.max_batch}
    parts = [_table("", top | ({"labels": labels} if labels else {}))]
    slo = family.slo
    limits = {"latency_ms": slo.latency_s * 1e3, "min_accuracy": slo.min_accuracy}
    parts.append(_table("[slo]", limits | {"percentile": slo.percentile, "class": slo.name}))
    for key, tensors in (("inputs", family.inputs), ("outputs", family.outputs)):
        parts += [
            _table(f"[[{key}]]", {"name": t.name, "datatype": t.datatype, "shape": list(t.shape)})
            for t in tensors
        ]
    for v in family.variants:
        entry = {k: getattr(v, k) for k in ("name", "precision", "artifact", "sha256")}
        entry |= {k: getattr(v, k) for k in ("candidate", "origin") if getattr(v, k)}
        known = {k: getattr(v.accuracy, k) for k in ("value", "source", "n", "interval")}
        parts += [_table("[[variants]]", entry), _table("[variants.accuracy]", known)]
    return "\n".join(parts)


def _table(header: str, values: dict[str, Any]) -> str:
    rows = [f"{key} = {_value(value)}" for key, value in values.items()]
    return "\n".join([header, *rows] if header else rows) + "\n"


def _value(value: object) -> str:
    """A TOML value. JSON's strings, numbers and arrays are TOML's too, but for DEL, which TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
