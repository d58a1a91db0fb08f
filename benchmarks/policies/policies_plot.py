"""The policy benchmark as two heat maps per profile: points ahead of the best reference, per cent of the bound."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import surroundings  # noqa: F401 - before any library that it keeps quiet
from benchmarks.policies.policies_table import Row

GAP_LIMIT = 3.0
"""Points at which the first map's colour is full."""


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the PNG: a pair of maps for each profile, traces and workers down, utilisation across."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    profiles = list(dict.fromkeys(r.cell.profile for r in rows))
    figure, axes = plt.subplots(
        len(profiles), 2, figsize=(13, 4.6 * len(profiles)), squeeze=False, layout="constrained"
    )
    for (left, right), profile in zip(axes, profiles, strict=True):
        mine = [r for r in rows if r.cell.profile == profile]
        gaps = _map(left, mine, [r.gap for r in mine], ("RdYlGn", -GAP_LIMIT, GAP_LIMIT, "{:+.2f}"))
        left.set_title(f"{profile}: awg ahead of the best reference (points)")
        shares = _map(
            right, mine, [r.percent_of_bound for r in mine], ("viridis", 88, 100, "{:.1f}")
        )
        right.set_title(f"{profile}: awg in per cent of the clairvoyant bound")
        figure.colorbar(gaps, ax=left, extend="both")
        figure.colorbar(shares, ax=right, extend="min")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _map(
    axis: Any, rows: Sequence[Row], values: Sequence[float], style: tuple[str, float, float, str]
) -> Any:
    colours, low, high, form = style
    across = sorted({r.cell.utilisation for r in rows})
    down = list(dict.fromkeys((r.cell.trace, r.cell.workers) for r in rows))
    table = [[float("nan")] * len(across) for _ in down]
    for row, value in zip(rows, values, strict=True):
        y, x = down.index((row.cell.trace, row.cell.workers)), across.index(row.cell.utilisation)
        table[y][x] = value
    image = axis.imshow(table, cmap=colours, vmin=low, vmax=high, aspect="auto")
    axis.set_xticks(range(len(across)), [f"{u:g}x" for u in across])
    axis.set_yticks(range(len(down)), [f"{trace}, {workers} w" for trace, workers in down])
    axis.set_xlabel("utilisation")
    for y, line in enumerate(table):
        for x, value in enumerate(line):
            dark = image.norm(value) < 0.4 and colours == "viridis"
            centred = {"ha": "center", "va": "center", "color": "white" if dark else "black"}
            axis.text(x, y, form.format(value), fontsize=8, **centred)
    return image
