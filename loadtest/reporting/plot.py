"""A report at a glance: load, attainment and accuracy, and who answered, second by second."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def draw(summary: dict[str, Any], path: Path) -> None:
    """Write the timeline of a summary as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = summary["timeline"]
    rows = [*rows, {**rows[-1], "second": rows[-1]["second"] + 1}]  # draws the last second too
    seconds = np.array([row["second"] for row in rows], dtype=float)
    figure = Figure(figsize=(9.0, 7.5), layout="constrained")
    FigureCanvasAgg(figure)
    load, quality, shares = figure.subplots(3, 1, sharex=True)
    _draw_load(load, seconds, rows)
    _draw_quality(quality, seconds, rows)
    _draw_shares(shares, seconds, rows)
    shares.set_xlabel("seconds since the start, by when requests were due")
    figure.suptitle(_title(summary))
    figure.savefig(path, dpi=110)


def _title(summary: dict[str, Any]) -> str:
    attainment = summary["attainment"]
    said = "" if attainment is None else f": {attainment:.1%} in time"
    slo = "" if summary["slo_ms"] is None else f" (SLO {summary['slo_ms']:g} ms)"
    return f"{summary['run']['model']}, {summary['run']['load']}{said}{slo}"


def _column(rows: list[dict[str, Any]], name: str) -> NDArray[np.float64]:
    return np.array([row[name] for row in rows], dtype=float)  # None becomes NaN: a gap in the line


def _draw_load(axes: Any, seconds: NDArray[np.float64], rows: list[dict[str, Any]]) -> None:
    axes.step(seconds, _column(rows, "offered"), where="post", color="#555555", label="offered")
    axes.step(seconds, _column(rows, "in_time"), where="post", color="#1b7f4d", label="in time")
    axes.set_ylabel("requests/s")
    axes.set_ylim(bottom=0.0)
    axes.legend(loc="lower right")


def _draw_quality(axes: Any, seconds: NDArray[np.float64], rows: list[dict[str, Any]]) -> None:
    for name, color in (
        ("attainment", "#1b7f4d"),
        ("effective_accuracy", "#b3541e"),
        ("awg", "#2b5c9e"),
    ):
        axes.plot(seconds, _column(rows, name) * 100.0, color=color, label=name.replace("_", " "))
    axes.set_ylabel("%")
    axes.set_ylim(0.0, 103.0)
    axes.legend(loc="lower right")


def _draw_shares(axes: Any, seconds: NDArray[np.float64], rows: list[dict[str, Any]]) -> None:
    names = sorted({name for row in rows for name in row["variants"]})
    if names:
        stack = [[row["variants"].get(name, 0.0) * 100.0 for row in rows] for name in names]
        axes.stackplot(seconds, stack, labels=names, step="post")
        axes.legend(loc="lower right", fontsize="small")
    axes.set_ylabel("% of answers")
    axes.set_ylim(0.0, 100.0)
