"""A good neighbour: forty requests a second to a server under attack, each answer compared, times and memory noted."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from models.catalog import TensorSpec
from tests.support.serving.attacks import FAMILY, WIDE
from tests.support.serving.families import ECHO, publish_scripted
from tests.support.serving.server import ROOT, SERVICE, Server, a_request, output, serving
from wire import inference_pb2 as pb

RATE_RPS = 40
_WARM_UP_S = 0.5


@dataclass(slots=True)
class Fared:
    """What one attack did to the neighbour (latencies in s, in the order sent) and to the server's memory (bytes)."""

    latencies_s: list[float] = field(default_factory=list[float])
    wrong: list[str] = field(default_factory=list[str])
    grown_bytes: int = 0

    def quantile_s(self, share: float) -> float:
        """The latency that this share of the answers is within."""
        return float(np.quantile(self.latencies_s, share))


@contextmanager
def attackable(root: Path, *flags: str, **environment: str) -> Iterator[Server]:
    """A server of two scripted families: `echo` for the neighbour, and one with large answers to be attacked."""
    publish_scripted(root / "models", ECHO)
    wide = (TensorSpec("y", "FP32", (-1, WIDE)),)
    publish_scripted(root / "models", replace(ECHO, name=FAMILY, outputs=wide, labels=()))
    with serving(root / "models", root / "cache", *flags, **environment) as server:
        _at_work(server)
        yield server


def _at_work(server: Server) -> None:
    """Have the large family run full batches for good clients: what its model takes is no attacker's doing."""
    x = np.ones((4, 16), np.float32)
    for _ in range(10):
        asked = [server.begin(a_request(FAMILY, x)) for _ in range(8)]
        for one in asked:
            one.exception()


def suffer(server: Server, attack: str, seconds: float) -> Fared:
    """Be its neighbour for as long as the attack lasts."""
    pid = server.process.pid
    _keep_company(server, _WARM_UP_S)
    before = _memory(pid, "VmRSS")
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    with attacking(server, attack, seconds) as attacker:
        fared = _keep_company(server, seconds, attacker)
    fared.grown_bytes = _memory(pid, "VmHWM") - before
    return fared


@contextmanager
def attacking(server: Server, attack: str, seconds: float) -> "Iterator[subprocess.Popen[bytes]]":
    """The attack, in a process of its own, which ends with the block."""
    command = [
        sys.executable,
        "-m",
        "tests.support.serving.attacks",
        attack,
        str(server.port),
        str(server.http_port),
        str(seconds),
    ]
    with subprocess.Popen(command, cwd=ROOT) as attacker:
        yield attacker
        attacker.kill()


def _keep_company(
    server: Server, seconds: float, attacker: "subprocess.Popen[bytes] | None" = None
) -> Fared:
    """Ask at even times, whatever became of earlier requests."""
    fared, done = Fared(), threading.Semaphore(0)
    with grpc.insecure_channel(server.url, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        ask = channel.unary_unary(
            SERVICE + "ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )
        begin_s, number = time.monotonic(), 0
        while time.monotonic() < begin_s + seconds + 1.0 * (attacker is not None):
            time.sleep(max(0.0, begin_s + number / RATE_RPS - time.monotonic()))
            _ask(ask, float(number % 1000), fared, done)
            number += 1
        for _ in range(number):
            done.acquire(timeout=60.0)
    return fared


def _ask(ask: Any, value: float, fared: Fared, done: threading.Semaphore) -> None:
    x = np.full((1, 16), value, np.float32)
    sent_s = time.monotonic()
    future = ask.future(a_request("echo", x, f"{value}"), timeout=30.0)

    def heard(_: Any) -> None:
        fared.latencies_s.append(time.monotonic() - sent_s)
        with suppress(grpc.FutureCancelledError):
            error = future.exception()
            if error is not None:
                fared.wrong.append(f"{error.code()}: {error.details()}")
            elif (
                future.result().id != f"{value}"
                or (output(future.result()) != _expected(value)).any()
            ):
                fared.wrong.append(f"{value}: {output(future.result())}")
        done.release()

    future.add_done_callback(heard)


def _expected(value: float) -> NDArray[np.float32]:
    """What the scripted family answers: the row's level, its half, its third, ..."""
    return np.float32(value) / np.arange(1, 5, dtype=np.float32)


def _memory(pid: int, key: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split(key + ":")[1].split()[0]) << 10
