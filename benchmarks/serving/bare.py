"""What the native front costs the server's CPU beside a bare nghttp2 server, for requests of 203 kB.

Two servers in turn on core 0, h2load on core 1: nghttpd, which reads a request and answers with a small file, and the
front alone, which checks each request as the whole server does and answers it at once. `front.py` measures the whole
server with the same request. CPU is that of the server's process from /proc.

.venv/bin/python benchmarks/serving/bare.py
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import front
import grpc
import numpy as np
from peers import picture_family, servers

from server.rpc.status import ending_of
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.hosting import Handler
from server.rpc.transport.native._core import Exchange
from server.rpc.transport.native.front import NativeFront
from wire import inference_pb2 as pb

CASES = ((1, 32), (32, 1))
"""Connections, and streams on each."""
WINDOWS = ["-w", "24", "-W", "24"]


class AtOnce:
    """Answers plain requests as a batch of them would be, with three numbers each."""

    def __init__(self, native: NativeFront) -> None:
        self._core = native.core
        answer = pb.ModelInferResponse(model_name=picture_family.NAME, model_version="1")
        answer.outputs.add(name="y", datatype="FP32", shape=(1, 3))
        self._common = answer.SerializeToString()

    def take(self, key: int, exchanges: list[Exchange]) -> None:  # noqa: ARG002 - as TakesPlain has it
        """As TakesPlain has it."""
        count = len(exchanges)
        rows = np.zeros((count, 3), np.float32)
        self._core.reply_all(
            exchanges, self._common, [rows], count, list(range(count)), [0.0] * count
        )

    def withdraw(self, exchange: Exchange) -> None:
        """As TakesPlain has it."""


def main() -> int:
    """Run the benchmark, or with --alone the front alone."""
    given = _parse()
    if given.alone:
        return serve_alone(given.alone)
    os.sched_setaffinity(0, {1})
    found: dict[tuple[str, tuple[int, int]], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="gearshift-bare-") as scratch:
        work = Path(scratch)
        body = write_body(work)
        for _ in range(given.rounds):
            for name in ("nghttpd", "front alone"):
                with running(name, work) as (pid, port):
                    for case in CASES:
                        drive(port, body, case, 1)
                        us = measure(pid, port, body, case, given.duration_s)
                        found.setdefault((name, case), []).append(us)
                        print(f"{name} {case}: {us:.0f} us", file=sys.stderr)
    print(render(found, given))
    return 0


def measure(pid: int, port: int, body: Path, case: tuple[int, int], duration_s: int) -> float:
    """CPU of this process per request, in us."""
    used_s = servers.cpu_s(pid)
    count = drive(port, body, case, duration_s)
    return (servers.cpu_s(pid) - used_s) / count * 1e6


def drive(port: int, body: Path, case: tuple[int, int], duration_s: int) -> int:
    """Have h2load ask for so long; how many answers it had. Raises SystemExit where a request failed."""
    loops = ["-D", str(duration_s), "-c", str(case[0]), "-m", str(case[1]), *WINDOWS]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    url = f"http://127.0.0.1:{port}{front.INFER}"
    command = ["h2load", *loops, "-d", str(body), *headers, url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+) succeeded, (\d+) failed", said)
    if found is None or int(found[2]) or not int(found[1]):
        raise SystemExit(f"h2load says: {said}")
    return int(found[1])


def write_body(work: Path) -> Path:
    """The request as gRPC frames it; what nghttpd answers, too, as long as our answer."""
    message = picture()
    (work / "body").write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
    served = work / "served" / front.INFER[1:]
    served.parent.mkdir(parents=True)
    served.write_bytes(bytes(90))
    return work / "body"


def picture() -> bytes:
    """A request with one picture."""
    x = np.zeros((1, *picture_family.SHAPE), np.uint8)
    request = pb.ModelInferRequest(model_name=picture_family.NAME)
    request.inputs.add(name="x", datatype="UINT8", shape=x.shape)
    request.raw_input_contents.append(x.tobytes())
    return request.SerializeToString()


def _await(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary(front.INFER)
        answer = ask(picture(), timeout=front.PATIENCE_S, wait_for_ready=True)
    if pb.ModelInferResponse.FromString(answer).model_name != picture_family.NAME:
        raise SystemExit(f"the front says {answer!r}")


@contextmanager
def running(name: str, work: Path) -> Iterator[tuple[int, int]]:
    """One of the two on core 0: its process and port."""
    (port,) = servers.free_ports(1)
    program = ["nghttpd", "--no-tls", *WINDOWS, "-d", str(work / "served")]
    if name != "nghttpd":
        program = [sys.executable, str(Path(__file__).resolve()), "--alone"]
    environment = {**os.environ, "PYTHONPATH": str(front.ROOT)}
    process = subprocess.Popen(["taskset", "-c", "0", *program, str(port)], env=environment)
    try:
        time.sleep(front.SETTLE_S)
        if name != "nghttpd":
            _await(port)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(timeout=40)


def serve_alone(port: int) -> int:
    """Serve until killed."""

    def long_way(_call: object, _message: bytes | None) -> None:
        raise AssertionError("a plain request went the long way")

    handlers = {front.INFER: Handler(long_way, most_bytes=1 << 20, is_plain=True)}
    native = NativeFront(handlers, ending_of, lambda: None, Bounds())
    native.bind(f"127.0.0.1:{port}")
    size = int(np.prod(picture_family.SHAPE))
    inputs = [("x", "UINT8", picture_family.SHAPE, size, 0)]
    native.take_plain([(0, picture_family.NAME, inputs, ["y"], 1)], AtOnce(native))
    native.start()
    while True:
        time.sleep(3600)


def render(found: dict[tuple[str, tuple[int, int]], list[float]], given: argparse.Namespace) -> str:
    """The Markdown table; ratios are to nghttpd's median."""
    lines = [
        f"CPU of the server per request that holds 203 kB (us): medians (ranges) of {given.rounds} interleaved rounds "
        f"of {given.duration_s} s, and how many times nghttpd's.",
        "",
        f"| server | {' | '.join(f'{c} connections x {m} streams' for c, m in CASES)} |",
        f"|---|{'---|' * len(CASES)}",
    ]
    for name in dict.fromkeys(name for name, _ in found):
        cells: list[str] = []
        for case in CASES:
            took, base = found[name, case], statistics.median(found["nghttpd", case])
            middle = statistics.median(took)
            cells.append(f"{middle:.0f} ({min(took):.0f}-{max(took):.0f}), {middle / base:.2f}x")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--duration-s", type=int, default=2)
    parser.add_argument("--alone", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if shutil.which("nghttpd") is None or shutil.which("h2load") is None:
        parser.error("nghttpd and h2load are needed (Debian: nghttp2-server, nghttp2-client)")
    return given


if __name__ == "__main__":
    sys.exit(main())
