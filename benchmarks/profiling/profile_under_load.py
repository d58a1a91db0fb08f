"""What measuring costs live traffic: a server without any profile is driven from its first arm on, then with them all.

The same server, client and load: attainment in the seconds in which it measures (every arm is loaded, compiled and run
between the live batches) against the seconds after. The server has one core, the client another.
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig

PATIENCE_S = 60.0


def main() -> int:
    """Write benchmarks/results/profile_under_load.{json,md}."""
    options = _options()
    rounds = [_round(options, seed) for seed in range(1, options.rounds + 1)]
    result = {
        "machine": rig.machine(),
        "rate_rps": options.rate,
        "slo_ms": options.slo_ms,
        "rounds": rounds,
    }
    rig.write("profile_under_load", result, markdown(result))
    return 0


def _round(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as profiles:
        flags = ("--profiles", profiles, "--slo-ms", f"{options.slo_ms}", "--families", "imagenet")
        with rig.serving(*flags, all_arms=False) as server:
            _await_arms(server, 1)
            begun = _arms(server)
            report = _load(server, options, seed)
            ended = _arms(server)
            again = _load(server, options, seed)
    row = {
        "arms_at_first": begun,
        "arms_then": ended,
        "measuring": report["attainment"],
        "measured": again["attainment"],
        "outcomes": report["outcomes"],
        "accuracy_measuring": report["effective_accuracy"],
        "accuracy_measured": again["effective_accuracy"],
    }
    print(row, flush=True)
    return row


def _load(server: rig.Server, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    return rig.load(
        server,
        rate_rps=options.rate,
        duration_s=options.seconds,
        warmup_s=1,
        slo_ms=options.slo_ms,
        seed=seed,
    )


def _arms(server: rig.Server) -> int:
    found = re.search(r'gearshift_ready_arms\{family="imagenet"\} (\S+)', server.metrics())
    return int(float(found[1])) if found else 0


def _await_arms(server: rig.Server, count: int) -> None:
    stop_s = time.monotonic() + PATIENCE_S
    while _arms(server) < count:
        if time.monotonic() > stop_s:
            raise RuntimeError("no arm became ready; run `gearshift serve` by hand to see why")
        time.sleep(0.02)


def markdown(result: dict[str, Any]) -> str:
    """A row per round."""
    machine, rounds = result["machine"], result["rounds"]
    lost = [100 * (r["measured"] - r["measuring"]) for r in rounds]
    lines = [
        "# Measuring under load\n",
        f"{machine['cpu']}, server on core {machine['server_core']}, client on core {machine['client_core']}; "
        f"{result['rate_rps']:.0f} requests/s (Poisson), SLO {result['slo_ms']} ms; {machine['date']}.",
        "Command: `python benchmarks/profiling/profile_under_load.py`.\n",
        "| arms when the load began, and when it ended | attainment % while measuring | afterwards |",
        "| --- | --- | --- |",
        *map(_row, rounds),
        "",
        f"Lost to measuring: median {statistics.median(lost):.2f} points, {min(lost):.2f} to {max(lost):.2f}.\n",
    ]
    return "\n".join(lines)


def _row(one: dict[str, Any]) -> str:
    arms = f"{one['arms_at_first']}, {one['arms_then']}"
    return f"| {arms} | {100 * one['measuring']:.2f} | {100 * one['measured']:.2f} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=25)
    parser.add_argument("--slo-ms", type=float, default=50.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
