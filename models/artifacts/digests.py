"""Contents of files by their sha256, and whether a file is still the one that was looked at."""

import hashlib
from pathlib import Path

Mark = tuple[int, int, int, int, int]
"""Of a file: device, inode, size (bytes), when its content and when anything about it changed (ns)."""


def sha256_of(path: Path) -> str:
    """The file's sha256 as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def mark_of(path: Path) -> Mark:
    """What tells the file from a later one at the same path. Raises OSError."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
