"""Compiled graphs on disk, for the next start: an entry is used only where it is whole and of all that it follows from.

Its name says which artefact, runtime, processor, options and code of ours it is of; its content begins with the same
and with a digest over everything. What is not so is passed over and written anew.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from models.artifacts.digests import sha256_of
from models.backends.cache import read_entry, set_aside, write_entry
from models.catalog import Family
from surroundings.folders import kept

MOST_BYTES = 1 << 30
"""All entries together; those that were not read for longest go first."""
UNREAD_S = 30 * 24 * 3600.0
"""An entry that was not read for so long (s) is of an artefact that is not served any more."""

_ENDING = ".graph"
_OURS = re.compile(r"openvino-[0-9a-f]{40}\.(graph|damaged)|\.new-[A-Za-z0-9_]{8}")
"""Names that this module gives; nothing else in the folder is touched."""
_ABANDONED_S = 3600.0
"""What was being written so long ago (s) nobody is writing any more."""


class KeptGraphs:
    """Those of one artefact under some options; `folder` is made if it can be."""

    def __init__(self, of: Mapping[str, object], folder: Path) -> None:
        self._of = dict(of)
        self._folder = folder

    def read(self, rows: int) -> bytes | None:
        """What `write` was given for so many rows; None where there is no such entry, or it is not as it was."""
        path, key = self._entry(rows)
        if not _is_own(path):
            return None
        content = read_entry(path)
        if content is None or content[: len(key)] != key:
            return None
        os.utime(path)
        return content[len(key) :]

    def write(self, rows: int, content: bytes) -> None:
        """Keep it: whole or not at all."""
        path, key = self._entry(rows)
        make_folder(self._folder)
        write_entry(path, key + content)
        sweep(self._folder)

    def reject(self, rows: int, reason: str) -> None:
        """What `read` gave is of no use after all."""
        set_aside(self._entry(rows)[0], reason)

    def _entry(self, rows: int) -> tuple[Path, bytes]:
        text = json.dumps({**self._of, "rows": rows}, sort_keys=True)
        key = hashlib.sha256(text.encode()).digest()
        return self._folder / f"openvino-{key.hex()[:40]}{_ENDING}", key


def kept_graphs(
    path: Path, family: Family, runtime: str, options: Mapping[str, object]
) -> KeptGraphs:
    """Those of the artefact at `path`, compiled by this `runtime` (version and what it computes in) with `options`.

    Raises OSError where the artefact cannot be read.
    """
    of = {
        "artefact": sha256_of(path),
        "inputs": [(s.name, s.datatype, s.shape) for s in family.inputs],
        "outputs": [(s.name, s.datatype, s.shape) for s in family.outputs],
        "runtime": runtime,
        "processor": _processor(),
        "options": {name: str(value) for name, value in options.items()},
        "code": _code(),
    }
    return KeptGraphs(of, kept("graphs"))


def make_folder(folder: Path) -> None:
    """For this user alone. Where it cannot be made, nothing is kept."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return


def sweep(folder: Path, now_s: Callable[[], float] = time.time) -> None:
    """Remove what was not read for long, and what is more than MOST_BYTES in all; only files of ours."""
    found = sorted(
        ((stat.st_mtime, stat.st_size, path) for path, stat in _ours(folder)), reverse=True
    )
    size = 0
    for read_s, one, path in found:
        size += one
        limit_s = _ABANDONED_S if path.name.startswith(".new-") else UNREAD_S
        if size > MOST_BYTES or now_s() - read_s > limit_s:
            path.unlink(missing_ok=True)


def _ours(folder: Path) -> list[tuple[Path, os.stat_result]]:
    try:
        named = [path for path in folder.iterdir() if _OURS.fullmatch(path.name)]
        return [(path, path.lstat()) for path in named]
    except OSError:  # another process sweeps too
        return []


def _is_own(path: Path) -> bool:
    """Whether it is there, and nobody else's."""
    try:
        return path.lstat().st_uid == os.geteuid() and path.is_file()
    except OSError:
        return False


@cache
def _code() -> str:
    """A digest of our code that an artefact is checked and compiled by."""
    ours = files("models.backends")
    names = ("openvino_backend.py", "openvino_types.py", "signature.py", "openvino_graphs")
    found = [ours / name for name in names]
    sources = [one for file in found for one in ([file] if file.is_file() else file.iterdir())]
    texts = sorted(one.read_bytes() for one in sources if one.name.endswith(".py"))
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


@cache
def _processor() -> str:
    """A digest of what the processor is and can do, as the system says."""
    wanted = ("model name", "flags", "Features", "CPU part")
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    said = sorted({line for line in lines if line.startswith(wanted)})
    return hashlib.sha256("\n".join(said).encode()).hexdigest()
