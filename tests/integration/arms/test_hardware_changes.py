"""A running server loses a core and gets it back: it says so, serves on with what it has, and nobody sees an error."""

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving.families import ECHO, publish_scripted, rows
from tests.support.serving.scraping import scrape, total
from tests.support.serving.server import Server, a_request, eventually, serving

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

pytestmark = pytest.mark.skipif(len(CORES) < 2, reason="needs two cores to take one away")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Two arms, one worker a core."""
    scripts = {"quick": "fixed_s = 0.001", "sharp": "fixed_s = 0.004"}
    publish_scripted(tmp_path / "models", ECHO, scripts, {"quick": 0.6, "sharp": 0.8})
    with serving(
        tmp_path / "models", tmp_path, GEARSHIFT__MACHINE__WATCH_EVERY_S="0.05"
    ) as running:
        yield running


def confined(server: Server, cores: list[int]) -> None:
    """Give every thread of the server these cores only, as `taskset -ap` does."""
    for thread in Path(f"/proc/{server.process.pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def test_a_core_taken_and_given_back_costs_no_request(server: Server):
    failures: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                server.infer(a_request("echo", rows(1.0)))
            except Exception as error:  # noqa: BLE001 - whatever it is, the test is to show it
                failures.append(str(error))

    client = threading.Thread(target=ask)
    client.start()
    confined(server, CORES[:1])
    server.await_line(re.compile(rf"usable cores .*: {len(CORES)} -> 1"))
    server.await_line(re.compile("echo: serving on [0-9a-f]+ with what held before of it"))
    confined(server, CORES)
    server.await_line(re.compile(rf"usable cores .*: 1 -> {len(CORES)}"))
    server.await_line(re.compile("echo: serving on [0-9a-f]+ with what is known of it"))
    stop.set()
    client.join()

    assert failures == []
    changes = total(scrape(server), "gearshift_hardware_changes_total", kind="CoresChanged")
    assert changes == 2


def test_nobody_there_is_time_to_measure_the_new_hardware(server: Server):
    confined(server, CORES[:1])

    server.await_line(re.compile("echo: hardly anybody asks; measuring on this hardware"))
    found = server.await_line(re.compile("echo: measured on ([0-9a-f]+)"))

    def is_in_force() -> None:
        assert found[1] in "".join(str(sample) for sample in scrape(server))

    eventually(is_in_force)


def test_sessions_are_opened_anew_for_the_threads_that_there_are_now(tmp_path: Path):
    publish_scripted(tmp_path / "models", ECHO, {"only": "fixed_s = 0.001"})
    flags = ("--workers", "1")  # on as many threads as there are cores

    with serving(
        tmp_path / "models", tmp_path, *flags, GEARSHIFT__MACHINE__WATCH_EVERY_S="0.05"
    ) as running:
        confined(running, CORES[:1])
        running.await_line(re.compile("echo: only on scripted now runs on 1 thread"))
        running.infer(a_request("echo", rows(1.0)))
        confined(running, CORES)
        running.await_line(re.compile(rf"echo: only on scripted now runs on {len(CORES)} thread"))
        running.infer(a_request("echo", rows(1.0)))
