"""Adaptive against every static choice over a sweep of Poisson load, side by side on one server, and a load step.

A static choice is the same server and the same policy with one variant pinned: early drop and its own best batch
included. At every load the choices are run one after the other, so that a drift of the machine's speed meets all.
Capacities are measured first, with the variant pinned: the answers a second that are in time when more is offered than
can be served. They include everything the server does.
"""

import argparse
import shlex
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig
from benchmarks.serving.adaptive_vs_static_plot import plot, promises
from models.artifacts import default_repository, load_family
from profiler import store
from profiler.hardware import fingerprint as hardware

LARGEST, SMALLEST = "efficientnet_lite2-fp32", "mobilenet_v2-int8"


def main() -> int:
    """Run, plot, write benchmarks/results/adaptive_vs_static.{json,md,png}."""
    options = _options()
    slo_ms = options.slo_ms or 4e3 * _batch_one_s(LARGEST)
    with rig.serving("--slo-ms", f"{slo_ms:.1f}", "--families", "imagenet") as server:
        names = _variants()
        capacity = {name: _capacity(server, name, slo_ms) for name in names}
        print("capacity (rps):", {k: round(v, 1) for k, v in capacity.items()}, flush=True)
        statics = _worth_running(names, capacity)
        low, high = 0.5 * capacity[LARGEST], 1.2 * capacity[SMALLEST]
        loads = [low + (high - low) * i / (options.points - 1) for i in range(options.points)]
        points = [_point(server, rate, slo_ms, statics, options) for rate in loads]
        steps = [_step(server, capacity[LARGEST], slo_ms, seed) for seed in range(options.steps)]
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "machine": rig.machine(),
        "slo_ms": slo_ms,
        "seconds_per_run": options.seconds,
        "capacity_rps": capacity,
        "accuracy": {v.name: v.accuracy.value for v in _family().variants},
        "statics": statics,
        "points": points,
        "steps": steps,
    }
    result["summary"] = summarised(result)
    rig.write("adaptive_vs_static", result, markdown(result))
    plot(result, rig.RESULTS / "adaptive_vs_static.png")
    return 0


def summarised(result: dict[str, Any]) -> dict[str, Any]:
    """The figures the comparison is about, in points (x 100) of accuracy-weighted goodput."""
    points, capacity = result["points"], result["capacity_rps"]
    smallest = capacity[SMALLEST]
    gaps = [
        100 * (p["adaptive"]["awg"] - max(p[s]["awg"] for s in result["statics"])) for p in points
    ]
    leads = [
        100 * (p["adaptive"]["awg"] - p[s]["awg"])
        for p in points
        for s in result["statics"]
        if p["rate_rps"] > capacity[s]
    ]
    adaptive = statistics.mean(p["adaptive"]["awg"] for p in points)
    largest = statistics.mean(p[LARGEST]["awg"] for p in points)
    past = [p for p in points if p["rate_rps"] > smallest]
    least = result["accuracy"][SMALLEST]
    return {
        "gap_to_best_static_points": gaps,
        "worst_gap_points": min(gaps),
        "least_lead_over_overloaded_static_points": min(leads, default=None),
        "mean_awg_over_always_largest": adaptive / largest,
        "least_attainment_where_smallest_holds_99": min(
            p["adaptive"]["attainment"] for p in points if p[SMALLEST]["attainment"] >= 0.99
        ),
        "awg_over_capacity_by_load_past_it": [
            p["adaptive"]["awg"] / (least * smallest / p["rate_rps"]) for p in past
        ],
        **promises(points, result["statics"]),
        "recovered_after_step_s": [s["recovered_after_s"] for s in result["steps"]],
    }


def markdown(result: dict[str, Any]) -> str:
    """The tables."""
    names = ["adaptive", *result["statics"]]
    machine, summary = result["machine"], result["summary"]
    lines = [
        "# Adaptive against static choices\n",
        f"{machine['cpu']}, server pinned to core {machine['server_core']}, client to core {machine['client_core']}; "
        f"SLO {result['slo_ms']:.1f} ms; {result['seconds_per_run']} s a run; {machine['date']}.",
        f"Command: `{result['command']}`.\n",
        "Accuracy-weighted goodput x 100 (attainment %):\n",
        "| load (rps) | " + " | ".join(names) + " |",
        "|" + " --- |" * (len(names) + 1),
    ]
    for p in result["points"]:
        cells = [f"{100 * p[n]['awg']:.1f} ({100 * p[n]['attainment']:.1f})" for n in names]
        lines.append(f"| {p['rate_rps']:.0f} | " + " | ".join(cells) + " |")
    lines += ["", "| figure | value |", "| --- | --- |"]
    lines += [f"| {key.replace('_', ' ')} | {_text(value)} |" for key, value in summary.items()]
    lines += ["", "| variant | capacity (rps in time) | accuracy |", "| --- | --- | --- |"]
    lines += [
        f"| {n} | {c:.1f} | {result['accuracy'][n]:.3f} |"
        for n, c in result["capacity_rps"].items()
    ]
    cpu = [p["adaptive"]["client_cpu_percent"] for p in result["points"]]
    lines += ["", f"The client used at most {max(cpu):.0f} % of its core in the adaptive runs.", ""]
    return "\n".join(lines)


