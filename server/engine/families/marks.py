"""Whether a family's folder is another than it was: told by its files' names, times and sizes."""

import logging
from pathlib import Path

from models.artifacts import ArtifactError, family_names

_log = logging.getLogger(__name__)

Mark = frozenset[tuple[str, int, int]]
"""Of a folder: its files' names, when they changed (ns), their sizes (bytes)."""


def marks(root: Path) -> dict[str, Mark]:
    """Each family's folder as it is now; none where the repository cannot be read."""
    try:
        return {name: _mark_of(root / name) for name in family_names(root)}
    except ArtifactError as error:
        _log.debug("%s", error)
        return {}


def _mark_of(folder: Path) -> Mark:
    found: set[tuple[str, int, int]] = set()
    try:
        for path in folder.iterdir():
            stat = path.stat()
            found.add((path.name, stat.st_mtime_ns, stat.st_size))
    except OSError:
        return frozenset()
    return frozenset(found)
