"""Families changed on disk: published whole, or variants added to them.

`family.toml` is the commit point: artefacts are named after their content and written first, then `family.toml` is
replaced in one step. What does not change in it stays as somebody wrote it, comments and all. A kill at any moment
leaves the old family or the new one, whole. One publisher at a time holds a family's folder; readers need no lock.
"""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from models.artifacts.digests import sha256_of
from models.artifacts.editing import BYTE_ORDER_MARK, edited
from models.artifacts.external import check_references, located, references, rewritten
from models.artifacts.files import (
    MANIFESTS,
    Publication,
    named_in,
    sole_publisher,
    sync_folder,
    text_of,
)
from models.artifacts.manifest import MANIFEST, Manifest, parse, render
from models.artifacts.repository import labels_of, load_family, read_manifest
from models.artifacts.samples import SAMPLES
from models.artifacts.tables import ArtifactError, is_plain_name
from models.catalog import Family, Variant

Files = Mapping[str, Path]
"""Variant's name -> its artefact, wherever that lies now."""

NOTHING: Files = MappingProxyType({})


class FamilyExists(ArtifactError):
    """A family that was to be created is there already."""


def publish_family(root: Path, family: Family, files: Files) -> Family:
    """Make `family` visible under `root`, replacing what is there; `files` maps each variant's name to its artefact.

    Returns the family as published: `artifact` and `sha256` are filled in here. Raises ArtifactError, or OSError when
    the disk refuses, and then nothing has changed for readers. Artefacts of the family that this one replaces stay
    until the next publication, for those who are about to open them.
    """
    folder = _folder_for(root, family, files)
    with sole_publisher(folder) as publication:
        return commit(publication, family, files)


def create_family(
    root: Path,
    family: Family,
    files: Files,
    samples: Path | None = None,
    extras: Files = NOTHING,
) -> Family:
    """As `publish_family`, but raises FamilyExists where there is one of that name.

    `samples`: rows for it (`samples.npz`), unless there are some in its folder. `extras`: as in `update_family`.
    """
    folder = _folder_for(root, family, files)
    _check_extras(family.name, extras)
    with sole_publisher(folder) as publication:
        if (folder / MANIFEST).exists():
            raise FamilyExists(
                f"family {family.name} exists in {root}; name another (--name), or remove that one first: "
                f"gearshift models remove {family.name}"
            )
        for name, source in extras.items():
            publication.put_over(name, source)
        if samples is not None:
            publication.put(SAMPLES, samples)
        return commit(publication, family, files)


def update_family(root: Path, family: Family, files: Files, extras: Files = NOTHING) -> Family:
    """As `publish_family`, but of a family of the same signature its SLO, limits and variants of other names stay.

    `extras`: name beside the manifest -> a file that is put there first, such as samples; another one is kept as
    NAME.old-DIGEST.
    """
    folder = _folder_for(root, family, files)
    _check_extras(family.name, extras)
    with sole_publisher(folder) as publication:
        for name, source in extras.items():
            publication.put_over(name, source)
        try:
            present = read_manifest(folder).family  # artefacts may be missing: they are put back
        except ArtifactError:
            return commit(publication, family, files)
        same = ("name", "inputs", "outputs")
        if any(getattr(present, key) != getattr(family, key) for key in same):
            return commit(publication, family, files)
        kept = replace(family, slo=present.slo, max_batch=present.max_batch)
        variants = _replaced(present, family.variants)
        return commit(publication, replace(kept, variants=variants), files)


def add_variants(root: Path, family: str, variants: Sequence[Variant], files: Files) -> Family:
    """Add `variants` to the family of that name; `files` maps each variant's name to its artefact.

    Returns the family as it then is. A variant that is there already with the same content is left as it is; one with
    other content is refused. Raises ArtifactError, or OSError when the disk refuses; then nothing has changed.
    """
    _check_files(family, variants, files)
    with sole_publisher(_existing(root, family)) as publication:
        present = load_family(root / family, verify=False)
        new = [v for v in variants if not _is_there(present, v, files[v.name])]
        if not new:
            return present
        return commit(publication, replace(present, variants=(*present.variants, *new)), files)


def replace_variants(
    root: Path, family: str, variants: Sequence[Variant], files: Files, *, only_own: bool = False
) -> Family:
    """As `add_variants`, but a variant of the same name gives way to the new one, whatever its content.

    With `only_own` one whose artefact Gearshift did not write is refused.
    """
    _check_files(family, variants, files)
    with sole_publisher(_existing(root, family)) as publication:
        present = load_family(root / family, verify=False)
        foreign = sorted(_foreign(publication, present) & {v.name for v in variants})
        if only_own and foreign:
            raise ArtifactError(
                f"variant {foreign[0]} of family {family} was put there meanwhile and not by Gearshift; try again"
            )
        return commit(publication, replace(present, variants=_replaced(present, variants)), files)


