"""TOML values changed in place: of an array written over many lines only the elements that differ, comments kept."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, cast

from models.artifacts.tables import value_text

_STRING = r'"""(?:\\.|[^\\])*?""""{0,2}' r"|'''.*?''''{0,2}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'"
TOKEN = re.compile(
    rf"{_STRING}|\#[^\n]*|[^\"'\#\n\[\]{{}}]+|.",
    re.DOTALL,
)
"""A string, a comment, a bracket, a line end, or what is between."""

_PIECE = re.compile(rf"{_STRING}|\#[^\n]*|\s+|[^\s\"'\#\[\]{{}},]+|.", re.DOTALL)
_REST_OF_LINE = re.compile(r"[ \t]*(\#[^\n]*)?")

_IDENTITIES = ("name", "frozen", "file")
"""The key by which a table of an array is known again: the first of these that all of them have."""


def end_of_value(text: str, start: int) -> int:
    """Where the value that begins at `start` ends: before blanks, a comment or the line's end."""
    depth = 0
    for token in TOKEN.finditer(text, start):
        match token.group()[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "#" | "\n" if not depth:
                return start + len(text[start : token.start()].rstrip())
            case _:
                pass
    return start + len(text[start:].rstrip())


def respelled(text: str, old: object, new: object) -> str:
    """The value written as `text`, which says `old`, made to say `new`."""
    if isinstance(old, list) and isinstance(new, list):
        made = _respelled_array(text, cast("list[Any]", old), cast("list[Any]", new))
        if made is not None:
            return made
    return value_text(new)


def comments_lost(before: str, after: str) -> list[str]:
    """The comments in one value that are not in the other."""
    return [*(Counter(_comments(before)) - Counter(_comments(after))).elements()]


def identities(rows: Sequence[Any]) -> list[object]:
    """What tells the elements of an array apart, one for each: a name, else a place."""
    tables = [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]
    if len(tables) < len(rows):
        return list(range(len(rows)))
    key = next((k for k in _IDENTITIES if all(k in table for table in tables)), None)
    return [table[key] for table in tables] if key else list(range(len(rows)))


def _comments(text: str) -> Iterator[str]:
    return (t.group().rstrip() for t in TOKEN.finditer(text) if t.group()[0] == "#")


def _respelled_array(text: str, old: list[Any], new: list[Any]) -> str | None:
    """None where elements come before others that stay, or some come and some go."""
    spans = _elements(text)
    names = _names(old, new)
    kept = [n for n in names[0] if n in names[1]]
    if len(spans) != len(old) or not kept or names[1][: len(kept)] != kept:
        return None
    if len(kept) < len(old) and len(kept) < len(new):
        return None
    wanted = dict(zip(names[1], new, strict=True))
    made = text if len(new) == len(kept) else _extended(text, spans[-1], new[len(kept) :])
    for (start, end), name, row in reversed([*zip(spans, names[0], old, strict=True)]):
        if name not in wanted:
            made = made[:start] + re.sub(r"^\s*,", "", made[end:])
        elif wanted[name] != row:
            made = made[:start] + respelled(made[start:end], row, wanted[name]) + made[end:]
    return made


def _names(old: list[Any], new: list[Any]) -> tuple[list[object], list[object]]:
    found = identities([*old, *new])
    if found == list(range(len(found))):
        return found[: len(old)], found[: len(new)]
    return found[: len(old)], found[len(old) :]


def _elements(text: str) -> list[tuple[int, int]]:
    """Where each element of the array `text` begins and ends."""
    found: list[list[int]] = []
    depth, is_open = 0, False
    for piece in _PIECE.finditer(text, 1):
        word = piece.group()
        if not depth and word in {",", "]"}:
            is_open = False
            continue
        if not depth and (word.isspace() or word[0] == "#"):
            continue
        depth += (word in {"[", "{"}) - (word in {"]", "}"})
        if not is_open:
            found.append([piece.start(), 0])
            is_open = True
        found[-1][1] = piece.end()
    return [(start, end) for start, end in found]


def _extended(text: str, last: tuple[int, int], new: Sequence[Any]) -> str:
    """The array with further elements after the `last`, in lines of their own where that is in one."""
    start, end = last
    comma = next((end + p.start() for p in _PIECE.finditer(text[end:]) if p.group() == ","), None)
    head, _, before = text[:start].rpartition("\n")
    gap = f"\n{before}" if head and not before.strip() else " "
    if comma is None:
        text = f"{text[:end]},{text[end:]}"
    at = (end if comma is None else comma) + 1
    rest = _REST_OF_LINE.match(text, at)
    if rest is not None and rest.group(1):
        at, gap = rest.end(), gap if gap != " " else "\n"
    made = ",".join(f"{gap}{value_text(row)}" for row in new)
    return f"{text[:at]}{made}{'' if comma is None else ','}{text[at:]}"
