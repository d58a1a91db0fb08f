"""`gearshift models remove`: a family, or one variant of it, goes; what else lies in its folder stays."""

import argparse
from pathlib import Path

from models.managing.action import Action
from models.managing.removing import Removed, remove_family, remove_variant

_LISTED = 10
"""So many files that stay are named."""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("family", help="its name in the repository")
    parser.add_argument("--variant", metavar="NAME", help="only this one; not the last")


def _run(root: Path, given: argparse.Namespace) -> str:
    if given.variant is None:
        removed, what = remove_family(root, given.family), f"family {given.family}"
    else:
        removed = remove_variant(root, given.family, given.variant)
        what = f"variant {given.variant} of family {given.family}"
    return "\n".join(_lines(root / given.family, what, removed, whole=given.variant is None))


def _lines(folder: Path, what: str, removed: Removed, *, whole: bool) -> list[str]:
    lines = [f"removed {what}", *(f"  deleted {folder / name}" for name in removed.gone)]
    if whole and removed.left:
        shown = ", ".join(removed.left[:_LISTED])
        more = f" and {len(removed.left) - _LISTED} more" if len(removed.left) > _LISTED else ""
        lines.append(
            f"{folder} stays with {shown}{more}: family.toml did not name it, or it is not as that said"
        )
    server = "serves it until a client unloads it or it stops" if whole else "lets it go by itself"
    return [*lines, f"a server that runs {server}"]


REMOVE = Action(
    "remove", "delete a family, or one variant of it; other files stay", _add_options, _run
)
