"""Writing into a family's folder so that a kill or a full disk at any moment costs readers nothing."""

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from models.artifacts.manifest import MANIFEST, ArtifactError
from models.artifacts.repository import read_manifest

LOCK = ".lock"
_TEMPORARY = ".new-"


@contextmanager
def sole_publisher(folder: Path) -> Generator[None]:
    """Hold `folder` against other publishers; waits for one that is at work, clears up after those that were killed.

    The kernel frees the lock with its holder's last breath. Every temporary file belongs to a holder, so whatever lies
    here when the lock is won is a dead one's, however young. On an error the body's new files go, but for those that
    `family.toml` names.
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


def named_in(folder: Path) -> set[str]:
    """The files that the family in `folder` consists of; none where it is missing or damaged."""
    try:
        manifest = read_manifest(folder)
    except ArtifactError:
        return set()
    return {MANIFEST, manifest.labels_file} | {v.artifact for v in manifest.family.variants}


def sweep(folder: Path, keep: set[str]) -> None:
    """Remove the files that are neither in `keep` nor part of the family. The lock stays: others may wait at it."""
    keep = keep | named_in(folder) | {LOCK}
    for path in folder.iterdir():
        if path.name not in keep and path.is_file():
            path.unlink(missing_ok=True)
