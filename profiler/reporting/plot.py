"""The accuracy/latency frontier as a PNG: what a millisecond buys on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalog import Family
from profiler.measuring.dominance import frontier
from profiler.profiles import MachineProfile, Profile
from profiler.reporting.table import accuracy_of

_MARKERS = {"onnxruntime": "o", "openvino": "s", "torch": "^", "tensorrt": "D"}
"""By backend; any other one is a cross."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One arm in the picture: median latency (s) of a lone request with its interval; per row at best throughput."""

    label: str
    precision: str
    backend: str
    accuracy: float
    alone_s: float
    interval_s: tuple[float, float]
    per_row_s: float


def spots(family: Family, machine: MachineProfile) -> tuple[Spot, ...]:
    """One spot per profile."""
    return tuple(_spot(family, profile) for profile in machine.profiles)


def draw(family: Family, machine: MachineProfile, path: Path) -> None:
    """Write the picture to `path` (PNG). Raises OSError where it cannot be written."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only a plot should cost

    found = spots(family, machine)
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes: Any = figure.subplots()
    _draw_spots(axes, found)
    names = frontier([(s.label, s.alone_s, s.accuracy) for s in found])
    line = [spot for name in names for spot in found if spot.label == name]
    alone_ms, accuracy = [s.alone_s * 1e3 for s in line], [s.accuracy * 100 for s in line]
    look: dict[str, Any] = {"drawstyle": "steps-post", "color": "0.4", "linewidth": 1, "zorder": 1}
    axes.plot(alone_ms, accuracy, label="frontier, batch 1", **look)
    axes.set_xscale("log")
    axes.margins(x=0.12)
    for axis_ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis_ticks("{x:g}")
    axes.set_xlabel("median latency (ms), log scale; hollow: per row at best throughput")
    axes.set_ylabel("top-1 accuracy (%)")
    axes.set_title(f"{family.name} on {machine.fingerprint}: accuracy against latency")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(loc="lower right")
    figure.savefig(path, format="png", dpi=130)


def _spot(family: Family, profile: Profile) -> Spot:
    return Spot(
        label=profile.label,
        precision=profile.precision,
        backend=profile.backend,
        accuracy=accuracy_of(family, profile),
        alone_s=profile.latency_s(1),
        interval_s=profile.points[0].interval_s,
        per_row_s=1.0 / profile.throughput_rps(profile.best_batch()),
    )


def _draw_spots(axes: Any, found: Sequence[Spot]) -> None:
    """Colour: precision. Marker: backend. Filled: a lone request, its interval as a bar. Hollow: per row at best."""
    colors = {p: f"C{i}" for i, p in enumerate(sorted({s.precision for s in found}))}
    for precision, backend in sorted({(s.precision, s.backend) for s in found}):
        group = [s for s in found if (s.precision, s.backend) == (precision, backend)]
        marker, color = _MARKERS.get(backend, "x"), colors[precision]
        look: dict[str, Any] = {"marker": marker, "color": color, "linestyle": "none"}
        accuracy, alone_ms = [s.accuracy * 100 for s in group], [s.alone_s * 1e3 for s in group]
        below = [1e3 * (s.alone_s - s.interval_s[0]) for s in group]
        above = [1e3 * (s.interval_s[1] - s.alone_s) for s in group]
        filled = look | {"xerr": (below, above), "label": f"{precision}, {backend}"}
        axes.errorbar(alone_ms, accuracy, capsize=2, zorder=3, **filled)
        per_row_ms = [s.per_row_s * 1e3 for s in group]
        axes.plot(per_row_ms, accuracy, fillstyle="none", zorder=2, **look)
    fastest = {s.label.split("@")[0]: s for s in sorted(found, key=lambda s: -s.alone_s)}
    for variant, spot in fastest.items():
        place = (spot.alone_s * 1e3, spot.accuracy * 100)
        axes.annotate(variant, place, xytext=(5, 5), textcoords="offset points", fontsize=7)
