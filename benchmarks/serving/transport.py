"""What a request costs the server: Gearshift beside MLServer and KServe on a tiny model, in one
run.

The server is pinned to core 0 and the client to core 1; 32 closed-loop clients ask for an MLP of
784-128-10 that all servers run in ONNX Runtime with one thread. CPU is that of the server's
process tree, from /proc, over the measured interval. Rounds are interleaved; the table gives the
median and the spread. Every server's answers are checked first.

.venv/bin/python benchmarks/serving/transport.py --venv-dir /tmp/peers
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import numpy as np
import onnxruntime as ort
from peers import servers
from peers.mlp_family import NAME, WIDTHS, publish_mlp, write_mlp

from loadtest.client import ClosedLoop, drive
from loadtest.errors import BadTarget
from loadtest.reporting.report import summarise
from loadtest.target import Target, try_one
from wire import inference_pb2 as pb

SERVERS = ("gearshift", "mlserver", "kserve")
SERVER_CORE, CLIENT_CORE = 0, 1
START_UP_S = (
    90.0  # KServe imports for several seconds; a first profile of Gearshift takes a while too
)
SETTLE_S = 3.0  # driven before the measured interval: first calls, first profile


def main() -> int:
    """Run the benchmark; 0 when every server was measured."""
    given = _parse()
    os.sched_setaffinity(0, {CLIENT_CORE})
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in given.servers}
    with tempfile.TemporaryDirectory(prefix="gearshift-transport-") as scratch:
        work = Path(scratch)
        write_mlp(work / "mlp.onnx")
        publish_mlp(work / "repository", work / "mlp.onnx")
        for name in given.servers:
            servers.install(name, given.venv_dir)
        for number in range(given.rounds):
            for name in given.servers:
                row = measure(name, given, work)
                rounds[name].append(row)
                line = f"{name:<10} {row['cpu_us']:7.1f} us  {row['rps']:8.0f} rps"
                print(f"round {number + 1}: {line}", file=sys.stderr)
    _write(rounds, given)
    return 0


def measure(name: str, given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Start one server, check its answers, drive it and stop it."""
    launch = servers.launch(name, given.venv_dir, work, work / "mlp.onnx")
    log = work / f"{name}.log"
    process = servers.start(launch, SERVER_CORE, log)
    try:
        target = Target(f"127.0.0.1:{launch.port}", NAME)
        pool, inputs = requests()
        _wait(target, pool[0], process, log)
        check(target, pool[0], inputs[0], work / "mlp.onnx")
        drive(target, pool, ClosedLoop(given.clients, SETTLE_S))
        before_s, begin_s = servers.cpu_s(process.pid), time.perf_counter()
        records = drive(target, pool, ClosedLoop(given.clients, given.duration_s))
        used_s, wall_s = servers.cpu_s(process.pid) - before_s, time.perf_counter() - begin_s
    finally:
        process.terminate()
        process.wait(timeout=40)
    summary = summarise(records, None, given.duration_s)
    if summary["answered"] != summary["offered"]:
        said = log.read_text(errors="replace")[-2000:]
        raise SystemExit(
            f"{name} (exit {process.poll()}) failed: {summary['outcomes']} {summary['codes']}\n{said}"
        )
    latency, client = summary["latency_ms"], summary["client"]
    return {
        "cpu_us": used_s / summary["answered"] * 1e6,
        "server_cpu_percent": used_s / wall_s * 100.0,
        "rps": summary["throughput_rps"],
        "p50_ms": latency["p50"],
        "p99_ms": latency["p99"],
        "batch_size": summary["batch_size_mean"],
        "client_cpu_percent": client["cpu_percent"],
    }


def requests(count: int = 32, seed: int = 0) -> tuple[list[bytes], np.ndarray]:
    """Serialised requests of one row each, and their inputs [count, 784]."""
    inputs = np.random.default_rng(seed).standard_normal((count, WIDTHS[0])).astype(np.float32)
    pool: list[bytes] = []
    for row in inputs:
        request = pb.ModelInferRequest(model_name=NAME)
        request.inputs.add(name="x", datatype="FP32", shape=(1, WIDTHS[0]))
        request.raw_input_contents.append(row.tobytes())
        pool.append(request.SerializeToString())
    return pool, inputs


