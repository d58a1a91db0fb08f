"""Files that people write, read without trust: only real files are opened, and what is odd in one is a ValueError."""

import errno
import os
import stat
import tomllib
from pathlib import Path
from typing import Any


def bytes_at(path: Path) -> bytes:
    """The file's content. Raises OSError, for a pipe or a device too: reading one may never end."""
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(opened, "rb") as file:  # noqa: PTH123 - a descriptor has no Path
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return file.read()


def text_at(path: Path) -> str:
    """Its text with plain line ends, without a byte-order mark. Raises OSError, or UnicodeDecodeError."""
    return bytes_at(path).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def toml_in(text: str) -> dict[str, Any]:
    """What a TOML text says. Raises ValueError, whatever is wrong with it."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
