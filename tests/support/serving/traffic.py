"""Traffic as production has it, against a real server: clients of every kind while variants, connections and time go.

Well-behaved clients count what they sent and got; the server's own counters must say the same.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client.parser import text_string_to_metric_families

from tests.support.serving import traffic_family
from tests.support.serving.resetting import Resetting
from tests.support.serving.server import PATIENCE_S, ROOT, Server
from tests.support.serving.traffic_client import AT_WORK

CLASSES = ("unary", "stream", "rude")
"""SLO classes, one a kind of client."""
_FOREVER_S = 1e6
_Do = TypeVar("_Do", bound=Callable[[], None])


@dataclass(frozen=True, slots=True)
class Plan:
    """How much: requests a client, or seconds, whichever ends first; clients by kind; the length (s) of a stop."""

    requests: int = 10_000_000
    seconds: float = _FOREVER_S
    unary: int = 1
    stream: int = 1
    rude: int = 1
    stop_s: float = 0.4


@dataclass(frozen=True, slots=True)
class Outcome:
    """What clients saw, by kind, and what went on meanwhile."""

    seen: dict[str, list[dict[str, Any]]]
    stops: int
    changes: int
    resets: int
    killed: int

    def total(self, kind: str, what: str) -> int:
        """One of a client's counts, over all clients of a kind."""
        return sum(one[what] for one in self.seen[kind])

    def codes(self, kind: str) -> Counter[str]:
        """How often each refusal came."""
        return sum((Counter(one["codes"]) for one in self.seen[kind]), Counter[str]())

    @property
    def wrong(self) -> list[str]:
        """Everything that must not be."""
        return [text for ones in self.seen.values() for one in ones for text in one["wrong"]]


def drive(server: Server, repository: Path, plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Run the plan to its end. `say` is told how far it is, every few seconds."""
    over = threading.Event()
    with ExitStack() as stack:
        proxy = stack.enter_context(Resetting.to(server.port))
        stops = stack.enter_context(_often(over, 2.0, _Stops(server.process.pid, plan.stop_s)))
        changes = stack.enter_context(_often(over, 1.5, _Changes(repository)))
        doomed = stack.enter_context(_often(over, 3.0, _Doomed(server.url)))
        stack.enter_context(_often(over, 5.0, lambda: say(_progress(server))))
        clients = {
            kind: [_client(url, kind, seed, plan) for url, seed in where]
            for kind, where in _places(server, proxy, plan).items()
        }
        seen = {kind: [_told(one) for one in ones] for kind, ones in clients.items()}
        over.set()
    return Outcome(seen, stops.count, changes.count, proxy.resets, doomed.count)


def counted(server: Server) -> dict[str, Counter[str]]:
    """SLO class -> outcome -> requests, as the server counts them."""
    counts: dict[str, Counter[str]] = {}
    for name, labels, value in _samples(server):
        if name == "gearshift_requests_total":
            counts.setdefault(labels["slo_class"], Counter())[labels["outcome"]] += int(value)
    return counts


def depth(server: Server) -> float:
    """Requests that wait, as the server counts them."""
    return sum(value for name, _, value in _samples(server) if name == "gearshift_queue_depth")


def status(server: Server, key: str) -> int:
    """A number of the server's process: VmRSS (kB), Threads."""
    text = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{key}:"))


class _Stops:
    """Stops the server's process for a while, as a hypervisor or an operator does."""

    def __init__(self, pid: int, most_s: float) -> None:
        self._pid, self._most_s, self._random, self.count = pid, most_s, random.Random(2), 0

    def __call__(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)
        try:
            time.sleep(self._random.uniform(0.05, self._most_s))
        finally:
            os.kill(self._pid, signal.SIGCONT)
        self.count += 1


class _Changes:
    """The visitor comes, and goes, and comes."""

    def __init__(self, repository: Path) -> None:
        self._repository, self.count = repository, 0

    def __call__(self) -> None:
        (traffic_family.go if self.count % 2 else traffic_family.come)(self._repository)
        self.count += 1


class _Doomed:
    """A client that is killed in the midst of it, once it has done a first round."""

    def __init__(self, url: str) -> None:
        self._url, self.count = url, 0

    def __call__(self) -> None:
        with _client(self._url, "rude", 900 + self.count, Plan()) as process:
            assert process.stderr is not None
            assert any(line.strip() == AT_WORK for line in process.stderr)
            process.kill()
        self.count += 1


@contextmanager
def _often(over: threading.Event, every_s: float, do: _Do) -> Iterator[_Do]:
    """Do it again and again, until it is over; what it raises is raised in the end."""
    failed: list[BaseException] = []

    def loop() -> None:
        try:
            while not over.wait(every_s):
                do()
        except Exception as error:  # noqa: BLE001 - the test's own thread has to know
            failed.append(error)

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield do
    finally:
        over.set()
        thread.join()
        if failed:
            raise failed[0]


def _places(server: Server, proxy: Resetting, plan: Plan) -> dict[str, list[tuple[str, int]]]:
    """Kind -> where each client sends, with its seed; half of the rude ones through the proxy."""
    rude = [(proxy.url if i % 2 == 0 else server.url, 300 + i) for i in range(plan.rude)]
    return {
        "unary": [(server.url, 100 + i) for i in range(plan.unary)],
        "stream": [(server.url, 200 + i) for i in range(plan.stream)],
        "rude": rude,
    }


def _client(url: str, kind: str, seed: int, plan: Plan) -> "subprocess.Popen[str]":
    what = [url, kind, str(seed), str(plan.requests), str(plan.seconds)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.serving.traffic_client", *what],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _told(client: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = client.communicate()
    assert client.returncode == 0, err[-2000:]
    return json.loads(out)


def _progress(server: Server) -> str:
    counts = counted(server)
    ended = ", ".join(f"{name} {sum(counts.get(name, {}).values())}" for name in CLASSES)
    return f"ended: {ended}; {status(server, 'VmRSS') // 1024} MiB, {status(server, 'Threads')} threads"


def _samples(server: Server) -> Iterator[tuple[str, dict[str, str], float]]:
    url = f"http://127.0.0.1:{server.http_port}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value
