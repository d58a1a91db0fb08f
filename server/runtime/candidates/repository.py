"""Watches one family's folder: what a publisher has put there since, once it is whole and fits what is served.

The repository belongs to its publishers: nothing is ever written to it here.
"""

import logging
from dataclasses import replace
from pathlib import Path

from models.artifacts import MANIFEST, ArtifactError, load_family
from models.catalog import Family, Slo

_log = logging.getLogger(__name__)

Mark = tuple[int, int, int]
"""Of a file: when it changed (ns), its inode, its size (bytes). A manifest that is replaced has another."""


class Repository:
    """The family as published. Looking costs one `stat` while nothing has changed."""

    def __init__(self, folder: Path, family: Family) -> None:
        self._folder = folder
        self._family = family
        self._mark: Mark | None = None
        self._slo: Slo | None = None  # as published last, whatever the operator made of it
        self._missed = ""

    def look(self) -> Family | None:
        """The family, every artefact verified, where its manifest has changed; None where it has not, or is no good.

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
        """The family under the SLO that the operator set at the start; None where its clients would notice a change."""
        known = self._family
        for key in ("inputs", "outputs", "sizes", "one_row", "max_batch", "labels"):
            if getattr(found, key) != getattr(known, key):
                self._warn(
                    f"{self._folder / MANIFEST}: key '{key}' is another than at the start; restart the server for it"
                )
                return None
        if self._slo not in (None, found.slo):
            text = "%s: table [slo] has changed; it is taken up at the next start, the server keeps what it has"
            _log.info(text, self._folder / MANIFEST)
        self._slo = found.slo
        self._family = replace(found, slo=known.slo)
        return self._family

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
