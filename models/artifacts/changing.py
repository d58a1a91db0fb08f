"""Families changed without new artefacts: their manifests edited, variants taken out of them, or all of them removed.

Deleted is what a manifest named and what is still as the manifest said, after nothing names it any more.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from models.artifacts.digests import sha256_of
from models.artifacts.files import (
    LOCK,
    MANIFESTS,
    TASKS_MANIFEST,
    is_damaged,
    named_in,
    sole_publisher,
)
from models.artifacts.ledger import LEDGER
from models.artifacts.manifest import MANIFEST, parse, render
from models.artifacts.publishing import commit
from models.artifacts.repository import family_names, labels_of, read_manifest
from models.artifacts.tables import ArtifactError, is_plain_name
from models.catalog import Family, Variant

Change = Callable[[Family], Family]
"""A family with other facts. Raises ArtifactError."""

Digests = Mapping[str, str]
"""File below a family's folder -> its sha256; empty where the manifest says none."""

_OWN = {LOCK, LEDGER}


@dataclass(frozen=True, slots=True)
class Removed:
    """What went from a family's folder, and what stays in it: files below it."""

    gone: tuple[str, ...]
    left: tuple[str, ...]


def change_family(root: Path, name: str, change: Change) -> tuple[Family, Family]:
    """Write what `change` makes of the family into its manifest; (as it was, as it is).

    Its artefacts are not looked at. Raises ArtifactError, or OSError when the disk refuses; then nothing has changed.
    """
    folder = _folder_of(root, name)
    present = _present(folder)
    with sole_publisher(folder) as publication:
        present = _present(folder)
        wanted = change(present)
        parse(render(wanted), str(folder / MANIFEST))  # before anything is written
        if wanted == present:
            return present, present
        return present, commit(publication, wanted, {})


def remove_variants(root: Path, family: str, names: Collection[str]) -> Family:
    """Take the variants called `names` out of the family; their files stay until the next publication.

    It takes its turn among publishers, as nobody can who edits the manifest. Returns the family as it then is. Raises
    ArtifactError where a name is unknown or no variant would be left.
    """

    def without(present: Family) -> Family:
        known = [v.name for v in present.variants]
        if unknown := sorted(set(names) - set(known)):
            raise ArtifactError(f"family {family} has no variant {unknown[0]!r}; it has {known}")
        kept = tuple(v for v in present.variants if v.name not in names)
        if not kept:
            raise ArtifactError(
                f"family {family} would be left without variants; keep one, or remove the family: "
                f"gearshift models remove {family}"
            )
        return replace(present, variants=kept)

    return change_family(root, family, without)[1]


def remove_variant(root: Path, family: str, name: str) -> Removed:
    """As `remove_variants`, of one; its files go at once, but for those that others of the family need."""
    folder = _folder_of(root, family)
    _refuse_links(folder)
    variant = _present(folder).variant(name)
    files = _files(folder)
    remove_variants(root, family, [name])
    with sole_publisher(folder):
        _delete(folder, {} if variant is None else _digests(variant))
    return _compared(folder, files)


def remove_family(root: Path, name: str) -> Removed:
    """Delete the manifest, then what it named, then what Gearshift wrote; other files stay, and the folder with them.

    A kill at any moment leaves the family whole or gone; what a dead removal of ours left is removed by another one.
    Raises ArtifactError or OSError.
    """
    folder = _folder_of(root, name, or_remains=True)
    _refuse_links(folder)
    files = _files(folder)
    with sole_publisher(folder) as publication:
        wanted: Digests = {}
        if (folder / MANIFEST).exists():
            wanted = _named(folder)
            publication.withdraw(MANIFEST)
        _delete(folder, wanted)
        publication.sweep(set())
        publication.leave()
    return _compared(folder, files)


def _folder_of(root: Path, name: str, *, or_remains: bool = False) -> Path:
    """The folder of the family of that name, or of what a removal left of it. Raises ArtifactError."""
    folder = root / name
    if is_plain_name(name) and (folder / MANIFEST).exists():
        return folder
    remains = (folder / LEDGER).exists() and not (folder / TASKS_MANIFEST).exists()
    if is_plain_name(name) and or_remains and remains:
        return folder
    known = ", ".join(family_names(root)) or "none"
    raise ArtifactError(f"no family {name!r} in {root}; there are: {known}")


def _refuse_links(folder: Path) -> None:
    for path in (folder, folder / MANIFEST):
        if path.is_symlink():
            raise ArtifactError(
                f"{path} is a link, and nothing is removed where it leads; remove the link by hand"
            )


def _present(folder: Path) -> Family:
    """The family as its manifest says, its labels read; whether its artefacts are there is not looked at."""
    manifest = read_manifest(folder)
    name = manifest.family.name
    if name != folder.name:
        raise ArtifactError(
            f"{folder / MANIFEST}: key 'name' is {name!r}, the folder {folder.name!r}; make them the same"
        )
    return replace(manifest.family, labels=labels_of(folder, manifest))


def _named(folder: Path) -> Digests:
    """The files that the manifest names. Raises ArtifactError where it is damaged."""
    manifest = read_manifest(folder)
    found = {file: sha for v in manifest.family.variants for file, sha in _digests(v).items()}
    labels = manifest.labels_file
    return found | ({labels: ""} if is_plain_name(labels) else {})


def _digests(variant: Variant) -> Digests:
    return {variant.artifact: variant.sha256} | {d.file: d.sha256 for d in variant.data}


def _delete(folder: Path, wanted: Digests) -> None:
    """Delete those of these files that no manifest in `folder` names and whose content is as was said.

    Of a link only the link goes. What cannot be deleted stays.
    """
    if is_damaged(folder):
        return
    kept = named_in(folder) | _OWN | set(MANIFESTS)
    for file, sha256 in sorted(wanted.items()):
        path = folder / file
        if file not in kept and _is_as_said(folder, path, sha256):
            path.unlink()
            _delete_empty(folder, path.parent)


def _is_as_said(folder: Path, path: Path, sha256: str) -> bool:
    """Whether it is a file really in `folder` with that content, or a link there."""
    between = PurePosixPath(path.relative_to(folder)).parents
    if any((folder / part).is_symlink() for part in between if part.name):
        return False
    if path.is_symlink():
        return True
    try:
        return path.is_file() and (not sha256 or sha256_of(path) == sha256)
    except OSError:
        return False


def _delete_empty(folder: Path, inner: Path) -> None:
    """Delete the folders between a file that went and the family's that have nothing in them now."""
    while inner != folder and not any(inner.iterdir()):
        inner.rmdir()
        inner = inner.parent


def _files(folder: Path) -> set[str]:
    """All files below it, our lock and ledger apart."""
    if not folder.is_dir():
        return set()
    found = (p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    return {str(p.relative_to(folder)) for p in found} - _OWN


def _compared(folder: Path, before: set[str]) -> Removed:
    after = _files(folder)
    return Removed(tuple(sorted(before - after)), tuple(sorted(after)))
