"""What a front works out once of each family: made at the first request, and anew where another takes the name."""

from collections.abc import Callable
from typing import Generic, TypeVar

from server.engine.served import ServedFamily

_Made = TypeVar("_Made")


class ByFamily(Generic[_Made]):
    """By a family's name. Any thread: two that come at once make the same."""

    def __init__(self, make: Callable[[ServedFamily], _Made]) -> None:
        self._make = make
        self._made: dict[str, tuple[ServedFamily, _Made]] = {}

    def of(self, family: ServedFamily) -> _Made:
        """What was made of this family."""
        name = family.family.name
        found = self._made.get(name)
        if found is None or found[0] is not family:
            found = self._made[name] = family, self._make(family)
        return found[1]
