"""What a request costs the server's CPU by the front that takes it, beside an earlier commit, in one run.

The client is h2load, which costs little: closed loops of 1, 32 and 64 streams on one connection, of an MLP's row
(784-128-10) and of a picture of 203 kB that the model hardly looks at. The server is pinned to core 0, the client to
core 1; CPU is that of the server's process from /proc. Rounds are interleaved; the table gives medians and ranges.
Before a server is driven its answers are checked, and afterwards it must have counted as many good ones as h2load.

.venv/bin/python benchmarks/serving/front.py --against ../before
"""

import argparse
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import grpc
import numpy as np
from peers import mlp_family, picture_family, servers

from wire import inference_pb2 as pb

ROOT = Path(__file__).resolve().parents[2]
CASES = (("mlp", 1), ("mlp", 32), ("mlp", 64), ("picture", 1), ("picture", 32))
"""Model, and how many streams ask at a time."""
INFER = "/inference.GRPCInferenceService/ModelInfer"
SETTLE_S, WARM_S, PATIENCE_S = 1.0, 1, 60.0


@dataclass(frozen=True, slots=True)
class Subject:
    """A server to be measured: the tree that it is run from, and its further arguments."""

    name: str
    tree: Path
    arguments: tuple[str, ...] = ()


def main() -> int:
    """Run the benchmark; 0 when every server was measured."""
    given = _parse()
    os.sched_setaffinity(0, {1})
    subjects = [Subject(n, ROOT, ("--front", n)) for n in ("native", "grpcio")]
    if given.against is not None:
        subjects.append(Subject("before", given.against))
    found: dict[str, list[dict[str, float]]] = {one.name: [] for one in subjects}
    with tempfile.TemporaryDirectory(prefix="gearshift-front-") as scratch:
        work = Path(scratch)
        mlp_family.write_mlp(work / "mlp.onnx")
        mlp_family.publish_mlp(work / "repository", work / "mlp.onnx")
        picture_family.publish_picture(work / "repository", work / "picture.onnx")
        for number in range(given.rounds):
            for one in subjects:
                found[one.name].append(measure(one, work, given.duration_s))
                said = " ".join(f"{case} {us:.0f}" for case, us in found[one.name][-1].items())
                print(f"round {number + 1}: {one.name} (us): {said}", file=sys.stderr)
    _write(found, given)
    return 0


def measure(subject: Subject, work: Path, duration_s: int) -> dict[str, float]:
    """CPU per request (us) by case of one server, started for it."""
    took: dict[str, float] = {}
    with running(subject, work) as (process, port, http_port):
        for model, streams in CASES:
            body = work / f"{model}.body"
            body.write_bytes(_framed(_request(model)))
            _check(port, model)
            time.sleep(SETTLE_S)
            _drive(port, body, streams, WARM_S)
            used_s, good = servers.cpu_s(process.pid), _answered(http_port)
            count = _drive(port, body, streams, duration_s)
            used_s, good = servers.cpu_s(process.pid) - used_s, _answered(http_port) - good
            if not count - 2 * streams <= good <= count + 2 * streams:
                raise SystemExit(
                    f"{subject.name}: h2load counts {count} answers, the server {good:.0f}"
                )
            took[f"{model} {streams}"] = used_s / count * 1e6
    return took


@contextmanager
def running(subject: Subject, work: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int, int]]:
    """The server on core 0: its process, its gRPC port, its HTTP port."""
    port, http_port, _ = servers.free_ports(3)
    program = "import sys; from gearshift.cli import main; sys.exit(main())"
    folders = ["--repository", work / "repository", "--profiles", work / f"profiles-{subject.name}"]
    where = ["--host", "127.0.0.1", "--port", port, "--http-port", http_port]
    if (subject.tree / "server" / "rest").is_dir():  # earlier trees have none
        where += ["--rest-port", "-1"]
    command = [sys.executable, "-c", program, "serve", *folders, *where, *subject.arguments]
    log = work / f"{subject.name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=work,
            env={**os.environ, "PYTHONPATH": str(subject.tree)},
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, {0}),  # noqa: PLW1509 - one thread here
        )
    try:
        yield process, port, http_port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=40)


