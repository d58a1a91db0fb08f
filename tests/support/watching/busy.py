"""A real server of which every dashboard has something to show: requests, a candidate on trial, streams of tasks."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from tests.support.serving.families import ECHO, publish_scripted, rows
from tests.support.serving.feed import Feed
from tests.support.serving.server import Server, a_request, serving
from tests.support.sharing.asked import LEVELS, SHARED, a_frame, analyse, opening, until
from tests.support.sharing.packages import a_package
from wire import tasks_pb2 as pb

SCRIPTS = {"quick": "fixed_s = 0.001", "sharp": "fixed_s = 0.003"}
ACCURACIES = {"quick": 0.7, "sharp": 0.8}
SETTINGS = {
    **SHARED,
    "GEARSHIFT__CANDIDATES__SHADOW_SHARE": "1",
    "GEARSHIFT__CANDIDATES__TRIAL_ROWS": "24",
    "GEARSHIFT__MACHINE__PRICE_PER_CORE_HOUR": "0.04",
    "GEARSHIFT__SERVER__TRITON_METRICS": "true",
}
CLIENTS = 3
FRAMES = 20
"""Of one label, in one round of the stream."""
PAUSE_S = 0.1
"""Between two rounds."""
STREAM_S = 20.0


@contextmanager
def busy(folder: Path, *flags: str) -> Generator[Server]:
    """A server under load until the end. `publish` with `sharp` brings a candidate."""
    publish(folder, "quick")
    a_package(folder / "models", tuple(LEVELS))
    with serving(folder / "models", folder, "--workers", "2", *flags, **SETTINGS) as server:
        stop = threading.Event()
        threads = [threading.Thread(target=_ask, args=(server, stop)) for _ in range(CLIENTS)]
        threads.append(threading.Thread(target=_stream, args=(server, stop)))
        for thread in threads:
            thread.start()
        try:
            yield server
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def publish(folder: Path, *variants: str) -> None:
    """The family `echo` with these variants; `sharp` is a candidate."""
    scripts = {name: SCRIPTS[name] for name in variants}
    candidates = {"sharp"} & set(variants)
    publish_scripted(folder / "models", ECHO, scripts, ACCURACIES, candidates)


def _ask(server: Server, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            server.infer(a_request("echo", rows(1.0)))
        except grpc.RpcError:
            return  # the test that asks for data says what is missing


def _stream(server: Server, stop: threading.Event) -> None:
    """One stream after the other: a call may last a minute."""
    while not stop.is_set():
        _one_stream(server, stop, time.monotonic() + STREAM_S)


def _one_stream(server: Server, stop: threading.Event, until_s: float) -> None:
    """Frames, dark and bright by turns, with labels that say so."""
    feed = Feed(opening())
    answers = analyse(server, feed)
    first = 0
    while not stop.wait(PAUSE_S) and time.monotonic() < until_s:
        last = first + 2 * FRAMES - 1
        for number in range(first, last + 1):
            feed.put(a_frame(number, 200.0 if number - first >= FRAMES else 0.0))
        until(answers, last)
        feed.put(pb.AnalyseRequest(labels=pb.Labels(task="a", windows=_windows(first))))
        first = last + 1
    feed.end()
    for _ in answers:  # those of the last labels
        pass


def _windows(first: int) -> list[Any]:
    return [
        pb.LabelledWindow(first_frame=at, last_frame=at + FRAMES - 1, event=event)
        for at, event in ((first, False), (first + FRAMES, True))
    ]
