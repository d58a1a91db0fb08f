"""Protobuf's text format read without a schema: what a file says, whatever its server's version knows."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from google.protobuf.text_format import ParseError, Tokenizer

from models.build.errors import BuildError
from surroundings.documents import text_at

Fields = Mapping[str, Sequence[object]]
"""Field -> its values, in order: texts, numbers and names as they are spelled, messages as fields again."""

_CLOSING = {"{": "}", "<": ">"}
_DEEPEST = 50
"""Messages within messages."""


def read_fields(path: Path) -> Fields:
    """What the file says. Raises BuildError with the position where it is broken."""
    try:
        with warnings.catch_warnings():  # of escapes in texts that mean nothing
            warnings.simplefilter("ignore", DeprecationWarning)
            return _fields(Tokenizer(text_at(path).split("\n")), "", 0)
    except ParseError as error:
        what = str(error).partition(" : ")[2] or str(error)
        raise BuildError(
            f"{path}, line {error.GetLine()}, column {error.GetColumn()}: {what}; correct it, or name the graph itself"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path} cannot be read: {error}; or name the graph itself") from error


def message(fields: Fields, name: str) -> Fields:
    """The last message of that name; empty where there is none."""
    return next(iter(messages(fields, name)[-1:]), {})


def messages(fields: Fields, name: str) -> list[Fields]:
    """All messages of that name."""
    return [cast("Fields", one) for one in fields.get(name, ()) if isinstance(one, Mapping)]


def word(fields: Fields, name: str) -> str:
    """The last text, number or name of that field; empty where there is none."""
    return next((one for one in reversed(fields.get(name, ())) if isinstance(one, str)), "")


def numbers(fields: Fields, name: str) -> list[int] | None:
    """The whole numbers of that field, None where one is none."""
    try:
        return [int(str(one), 0) for one in fields.get(name, ())]
    except ValueError:
        return None


def _fields(tokens: Tokenizer, end: str, depth: int) -> Fields:
    """Fields up to `end`, or to the end of the text."""
    if depth > _DEEPEST:
        raise _broken(tokens, "Messages are nested too deeply.")
    found: dict[str, list[object]] = {}
    while not (tokens.TryConsume(end) if end else tokens.AtEnd()):
        name = tokens.ConsumeIdentifier()
        colon = tokens.TryConsume(":")
        found.setdefault(name, []).extend(_values(tokens, depth, messages_only=not colon))
        _ = tokens.TryConsume(",") or tokens.TryConsume(";")
    return found


def _values(tokens: Tokenizer, depth: int, *, messages_only: bool) -> list[object]:
    if not tokens.TryConsume("["):
        return [_value(tokens, depth, messages_only=messages_only)]
    found: list[object] = []
    while not tokens.TryConsume("]"):
        found.append(_value(tokens, depth, messages_only=messages_only))
        if not tokens.LookingAt("]"):
            tokens.Consume(",")
    return found


def _value(tokens: Tokenizer, depth: int, *, messages_only: bool) -> object:
    for opening, closing in _CLOSING.items():
        if tokens.TryConsume(opening):
            return _fields(tokens, closing, depth + 1)
    if messages_only:
        raise _broken(tokens, 'Expected ":" or "{".')
    if tokens.token[:1] in {'"', "'"}:
        return tokens.ConsumeString()
    found: str = tokens.token
    if not found or not (found[0].isalnum() or found[0] in "+-._"):
        raise _broken(tokens, "Expected a value.")
    tokens.NextToken()
    return found


def _broken(tokens: Any, what: str) -> ParseError:
    """The error to raise about the token that is next."""
    return tokens.ParseError(what)
