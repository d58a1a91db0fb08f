"""Watches one family's folder: what a publisher has put there since, once it is whole and fits what is served.

The repository belongs to its publishers: nothing is ever written to it here.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.artifacts import MANIFEST, ArtifactError, load_family
from models.catalog import Family
from server.errors import BadInput

_log = logging.getLogger(__name__)

Mark = tuple[int, int, int]
"""Of a file: when it changed (ns), its inode, its size (bytes). A manifest that is replaced has another."""


FIXED = ("inputs", "outputs", "sizes", "one_row", "max_batch", "labels", "coded", "slo")
"""What of a family is built into how it is served."""


@dataclass(frozen=True, slots=True)
class Amendments:
    """`published`: the family, as nobody amended it. `amended`: as it is served here, under the operator's SLO and what
    a client asked for; that ends where the family is another in what is FIXED: `renewed` is called then."""

    published: Family
    amended: Callable[[Family], Family] = lambda family: family
    renewed: Callable[[], None] = lambda: None


class Repository:
    """The family as published. Looking costs one `stat` while nothing has changed."""

    def __init__(self, folder: Path, to: Amendments) -> None:
        self._folder = folder
        self._family = to.published
        self._to = to
        self._mark: Mark | None = None
        self._missed = ""

    def look(self) -> Family | None:
        """The family, every artefact verified, where its manifest has changed; None where it has not, or is no good,
        or where more has changed than its variants.

        What is no good is said once, in the log, and looked at again when the manifest changes again.
        """
        try:
            mark = _mark_of(self._folder / MANIFEST)
        except OSError as error:
            self._say_missed(error.strerror or str(error))
            return None
        self._missed = ""
        if mark == self._mark:
            return None
        self._mark = mark
        try:
            found = load_family(self._folder)
        except ArtifactError as error:
            self._warn(str(error))
            return None
        return self._fitting(found)

    def _fitting(self, found: Family) -> Family | None:
        """The family as it is served here; None where it must be built anew."""
        changed = [key for key in FIXED if getattr(found, key) != getattr(self._family, key)]
        self._family = found
        amended = None if changed else self._amended(found)
        if amended is None:
            what = ", ".join(changed) or "what a client asked for"
            text = "%s: %s changed in its manifest, or cannot be had any more; it is loaded anew"
            _log.info(text, found.name, what)
            self._to.renewed()
        return amended

    def _amended(self, found: Family) -> Family | None:
        try:
            return self._to.amended(found)
        except BadInput:  # of what was asked for when it was loaded
            return None

    def _warn(self, problem: str) -> None:
        text = "%s: what was published is not taken up, the server goes on with what it has: %s"
        _log.warning(text, self._family.name, problem)

    def _say_missed(self, why: str) -> None:
        if why != self._missed:
            self._missed = why
            self._warn(f"{self._folder / MANIFEST} cannot be read: {why}")


def _mark_of(path: Path) -> Mark:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size
