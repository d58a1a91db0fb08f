"""Kills a process, from within, at a chosen moment of its work on files: what is left on disk is the test's affair."""

import io
import itertools
import os
import signal
import sys
from types import FrameType
from typing import Any

_ON_FILES = {"open", "os", "fcntl", "tempfile"}


def die_at(step: int) -> None:
    """SIGKILL for this process just before its `step`-th operation on files: the system's, or a file object's own."""
    left = itertools.count(step, -1)

    def count() -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def audited(event: str, arguments: tuple[Any, ...]) -> None:
        del arguments
        if event.partition(".")[0] in _ON_FILES:
            count()

    def called(frame: FrameType, event: str, function: Any) -> None:
        del frame
        if event == "c_call" and (
            isinstance(getattr(function, "__self__", None), io.IOBase) or function is os.fsync
        ):
            count()

    sys.addaudithook(audited)
    sys.setprofile(called)
