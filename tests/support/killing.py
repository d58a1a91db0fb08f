"""Kills a process, from within, at a chosen moment of its work on files: what is left on disk is the test's affair."""

import io
import itertools
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
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
            isinstance(getattr(function, "__self__", None), io.IOBase)
            or function in (os.fsync, os.write)
        ):
            count()

    sys.addaudithook(audited)
    sys.setprofile(called)


def at_every_step(work: Path, change: Callable[[Path], object], most: int = 2000) -> None:
    """For each step a copy of `work`/models, at `work`/killed/STEP, and a death in `change(copy)`; until none comes.

    Raises RuntimeError where none does within `most` steps: then something was not tried.
    """
    for step in range(most):
        root = work / "killed" / str(step)
        shutil.copytree(work / "models", root)
        child = os.fork()
        if child == 0:
            die_at(step)
            change(root)
            os._exit(0)
        if os.waitpid(child, 0)[1] == 0:
            return
    raise RuntimeError(f"{most} steps did not suffice")
