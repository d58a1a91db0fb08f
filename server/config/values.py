"""Values as files, variables and flags give them, read by type: TypeError and ValueError say what one must be."""

import math
from collections.abc import Callable


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError("must be a whole number")
    try:
        return int(value)
    except ValueError:
        raise ValueError("must be a whole number") from None


def _real(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("must be a number")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("must be finite") from None
    except ValueError:
        raise ValueError("must be a number") from None
    if not math.isfinite(number):
        raise ValueError("must be finite")
    return number


def _truth(value: object) -> bool:
    words = {"true": True, "1": True, "false": False, "0": False}
    truth = value if isinstance(value, bool) else words.get(str(value).lower())
    if truth is None:
        raise ValueError("must be true or false")
    return truth


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("must be a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise TypeError("must be a list of texts")


READERS: dict[object, Callable[[object], object]] = {
    int: _integer,
    float: _real,
    bool: _truth,
    str: _text,
    tuple[str, ...]: _texts,
}
"""How a value of each type is read."""
