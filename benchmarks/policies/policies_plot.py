"""The policy benchmark as two heat maps per profile: points ahead of the best rival, per cent of the bound.

python benchmarks/policies/policies_plot.py    # draws benchmarks/results/policies.png anew from policies.json
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import surroundings  # noqa: F401 - before any library that it keeps quiet
from benchmarks import rig

Told = Mapping[str, Any]

GAP_LIMIT = 3.0
"""Points at which the first map's colour is full."""
LINE_IN, LEAST_IN = 0.27, 3.5
"""Height of a line of cells, and of a map."""
MARKS = {"broken": "broken", "alone": "alone", "none can": "{}*", "less accurate": "{}!"}
"""What a cell says of the promise; where it is kept, only the gap."""


def draw(told: Sequence[Told], path: Path) -> None:
    """Write the PNG: a pair of maps for each profile, traces and workers down, utilisation across."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    profiles = list(dict.fromkeys(one["cell"]["profile"] for one in told))
    heights = [max(LEAST_IN, LINE_IN * len(_down(_of(told, p)))) for p in profiles]
    figure, axes = plt.subplots(
        *(len(profiles), 2),
        figsize=(14, sum(heights) + 1.2 * len(profiles)),
        squeeze=False,
        layout="constrained",
        height_ratios=heights,
    )
    for (left, right), profile in zip(axes, profiles, strict=True):
        mine = _of(told, profile)
        gaps = _map(left, mine, [shown(one) for one in mine], ("RdYlGn", -GAP_LIMIT, GAP_LIMIT))
        left.set_title(f"{profile}: awg ahead of the best rival that keeps the promise (points)")
        left.set_xlabel(
            "load.  broken: a promise that others keep; *: nobody keeps it, all compared\n"
            "alone: nobody else keeps it; !: a fixed variant that keeps it is more accurate"
        )
        shares = [(one["percent_of_bound"], f"{one['percent_of_bound']:.1f}") for one in mine]
        bound = _map(right, mine, shares, ("viridis", 88, 100))
        right.set_title(f"{profile}: awg in per cent of the clairvoyant bound")
        right.set_xlabel("load")
        figure.colorbar(gaps, ax=left, extend="both")
        figure.colorbar(bound, ax=right, extend="min")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def _of(told: Sequence[Told], profile: str) -> list[Told]:
    return [one for one in told if one["cell"]["profile"] == profile]


def shown(told: Told) -> tuple[float, str]:
    """A cell's colour (as a gap) and its text: a broken promise is the worst, one kept alone the best."""
    verdict, gap = told["verdict"], told["gap"]
    text = MARKS.get(verdict, "{}").format("" if gap is None else f"{gap:+.2f}")
    if verdict == "broken":
        return -GAP_LIMIT, text
    return (GAP_LIMIT if gap is None else gap), text


def _down(told: Sequence[Told]) -> list[str]:
    return list(dict.fromkeys(map(_line, told)))


def _line(told: Told) -> str:
    cell = told["cell"]
    condition = "" if cell["condition"] == "quiet" else f", {cell['condition']}"
    return f"{cell['trace']}{condition}, {cell['workers']} w"


def _map(
    axis: Any,
    told: Sequence[Told],
    values: Sequence[tuple[float, str]],
    style: tuple[str, float, float],
) -> Any:
    colours, low, high = style
    across = sorted({one["cell"]["utilisation"] for one in told})
    down = _down(told)
    table = [[float("nan")] * len(across) for _ in down]
    texts: list[tuple[int, int, float, str]] = []
    for one, (value, text) in zip(told, values, strict=True):
        y, x = down.index(_line(one)), across.index(one["cell"]["utilisation"])
        table[y][x] = value
        texts.append((x, y, value, text))
    image = axis.imshow(table, cmap=colours, vmin=low, vmax=high, aspect="auto")
    axis.set_xticks(range(len(across)), [f"{u:g}x" for u in across])
    axis.set_yticks(range(len(down)), down, fontsize=8)
    for x, y, value, text in texts:
        dark = image.norm(value) < (0.4 if colours == "viridis" else 0.1)
        axis.text(
            x, y, text, ha="center", va="center", fontsize=7, color="white" if dark else "black"
        )
    return image


def main() -> int:
    """Draw it anew from the committed figures."""
    draw(
        json.loads((rig.RESULTS / "policies.json").read_text())["cells"],
        rig.RESULTS / "policies.png",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
