"""Writing into the folder of a family or a task package: a kill or a full disk at any moment costs readers nothing.

Nothing is deleted here but what the folder's ledger says that Gearshift wrote and that is still as it was written.
"""

import fcntl
import hashlib
import logging
import os
import secrets
import stat
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from models.artifacts.digests import sha256_of
from models.artifacts.external import check_references, located, references, rewritten
from models.artifacts.ledger import LEDGER, Ledger
from models.artifacts.manifest import MANIFEST
from models.artifacts.samples import SAMPLES
from models.artifacts.tables import ArtifactError, is_plain_name
from models.catalog import DataFile
from surroundings.documents import bytes_at, text_at, toml_in

_log = logging.getLogger(__name__)

TASKS_MANIFEST = "tasks.toml"
"""A task package's; it may lie beside a family's of the same name."""

MANIFESTS = (MANIFEST, TASKS_MANIFEST)

LOCK = ".lock"
_TEMPORARY = ".new-"
_CHUNK = 1 << 20
_DIGITS = (8, 16, 64)
"""Of the sha256 in a file's name: more where another file has the shorter name already."""

_WEIGHTS = "weights"

Filler = Callable[[BinaryIO], str]
"""Writes a file's content and returns its sha256."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An artefact in its folder: its name there, its sha256, and the files that hold weights of it."""

    file: str
    sha256: str
    data: tuple[DataFile, ...] = ()


