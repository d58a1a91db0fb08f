"""Writing into the folder of a family or a task package: a kill or a full disk at any moment costs readers nothing."""

import fcntl
import hashlib
import os
import tempfile
import tomllib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from models.artifacts.manifest import MANIFEST

TASKS_MANIFEST = "tasks.toml"
"""A task package's; it may lie beside a family's of the same name."""

MANIFESTS = (MANIFEST, TASKS_MANIFEST)

LOCK = ".lock"
_TEMPORARY = ".new-"


@contextmanager
def sole_publisher(folder: Path) -> Generator[None]:
    """Hold `folder` against other publishers; waits for one that is at work, clears up after those that were killed.

    The kernel frees the lock with its holder's last breath. Every temporary file belongs to a holder, so whatever lies
    here when the lock is won is a dead one's, however young. On an error the body's new files go, but for those that
    a manifest names.
    """
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f"{_TEMPORARY}*"):
            left.unlink(missing_ok=True)
        before = {path.name for path in folder.iterdir()}
        try:
            yield
        except BaseException:
            sweep(folder, before)
            raise


def write(path: Path, content: bytes) -> None:
    """Write by temporary file, fsync and rename, so that `path` is whole or as it was. Raises OSError naming `path`."""
    handle, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def place(folder: Path, name: str, source: Path) -> tuple[str, str]:
    """Copy the artefact `source` into `folder`, named after `name` and its content: its new name and its sha256."""
    content = source.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    placed = f"{name}-{digest[:8]}{source.suffix}"
    write(folder / placed, content)
    return placed, digest


def named_in(folder: Path) -> set[str]:
    """The files that what is published in `folder` consists of: its manifests, and all that they name.

    Whatever a manifest's text values say may be a file's name, so that this need not know what each key means. A
    manifest that is missing or damaged names none.
    """
    return {name for manifest in MANIFESTS for name in _texts(_read(folder / manifest))} | {
        *MANIFESTS
    }


def sweep(folder: Path, keep: set[str]) -> None:
    """Remove the files that are neither in `keep` nor part of what is published. The lock stays: others may wait at it.

    Where one of the manifests is damaged, nothing goes: who mends it will want what it named.
    """
    if any((folder / m).exists() and not _read(folder / m) for m in MANIFESTS):
        return
    keep = keep | named_in(folder) | {LOCK}
    for path in folder.iterdir():
        if path.name not in keep and path.is_file():
            path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    """A manifest's content; empty where it is missing or no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}


def _texts(value: object) -> set[str]:
    """Every string in a TOML document."""
    if isinstance(value, str):
        return {value}
    rows = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {text for row in cast("Iterable[object]", rows) for text in _texts(row)}
