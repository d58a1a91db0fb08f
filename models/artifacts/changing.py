"""Families changed without new artefacts: their manifests edited, variants taken out of them."""

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from models.artifacts.files import TASKS_MANIFEST, sole_publisher
from models.artifacts.ledger import LEDGER
from models.artifacts.manifest import MANIFEST, parse, render
from models.artifacts.publishing import commit
from models.artifacts.repository import family_names, labels_of, read_manifest
from models.artifacts.tables import ArtifactError, is_plain_name
from models.catalog import Family

Change = Callable[[Family], Family]
"""A family with other facts. Raises ArtifactError."""


def change_family(root: Path, name: str, change: Change) -> tuple[Family, Family]:
    """Write what `change` makes of the family into its manifest; (as it was, as it is).

    Its artefacts are not looked at. Raises ArtifactError, or OSError when the disk refuses; then nothing has changed.
    """
    folder = folder_of(root, name)
    present = read_present(folder)
    with sole_publisher(folder) as publication:
        present = read_present(folder)
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


def folder_of(root: Path, name: str, *, or_remains: bool = False) -> Path:
    """The folder of the family of that name, or of what a removal left of it. Raises ArtifactError."""
    folder = root / name
    if is_plain_name(name) and (folder / MANIFEST).exists():
        return folder
    remains = (folder / LEDGER).exists() and not (folder / TASKS_MANIFEST).exists()
    if is_plain_name(name) and or_remains and remains:
        return folder
    known = ", ".join(family_names(root)) or "none"
    raise ArtifactError(f"no family {name!r} in {root}; there are: {known}")


def read_present(folder: Path) -> Family:
    """The family as its manifest says, its labels read; whether its artefacts are there is not looked at."""
    manifest = read_manifest(folder)
    name = manifest.family.name
    if name != folder.name:
        raise ArtifactError(
            f"{folder / MANIFEST}: key 'name' is {name!r}, the folder {folder.name!r}; make them the same"
        )
    return replace(manifest.family, labels=labels_of(folder, manifest))