class Publication:
    """What one publisher does in `folder` while it holds the lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ledger = Ledger(folder)

    def place(self, name: str, source: Path) -> Placed:
        """Copy the artefact `source` and the files that it keeps weights in, each named after its content.

        Raises ArtifactError where it refers to files that are missing, damaged or outside of its own folder.
        """
        found = references(source)
        check_references(source, found)
        if not found:
            return Placed(*self._settle(name, source.suffix, _copying(source)))
        placed: dict[str, DataFile] = {}
        for location in dict.fromkeys(r.location for r in found):
            path = located(source, location)
            placed[location] = DataFile(*self._settle(_WEIGHTS, ".data", _copying(path)))
        model = rewritten(source, {location: data.file for location, data in placed.items()})
        file, digest = self._settle(name, source.suffix, _writing(model))
        return Placed(file, digest, tuple(dict.fromkeys(placed.values())))

    def add_text(self, name: str, suffix: str, text: str) -> str:
        """Write a text beside the manifest under a name after its content, which is returned."""
        return self._settle(name, suffix, _writing(text.encode()))[0]

    def put(self, name: str, source: Path) -> None:
        """Copy a file beside the manifest under just this name, unless something is there."""
        path = self.folder / name
        temporary, digest = self._temporary(_copying(source), path)
        if path.exists() or path.is_symlink():
            self._drop(temporary)
            return
        self._ledger.place(name, digest)
        temporary.replace(path)
        sync_folder(self.folder)

    def put_over(self, name: str, source: Path) -> None:
        """Copy `source` beside the manifest under this very name, in one step; what is there becomes NAME.old-DIGEST.

        It is no artefact: no publication removes it. Raises ArtifactError where something else than a file is there.
        """
        path = self.folder / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise ArtifactError(f"{path} is no regular file; move it elsewhere")
        if path.exists():
            if sha256_of(path) == sha256_of(source):
                return
            self.set_aside(name)
        temporary, digest = self._temporary(_copying(source), path)
        if (
            name == SAMPLES
        ):  # which is published as long as there is a manifest, though that does not name it
            self._ledger.place(name, digest)
        temporary.replace(path)
        sync_folder(self.folder)
        if name != SAMPLES:
            self._drop(temporary)

    def is_own(self, name: str) -> bool:
        """Whether Gearshift wrote the file of that name, and nobody has changed it since."""
        return self._ledger.is_ours(name)

    def write_manifest(self, name: str, text: str, instead_of: str | None) -> None:
        """Replace the manifest `instead_of` in one step; this is what makes the publication visible.

        Raises ArtifactError where somebody else has written to it meanwhile, OSError naming it where the disk refuses.
        """
        path = self.folder / name
        if path.is_symlink():
            raise ArtifactError(
                f"{path} is a link, which would be replaced; publish where it leads, or put the file itself there"
            )
        temporary, _ = self._temporary(_writing(text.encode()), path)
        if path.exists():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        if text_of(path) != instead_of:
            self._drop(temporary)
            raise ArtifactError(f"{path} was changed meanwhile; nothing was published, try again")
        temporary.replace(path)
        with self.visible():
            sync_folder(self.folder)
            self._ledger.commit()

    @contextmanager
    def visible(self) -> Generator[None]:
        """Around what follows once readers see the new manifest: an error is said, and is no failure any more."""
        try:
            yield
        except OSError as error:
            text = "%s: published, but not all is tidied up (%s); the next publication does that"
            _log.warning(text, self.folder, error)

    def set_aside(self, name: str) -> None:
        """Keep a copy of a file that is about to be replaced and that could not be kept as it is: NAME.old-DIGEST.

        Raises ArtifactError where that name is taken.
        """
        temporary, digest = self._temporary(_copying(self.folder / name), self.folder / name)
        try:
            path, is_there = self._place_for(f"{name}.old-", "", digest)
            if not is_there:
                temporary.replace(path)
        finally:
            self._drop(temporary)

    def sweep(self, keep: set[str]) -> None:
        """Remove what was written here earlier and is neither in `keep` nor part of what is published now."""
        self._clear(set(self._ledger.files) - keep)
        if self._ledger.grown():
            self._ledger.shorten()

    def clear_up(self) -> None:
        """Remove what a publication that came to nothing, this one or a dead one, has left."""
        for name in sorted(self._ledger.temporary):
            self._drop(self.folder / name)
        self._clear(set(self._ledger.pending))

    def withdraw(self, name: str) -> None:
        """Delete the manifest of that name: from then on readers find nothing of it here. Raises OSError."""
        (self.folder / name).unlink()
        sync_folder(self.folder)

    def leave(self) -> None:
        """Delete the ledger and the lock, where nothing is published any more, and the folder where nothing is left."""
        if self._ledger.files or any((self.folder / m).exists() for m in MANIFESTS):
            return
        (self.folder / LEDGER).unlink(missing_ok=True)
        (self.folder / LOCK).unlink()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
            sync_folder(self.folder.parent)

    def _clear(self, names: set[str]) -> None:
        """Remove those of our own files that are not published.

        Where one of the manifests is damaged, nothing goes: who mends it will want what it named.
        """
        if is_damaged(self.folder):
            return
        for name in sorted(names - named_in(self.folder)):
            self._ledger.remove(name)

    def _settle(self, name: str, suffix: str, fill: Filler) -> tuple[str, str]:
        """Make a file named after `name` and its content, unless it is there; its name and its sha256."""
        temporary, digest = self._temporary(fill, self.folder / f"{name}-{suffix}")
        try:
            path, is_there = self._place_for(f"{name}-", suffix, digest)
        except ArtifactError:
            self._drop(temporary)
            raise
        if is_there:
            self._drop(temporary)
        else:
            self._ledger.place(path.name, digest)
            temporary.replace(path)
            sync_folder(self.folder)
        return path.name, digest

    def _place_for(self, stem: str, suffix: str, digest: str) -> tuple[Path, bool]:
        """Where a file of that content belongs, and whether it is there. Raises ArtifactError where others are."""
        for digits in _DIGITS:
            path = self.folder / f"{stem}{digest[:digits]}{suffix}"
            if not path.exists() and not path.is_symlink():
                return path, False
            if path.is_file() and not path.is_symlink() and sha256_of(path) == digest:
                return path, True
        taken = self.folder / f"{stem}{digest}{suffix}"
        raise ArtifactError(f"{taken} is there with other content; move it elsewhere")

    def _temporary(self, fill: Filler, wanted: Path) -> tuple[Path, str]:
        """A new file, whole and durable, and its sha256. Raises OSError naming the file that was `wanted`."""
        temporary = self.folder / f"{_TEMPORARY}{secrets.token_hex(8)}"
        try:
            self._ledger.begin(temporary.name)
            with temporary.open("xb") as file:
                temporary.chmod(0o644)  # a server may be another user
                digest = fill(file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self._drop(temporary)
            where = error.filename if error.filename and not _is_in(error, self.folder) else wanted
            raise OSError(error.errno, error.strerror, str(where)) from error
        return temporary, digest

    def _drop(self, temporary: Path) -> None:
        if not temporary.is_dir():
            temporary.unlink(missing_ok=True)
        self._ledger.forget(temporary.name)


@contextmanager
def sole_publisher(folder: Path) -> Generator[Publication]:
    """Hold `folder` against other publishers; waits for one that is at work, clears up after those that were killed.

    The kernel frees the lock with its holder's last breath, so what the ledger has as under way when the lock is won
    is a dead one's, however young. On an error what the body placed goes again, but for what a manifest names. Raises
    ArtifactError where something else is in the lock's place.
    """
    lock_path = folder / LOCK
    if lock_path.exists() and not lock_path.is_file():
        raise ArtifactError(f"{lock_path} is no regular file; move it elsewhere")
    with _locked(lock_path):
        publication = Publication(folder)
        publication.clear_up()
        try:
            yield publication
        except BaseException:
            publication.clear_up()
            raise


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Hold the lock at `path`; one that was deleted with its folder while we waited for it holds nobody back."""
    while True:
        with path.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                yield
                return


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def text_of(path: Path) -> str | None:
    """A manifest's text with its line ends as they are; None where there is none, or it is no text."""
    try:
        return bytes_at(path).decode()
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def is_damaged(folder: Path) -> bool:
    """Whether there is a manifest in `folder` that says nothing: what it named is not known."""
    return any((folder / m).exists() and not _read(folder / m) for m in MANIFESTS)


