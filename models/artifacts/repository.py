"""Families on disk: find, read, verify. Nothing here writes."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

from models.artifacts.manifest import MANIFEST, Manifest, parse
from models.artifacts.tables import ArtifactError
from models.catalog import Family, Variant


def default_repository() -> Path:
    """Where families live unless told otherwise: $GEARSHIFT_REPOSITORY, else the user's cache folder."""
    if chosen := os.environ.get("GEARSHIFT_REPOSITORY"):
        return Path(chosen).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "gearshift" / "models"


def load_repository(root: Path, *, verify: bool = True) -> dict[str, Family]:
    """Every family under `root` by name, in the order of their names. Raises ArtifactError.

    Names starting with a dot and folders without `family.toml` are none.
    """
    try:
        folders = sorted(p for p in root.iterdir() if not p.name.startswith("."))
    except OSError as error:
        raise ArtifactError(
            f"model repository {root} cannot be read ({error.strerror}); make the default families "
            "with `gearshift models build`, or name another folder"
        ) from error
    return {f.name: load_family(f, verify=verify) for f in folders if (f / MANIFEST).is_file()}


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
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}; build the family again") from error


def _read_labels(folder: Path, name: str) -> tuple[str, ...]:
    if Path(name).name != name:
        raise ArtifactError(f"{folder / MANIFEST}: key 'labels' must name a file beside it")
    try:
        return tuple((folder / name).read_text(encoding="utf-8").splitlines())
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
