"""What a file of torch is, by what lies in its archive: a program, a script, or a pickle. Nothing is loaded."""

import zipfile
from pathlib import Path

from models.build.errors import BuildError

TORCH = {".pt", ".pth", ".pt2", ".ts", ".torchscript"}
"""Endings of what torch saves."""
GRAPH, PROGRAM, SCRIPT = "graph", "program", "script"
"""Kinds of files."""


def recipe(name: str = "x") -> str:
    """How a network is exported so that any number of rows runs; `name`: of its input."""
    return (
        "export the network where its class is at hand: `program = torch.export.export(net.eval(), (example,), "
        f"dynamic_shapes={{'{name}': {{0: torch.export.Dim('rows', min=1, max=32)}}}})`, with an example of two rows "
        "and inputs as forward calls them, then `torch.export.save(program, 'net.pt2')`"
    )


def kind_of(path: Path) -> str:
    """GRAPH, PROGRAM or SCRIPT. Raises BuildError where a file of torch is neither of the latter."""
    if path.suffix.lower() not in TORCH:
        return GRAPH
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
            begins = min((one.header_offset for one in archive.infolist()), default=-1)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BuildError(_no_archive(path, error)) from error
    if begins != 0:  # an archive within what is left of another
        raise BuildError(_no_archive(path, "it is not whole"))
    if "archive_format" in names or any(name.startswith("models/") for name in names):
        if path.suffix != ".pt2":
            raise BuildError(f"{path} is a program of torch.export; rename it to {path.stem}.pt2")
        return PROGRAM
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return SCRIPT
    raise BuildError(
        f"{path} is a pickle of weights or of a module, without the network's operators; it is not opened, as it would "
        f"run what its maker put in it: {recipe()}"
    )


def _no_archive(path: Path, error: object) -> str:
    try:
        with path.open("rb") as opened:
            begin = opened.read(2)
    except OSError:
        begin = b""
    if begin[:1] == b"\x80":
        return f"{path} is a pickle, which is not opened, as it would run what its maker put in it: {recipe()}"
    return f"{path} is empty or damaged, no archive of torch ({error}); save it again"
