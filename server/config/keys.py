"""A key of the configuration: its meaning, unit and bounds, stated beside its default, and its name in every source."""

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar, cast

from server.config.values import READERS
from surroundings.variables import PREFIX

T = TypeVar("T")

_ABOUT = "about"
MOST = 1_000_000_000
"""No number may be larger; where a key states nothing less, that is no bound to speak of."""
_UNITS = {"_mib": "MiB", "_ms": "ms", "_s": "s"}
"""Ending of a key's name -> the unit of its value."""


@dataclass(frozen=True, slots=True)
class About:
    """What is stated of a key beside its default; `flat`: its flag's name, and its own where there are no sections."""

    text: str
    unit: str
    least: float
    most: float
    one_of: tuple[str, ...]
    flat: str
    flag: bool
    check: Callable[[Any], object] | None


def key(  # noqa: PLR0913 - a key's facts, each by its name
    default: T,
    text: str,
    *,
    unit: str = "",
    least: float = 0,
    most: float = MOST,
    one_of: tuple[str, ...] = (),
    flat: str = "",
    flag: bool = False,
    check: Callable[[T], object] | None = None,
) -> T:
    """A field of a section: its default and one line on what it does.

    Stated where needed: a unit that the name does not end in, the least and most value of a number, the words that a
    text may be, a name outside the section, whether there is a flag, what raises ValueError for a bad value.
    """
    about = About(text, unit, least, most, one_of, flat, flag, check)
    return field(default=default, metadata={_ABOUT: about})


@dataclass(frozen=True, slots=True)
class Key:
    """One key: where it stands, its type and default, and what is stated of it."""

    section: str
    name: str
    kind: object
    default: object
    about: About

    @property
    def dotted(self) -> str:
        """Its name in a file: `section.name`."""
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"{PREFIX}_{self.section}__{self.name}".upper()

    @property
    def flat(self) -> str:
        """Its name without a section: in old files, and of its flag."""
        return self.about.flat or self.name

    @property
    def flat_variable(self) -> str:
        """Its name without a section in the environment."""
        return f"{PREFIX}{self.flat}".upper()

    @property
    def unit(self) -> str:
        """The unit of its value; empty where it has none."""
        ended = (unit for ending, unit in _UNITS.items() if self.name.endswith(ending))
        return self.about.unit or next(ended, "")

    @property
    def is_number(self) -> bool:
        """Whether its value has bounds."""
        return self.kind is int or self.kind is float

    def read(self, value: object) -> object:
        """The value that a source gives as this. Raises TypeError or ValueError, which say what it must be."""
        found, about = READERS[self.kind](value), self.about
        if self.is_number and not about.least <= cast(float, found) <= about.most:
            raise ValueError(f"must be between {about.least} and {about.most}")
        if about.one_of and found not in about.one_of:
            raise ValueError(f"must be one of {', '.join(about.one_of)}")
        if about.check is not None:
            about.check(found)
        return found


def keys_of(sections: type) -> tuple[Key, ...]:
    """All keys of a dataclass of sections, in the order in which they are stated."""
    return tuple(
        Key(section.name, one.name, one.type, one.default, one.metadata[_ABOUT])
        for section in fields(sections)
        for one in _fields(section.type)
    )


def _fields(section: Any) -> tuple["Field[Any]", ...]:
    return fields(section)