def _wait(target: Target, request: bytes, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers one request. Raises SystemExit where it dies or never does."""
    patience_s = time.perf_counter() + START_UP_S
    while True:
        try:
            try_one(target, request)
            break
        except BadTarget as error:
            if process.poll() is not None or time.perf_counter() > patience_s:
                raise SystemExit(f"{error}\n{log.read_text(errors='replace')[-2000:]}") from None
        time.sleep(0.2)


def check(target: Target, request: bytes, row: np.ndarray, onnx_path: Path) -> None:
    """The server's scores must be those of the model itself. Raises SystemExit otherwise."""
    answer = pb.ModelInferResponse.FromString(try_one(target, request) or b"")
    expected = ort.InferenceSession(onnx_path).run(["y"], {"x": row[None]})[0]
    got = np.frombuffer(b"".join(answer.raw_output_contents), np.float32)
    if got.shape != (WIDTHS[-1],) or not np.allclose(got, np.asarray(expected)[0], atol=1e-4):
        raise SystemExit(f"{target.url} answers {got}, not {expected}")


def _write(rounds: dict[str, list[dict[str, Any]]], given: argparse.Namespace) -> None:
    rows = {
        name: {"version": servers.version(name, given.venv_dir), "rounds": runs, **_middle(runs)}
        for name, runs in rounds.items()
    }
    text = render(rows, given)
    print(text)
    given.output_dir.mkdir(parents=True, exist_ok=True)
    (given.output_dir / "transport.md").write_text(text + "\n")
    setup = {
        "clients": given.clients,
        "duration_s": given.duration_s,
        "machine": platform.machine(),
    }
    report = json.dumps({"setup": setup, "servers": rows}, indent=2)
    (given.output_dir / "transport.json").write_text(report + "\n")


def _middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Each measure's median over the rounds, and the CPU's lowest and highest."""
    known = {key: [run[key] for run in runs if run[key] is not None] for key in runs[0]}
    middle = {key: statistics.median(values) if values else None for key, values in known.items()}
    return {"median": middle, "cpu_us_range": [min(known["cpu_us"]), max(known["cpu_us"])]}


def render(rows: dict[str, dict[str, Any]], given: argparse.Namespace) -> str:
    """The Markdown table; ratios are of CPU per request, against Gearshift where measured."""
    base = rows["gearshift"]["median"]["cpu_us"] if "gearshift" in rows else None
    lines = [
        f"MLP 784-128-10, {given.clients} closed-loop clients on one connection, medians of "
        f"{given.rounds} interleaved rounds of {given.duration_s:g} s, server on one core and "
        "client on another.",
        "",
        "| server | CPU us per request (range) | against Gearshift | requests/s | p50 / p99 ms "
        "| batch | client CPU |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        m, (low, high) = row["median"], row["cpu_us_range"]
        ratio = "-" if base is None else f"{m['cpu_us'] / base:.1f}x"
        batch = "-" if m["batch_size"] is None else f"{m['batch_size']:.1f}"
        lines.append(
            f"| {name} {row['version']} | {m['cpu_us']:.0f} ({low:.0f}-{high:.0f}) | {ratio} "
            f"| {m['rps']:.0f} | {m['p50_ms']:.1f} / {m['p99_ms']:.1f} | {batch} "
            f"| {m['client_cpu_percent']:.0f} % |"
        )
    return "\n".join(lines)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--servers",
        type=lambda text: text.split(","),
        default=list(SERVERS),
        help=",".join(SERVERS),
    )
    add(
        "--venv-dir",
        type=Path,
        default=Path.home() / ".cache" / "gearshift" / "peers",
        help="the peers' environments",
    )
    add("--rounds", type=int, default=3)
    add("--duration-s", type=float, default=8.0)
    add("--clients", type=int, default=32)
    add("--output-dir", type=Path, default=Path(__file__).parents[1] / "results")
    given = parser.parse_args()
    if unknown := set(given.servers) - set(SERVERS):
        parser.error(f"--servers: {', '.join(sorted(unknown))}: choose from {', '.join(SERVERS)}")
    if (os.cpu_count() or 1) < 2:
        parser.error("needs two cores: one for the server, one for the client")
    return given


if __name__ == "__main__":
    sys.exit(main())
