"""Texts that strangers give, for logs, files, terminals and later answers: bounded, on one line, no escape codes."""

from collections.abc import Iterable

MOST = 200
"""Characters shown of one name, unless another bound is given."""
_MOST_NAMES = 8


def shown(text: str, most: int = MOST) -> str:
    """`text` with whatever a terminal or a log's reader could act on escaped, and its end cut off beyond `most`."""
    cut = text[:most]
    if not cut.isprintable():
        cut = "".join(one if one.isprintable() else _escaped(one) for one in cut)
    return cut if len(cut) <= most and len(text) <= most else cut[:most] + " ..."


def listed(names: Iterable[str], most: int = _MOST_NAMES) -> str:
    """The first few names as a list of quoted texts."""
    some: list[str] = []
    for name in names:
        if len(some) == most:
            return "[" + ", ".join(some) + ", ...]"
        some.append(f"'{shown(name)}'")
    return "[" + ", ".join(some) + "]"


def lines(text: str) -> str:
    """Many lines for a terminal: every one escaped, none cut off."""
    return "\n".join(shown(line, len(line) * 10) for line in text.split("\n"))


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")
