"""A command's run: standard streams that are there, take every character, and may be closed by who reads them."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper


def run(main: Callable[[list[str]], int | None], arguments: list[str]) -> int:
    """What `main` answers for these arguments, as an exit code; 0 where whoever read its output has had enough."""
    _open_missing()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # no path and no sign is worth a traceback
    try:
        code = int(main(arguments) or 0)
        sys.stdout.flush()
    except UnicodeError as error:
        if all(_is_text(argument) for argument in arguments):
            raise
        print(
            f"an argument has bytes that are no UTF-8 where text is needed ({error})",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    return code


def _is_text(argument: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in argument)


def _open_missing() -> None:
    """A closed standard stream would be the next file or socket opened: what is written goes nowhere instead."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        with suppress(OSError):
            os.fstat(number)
            continue
        mode = os.O_RDONLY if number == 0 else os.O_WRONLY
        opened = os.open(os.devnull, mode)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
