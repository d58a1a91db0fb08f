"""What is said of a key or section that there is not: the nearest one that there is, and those that are known."""

from collections.abc import Collection
from difflib import get_close_matches

from server.config.sections import KEYS

_SECTIONS = tuple(dict.fromkeys(key.section for key in KEYS))


def unknown_key(name: str, section: str = "") -> str:
    """One line on a key that its section, or a file's beginning, does not know."""
    own = {key.name: key for key in KEYS if key.section == section}
    spelt = {key.name: key for key in KEYS} | {key.flat: key for key in KEYS} | own
    near = _nearest(name, own) or _nearest(name, spelt)
    hint = f"did you mean {spelt[near].dotted}? " if near else ""
    if section:
        return f"unknown key '{section}.{name}'; {hint}known in [{section}]: {', '.join(own)}"
    return f"unknown key '{name}'; {hint}sections: {', '.join(_SECTIONS)}"


def unknown_section(name: str) -> str:
    """One line on a section that there is not."""
    near = _nearest(name, _SECTIONS)
    hint = f"did you mean [{near}]? " if near else ""
    return f"unknown section [{name}]; {hint}known: {', '.join(_SECTIONS)}"


def _nearest(name: str, known: Collection[str]) -> str:
    return next(iter(get_close_matches(name, known, 1)), "")
