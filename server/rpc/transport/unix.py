"""A Unix socket's file: made for those of its group, taken over from a server that died, never from one that lives."""

import os
import socket
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_MASK = 0o117
"""Owner and group may connect."""


def bound(path: str, bind: Callable[[], object]) -> None:
    """Have `bind` make the socket at `path`. Raises OSError where another server listens, or something else is."""
    file = Path(path)
    try:
        found = file.lstat()
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISSOCK(found.st_mode):
            raise OSError(f"cannot listen on {path}: there is a file that is no socket")
        if _answers(path):
            raise OSError(f"cannot listen on {path}: another server does")
        file.unlink()
    before = os.umask(_MASK)
    try:
        bind()
    finally:
        os.umask(before)


def remove(path: str) -> None:
    """Remove the socket, where it is one still."""
    with suppress(OSError):
        if stat.S_ISSOCK(Path(path).lstat().st_mode):
            Path(path).unlink()


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as one:
        try:
            one.connect(path)
        except OSError:
            return False
        return True
