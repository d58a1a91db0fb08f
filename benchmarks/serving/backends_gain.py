"""How much more load the server carries with every runtime than with ONNX Runtime alone, at the same quality.

Both servers have the server's core, one stopped while the other is driven, in alternation at every load, so that a
drift of the machine's speed meets both. A load of ONNX Runtime's counts where it answers `ATTAINED` of the requests in
time; it is matched by the largest load at which all runtimes together attain as much with an effective accuracy at
most half a point lower, interpolated between the loads that were run.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig

ATTAINED = 0.99
CLOSE = 0.005
"""Half a point of accuracy."""
ALONE, ALL = "onnxruntime", "all"
_OTHER = {ALONE: ALL, ALL: ALONE}
_FLAGS = {ALONE: ("--backends", "onnxruntime"), ALL: ()}


def main() -> int:
    """Write benchmarks/results/backends_gain.{json,md}."""
    options = _options()
    loads = [float(rate) for rate in options.loads.split(",")]
    slo = ("--slo-ms", f"{options.slo_ms}", "--families", "imagenet")
    runs: dict[str, dict[float, list[dict[str, Any]]]] = {n: {r: [] for r in loads} for n in _FLAGS}
    with rig.serving(*slo, *_FLAGS[ALONE]) as alone, rig.serving(*slo, *_FLAGS[ALL]) as all_of_them:
        servers = {ALONE: alone, ALL: all_of_them}
        for turn in range(options.rounds):
            for rate in loads:
                for name in sorted(servers, reverse=bool(turn % 2)):
                    with servers[_OTHER[name]].stopped():
                        report = _load(servers[name], options, rate, turn + 1)
                    runs[name][rate].append(_kept(report))
                    print(f"{rate:5.0f} rps {name:<12}", _said(runs[name][rate][-1]), flush=True)
    result = {
        "machine": rig.machine(),
        "slo_ms": options.slo_ms,
        "seconds_per_run": options.seconds,
        "rounds": options.rounds,
        "loads_rps": loads,
        "runs": {n: list(r.items()) for n, r in runs.items()},
    }
    curves = {name: curve(found) for name, found in runs.items()}
    result["ratios"] = ratios(curves[ALONE], curves[ALL])
    rig.write("backends_gain", result, markdown(result, curves, options))
    return 0


def _load(
    server: rig.Server, options: argparse.Namespace, rate: float, seed: int
) -> dict[str, Any]:
    return rig.load(
        server,
        rate_rps=rate,
        duration_s=options.seconds,
        warmup_s=4,
        seed=seed,
        slo_ms=options.slo_ms,
    )


LoadCurve = list[tuple[float, float, float]]
"""(load in requests/s, attainment, effective accuracy), medians over the rounds, ascending."""


def curve(runs: dict[float, list[dict[str, Any]]]) -> LoadCurve:
    """The median run at every load."""

    def middle(found: list[dict[str, Any]], key: str) -> float:
        return statistics.median(run[key] or 0.0 for run in found)

    return [
        (rate, middle(found, "attainment"), middle(found, "effective_accuracy"))
        for rate, found in sorted(runs.items())
    ]


def ratios(alone: LoadCurve, together: LoadCurve) -> list[dict[str, float]]:
    """For every load that counts: how many times as much is carried at the same attainment and nearly its accuracy.

    `at_least` is True where even the largest load that was run is carried so.
    """
    found: list[dict[str, float]] = []
    for rate, attainment, accuracy in alone:
        if attainment < ATTAINED:
            continue
        carried, at_least = _carried(together, ATTAINED, accuracy - CLOSE)
        found.append(
            {
                "rate_rps": rate,
                "carried_rps": carried,
                "ratio": carried / rate,
                "at_least": at_least,
            }
        )
    return found


def _carried(together: LoadCurve, attainment: float, accuracy: float) -> tuple[float, bool]:
    """The largest load up to which both hold, between two loads by interpolation; whether the curve ends before."""
    last = (0.0, 1.0, 1.0)
    for point in together:
        if point[1] < attainment or point[2] < accuracy:
            shares = [
                (last[i] - bound) / (last[i] - point[i])
                for i, bound in ((1, attainment), (2, accuracy))
                if point[i] < bound
            ]
            return last[0] + (point[0] - last[0]) * max(0.0, min(1.0, *shares, 1.0)), False
        last = point
    return last[0], True


def _kept(report: dict[str, Any]) -> dict[str, Any]:
    keys = ("awg", "attainment", "effective_accuracy", "arms", "client", "outcomes")
    return {key: report[key] for key in keys}


def _said(run: dict[str, Any]) -> str:
    return f"awg {100 * run['awg']:.2f} attained {100 * run['attainment']:.2f} % accuracy {run['effective_accuracy']}"


def markdown(
    result: dict[str, Any], curves: dict[str, LoadCurve], options: argparse.Namespace
) -> str:
    """The two curves and the ratios."""
    machine = result["machine"]
    lines = [
        "# All runtimes against ONNX Runtime alone\n",
        f"{machine['cpu']}, each server alone on core {machine['server_core']}, client on core "
        f"{machine['client_core']}; Poisson load, SLO {result['slo_ms']} ms, {options.rounds} alternating runs of "
        f"{result['seconds_per_run']} s at every load, medians; {machine['date']}.",
        f"Command: `python benchmarks/serving/backends_gain.py --loads {options.loads}`.\n",
        "| load (rps) | attainment %, ONNX Runtime | all | effective accuracy %, ONNX Runtime | all |",
        "| --- | --- | --- | --- | --- |",
    ]
    for a, b in zip(curves[ALONE], curves[ALL], strict=True):
        figures = " | ".join(f"{100 * value:.2f}" for value in (a[1], b[1], a[2], b[2]))
        lines.append(f"| {a[0]:.0f} | {figures} |")
    lines += [
        "",
        "Load carried at an attainment of at least 99 % and an effective accuracy at most 0.5 points lower:\n",
        "| ONNX Runtime alone (rps) | all runtimes (rps) | ratio |",
        "| --- | --- | --- |",
    ]
    for row in result["ratios"]:
        least = "at least " if row["at_least"] else ""
        lines.append(
            f"| {row['rate_rps']:.0f} | {least}{row['carried_rps']:.0f} | {least}{row['ratio']:.2f} |"
        )
    known = [row["ratio"] for row in result["ratios"] if not row["at_least"]]
    if known:
        median = statistics.median(known)
        lines += ["", f"Median ratio {median:.2f}, range {min(known):.2f} to {max(known):.2f}.", ""]
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", default="60,100,140,180,220,260,300,340,380")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--slo-ms", type=float, default=50.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
