"""A simulation as a picture: load, who answered, and how much of it in time, second by second."""

from pathlib import Path
from typing import Any

from server.simulator.figures import Report


def draw(title: str, found: Report, path: Path) -> None:
    """Write the report's timeline to `path` (PNG). Raises OSError where it cannot be written."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only a plot should cost

    timeline: list[Report] = found["timeline"]
    seconds = [s["second"] for s in timeline]
    figure = Figure(figsize=(9, 7), layout="constrained")
    load, shares, quality = figure.subplots(3, 1, sharex=True)
    load.step(seconds, [s["offered"] for s in timeline], where="post", color="0.3")
    load.set_ylabel("requests/s")
    load.set_title(title)
    _draw_shares(shares, seconds, timeline)
    for key, color in (("attainment", "C0"), ("effective_accuracy", "C1")):
        values = [100 * s[key] for s in timeline]
        quality.step(seconds, values, where="post", color=color, label=key.replace("_", " "))
    quality.set_ylabel("%")
    quality.set_xlabel("time of arrival (s)")
    quality.legend(loc="lower left")
    for axes in (load, shares, quality):
        axes.grid(visible=True, alpha=0.25)
    figure.savefig(path, format="png", dpi=130)


def _draw_shares(axes: Any, seconds: list[int], timeline: list[Report]) -> None:
    """Stacked: each variant's part of the requests offered; what is missing to 100 % was not answered in time."""
    names = sorted({name for s in timeline for name in s["variants"]})
    parts = [
        [100 * s["variants"].get(name, 0) / max(1, s["offered"]) for s in timeline]
        for name in names
    ]
    if names:
        axes.stackplot(seconds, parts, labels=names, step="post")
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
    axes.set_ylabel("% of requests by variant")
    axes.set_ylim(0, 100)