def _request(model: str, seed: int = 0) -> pb.ModelInferRequest:
    rng = np.random.default_rng(seed)
    if model == mlp_family.NAME:
        x, datatype = rng.standard_normal((1, mlp_family.WIDTHS[0]), np.float32), "FP32"
    else:
        x, datatype = rng.integers(0, 256, (1, *picture_family.SHAPE), np.uint8), "UINT8"
    request = pb.ModelInferRequest(model_name=model)
    request.inputs.add(name="x", datatype=datatype, shape=x.shape)
    request.raw_input_contents.append(x.tobytes())
    return request


def _framed(request: pb.ModelInferRequest) -> bytes:
    message = request.SerializeToString()
    return b"\0" + len(message).to_bytes(4, "big") + message


def _check(port: int, model: str) -> None:
    """The server must answer, and a picture's first pixel be what it is. Raises SystemExit otherwise."""
    until_s = time.monotonic() + PATIENCE_S
    request = _request(model, 1)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary(
            INFER, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
        )
        while True:
            try:
                answer = ask(request, timeout=10)
                break
            except grpc.RpcError as error:
                if time.monotonic() > until_s:
                    raise SystemExit(f"{model} is not served: {error}") from None
                time.sleep(0.2)
    got = np.frombuffer(answer.raw_output_contents[0], np.float32)
    if model == picture_family.NAME and list(got) != list(request.raw_input_contents[0][:3]):
        raise SystemExit(f"the first pixel is {got}")


def _drive(port: int, body: Path, streams: int, duration_s: int) -> int:
    """Have h2load ask for so long; how many answers it had."""
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    loops = ["-D", str(duration_s), "-c", "1", "-m", str(streams), "-w", "24", "-W", "24"]
    command = ["h2load", *loops, "-d", str(body), *headers, f"http://127.0.0.1:{port}{INFER}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+) succeeded, (\d+) failed", said)
    if found is None or int(found[2]):
        raise SystemExit(f"h2load says: {said}")
    return int(found[1])


def _answered(http_port: int) -> float:
    """How many requests the server says that it has answered well."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{http_port}/metrics").read().decode()
    lines = [line for line in page.splitlines() if line.startswith("gearshift_requests_total")]
    return sum(float(line.split()[-1]) for line in lines if 'outcome="ok"' in line)


def _write(found: dict[str, list[dict[str, float]]], given: argparse.Namespace) -> None:
    text = render(found, given)
    print(text)
    given.output_dir.mkdir(parents=True, exist_ok=True)
    (given.output_dir / "front.md").write_text(text + "\n")
    report = {"machine": _machine(), "duration_s": given.duration_s, "us": found}
    (given.output_dir / "front.json").write_text(json.dumps(report, indent=2) + "\n")


def render(found: dict[str, list[dict[str, float]]], given: argparse.Namespace) -> str:
    """The Markdown table; ratios are of medians, against the earlier commit where one was measured."""
    cases = [f"{model} {streams}" for model, streams in CASES]
    lines = [
        f"CPU of the server per request (us), medians (ranges) of {given.rounds} interleaved rounds of "
        f"{given.duration_s} s; h2load, so many streams on one connection, server and client on a core each.",
        f"{_machine()}.",
        "",
        f"| front | {' | '.join(cases)} |",
        f"|---|{'---|' * len(cases)}",
    ]
    base = found.get("before")
    for name, rounds in found.items():
        cells: list[str] = []
        for case in cases:
            values = [one[case] for one in rounds]
            cell = f"{statistics.median(values):.0f} ({min(values):.0f}-{max(values):.0f})"
            if base is not None and name != "before":
                ratio = statistics.median(values) / statistics.median(one[case] for one in base)
                cell += f", {ratio:.2f}x"
            cells.append(cell)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _machine() -> str:
    return f"{platform.machine()}, {len(os.sched_getaffinity(os.getppid()))} cores"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--against", type=Path, help="a tree of an earlier commit, measured in the same run")
    add("--rounds", type=int, default=5)
    add("--duration-s", type=int, default=4)
    add("--output-dir", type=Path, default=ROOT / "benchmarks" / "results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
