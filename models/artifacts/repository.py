"""Families on disk: find, read, verify. Nothing here writes."""

import logging
import os
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from models.artifacts.digests import Mark, mark_of, sha256_of
from models.artifacts.external import data_files
from models.artifacts.manifest import MANIFEST, Manifest, parse
from models.artifacts.tables import ArtifactError, is_plain_name
from models.catalog import PRECISIONS, DataFile, Family, Variant
from surroundings.documents import text_at
from surroundings.folders import cache_folder, expanded
from surroundings.variables import repository

_log = logging.getLogger(__name__)

_AGAIN = "or publish the family again (`gearshift models build` makes the embedded one)"

_verified: dict[tuple[Path, str], Mark] = {}
"""File and sha256 that it was found to have -> the file as it was then. Process-wide, as the disk is."""


def default_repository() -> Path:
    """Where families live unless told otherwise: $GEARSHIFT__MODELS__REPOSITORY, else the user's cache folder."""
    if chosen := repository(os.environ):
        with suppress(
            OSError
        ):  # as it is where there is no such home: whoever reads it says that it is not there
            return expanded(Path(chosen))
        return Path(chosen)
    return cache_folder() / "models"


@dataclass(frozen=True, slots=True)
class Found:
    """A repository's families by name, and, by the name of their folder, why others cannot be had."""

    families: dict[str, Family]
    bad: dict[str, str]


def look_through(
    root: Path, only: Collection[str] = (), *, verify: bool = True, quiet: bool = False
) -> Found:
    """Every family under `root`, or those in the folders that `only` names, good and bad. The others are not looked at.

    A folder that cannot be looked into counts as a bad family, where a family may be called as it is. Raises
    ArtifactError where `root` cannot be read.
    """
    found = Found({}, {})
    for folder in _folders(root):
        if only and folder.name not in only:
            continue
        try:
            if _is_family(folder):
                found.families[folder.name] = load_family(folder, verify=verify, quiet=quiet)
        except ArtifactError as error:
            found.bad[printable(folder.name)] = printable(str(error))
        except OSError as error:
            if is_plain_name(folder.name):
                found.bad[folder.name] = f"{folder} cannot be read: {error.strerror}"
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others are to be had
            _log.debug("%s cannot be read", folder, exc_info=error)
            found.bad[printable(folder.name)] = printable(
                f"{folder} cannot be read: {type(error).__name__}: {error}"
            )
    return found


def family_names(root: Path) -> list[str]:
    """The names of the folders under `root` that hold a family or cannot be looked into. Raises ArtifactError."""
    return [printable(f.name) for f in _folders(root) if is_plain_name(f.name) and _may_be(f)]


