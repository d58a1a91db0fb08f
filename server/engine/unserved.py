"""Families of the repository that cannot be served, and why: what is told of them wherever a family is asked for."""

from collections.abc import Mapping

from server.errors import NotReady, RequestError, UnknownModel
from server.texts import shown

_MOST_REASON = 1000
"""Characters of a reason that are told: it may quote a file."""


class Unserved:
    """By name. One thread adds and removes, any may ask."""

    def __init__(self, reasons: Mapping[str, str] | None = None) -> None:
        self._reasons: dict[str, str] = {}
        self._coming: frozenset[str] = frozenset()
        for name, reason in (reasons or {}).items():
            self.add(name, reason)

    def add(self, name: str, reason: str) -> None:
        """This family is not served, because of `reason`."""
        self._coming -= {name}
        self._reasons = {**self._reasons, name: shown(reason, _MOST_REASON)}

    def coming(self, name: str) -> None:
        """This family is being loaded."""
        self._reasons = {**self._reasons, name: "loading and profiling"}
        self._coming |= {name}

    def remove(self, name: str) -> None:
        """This family is served, or nobody's any more."""
        self._reasons = {n: reason for n, reason in self._reasons.items() if n != name}
        self._coming -= {name}

    def is_coming(self, name: str) -> bool:
        """Whether it is being loaded."""
        return name in self._coming

    @property
    def reasons(self) -> Mapping[str, str]:
        """Name -> why."""
        return self._reasons

    def __contains__(self, name: str) -> bool:
        return name in self._reasons

    def error(self, name: str, version: str = "") -> RequestError:
        """What whoever asks for a family that is not there is told: why, or that there is none of this name."""
        if name in self._coming:
            return NotReady(f"model '{name}' is loading; try again shortly")
        if name in self._reasons:
            return NotReady(
                f"model '{name}' is in the repository and not served: {self._reasons[name]}"
            )
        at = f" version {shown(version)}" if version else ""
        return UnknownModel(f"Request for unknown model: '{shown(name)}'{at} is not found")
