"""Standard streams that are closed, full or read by nobody."""

import subprocess
from pathlib import Path

import grpc
import pytest

from tests.support.serving.commands import GEARSHIFT, Ended, ended, free_port
from tests.support.serving.server import (
    ROOT,
    serve_command,
    surroundings,
)


@pytest.mark.parametrize(
    "words",
    [
        "models list --repository {0}",
        "profile --family echo --budget-s 1 --repository {0}",
        "status --url 127.0.0.1:1",
    ],
)
def test_closed_standard_streams_are_no_matter(tmp_path: Path, models: Path, words: str):
    launch = f"{' '.join(GEARSHIFT)} {words.format(models)}"

    done = ended(["sh", "-c", f"{launch} <&- >&- 2>&-"], surroundings(tmp_path, {}))

    assert done.returncode == (2 if "url" in words else 0)


@pytest.mark.parametrize("words", ["--help", "serve --help", "models list --repository {0}"])
def test_output_that_cannot_be_written_is_said_and_blamed_on_nothing_else(
    tmp_path: Path, models: Path, words: str
):
    def ran(target: str) -> Ended:
        launch = f"{' '.join(GEARSHIFT)} {words.format(models)} {target}"
        return ended(["bash", "-c", launch], surroundings(tmp_path, {}))

    full, left = ran("> /dev/full"), ran("| true; exit ${PIPESTATUS[0]}")

    assert (full.returncode, full.stderr) == (
        2,
        "standard output cannot be written to: No space left on device\n",
    )
    assert (left.returncode, left.stderr) == (0, "")


def test_errors_that_cannot_be_written_leave_the_exit_code_as_it_is(tmp_path: Path):
    launch = f"{' '.join(GEARSHIFT)} status --url 127.0.0.1:1 2> /dev/full"

    done = ended(["sh", "-c", launch], surroundings(tmp_path, {}))

    assert done.returncode == 2


def test_a_server_whose_standard_streams_are_closed_serves(tmp_path: Path, models: Path):
    port = free_port()
    launch = " ".join(serve_command("--port", str(port), "--repository", str(models)))

    with subprocess.Popen(
        ["sh", "-c", f"exec {launch} <&- >&- 2>&-"], cwd=ROOT, env=surroundings(tmp_path, {})
    ) as process:
        try:
            channel = grpc.insecure_channel(f"127.0.0.1:{port}")
            grpc.channel_ready_future(channel).result(timeout=30)
            channel.close()
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