def printable(text: str) -> str:
    """`text` as UTF-8 can carry it: bytes of a path that are none are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(p for p in root.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise ArtifactError(
            f"model repository {root} cannot be read ({error.strerror}); make the default families "
            "with `gearshift models build`, or name another folder"
        ) from error


def _is_family(folder: Path) -> bool:
    """Whether there is a manifest, whatever it is. Raises OSError where that cannot be seen."""
    try:
        (folder / MANIFEST).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        if not is_plain_name(folder.name):  # such as lost+found
            return False
        raise
    return True


def _may_be(folder: Path) -> bool:
    try:
        return _is_family(folder)
    except OSError:
        return True


def load_family(folder: Path, *, verify: bool = True, quiet: bool = False) -> Family:
    """The family in `folder`, its labels read and, with `verify`, every artefact's sha256 checked.

    Raises ArtifactError. Verifying costs about a millisecond per megabyte. With it, and unless `quiet`, the log says
    which weights outside of a graph the manifest has no sha256 for, and which precisions no runtime knows.
    """
    manifest = read_manifest(folder)
    family = manifest.family
    if family.name != folder.name:
        raise ArtifactError(
            f"{folder / MANIFEST}: key 'name' is {family.name!r}, the folder {folder.name!r}; make them the same"
        )
    for variant in family.variants:
        _check_variant(folder, variant, verify)
        bare = uncovered(folder, variant) if verify else ()
        if bare and not quiet:
            _log.warning("%s: %s", family.name, uncovered_text(variant, bare))
        if (odd := odd_precision(variant)) and verify and not quiet:
            _log.warning("%s: %s", family.name, odd)
    for coded in family.coded:
        if coded.file:
            _checked(folder / coded.file, coded.sha256, f"of input {coded.name}", verify)
    return replace(family, labels=labels_of(folder, manifest))


def read_manifest(folder: Path) -> Manifest:
    """`family.toml` in `folder`; neither artefacts nor labels are looked at. Raises ArtifactError."""
    path = folder / MANIFEST
    try:
        return parse(text_at(path), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}; publish the family again") from error


def uncovered(folder: Path, variant: Variant) -> tuple[str, ...]:
    """The files that hold weights of `variant` though its manifest has no sha256 for them. Raises ArtifactError."""
    path = folder / variant.artifact
    try:
        found = data_files(path)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    return tuple(sorted(found.keys() - {d.file for d in variant.data}))


def uncovered_text(variant: Variant, files: tuple[str, ...]) -> str:
    """What to say of them: what it means, and what to write."""
    return (
        f"the weights of {variant.name} in {', '.join(files)} are not verified, {MANIFEST} has no sha256 of them; "
        f"add a table [[variants.data]] with `file` and `sha256` for each to that variant"
    )


def odd_precision(variant: Variant) -> str:
    """What to say of a precision that no runtime knows, as a misspelt one; empty where one does."""
    if variant.precision in PRECISIONS:
        return ""
    return (
        f"no runtime knows the precision {variant.precision!r} of {variant.name} (known: {', '.join(PRECISIONS)}): "
        f"it is served by the first that runs it; correct {MANIFEST} if that is misspelt"
    )


@contextmanager
def opening(folder: Path, variant: Variant) -> Generator[None]:
    """Around a runtime's opening of `variant`: its references are judged, what was verified is still what lies there.

    Raises ArtifactError, before or after, where it is not. What was never verified in this process is not verified
    here either.
    """
    paths = {folder / variant.artifact: variant.sha256}
    try:
        before = {p: mark_of(p) for p in (*paths, *data_files(folder / variant.artifact).values())}
    except OSError as error:
        raise ArtifactError(
            f"{error.filename or folder} cannot be read: {error.strerror}"
        ) from error
    paths |= {folder / d.file: d.sha256 for d in variant.data}
    for path, digest in paths.items():
        if path in before and _verified.get((path, digest), before[path]) != before[path]:
            _check_file(path, digest, variant, verify=True)
    yield
    if any(not path.is_file() or mark_of(path) != mark for path, mark in before.items()):
        raise ArtifactError(
            f"{folder / variant.artifact} of {variant.name} was changed while it was being opened; try again"
        )


def labels_of(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """The family's labels, from the file that the manifest names or from itself. Raises ArtifactError."""
    name = manifest.labels_file
    if not name:
        return manifest.family.labels
    if Path(name).name != name:
        raise ArtifactError(f"{folder / MANIFEST}: key 'labels' must name a file beside it")
    try:
        return tuple(text_at(folder / name).splitlines())
    except (OSError, ValueError) as error:  # a name with a zero byte among it
        raise ArtifactError(
            f"{folder / name} (key 'labels') cannot be read: {error}; put it back, {_AGAIN}"
        ) from error


def _check_variant(folder: Path, variant: Variant, verify: bool) -> None:
    artefact = DataFile(variant.artifact, variant.sha256)
    for one in (artefact, *variant.data):
        _check_file(folder / one.file, one.sha256, variant, verify)


def _check_file(path: Path, digest: str, variant: Variant, verify: bool) -> None:
    what = f"{'artefact' if path.name == variant.artifact else 'weights'} of {variant.name}"
    if (mark := _checked(path, digest, what, verify)) is not None:
        _verified[path, digest] = mark


def _checked(path: Path, digest: str, what: str, verify: bool) -> Mark | None:
    """The file as it was when its sha256 was found right; None where that was not looked at. Raises ArtifactError."""
    where = f"{path} ({what})"
    if not path.is_file():
        raise ArtifactError(f"{where} is missing; put it back, {_AGAIN}")
    if not verify:
        return None
    try:
        mark = mark_of(path)
        found = sha256_of(path)
    except OSError as error:
        raise ArtifactError(f"{where} cannot be read: {error.strerror}") from error
    if found != digest:
        raise ArtifactError(
            f"{where} is damaged: its sha256 is {found}, {MANIFEST} says {digest}; put the right "
            f"file there, correct the manifest, {_AGAIN}"
        )
    return mark


def size_of(folder: Path, variant: Variant) -> int:
    """The variant's size in bytes, its weights outside of the graph among it; 0 where it is not there."""
    path = folder / variant.artifact
    try:
        return sum(p.stat().st_size for p in (path, *data_files(path).values()))
    except (OSError, ArtifactError):
        return 0
