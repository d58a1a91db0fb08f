"""Test error against training cost as a picture: one line a selector, its seeds' spread as a band."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from trainer.compare.curves import ErrorCurve, summary

_COLORS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Told apart by the colour-blind too (Okabe and Ito, 2008); their yellow is left out, too pale for a line on white."""

_MARKERS = "osD^vPX*"
_DASHES = ("-", "--", ":")


def draw(curves: Sequence[ErrorCurve], title: str, path: Path | BinaryIO) -> None:
    """Write the picture to `path` (PNG), the baseline's curve first. Raises OSError where it cannot be written."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second that only a plot should cost

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes: Any = figure.subplots()
    for number, curve in enumerate(curves):
        _draw_curve(axes, curve, number)
    axes.set_xscale("log")
    budgets = sorted({budget for curve in curves for budget in curve.budgets})
    axes.set_xticks(budgets, [_short(budget) for budget in budgets])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("training cost (units: forward passes of one example), log scale", fontsize=12)
    axes.set_ylabel("test error (%)", fontsize=12)
    axes.set_title(title, fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(visible=True, alpha=0.25)
    axes.legend(fontsize=10, title="mean of seeds; band: standard deviation")
    figure.savefig(path, format="png", dpi=130)


def _draw_curve(axes: Any, curve: ErrorCurve, number: int) -> None:
    points = [(b, summary(row)) for b, row in zip(curve.budgets, curve.errors, strict=True)]
    present = [(budget, s) for budget, s in points if s is not None]
    budgets = [budget for budget, _ in present]
    means = np.array([100.0 * s.mean for _, s in present])
    spreads = np.array([100.0 * (s.sd or 0.0) for _, s in present])
    color = _COLORS[number % len(_COLORS)]
    axes.plot(
        budgets,
        means,
        color=color,
        label=curve.selector,
        linewidth=2,
        linestyle=_DASHES[number // len(_COLORS) % len(_DASHES)],
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=6,
    )
    axes.fill_between(
        budgets, means - spreads, means + spreads, color=color, alpha=0.15, linewidth=0
    )


def _short(units: float) -> str:
    """As 200k or 1.6M."""
    scale, letter = next((p for p in ((1e6, "M"), (1e3, "k")) if units >= p[0]), (1.0, ""))
    return f"{units / scale:.4g}{letter}"
