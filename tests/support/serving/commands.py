"""Commands of ours and servers started in odd ways, from end to end."""

import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import create_server

import pytest

from tests.support.serving.families import expected_echo, rows
from tests.support.serving.server import (
    ROOT,
    Server,
    a_request,
    output,
    surroundings,
)

Ended = subprocess.CompletedProcess[str]
GEARSHIFT = (sys.executable, "-m", "gearshift")
_WITHIN_S = 110.0
"""Just less than a test may take."""


def gearshift(
    *words: str, cache: Path | None = None, prefix: Sequence[str] = (), **environment: str
) -> Ended:
    """`gearshift WORDS` to its end, whatever its exit code; it must not show a traceback.

    With `cache` it runs in the `surroundings` of a server, else in the test's own.
    """
    around = None if cache is None else surroundings(cache, environment)
    done = ended([*prefix, *GEARSHIFT, *words], around)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def ended(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Ended:
    """Any command, from the root of the repository, to its end, whatever its exit code."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_WITHIN_S,
        check=False,
    )


@contextmanager
def started(command: Sequence[str], environment: Mapping[str, str]) -> Generator[Server]:
    """A server started by this command line in just this environment; it must end with 0 and without a traceback."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            server = Server(process)
            server.await_serving()
            yield server
            server.channel.close()
            server.terminate()
            assert server.ended() == 0, server.log
            assert "Traceback" not in server.log
        finally:
            process.kill()


def assert_answers(server: Server) -> None:
    """Fail unless its family `echo` answers rightly."""
    answer = output(server.infer(a_request("echo", rows(1.0))))
    assert answer == pytest.approx(expected_echo(rows(1.0)))


def free_port() -> int:
    """A port of the loopback interface that is free now."""
    with create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
