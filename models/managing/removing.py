"""Families and variants removed, and their files.

Deleted is what a manifest named and what is still as the manifest said, after nothing names it any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from models.artifacts import (
    MANIFEST,
    ArtifactError,
    folder_of,
    is_plain_name,
    read_present,
    remove_variants,
)
from models.artifacts.digests import sha256_of
from models.artifacts.files import LOCK, MANIFESTS, is_damaged, named_in, sole_publisher
from models.artifacts.ledger import LEDGER
from models.artifacts.repository import read_manifest
from models.catalog import Variant

Digests = Mapping[str, str]
"""File below a family's folder -> its sha256; empty where the manifest says none."""

_OWN = {LOCK, LEDGER}


@dataclass(frozen=True, slots=True)
class Removed:
    """What went from a family's folder, and what stays in it: files below it."""

    gone: tuple[str, ...]
    left: tuple[str, ...]


def remove_variant(root: Path, family: str, name: str) -> Removed:
    """As `remove_variants`, of one; its files go at once, but for those that others of the family need."""
    folder = folder_of(root, family)
    _refuse_links(folder)
    variant = read_present(folder).variant(name)
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
    folder = folder_of(root, name, or_remains=True)
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


def _refuse_links(folder: Path) -> None:
    for path in (folder, folder / MANIFEST):
        if path.is_symlink():
            raise ArtifactError(
                f"{path} is a link, and nothing is removed where it leads; remove the link by hand"
            )


def _named(folder: Path) -> Digests:
    """The files that the manifest names. Raises ArtifactError where it is damaged."""
    manifest = read_manifest(folder)
    found = {file: sha for v in manifest.family.variants for file, sha in _digests(v).items()}
    found |= {coded.file: coded.sha256 for coded in manifest.family.coded if coded.file}
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
