"""Families on disk: find, verify, publish.

`family.toml` is the commit point: artefacts are named after their content and written first, then `family.toml` is
replaced in one step. A kill at any moment leaves the old family or the new one, whole.
"""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from models.artifacts.manifest import MANIFEST, ArtifactError, Manifest, parse, render
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
    manifest = _read(folder)
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


def _read(folder: Path) -> Manifest:
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


def publish_family(root: Path, family: Family, files: Mapping[str, Path]) -> Family:
    """Make `family` visible under `root`, replacing what is there; `files` maps each variant's name to its artefact.

    Returns the family as published: `artifact` and `sha256` are filled in here. Raises ArtifactError, or OSError when
    the disk refuses, and then nothing has changed for readers. Artefacts of the family that this one replaces stay
    until the next publication, for those who are about to open them.
    """
    names = [v.name for v in family.variants]
    if set(files) != set(names):
        raise ArtifactError(
            f"family {family.name}: its variants are {names}, files are given for {sorted(files)}; give one for each"
        )
    folder = root / family.name
    folder.mkdir(parents=True, exist_ok=True)
    keep = _named_in(folder)
    published = replace(
        family,
        variants=tuple(_place(folder, v, files[v.name]) for v in family.variants),
    )
    labels_file = _place_labels(folder, family.labels) if family.labels else ""
    _write(folder / MANIFEST, render(published, labels_file).encode())
    _sync_folder(root)
    _sweep(folder, keep | _named_in(folder))
    return published


def _place(folder: Path, variant: Variant, source: Path) -> Variant:
    content = source.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    name = f"{variant.name}-{digest[:8]}{source.suffix}"
    _write(folder / name, content)
    return replace(variant, artifact=name, sha256=digest)


def _place_labels(folder: Path, labels: tuple[str, ...]) -> str:
    content = "".join(f"{label}\n" for label in labels).encode()
    name = f"labels-{hashlib.sha256(content).hexdigest()[:8]}.txt"
    _write(folder / name, content)
    return name


def _write(path: Path, content: bytes) -> None:
    """Write by temporary file, fsync and rename, so that `path` is whole or as it was."""
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _named_in(folder: Path) -> set[str]:
    """The files that the family in `folder` consists of; none where it is missing or damaged."""
    try:
        manifest = _read(folder)
    except ArtifactError:
        return set()
    return {MANIFEST, manifest.labels_file} | {v.artifact for v in manifest.family.variants}


def _sweep(folder: Path, keep: set[str]) -> None:
    for path in folder.iterdir():
        if path.name not in keep and path.is_file():
            path.unlink(missing_ok=True)
