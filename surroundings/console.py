"""A command's run: standard streams that are there, take every character, and may be closed by who reads them."""

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class _OutputLost(Exception):
    """Standard output takes no more: a full disk, or a reader that has gone."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


class _Stream(io.FileIO):
    """Standard output or error."""

    def write(self, data: Any, /) -> int:
        """As FileIO's; raises _OutputLost. What standard error does not take is lost: there is nowhere to say so."""
        try:
            return super().write(data)
        except OSError as error:
            if self.fileno() == 1:
                raise _OutputLost(error) from error
            return memoryview(data).nbytes


def run(main: Callable[[list[str]], int | None], arguments: list[str]) -> int:
    """What `main` answers for these arguments, as an exit code; 0 where whoever read its output has had enough.

    2 with one line on stderr where its output cannot be written.
    """
    _open_missing()
    for number, name in ((1, "stdout"), (2, "stderr")):
        _renew(number, name)
    try:
        return _run(main, arguments)
    except UnicodeError as error:
        if all(_is_text(argument) for argument in arguments):
            raise
        print(
            f"an argument has bytes that are no UTF-8 where text is needed ({error})",
            file=sys.stderr,
        )
        return 2
    except _OutputLost as lost:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if lost.error.errno == errno.EPIPE:
            return 0
        print(f"standard output cannot be written to: {lost.error.strerror}", file=sys.stderr)
        return 2


def _run(main: Callable[[list[str]], int | None], arguments: list[str]) -> int:
    try:
        code = int(main(arguments) or 0)
    except SystemExit:  # a parser's, after its help
        sys.stdout.flush()
        raise
    sys.stdout.flush()
    return code


def _renew(number: int, name: str) -> None:
    """The standard stream anew: no path and no sign is worth a traceback, and nor is a full disk."""
    stream = getattr(sys, name)
    if not isinstance(stream, io.TextIOWrapper):
        return
    stream.reconfigure(errors="backslashreplace")
    with suppress(io.UnsupportedOperation):
        if stream.fileno() == number:
            stream.flush()
            binary = io.BufferedWriter(_Stream(number, "w", closefd=False))
            renewed = io.TextIOWrapper(
                binary,
                stream.encoding,
                "backslashreplace",
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, renewed)


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