def _point(
    server: rig.Server, rate: float, slo_ms: float, statics: list[str], options: argparse.Namespace
) -> dict[str, Any]:
    point: dict[str, Any] = {"rate_rps": rate}
    for name in ["adaptive", *statics]:
        report = rig.load(
            server,
            rate_rps=f"{rate:.2f}",
            duration_s=options.seconds,
            warmup_s=3,
            slo_ms=f"{slo_ms:.1f}",
            seed=1,
            variant=None if name == "adaptive" else name,
        )
        point[name] = _kept(report)
        awg, attainment = (100 * point[name][key] for key in ("awg", "attainment"))
        print(f"{rate:6.0f} rps {name:26} awg {awg:5.1f} attainment {attainment:5.1f}", flush=True)
    return point


def _kept(report: dict[str, Any]) -> dict[str, Any]:
    kept = {
        key: report[key]
        for key in ("offered", "attainment", "effective_accuracy", "awg", "latency_ms", "outcomes")
    }
    kept["variants"] = report["variants"]
    kept["client_cpu_percent"] = report["client"]["cpu_percent"]
    kept["client_lateness_ms"] = report["client"]["lateness_ms"]
    return kept


def _step(server: rig.Server, capacity: float, slo_ms: float, seed: int) -> dict[str, Any]:
    """0.5x to 2x of the largest variant's capacity."""
    schedule = f"10:{0.5 * capacity:.1f},10:{2 * capacity:.1f}"
    report = rig.load(server, schedule=schedule, slo_ms=f"{slo_ms:.1f}", seed=seed)
    up = report["recovery"][-1]
    print(
        f"step to {2 * capacity:.0f} rps: attainment back after {up['recovered_after_s']} s",
        flush=True,
    )
    return {**up, "attainment": report["attainment"], "awg": report["awg"]}


def _capacity(server: rig.Server, variant: str, slo_ms: float) -> float:
    """In-time answers a second at 1.2x of what a closed loop of 8 gets."""
    closed = rig.load(
        server,
        mode="closed",
        concurrency=8,
        duration_s=3,
        warmup_s=1,
        slo_ms=5000,
        variant=variant,
    )
    report = rig.load(
        server,
        rate_rps=f"{1.2 * closed['throughput_rps']:.1f}",
        duration_s=8,
        warmup_s=1,
        slo_ms=f"{slo_ms:.1f}",
        variant=variant,
    )
    return float(report["goodput_rps"])


def _worth_running(names: list[str], capacity: dict[str, float]) -> list[str]:
    """Static choices that no other one beats in both accuracy and measured capacity, and those that the figures are
    over; most accurate first."""
    accuracy = {v.name: v.accuracy.value for v in _family().variants}

    def beats(one: str, other: str) -> bool:
        return accuracy[one] >= accuracy[other] and capacity[one] > 1.02 * capacity[other]

    unbeaten = (n for n in names if not any(beats(m, n) for m in names if m != n))
    kept = {*unbeaten, LARGEST, SMALLEST}
    return sorted(kept, key=lambda n: -accuracy[n])


def _family() -> Any:
    return load_family(default_repository() / "imagenet", verify=False)


def _variants() -> list[str]:
    return [v.name for v in _family().variants]


def _batch_one_s(variant: str) -> float:
    """Median batch-1 latency from the stored profile of one core; measured by a short start if there is none."""
    with rig.serving("--families", "imagenet"):
        pass
    cpu = hardware.usable_cores(affinity=1)
    for path in sorted(
        store.default_folder().glob("imagenet-*.json"),
        key=lambda p: p.stat().st_mtime,
        reverse=True,
    ):
        import json

        content = json.loads(path.read_text())
        if content["hardware"]["cores"] == str(cpu):
            row = next(p for p in content["profiles"] if p["variant"] == variant)
            return float(row["points"][0]["p50_s"])
    raise RuntimeError("no stored profile for one core; run `taskset -c 0 gearshift profile` first")


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(v) for v in value) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--steps", type=int, default=5, help="repetitions of the load step")
    parser.add_argument(
        "--slo-ms", type=float, default=0.0, help="default: 4x the largest fp32's batch-1 latency"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