def foreign_variants(root: Path, family: str) -> set[str]:
    """The names of the variants whose artefacts are not, to the last byte, what Gearshift wrote there."""
    with sole_publisher(_existing(root, family)) as publication:
        return _foreign(publication, load_family(root / family, verify=False))


def _foreign(publication: Publication, present: Family) -> set[str]:
    return {v.name for v in present.variants if not publication.is_own(v.artifact)}


def _replaced(present: Family, variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """The family's variants, those of the same name replaced where they stand, new ones at the end."""
    new = {v.name: v for v in variants}
    same = [new.pop(v.name, v) for v in present.variants]
    return (*same, *new.values())


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
    if odd := [name for name in names if not is_plain_name(name)]:  # before a file is called so
        raise ArtifactError(
            f"variant {odd[0]!r} must have a plain name: letters, digits and _.-; rename it"
        )


def _check_extras(family: str, extras: Files) -> None:
    if odd := [n for n in extras if not is_plain_name(n) or n in MANIFESTS]:
        raise ArtifactError(f"family {family}: no extra file may be called {odd[0]!r}; rename it")


def _existing(root: Path, family: str) -> Path:
    """The family's folder; one that has none is not made by looking for it."""
    read_manifest(root / family)
    return root / family


def _is_there(present: Family, variant: Variant, source: Path) -> bool:
    there = present.variant(variant.name)
    if there is not None and there.sha256 not in {sha256_of(source), *_as_placed(there, source)}:
        raise ArtifactError(
            f"family {present.name} has a variant {variant.name} with other content; give this one another name, "
            "or remove that one first"
        )
    return there is not None


def _as_placed(there: Variant, source: Path) -> list[str]:
    """The sha256 that `source` would have in place, if it keeps weights elsewhere and they are those of `there`."""
    found = references(source)
    check_references(source, found)
    known = {d.sha256: d.file for d in there.data}
    digests = {r.location: sha256_of(located(source, r.location)) for r in found}
    if not found or not known.keys() >= set(digests.values()):
        return []
    names = {location: known[digest] for location, digest in digests.items()}
    return [hashlib.sha256(rewritten(source, names)).hexdigest()]


def commit(publication: Publication, family: Family, files: Files) -> Family:
    """Write the artefacts in `files`, then `family.toml`. Other variants have theirs in place. Needs the lock."""
    folder = publication.folder
    replaced = named_in(folder)
    variants = [
        _place(publication, v, files[v.name]) if v.name in files else v for v in family.variants
    ]
    published = replace(family, variants=tuple(variants))
    present = text_of(folder / MANIFEST)
    text = _manifest(publication, published, present)
    parse(text.removeprefix(BYTE_ORDER_MARK), str(folder / MANIFEST))  # else it is not published
    publication.write_manifest(MANIFEST, text, present)
    with publication.visible():
        sync_folder(folder.parent)
        publication.sweep(replaced)
    return published


def _manifest(publication: Publication, family: Family, present: str | None) -> str:
    """The manifest's new text: the present one with what changes, or a new one where none is there or it is damaged."""
    path = publication.folder / MANIFEST
    if present is None and not path.exists():
        return render(family, _labels_file(publication, family, None))
    try:
        known = _with_labels(read_manifest(publication.folder), publication.folder)
        labels_file = _labels_file(publication, family, known)
        wanted = render(family, labels_file)
        before = render(known.family, known.labels_file)
        text = edited(present or "", tomllib.loads(before), tomllib.loads(wanted))
        if parse(text.removeprefix(BYTE_ORDER_MARK), str(path)) == parse(wanted, str(path)):
            return text
    except (ArtifactError, ValueError):  # damaged, or written in a way that cannot be edited
        wanted = render(family, _labels_file(publication, family, None))
    publication.set_aside(MANIFEST)
    return wanted


def _with_labels(manifest: Manifest, folder: Path) -> Manifest:
    """The manifest with the labels that its file holds; with none where that is not there."""
    try:
        labels = labels_of(folder, manifest)
    except ArtifactError:
        return replace(manifest, labels_file="")
    return replace(manifest, family=replace(manifest.family, labels=labels))


def _labels_file(publication: Publication, family: Family, present: Manifest | None) -> str:
    """The file that holds the family's labels; where they are as before, they stay where they are."""
    if present is not None and present.family.labels == family.labels:
        return present.labels_file
    if not family.labels:
        return ""
    return publication.add_text("labels", ".txt", "".join(f"{label}\n" for label in family.labels))


def _place(publication: Publication, variant: Variant, source: Path) -> Variant:
    placed = publication.place(variant.name, source)
    return replace(variant, artifact=placed.file, sha256=placed.sha256, data=placed.data)
