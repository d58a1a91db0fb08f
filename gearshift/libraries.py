"""Standard output kept for the answer alone while C libraries work."""

import ctypes
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

_OUTPUT = 1
"""The file descriptor of standard output."""


@contextmanager
def libraries_silenced() -> Generator[None]:
    """What the process prints meanwhile is lost: HiGHS has lines for standard output that none of its options stops."""
    if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] - None where it was closed at the start
        sys.stdout.flush()
    try:
        kept = os.dup(_OUTPUT)
    except OSError:  # closed: there is nothing to keep
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, _OUTPUT)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # what C holds back would follow the answer
        os.dup2(kept, _OUTPUT)
        os.close(kept)
        os.close(nowhere)
