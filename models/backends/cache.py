"""Where runtimes keep what they compiled between starts: engines and their timings."""

import hashlib
import logging
import os
import tempfile
from functools import cache
from pathlib import Path

from surroundings.folders import kept

_log = logging.getLogger(__name__)

_DIGEST_BYTES = 32


def engine_cache() -> Path:
    """`$XDG_CACHE_HOME/gearshift/engines`, or the same under `~/.cache`; made if it can be."""
    folder = kept("engines")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only cache costs the compiling anew, not the service
        return folder
    return folder


def read_entry(path: Path) -> bytes | None:
    """The entry's content if it is there and whole; one that is not whole is set aside."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, plan = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(plan).digest() == digest:
        return plan
    set_aside(path, "its digest is wrong")
    return None


def set_aside(path: Path, reason: str) -> None:
    """Out of the way, but kept for whoever wants to know what was wrong with it."""
    _log.warning("cached engine %s is set aside and built anew: %s", path, reason)
    try:
        path.replace(path.with_suffix(".damaged"))
    except OSError as error:
        _warn_unwritable(str(path.parent), error.strerror or "cannot be written")


def write_entry(path: Path, content: bytes) -> None:
    """Write whole or not at all; a folder that cannot be written costs the next start a build."""
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        _warn_unwritable(str(path.parent), error.strerror or "cannot be written")


@cache
def _warn_unwritable(folder: str, reason: str) -> None:
    """Once for each folder and reason."""
    _log.warning(
        "engines cannot be kept in %s (%s): they are built anew at every start; make it writable or set XDG_CACHE_HOME",
        folder,
        reason,
    )
