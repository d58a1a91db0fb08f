"""TOML tables, read strictly and written: whatever is wrong in one is named by file and key."""

import json
import re
from typing import Any, cast

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REMEDY = "correct it or publish the family again"


class ArtifactError(Exception):
    """A family or package that cannot be used or published; the message names the file, the key and what to do."""


def is_plain_name(text: str) -> bool:
    """Whether a family, a variant or a task may be called so: it is safe as a file name and as a metric label."""
    return _NAME.fullmatch(text) is not None


class Table:
    """One TOML table being read: every value is asked for once; what nobody asked for is a mistake."""

    def __init__(self, where: str, values: object, remedy: str = _REMEDY) -> None:
        self._where = where
        self._remedy = remedy
        if not isinstance(values, dict):
            raise ArtifactError(f"{where} must be a table; {remedy}")
        self._left = cast("dict[str, Any]", values).copy()

    def wrong(self, key: str, problem: str) -> ArtifactError:
        """The error to raise about `key`."""
        return ArtifactError(f"{self._where}: key {key!r} {problem}; {self._remedy}")

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

    def digest(self, key: str) -> str:
        """A sha256 in hexadecimal digits, however they are written; in small letters."""
        value = self.text(key)
        if not _SHA256.fullmatch(value.lower()):
            raise self.wrong(key, f"must be 64 hexadecimal digits, not {value!r}")
        return value.lower()

    def sizes(self, key: str) -> tuple[int, ...]:
        """A non-empty array of whole numbers of at least 1."""
        value = self.take(key)
        found = cast("list[object]", value) if isinstance(value, list) else []
        whole = [d for d in found if isinstance(d, int) and not isinstance(d, bool) and d >= 1]
        if not whole or len(whole) != len(found):
            raise self.wrong(key, f"must be an array of sizes >= 1, not {value!r}")
        return tuple(whole)

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

    def tables(self, key: str) -> list["Table"]:
        """A non-empty array of tables."""
        rows = self.take(key)
        if not isinstance(rows, list) or not rows:
            raise self.wrong(key, "must be a non-empty array of tables")
        return [
            Table(f"{self._where}: {key}[{i}]", row, self._remedy)
            for i, row in enumerate(cast("list[object]", rows))
        ]

    def has(self, key: str) -> bool:
        """Whether the key is given and was not asked for yet."""
        return key in self._left

    def tables_if_any(self, key: str) -> list["Table"]:
        """As `tables`, but none where the key is not given."""
        return self.tables(key) if self.has(key) else []

    def table(self, key: str) -> "Table":
        """A table."""
        return Table(f"{self._where}: {key}", self.take(key), self._remedy)

    def done(self) -> None:
        """Every key must have been asked for."""
        for key in self._left:
            raise self.wrong(key, "is unknown")


def table_text(header: str, values: dict[str, Any]) -> str:
    """A TOML table: its header, if any, and a line for every key."""
    rows = [f"{key} = {value_text(value)}" for key, value in values.items()]
    return "\n".join([header, *rows] if header else rows) + "\n"


def value_text(value: object) -> str:
    """A TOML value. JSON's strings, numbers and arrays are TOML's too, but for DEL, which TOML wants escaped."""
    if isinstance(value, dict):
        rows = [f"{key} = {value_text(one)}" for key, one in cast("dict[str, Any]", value).items()]
        return f"{{ {', '.join(rows)} }}" if rows else "{}"
    if isinstance(value, list):
        return f"[{', '.join(value_text(one) for one in cast('list[object]', value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
