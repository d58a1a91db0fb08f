"""Task packages on disk: read and verified, published whole.

`tasks.toml` is the commit point, as `family.toml` is a family's: artefacts are named after their content and written
first, then `tasks.toml` is replaced in one step. A kill at any moment leaves the old package or the new one, whole.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from models.artifacts import ArtifactError, is_plain_name, printable
from models.artifacts.digests import sha256_of
from models.artifacts.editing import BYTE_ORDER_MARK, edited
from models.artifacts.files import (
    TASKS_MANIFEST,
    Publication,
    named_in,
    sole_publisher,
    sync_folder,
    text_of,
)
from models.stems.checking import check_base, check_head, network_at
from models.stems.manifest import parse, render
from models.stems.package import Head, Package, SharedTask
from surroundings.documents import text_at

Files = Mapping[str | tuple[str, int], Path]
"""A base's name -> its network, (task, frozen) -> that head, wherever they lie now."""


@dataclass(frozen=True, slots=True)
class FoundPackages:
    """A repository's packages by name, and, by the name of their folder, why others cannot be had."""

    packages: dict[str, Package]
    bad: dict[str, str]


def look_through_packages(root: Path, *, verify: bool = True) -> FoundPackages:
    """Every package under `root`, good and bad; a folder that cannot be looked into is none."""
    found = FoundPackages({}, {})
    for path in sorted(root.glob(f"[!.]*/{TASKS_MANIFEST}")):
        folder = path.parent
        try:
            found.packages[folder.name] = load_package(folder, verify=verify)
        except ArtifactError as error:
            found.bad[printable(folder.name)] = printable(str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one, the others are to be had
            found.bad[printable(folder.name)] = printable(
                f"{folder} cannot be read: {type(error).__name__}: {error}"
            )
    return found


def load_package(folder: Path, *, verify: bool = True) -> Package:
    """The package in `folder`. With `verify`, every artefact's sha256 is checked and the stems are hashed anew.

    Raises ArtifactError. Verifying costs some milliseconds a megabyte.
    """
    path = folder / TASKS_MANIFEST
    try:
        package = parse(text_at(path), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path} cannot be read: {error}; publish a task package there, for instance with `gearshift train-tasks`"
        ) from error
    base = package.base
    if base.name != folder.name:
        raise ArtifactError(
            f"{path}: base.name is {base.name!r}, the folder {folder.name!r}; make them the same"
        )
    artefacts = {base.artifact: base.sha256}
    artefacts |= {head.artifact: head.sha256 for task in package.tasks for head in task.heads}
    for name, digest in artefacts.items():
        _check_artefact(folder / name, digest, verify)
    if verify:
        check_base(base, network_at(folder / base.artifact))
    return package


def publish_package(root: Path, package: Package, files: Files) -> Package:
    """Make `package` visible under `root`, replacing the one of its base's name; `files` has all of its artefacts.

    Returns the package as published: `artifact` and `sha256` are filled in here. Raises ArtifactError where a point is
    none of the network or a head does not fit its point, OSError when the disk refuses; then nothing has changed for
    readers. Artefacts that are replaced stay until the next publication, for those who are about to open them.
    """
    base = package.base
    if not is_plain_name(base.name):  # before a folder is made of it
        raise ArtifactError(
            f"base {base.name!r} must have a plain name: letters, digits and _.-; rename it"
        )
    _check_files(package, {base.name, *_heads_of(package.tasks)}, files)
    folder = root / base.name
    folder.mkdir(parents=True, exist_ok=True)
    with sole_publisher(folder) as publication:
        return _commit(publication, package, files)


def _heads_of(tasks: Sequence[SharedTask]) -> list[tuple[str, int]]:
    return [(task.name, head.frozen) for task in tasks for head in task.heads]


def _check_files(package: Package, wanted: set[str | tuple[str, int]], files: Files) -> None:
    if wrong := sorted(map(str, wanted ^ files.keys())):
        raise ArtifactError(
            f"package {package.base.name}: files are missing or not asked for: {', '.join(wrong)}; "
            "give one for the base and for every (task, frozen)"
        )


def _commit(publication: Publication, package: Package, files: Files) -> Package:
    """Write the artefacts in `files`, then `tasks.toml`. Needs the lock."""
    folder = publication.folder
    replaced = named_in(folder)
    base = package.base
    check_base(base, network_at(files[base.name]))
    placed = publication.place(base.name, files[base.name])
    base = replace(base, artifact=placed.file, sha256=placed.sha256)
    tasks = tuple(_placed(publication, package, t, files) for t in package.tasks)
    published = replace(package, base=base, tasks=tasks)
    present = text_of(folder / TASKS_MANIFEST)
    text = _manifest(publication, published, present)
    publication.write_manifest(TASKS_MANIFEST, text, present)
    sync_folder(folder.parent)
    publication.sweep(replaced)
    return published


def _manifest(publication: Publication, package: Package, present: str | None) -> str:
    """The manifest's new text: the present one with what changes, or a new one where none is there or it is damaged."""
    path = publication.folder / TASKS_MANIFEST
    text = render(package)
    wanted = parse(text, str(path))  # what could not be read back is not published
    if present is None and not path.exists():
        return text
    try:
        before = render(parse((present or "").removeprefix(BYTE_ORDER_MARK), str(path)))
        made = edited(present or "", tomllib.loads(before), tomllib.loads(text))
        if parse(made.removeprefix(BYTE_ORDER_MARK), str(path)) == wanted:
            return made
    except (ArtifactError, ValueError):  # damaged, or written in a way that cannot be edited
        pass
    publication.set_aside(TASKS_MANIFEST)
    return text


def _placed(
    publication: Publication, package: Package, task: SharedTask, files: Files
) -> SharedTask:
    if not is_plain_name(task.name):  # before a file is called so
        raise ArtifactError(
            f"task {task.name!r} must have a plain name: letters, digits and _.-; rename it"
        )

    def of(head: Head) -> Head:
        source = files[task.name, head.frozen]
        check_head(package.base, task.name, head, network_at(source))
        placed = publication.place(f"{task.name}-{head.frozen}", source)
        return replace(head, artifact=placed.file, sha256=placed.sha256)

    return replace(task, heads=tuple(of(head) for head in task.heads))


def _check_artefact(path: Path, digest: str, verify: bool) -> None:
    if not path.is_file():
        raise ArtifactError(f"artefact {path} is missing; publish the package again")
    try:
        found = sha256_of(path) if verify else digest
    except OSError as error:
        raise ArtifactError(f"artefact {path} cannot be read: {error.strerror}") from error
    if found != digest:
        raise ArtifactError(
            f"artefact {path} is damaged: its sha256 is {found}, {TASKS_MANIFEST} says {digest}; "
            "put the right file there or publish the package again"
        )