def named_in(folder: Path) -> set[str]:
    """The files that what is published in `folder` consists of: its manifests, and all that they name.

    Whatever a manifest's text values say may be a file's name, so that this need not know what each key means; so are
    the names of files that the graphs among them keep weights in. A manifest that is missing or damaged names none.
    """
    named = {name for manifest in MANIFESTS for name in _texts(_read(folder / manifest))}
    named |= {SAMPLES} if (folder / MANIFEST).exists() else set()  # read, though no key says so
    return named | {*MANIFESTS} | {name for graph in named for name in _kept_by(folder, graph)}


def _copying(source: Path) -> Filler:
    def fill(file: BinaryIO) -> str:
        digest = hashlib.sha256()
        with source.open("rb") as opened:
            while chunk := opened.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()

    return fill


def _writing(content: bytes) -> Filler:
    def fill(file: BinaryIO) -> str:
        file.write(content)
        return hashlib.sha256(content).hexdigest()

    return fill


def _is_in(error: OSError, folder: Path) -> bool:
    """Whether the error is about a file in `folder`: a temporary one, which says nothing to anybody."""
    return Path(os.fsdecode(error.filename)).parent == folder


def _read(path: Path) -> dict[str, Any]:
    """A manifest's content; empty where it is missing or no TOML."""
    try:
        return toml_in(text_at(path))
    except (OSError, ValueError):
        return {}


def _kept_by(folder: Path, graph: str) -> set[str]:
    """The files that the graph of that name says it keeps weights in; none where there is no such graph."""
    if not is_plain_name(graph):
        return set()
    try:
        return {str(PurePosixPath(r.location)) for r in references(folder / graph)}
    except (OSError, ValueError):
        return set()


def _texts(value: object) -> set[str]:
    """Every string in a TOML document."""
    if isinstance(value, str):
        return {value}
    rows = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {text for row in cast("Iterable[object]", rows) for text in _texts(row)}
