"""The server's log: a line a message, whatever is in it."""

import logging
import sys

import pytest

from server.__main__ import _Escaping  # pyright: ignore[reportPrivateUsage]


def written(message: str, *args: object, fault: BaseException | None = None) -> str:
    found = (type(fault), fault, None) if fault else None
    record = logging.LogRecord("x", logging.INFO, "", 0, message, args, found)
    return _Escaping("%(levelname)s %(message)s").format(record)


def test_a_message_stays_on_its_line_and_acts_on_no_terminal():
    assert written("family %s", "a\n2026 CRITICAL fake \x1b[2J") == (
        "INFO family a\\n2026 CRITICAL fake \\x1b[2J"
    )


def test_a_traceback_keeps_its_lines_and_is_escaped():
    told = written("died", fault=ValueError("\x1b[31mred"))

    assert told.splitlines() == ["INFO died", "ValueError: \\x1b[31mred"]


def test_arguments_that_do_not_fit_raise_in_nobodys_thread(capsys: pytest.CaptureFixture[str]):
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Escaping("%(message)s"))

    handler.handle(logging.LogRecord("x", logging.INFO, "", 0, "%d", ("a",), None))

    assert "Logging error" in capsys.readouterr().err
