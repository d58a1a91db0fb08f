"""A TOML text cut into tables and statements, each with its comments: put together again they are the same text."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from models.artifacts.values import TOKEN, comments_lost, end_of_value, respelled

Key = tuple[str, ...]

_WORD = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
_ASSIGNED = re.compile(rf"\s*(?:{_WORD.pattern})(?:\s*\.\s*(?:{_WORD.pattern}))*\s*=\s*")


@dataclass(slots=True, eq=False)
class Statement:
    """A key and its value, a header, a comment or an empty line, with its line end; it may run over many lines."""

    text: str

    @property
    def is_said(self) -> bool:
        """Whether it says anything but a comment."""
        return bool(self.text.strip()) and not self.is_comment

    @property
    def is_comment(self) -> bool:
        """Whether it is nothing but a comment."""
        return self.text.lstrip().startswith("#")

    @property
    def is_header(self) -> bool:
        """Whether a table begins here."""
        return self.text.lstrip().startswith("[")

    def assigned(self) -> tuple[Key, Any]:
        """The key, word by word, and its value."""
        left = self._left_side().partition("=")[0]
        key: Key = ()
        value: Any = tomllib.loads(self.text)
        for _ in _WORD.findall(left):
            ((word, value),) = value.items()
            key = (*key, word)
        return key, value

    def assign(self, value: object) -> list[str]:
        """Another value; key and comment stay. Returns comments within the old value that have no place left."""
        start = len(self._left_side())
        end = end_of_value(self.text, start)
        old = self.assigned()[1]
        made = respelled(self.text[start:end], old, value)
        lost = comments_lost(self.text[start:end], made)
        self.text = f"{self.text[:start]}{made}{self.text[end:]}"
        return lost

    def _left_side(self) -> str:
        found = _ASSIGNED.match(self.text)
        if found is None:
            raise ValueError(f"no key is assigned to in {self.text!r}")
        return found.group()


@dataclass(slots=True, eq=False)
class Block:
    """A table as written: comments right above its header, the header, if any, and all up to the next one."""

    key: Key = ()
    is_array: bool = False
    lines: list[Statement] = field(default_factory=list[Statement])

    def statements(self) -> list[Statement]:
        """Its keys and values."""
        return [line for line in self.lines if line.is_said and not line.is_header]

    def insert(self, text: str) -> None:
        """A statement after the last one."""
        at = max((i for i, line in enumerate(self.lines) if line.is_said), default=-1)
        if at >= 0 and not self.lines[at].text.endswith("\n"):
            self.lines[at].text += "\n"
        self.lines.insert(at + 1, Statement(text))

    def assign(self, statement: Statement, value: object) -> None:
        """Another value for one of its keys; comments that have no place in it go above."""
        at = self.lines.index(statement)
        lost = statement.assign(value)
        self.lines[at:at] = [Statement(f"{comment}\n") for comment in lost]

    def remove(self, statement: Statement) -> None:
        """It goes, and its comment on the same line."""
        self.lines = [line for line in self.lines if line is not statement]

    def close(self) -> None:
        """End with an empty line, for another table to follow."""
        if self.lines and not self.lines[-1].text.endswith("\n"):
            self.lines[-1].text += "\n"
        if self.lines and self.lines[-1].text.strip():
            self.lines.append(Statement("\n"))

    def remarks_after(self) -> list[Statement]:
        """The comments, and what is between them, after the last statement: they may be about what follows."""
        last = max(i for i, line in enumerate(self.lines) if line.is_said)
        after = self.lines[last + 1 :]
        return after if any(line.is_comment for line in after) else []


def blocks_of(text: str) -> list[Block]:
    """The tables of a valid TOML text, in order; the first has no header and may be empty."""
    blocks = [Block()]
    for statement in _statements(text):
        if statement.is_header:
            above = blocks[-1].lines
            first = len(above)
            while first and above[first - 1].is_comment:
                first -= 1
            blocks.append(Block(*_header(statement), above[first:]))
            del above[first:]
        blocks[-1].lines.append(statement)
    return blocks


def _statements(text: str) -> Iterator[Statement]:
    start, depth = 0, 0
    for token in TOKEN.finditer(text):
        match token.group():
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "\n" if not depth:
                yield Statement(text[start : token.end()])
                start = token.end()
            case _:
                pass
    if start < len(text):
        yield Statement(text[start:])


def _header(statement: Statement) -> tuple[Key, bool]:
    key: Key = ()
    value: Any = tomllib.loads(statement.text)
    while isinstance(value, dict) and value:
        ((word, value),) = cast("dict[str, Any]", value).items()
        key = (*key, word)
    return key, isinstance(value, list)
