"""What the server costs when nothing is hard: start to ready, memory, latency added at idle, time per decision.

The bare side opens the same artefacts in plain ONNX Runtime sessions in a process of its own, and runs batches of 1 and
8 on the server's core; the server runs whatever batches 16 clients give it on every variant.
"""

import json
import re
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig

VARIANT = "mobilenet_v2-int8"
_BARE = f"""
import json, os, sys, time
import numpy as np
import onnxruntime as ort
from models.artifacts import default_repository, load_family
from profiler.measuring.measure import resident_bytes, sample_inputs
folder = default_repository() / "imagenet"
family = load_family(folder)
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
loaded = [(v.name, ort.InferenceSession(folder / v.artifact, options)) for v in family.variants]
one, eight = sample_inputs(family, 1), sample_inputs(family, 8)
took = []
for name, session in loaded:
    session.run(None, eight)
    for _ in range(1000 if name == "{VARIANT}" else 3):
        start = time.perf_counter()
        session.run(None, one)
        if name == "{VARIANT}":
            took.append(time.perf_counter() - start)
print(json.dumps({{"took_s": took[20:], "rss_bytes": resident_bytes()}}))
"""


def main() -> int:
    """Run three rounds of everything; write benchmarks/results/footprint.{json,md}."""
    rounds = [_round() for _ in range(3)]
    result = {"machine": rig.machine(), "rounds": rounds, "median": _medians(rounds)}
    rig.write("footprint", result, _markdown(result))
    return 0


def _round() -> dict[str, float]:
    bare = _bare()
    begun_s = time.perf_counter()
    with rig.serving("--families", "imagenet", "--slo-ms", "500", all_arms=False) as server:
        _await_ready(server)
        first_s = time.perf_counter() - begun_s
        _await_arms(server, 8)
        all_s = time.perf_counter() - begun_s
        report = _load(server, VARIANT, concurrency=1, duration_s=6, warmup_s=1, slo_ms=500)
        for name in _variants():
            _load(server, name, concurrency=16, duration_s=1, slo_ms=5000)
        rss = server.rss_bytes()
        decision_us = _decision_us(server.metrics())
    took_ms = sorted(1e3 * t for t in bare["took_s"])
    p99 = took_ms[int(0.99 * len(took_ms))]
    return {
        "start_to_first_arm_s": first_s,
        "start_to_all_arms_s": all_s,
        "bare_p50_ms": statistics.median(took_ms),
        "bare_p99_ms": p99,
        "served_p50_ms": report["latency_ms"]["p50"],
        "served_p99_ms": report["latency_ms"]["p99"],
        "added_p50_ms": report["latency_ms"]["p50"] - statistics.median(took_ms),
        "added_p99_ms": report["latency_ms"]["p99"] - p99,
        "bare_rss_mib": bare["rss_bytes"] / 2**20,
        "served_rss_mib": rss / 2**20,
        "rss_ratio": rss / bare["rss_bytes"],
        "decision_mean_us": decision_us,
    }


def _load(server: rig.Server, variant: str, **options: float) -> dict[str, Any]:
    return rig.load(server, mode="closed", variant=variant, **options)


def _bare() -> dict[str, Any]:
    command = rig.on_core(rig.server_and_client()[0], [sys.executable, "-c", _BARE])
    root = Path(__file__).resolve().parents[2]
    return json.loads(
        subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    )


def _variants() -> list[str]:
    from models.artifacts import default_repository, load_family

    return [v.name for v in load_family(default_repository() / "imagenet", verify=False).variants]


def _await_ready(server: rig.Server) -> None:
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/readyz", timeout=5):
                return
        except urllib.error.HTTPError:
            time.sleep(0.01)


def _await_arms(server: rig.Server, count: int) -> None:
    while f'gearshift_ready_arms{{family="imagenet"}} {count}.0' not in server.metrics():
        time.sleep(0.02)


def _decision_us(text: str) -> float:
    total = re.search(r'gearshift_decision_seconds_sum\{family="imagenet"\} (\S+)', text)
    count = re.search(r'gearshift_decision_seconds_count\{family="imagenet"\} (\S+)', text)
    assert total
    assert count
    return 1e6 * float(total[1]) / float(count[1])


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}


def _markdown(result: dict[str, Any]) -> str:
    machine = result["machine"]
    lines = [
        "# Footprint\n",
        f"{machine['cpu']}, server and bare process on core {machine['server_core']}, "
        f"client on {machine['client_core']}; {machine['date']}. Latency: one client, one picture of 203 kB at a time, "
        f"`{VARIANT}`. Median of 3 rounds (least, most).",
        "Command: `python benchmarks/serving/footprint.py`.\n",
        "| figure | median | least | most |",
        "| --- | --- | --- | --- |",
    ]
    for key, median in result["median"].items():
        values = [r[key] for r in result["rounds"]]
        lines.append(
            f"| {key.replace('_', ' ')} | {median:.2f} | {min(values):.2f} | {max(values):.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
