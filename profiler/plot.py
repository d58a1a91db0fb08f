"""The accuracy/latency frontier as a PNG: what a millisecond buys on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalog import Family
from profiler.profiles import MachineProfile, Profile
from profiler.table import accuracy_of


@dataclass(frozen=True, slots=True)
class Spot:
    """One arm in the picture: median latency (s) of a lone request; per row at best throughput."""

    label: str
    precision: str
    accuracy: float
    alone_s: float
    per_row_s: float


def spots(family: Family, machine: MachineProfile) -> tuple[Spot, ...]:
    """One spot per profile."""
    return tuple(_spot(family, profile) for profile in machine.profiles)


def frontier(found: Sequence[Spot]) -> tuple[Spot, ...]:
    """The spots that no other one beats in both latency and accuracy, fastest first."""
    best: list[Spot] = []
    for spot in sorted(found, key=lambda s: (s.alone_s, -s.accuracy)):
        if not best or spot.accuracy > best[-1].accuracy:
            best.append(spot)
    return tuple(best)


def draw(family: Family, machine: MachineProfile, path: Path) -> None:
    """Write the picture to `path` (PNG). Raises OSError where it cannot be written."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only a plot should cost

    found = spots(family, machine)
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes: Any = figure.subplots()
    _draw_spots(axes, found)
    line = frontier(found)
    axes.plot(
        [s.alone_s * 1e3 for s in line], [s.accuracy * 100 for s in line],
        drawstyle="steps-post", color="0.4", linewidth=1, zorder=1, label="frontier, batch 1",
    )  # fmt: skip
    axes.set_xscale("log")
    axes.margins(x=0.12)
    for axis_ticks in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
        axis_ticks("{x:g}")
    axes.set_xlabel("median latency (ms), log scale")
    axes.set_ylabel("top-1 accuracy (%)")
    axes.set_title(f"{family.name} on {machine.fingerprint}: accuracy against latency")
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(loc="lower right")
    figure.savefig(path, format="png", dpi=130)


def _spot(family: Family, profile: Profile) -> Spot:
    return Spot(
        label=profile.variant,
        precision=profile.precision,
        accuracy=accuracy_of(family, profile),
        alone_s=profile.latency_s(1),
        per_row_s=1.0 / profile.throughput_rps(profile.best_batch()),
    )


def _draw_spots(axes: Any, found: Sequence[Spot]) -> None:
    """Filled: a lone request. Hollow: per row, at the batch size with the best throughput."""
    for index, precision in enumerate(sorted({s.precision for s in found})):
        group = [s for s in found if s.precision == precision]
        accuracy, color = [s.accuracy * 100 for s in group], f"C{index}"
        alone = [s.alone_s * 1e3 for s in group]
        axes.scatter(alone, accuracy, color=color, label=f"{precision}, batch 1", zorder=3)
        axes.scatter(
            [s.per_row_s * 1e3 for s in group], accuracy, facecolors="none", edgecolors=color,
            label=f"{precision}, per row at best throughput", zorder=2,
        )  # fmt: skip
    for spot in found:
        axes.annotate(
            spot.label, (spot.alone_s * 1e3, spot.accuracy * 100),
            xytext=(5, 5), textcoords="offset points", fontsize=7,
        )  # fmt: skip
