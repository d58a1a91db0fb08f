"""Families on disk: find, read, verify. Nothing here writes."""

import hashlib
import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from models.artifacts.manifest import MANIFEST, Manifest, parse
from models.artifacts.tables import ArtifactError, is_plain_name
from models.catalog import Family, Variant
from surroundings.folders import cache_folder, expanded


def default_repository() -> Path:
    """Where families live unless told otherwise: $GEARSHIFT_REPOSITORY, else the user's cache folder."""
    if chosen := os.environ.get("GEARSHIFT_REPOSITORY"):
        with suppress(
            OSError
        ):  # as it is where there is no such home: whoever reads it says that it is not there
            return expanded(Path(chosen))
        return Path(chosen)
    return cache_folder() / "models"


def load_repository(root: Path, *, verify: bool = True) -> dict[str, Family]:
    """Every family under `root` by name, in the order of their names. Raises ArtifactError.

    Names starting with a dot and folders without `family.toml` are none.
    """
    return {f.name: load_family(f, verify=verify) for f in _folders(root) if _is_family(f)}


@dataclass(frozen=True, slots=True)
class Found:
    """A repository's families by name, and, by the name of their folder, why others cannot be had."""

    families: dict[str, Family]
    bad: dict[str, str]


def look_through(root: Path, only: Collection[str] = (), *, verify: bool = True) -> Found:
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
                found.families[folder.name] = load_family(folder, verify=verify)
        except ArtifactError as error:
            found.bad[printable(folder.name)] = printable(str(error))
        except OSError as error:
            if is_plain_name(folder.name):
                found.bad[folder.name] = f"{folder} cannot be read: {error.strerror}"
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


def load_family(folder: Path, *, verify: bool = True) -> Family:
    """The family in `folder`, its labels read and, with `verify`, every artefact's sha256 checked.

    Raises ArtifactError. Verifying costs about a millisecond per megabyte.
    """
    manifest = read_manifest(folder)
    family = manifest.family
    if family.name != folder.name:
        raise ArtifactError(
            f"{folder / MANIFEST}: key 'name' is {family.name!r}, the folder {folder.name!r}; make them the same"
        )
    for variant in family.variants:
        _check_artifact(folder / variant.artifact, variant, verify)
    if not manifest.labels_file:
        return family
    return replace(family, labels=_read_labels(folder, manifest.labels_file))


def read_manifest(folder: Path) -> Manifest:
    """`family.toml` in `folder`; neither artefacts nor labels are looked at. Raises ArtifactError."""
    path = folder / MANIFEST
    try:
        return parse(path.read_text(encoding="utf-8-sig"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}; build the family again") from error


def _read_labels(folder: Path, name: str) -> tuple[str, ...]:
    if Path(name).name != name:
        raise ArtifactError(f"{folder / MANIFEST}: key 'labels' must name a file beside it")
    try:
        return tuple((folder / name).read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{folder / name} (key 'labels') cannot be read: {error}; build the family again"
        ) from error


def _check_artifact(path: Path, variant: Variant, verify: bool) -> None:
    where = f"{path} (artefact of {variant.name})"
    if not path.is_file():
        raise ArtifactError(f"{where} is missing; build the family again")
    try:
        found = sha256_of(path) if verify else variant.sha256
    except OSError as error:
        raise ArtifactError(f"{where} cannot be read: {error.strerror}") from error
    if found != variant.sha256:
        raise ArtifactError(
            f"{where} is damaged: its sha256 is {found}, {MANIFEST} says {variant.sha256}; build the family again"
        )


def size_of(path: Path) -> int:
    """The file's size in bytes; 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def sha256_of(path: Path) -> str:
    """The file's sha256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
