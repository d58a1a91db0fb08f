"""Does training beside a serving server hurt it: the same load with and without `gearshift train`, period by period.

The server and the training (nice 19, one thread) have the same core, the client another: wherever a sidecar is left to
the scheduler, it has more room than here. Periods alternate, and which of a pair comes first alternates too, so that a
drift of the machine falls on both.
"""

import argparse
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig

_MODES = ("alone", "beside")
_FIGURES = {
    "attainment": ("attainment", "%", 100.0),
    "effective_accuracy": ("effective accuracy", "%", 100.0),
    "p50_ms": ("p50", "ms", 1.0),
    "p99_ms": ("p99", "ms", 1.0),
}
"""A period's figure -> its name, unit, and the factor to it."""


def main() -> int:
    """Write benchmarks/results/train_beside.{json,md}."""
    options = _options()
    flags = ("--families", "imagenet", "--slo-ms", f"{options.slo_ms}")
    with rig.serving(*flags) as server:
        capacity = _capacity(server, options)
        rate = options.share * capacity
        print(f"capacity {capacity:.0f} rps in time; the load is {rate:.0f} rps", flush=True)
        rounds = [_round(server, options, rate, number) for number in range(options.rounds)]
    result = {
        "machine": rig.machine(),
        "slo_ms": options.slo_ms,
        "capacity_rps": capacity,
        "rate_rps": rate,
        "seconds_per_period": options.seconds,
        "network": options.network,
        "data": options.data,
        "rounds": rounds,
    }
    rig.write("train_beside", result, markdown(result))
    return 0


def _capacity(server: rig.Server, options: argparse.Namespace) -> float:
    """In-time answers a second when more is asked than can be answered."""
    slo_ms = options.slo_ms
    closed = rig.load(
        server, mode="closed", concurrency=16, duration_s=3, warmup_s=1, slo_ms=slo_ms
    )
    rate = f"{1.5 * closed['throughput_rps']:.1f}"
    report = rig.load(server, rate_rps=rate, duration_s=6, warmup_s=2, slo_ms=slo_ms)
    return float(report["goodput_rps"])


def _round(
    server: rig.Server, options: argparse.Namespace, rate: float, number: int
) -> dict[str, Any]:
    """Both periods, under the same arrivals."""
    found = {}
    for mode in _MODES if number % 2 == 0 else reversed(_MODES):
        if mode == "alone":
            found[mode] = _period(server, options, rate, number)
        else:
            with _training(options) as process:
                found[mode] = _period(server, options, rate, number)
                found[mode]["training_cpu_s"] = _cpu_s(process)
        print(number, mode, found[mode], flush=True)
    return found


def _period(
    server: rig.Server, options: argparse.Namespace, rate: float, seed: int
) -> dict[str, Any]:
    report = rig.load(
        server,
        rate_rps=f"{rate:.2f}",
        duration_s=options.seconds,
        warmup_s=3,
        slo_ms=options.slo_ms,
        seed=seed,
    )
    latency = report["latency_ms"]
    return {
        "attainment": report["attainment"],
        "effective_accuracy": report["effective_accuracy"],
        "p50_ms": latency["p50"],
        "p99_ms": latency["p99"],
        "codes": report["codes"],
    }


@contextmanager
def _training(options: argparse.Namespace) -> Iterator["subprocess.Popen[str]"]:
    """A run that is at its steps (its bar has moved) and does not end by itself meanwhile."""
    core, _ = rig.server_and_client()
    what = ["--data", options.data, "--network", options.network, "--budget", "1e12"]
    how = ["--threads", "1", "--nice", "19", "--device", "cpu"]
    command = [sys.executable, "-m", "gearshift", "train", *what, *how]
    process = subprocess.Popen(rig.on_core(core, command), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.read(80)
        if process.poll() is not None:
            raise RuntimeError(f"training ended: {said}{process.stderr.read()}")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # or it would wait for us
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _cpu_s(process: "subprocess.Popen[str]") -> float:
    """User and system time that it has had."""
    return rig.Server(process.pid, 0, 0).cpu_s()


def markdown(result: dict[str, Any]) -> str:
    """Medians and ranges of both, and of their differences."""
    machine, rounds = result["machine"], result["rounds"]
    rows = [_row(rounds, key, *words) for key, words in _FIGURES.items()]
    trained = [r["beside"]["training_cpu_s"] for r in rounds]
    lines = [
        "# Training beside a serving server\n",
        f"{machine['cpu']}, server and training on core {machine['server_core']}, client on core "
        f"{machine['client_core']}; {result['rate_rps']:.0f} requests/s (Poisson) of a capacity of "
        f"{result['capacity_rps']:.0f}, SLO {result['slo_ms']} ms, {len(rounds)} rounds of two periods of "
        f"{result['seconds_per_period']} s; {result['network']} on {result['data']} with nice 19 and one thread; "
        f"{machine['date']}.",
        "Command: `python benchmarks/training/train_beside.py`.\n",
        "| | alone: median (range) | beside training | difference, round by round |",
        "| --- | --- | --- | --- |",
        *rows,
        "",
        f"Training had {statistics.median(trained):.1f} s of CPU in a period, start included (median).\n",
    ]
    return "\n".join(lines)


def _row(rounds: list[dict[str, Any]], key: str, name: str, unit: str, factor: float) -> str:
    alone, beside = ([factor * r[mode][key] for r in rounds] for mode in _MODES)
    lost = [b - a for a, b in zip(alone, beside, strict=True)]
    return f"| {name} ({unit}) | {_spread(alone)} | {_spread(beside)} | {_spread(lost, '+')} |"


def _spread(values: list[float], sign: str = "") -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:{sign}.2f} ({low:{sign}.2f} to {high:{sign}.2f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--slo-ms", type=float, default=50.0)
    parser.add_argument("--share", type=float, default=0.5, help="of the capacity, that is offered")
    parser.add_argument("--data", default="digits", help="what the training learns from")
    parser.add_argument("--network", default="cnn-w16-d2", help="what it trains")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
