"""What Gearshift wrote into a folder, noted before it is there: nothing that is not in this ledger is ever deleted.

A line a note, appended and made durable before the file that it is about comes to be; a line torn by a kill counts as
not written. A file is ours while its name and its whole content are as noted: one that somebody edited is theirs.
"""

import errno
import json
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import cast

from models.artifacts.digests import sha256_of
from models.artifacts.tables import ArtifactError
from surroundings.documents import bytes_at

LEDGER = ".gearshift-written"
_HEAD = "# What Gearshift wrote here and may clear away again. Without this file it clears nothing away.\n"
TEMPORARY = re.compile(r"\.(new|building)-[0-9a-f]{16}")
"""What names that a publication or a build gives for a while are like: no other name goes without proof."""
_SPARE_LINES = 64
"""Notes that no longer count, before the ledger is written anew."""


class Ledger:
    """The ledger of one folder. Only who holds the folder's lock may use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / LEDGER
        self._lines = 0
        self._lead = _HEAD
        self.temporary: set[str] = set()
        """Names that only a publication under way, or a dead one, has given."""
        self.files: dict[str, str] = {}
        """Name -> sha256 of what was placed."""
        self.pending: set[str] = set()
        """Those of `files` that no manifest was written for since."""
        self._read()

    def begin(self, name: str) -> None:
        """A temporary file or folder of that name is about to be made."""
        self.temporary.add(name)
        self._note("temporary", name)

    def place(self, name: str, sha256: str) -> None:
        """A file of that name and content is about to be there, where there was none."""
        self.files[name] = sha256
        self.pending.add(name)
        self._note("file", name, sha256)

    def commit(self) -> None:
        """What was placed so far is published, and no temporary file is left."""
        self._apply(["published"])
        self._note("published")

    def forget(self, name: str) -> None:
        """The name is no longer ours. On a full disk the note is left out: it names a file that is not there."""
        if name in self.temporary or name in self.files:
            self._apply(["forget", name])
            with suppress(OSError):
                self._note("forget", name, durably=False)

    def is_ours(self, name: str) -> bool:
        """Whether the file of that name is still, to the last byte, what was noted."""
        path, noted = self._folder / name, self.files.get(name)
        if noted is None or path.is_symlink() or not path.is_file():
            return False
        try:
            return sha256_of(path) == noted
        except OSError:
            return False

    def remove(self, name: str) -> None:
        """Delete the file of that name if it is ours; it is noted no longer in any case."""
        if self.is_ours(name):
            (self._folder / name).unlink(missing_ok=True)
        self.forget(name)

    def grown(self) -> bool:
        """Whether most of its lines no longer count."""
        return self._lines > 2 * (len(self.files) + len(self.temporary)) + _SPARE_LINES

    def shorten(self) -> None:
        """Write it anew without what no longer counts."""
        rows = [["file", name, digest] for name, digest in self.files.items()]
        done = [r for r in rows if r[1] not in self.pending]
        rows = [*done, ["published"], *(r for r in rows if r[1] in self.pending)]
        rows += [["temporary", name] for name in sorted(self.temporary)]
        made = self._folder / f".new-{secrets.token_hex(8)}"
        self.begin(made.name)
        with made.open("x", encoding="utf-8") as file:
            file.write(_HEAD + "".join(json.dumps(row) + "\n" for row in rows))
            file.flush()
            os.fsync(file.fileno())
        made.replace(self._path)
        self.temporary.discard(made.name)
        self._lines = len(rows)

    def _note(self, *row: str, durably: bool = True) -> None:
        """Append a line; after a torn one it begins anew."""
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            lead, self._lead = self._lead, "\n"
            line = f"{lead}{json.dumps(row)}\n".encode()
            if os.write(handle, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            if durably:
                os.fsync(handle)
        finally:
            os.close(handle)
        self._lead = ""
        self._lines += 1

    def _read(self) -> None:
        try:
            lines = bytes_at(self._path).decode(errors="replace").splitlines(True)
        except FileNotFoundError:
            return
        if lines and not _HEAD.startswith(lines[0].rstrip("\n")):
            raise ArtifactError(f"{self._path} is no ledger of Gearshift's; move it elsewhere")
        if lines:
            self._lead = "" if lines[-1].endswith("\n") else "\n"
        for line in lines[1:]:
            self._lines += 1
            self._apply(_row(line))

    def _apply(self, row: list[str]) -> None:
        match row:
            case ["temporary", name] if TEMPORARY.fullmatch(name):
                self.temporary.add(name)
            case ["file", name, digest]:
                self.files[name] = digest
                self.pending.add(name)
            case ["published"]:
                self.pending.clear()
                self.temporary.clear()
            case ["forget", name]:
                self.temporary.discard(name)
                self.files.pop(name, None)
                self.pending.discard(name)
            case _:
                pass


def _row(line: str) -> list[str]:
    """The words of a whole line; none of a torn or foreign one, or where a name is more than a name."""
    try:
        found: object = json.loads(line)
    except ValueError:
        return []
    row = cast("list[object]", found) if isinstance(found, list) else []
    if not all(isinstance(word, str) and _is_name(word) for word in row):
        return []
    return [str(word) for word in row]


def _is_name(word: str) -> bool:
    return word not in {"", ".", ".."} and Path(word).name == word
