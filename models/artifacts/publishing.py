"""Families changed on disk: published whole, or variants added to them and taken out again.

`family.toml` is the commit point: artefacts are named after their content and written first, then `family.toml` is
replaced in one step. A kill at any moment leaves the old family or the new one, whole. One publisher at a time holds
a family's folder; readers need no lock.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from models.artifacts.files import named_in, place, sole_publisher, sweep, sync_folder, write
from models.artifacts.manifest import MANIFEST, parse, render
from models.artifacts.repository import load_family, read_manifest, sha256_of
from models.artifacts.tables import ArtifactError, is_plain_name
from models.catalog import Family, Variant

Files = Mapping[str, Path]
"""Variant's name -> its artefact, wherever that lies now."""


class FamilyExists(ArtifactError):
    """A family that was to be created is there already."""


def publish_family(root: Path, family: Family, files: Files) -> Family:
    """Make `family` visible under `root`, replacing what is there; `files` maps each variant's name to its artefact.

    Returns the family as published: `artifact` and `sha256` are filled in here. Raises ArtifactError, or OSError when
    the disk refuses, and then nothing has changed for readers. Artefacts of the family that this one replaces stay
    until the next publication, for those who are about to open them.
    """
    folder = _folder_for(root, family, files)
    with sole_publisher(folder):
        return _commit(root, family, files)


def create_family(root: Path, family: Family, files: Files) -> Family:
    """As `publish_family`, but raises FamilyExists where there is one of that name."""
    folder = _folder_for(root, family, files)
    with sole_publisher(folder):
        if (folder / MANIFEST).exists():
            raise FamilyExists(
                f"family {family.name} exists in {root}; add variants to it or name another"
            )
        return _commit(root, family, files)


def add_variants(root: Path, family: str, variants: Sequence[Variant], files: Files) -> Family:
    """Add `variants` to the family of that name; `files` maps each variant's name to its artefact.

    Returns the family as it then is. A variant that is there already with the same content is left as it is; one with
    other content is refused. Raises ArtifactError, or OSError when the disk refuses; then nothing has changed.
    """
    _check_files(family, variants, files)
    with sole_publisher(_existing(root, family)):
        present = load_family(root / family, verify=False)
        new = [v for v in variants if not _is_there(present, v, files[v.name])]
        if not new:
            return present
        return _commit(root, replace(present, variants=(*present.variants, *new)), files)


def replace_variants(root: Path, family: str, variants: Sequence[Variant], files: Files) -> Family:
    """As `add_variants`, but a variant of the same name gives way, whatever its content."""
    _check_files(family, variants, files)
    with sole_publisher(_existing(root, family)):
        present = load_family(root / family, verify=False)
        kept = [v for v in present.variants if v.name not in files]
        return _commit(root, replace(present, variants=(*kept, *variants)), files)


def remove_variants(root: Path, family: str, names: Collection[str]) -> Family:
    """Take the variants called `names` out of the family; their files stay until the next publication.

    Returns the family as it then is. Raises ArtifactError where a name is unknown or no variant would be left.
    """
    with sole_publisher(_existing(root, family)):
        present = load_family(root / family, verify=False)
        known = [v.name for v in present.variants]
        if unknown := sorted(set(names) - set(known)):
            raise ArtifactError(f"family {family} has no variant {unknown[0]!r}; it has {known}")
        kept = tuple(v for v in present.variants if v.name not in names)
        if not kept:
            raise ArtifactError(
                f"family {family} would be left without variants; keep one, or delete {root / family}"
            )
        return _commit(root, replace(present, variants=kept), {})


def _folder_for(root: Path, family: Family, files: Files) -> Path:
    _check_files(family.name, family.variants, files)
    if not is_plain_name(family.name):  # before a folder is made of it
        raise ArtifactError(
            f"family {family.name!r} must have a plain name: letters, digits and _.-"
        )
    folder = root / family.name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check_files(family: str, variants: Sequence[Variant], files: Files) -> None:
    names = [v.name for v in variants]
    if set(files) != set(names):
        raise ArtifactError(
            f"family {family}: its variants are {names}, files are given for {sorted(files)}; give one for each"
        )


def _existing(root: Path, family: str) -> Path:
    """The family's folder; one that has none is not made by looking for it."""
    read_manifest(root / family)
    return root / family


def _is_there(present: Family, variant: Variant, source: Path) -> bool:
    there = present.variant(variant.name)
    if there is not None and there.sha256 != sha256_of(source):
        raise ArtifactError(
            f"family {present.name} has a variant {variant.name} with other content; give this one another name, "
            "or remove that one first"
        )
    return there is not None


def _commit(root: Path, family: Family, files: Files) -> Family:
    """Write the artefacts in `files`, then `family.toml`. Other variants have theirs in place. Needs the lock."""
    folder = root / family.name
    replaced = named_in(folder)
    placed = [_place(folder, v, files[v.name]) if v.name in files else v for v in family.variants]
    published = replace(family, variants=tuple(placed))
    labels_file = _place_labels(folder, family.labels) if family.labels else ""
    text = render(published, labels_file)
    parse(text, str(folder / MANIFEST))  # what could not be read back is not published
    write(folder / MANIFEST, text.encode())
    sync_folder(root)
    sweep(folder, replaced)
    return published


def _place(folder: Path, variant: Variant, source: Path) -> Variant:
    name, digest = place(folder, variant.name, source)
    return replace(variant, artifact=name, sha256=digest)


def _place_labels(folder: Path, labels: tuple[str, ...]) -> str:
    content = "".join(f"{label}\n" for label in labels).encode()
    name = f"labels-{hashlib.sha256(content).hexdigest()[:8]}.txt"
    write(folder / name, content)
    return name
