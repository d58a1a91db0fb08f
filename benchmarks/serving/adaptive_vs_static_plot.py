"""The figure of README: adaptive against every static choice over load, hollow where the promise is broken.

python benchmarks/serving/adaptive_vs_static_plot.py    # draws it anew from benchmarks/results/adaptive_vs_static.json
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import surroundings  # noqa: F401 - before any library that it keeps quiet
from benchmarks import rig
from benchmarks.policies.promise import LESS, PERCENTILE, keeps

OURS = "adaptive"
LEAST = 0.85
"""Where the axis of attainment begins: below it nobody would be served."""

Point = Mapping[str, Any]
"""One load: `rate_rps`, and by choice what it delivered."""


def promises(points: Sequence[Point], statics: Sequence[str]) -> dict[str, int]:
    """At how many loads a static choice keeps the percentile, ours too, and with at least its accuracy."""
    theirs = {i: _fixed(point, statics) for i, point in enumerate(points)}
    found = [(points[i], fixed) for i, fixed in theirs.items() if fixed]
    both = [(point, fixed) for point, fixed in found if keeps(point[OURS])]
    key = "effective_accuracy"
    accurate = [p for p, fixed in both if p[OURS][key] >= p[fixed][key] - LESS]
    return {
        "loads_at_which_a_static_choice_keeps_the_percentile": len(found),
        "of_these_kept": len(both),
        "of_these_as_accurate": len(accurate),
    }


def _fixed(point: Point, statics: Sequence[str]) -> str | None:
    """The most accurate static choice that keeps the percentile in full."""
    full = [name for name in statics if point[name]["attainment"] >= PERCENTILE]
    return max(full, key=lambda name: point[name]["effective_accuracy"], default=None)


def plot(result: Mapping[str, Any], path: Path) -> None:
    """Accuracy-weighted goodput and attainment over load."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (awg, attainment) = plt.subplots(1, 2, figsize=(12, 4.5), sharex=True)
    slo = f"SLO {result['slo_ms']:.0f} ms"
    for axis, key in ((awg, "awg"), (attainment, "attainment")):
        for name in result["statics"]:
            _line(axis, result["points"], (name, key), {"ls": "--", "alpha": 0.8})
        _line(axis, result["points"], (OURS, key), {"color": "k", "lw": 2})
        axis.set_xlabel("offered load (requests/s)")
        axis.grid(alpha=0.3)
    awg.set_title(f"accuracy-weighted goodput, {slo}; hollow: the promise is broken")
    awg.set_ylim(0, 1.02)
    awg.legend(fontsize=7, loc="lower left")
    attainment.set_title(f"answered in time; promised: {100 * PERCENTILE:g} %")
    attainment.axhline(PERCENTILE, color="tab:red", lw=1)
    attainment.set_ylim(LEAST, 1.005)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _line(axis: Any, points: Sequence[Point], what: tuple[str, str], style: dict[str, Any]) -> None:
    name, key = what
    rates, values = [p["rate_rps"] for p in points], [p[name][key] for p in points]
    (line,) = axis.plot(rates, values, label=name if name == OURS else f"static {name}", **style)
    for rate, value, point in zip(rates, values, points, strict=True):
        face = line.get_color() if keeps(point[name]) else "white"
        axis.plot(rate, value, "o", ms=6, color=line.get_color(), mfc=face)


def main() -> int:
    """Draw it anew from the committed figures."""
    result = json.loads((rig.RESULTS / "adaptive_vs_static.json").read_text())
    plot(result, rig.RESULTS / "adaptive_vs_static.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
