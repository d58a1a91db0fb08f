"""Draw every panel of the dashboards from a running Prometheus, a picture a dashboard, into docs/dashboards/.

Each query is put to Prometheus as Grafana would put it, with all jobs, instances and families chosen. `--demo`: to a
Prometheus beside a server under load, both started for it and ended after `--last-s`; the committed ones were made so.
"""

import argparse
import json
import math
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import matplotlib as mpl
import numpy as np

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.support.watching.busy import busy, publish
from tests.support.watching.prometheus import scraped

ROOT = Path(__file__).resolve().parent.parent
BOARDS = ROOT / "deploy" / "grafana" / "dashboards"
PICTURES = ROOT / "docs" / "dashboards"
VARIABLES = {"$job": ".+", "$instance": ".+", "$family": ".+"}
COLUMNS = 3
MOST_IN_LEGEND = 6
DEMO_SLO_MS = "40"
MOST_PLAIN = 1e4
LABELS = {"percentunit": "", "reqps": "requests/s", "ops": "1/s", "s": "s", "bytes": "MiB"}


class Span(NamedTuple):
    """Which Prometheus is asked, about when (s of Unix time), and how `$__rate_interval` reads."""

    address: str
    start_s: float
    end_s: float
    interval: str


def main() -> int:
    """Draw them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--last-s", type=float, default=300.0)
    parser.add_argument("--rate-interval", default="20s")
    parser.add_argument("--out", type=Path, default=PICTURES)
    parser.add_argument("--demo", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if not args.demo:
        return drawn(args, args.prometheus)
    with (
        TemporaryDirectory() as folder,
        TemporaryDirectory() as data,
        busy(Path(folder), "--slo-ms", DEMO_SLO_MS) as server,
        scraped(server, Path(data)) as address,
    ):
        time.sleep(args.last_s / 3)
        publish(Path(folder), "quick", "sharp")
        time.sleep(args.last_s * 2 / 3)
        return drawn(args, address)


def drawn(args: argparse.Namespace, address: str) -> int:
    """Draw all dashboards. Returns 1 where a panel has no data, else 0."""
    now_s = time.time()
    span = Span(address, now_s - args.last_s, now_s, args.rate_interval)
    empty = [
        title for path in sorted(BOARDS.glob("*.json")) for title in draw(path, span, args.out)
    ]
    for title in empty:
        print(f"no data: {title}", file=sys.stderr)
    return 1 if empty else 0


def draw(path: Path, span: Span, out: Path) -> list[str]:
    """One dashboard. Returns the titles of panels without data."""
    board = json.loads(path.read_text())
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    rows = math.ceil(len(panels) / COLUMNS)
    figure, axes = plt.subplots(
        rows, COLUMNS, figsize=(15, 3.6 * rows + 0.5), squeeze=False, layout="constrained"
    )
    figure.suptitle(board["title"], fontsize=13)
    empty: list[str] = []
    for place, panel in zip(axes.flat, panels, strict=False):
        place.set_title(panel["title"], fontsize=10)
        if not _filled(place, panel, span):
            empty.append(f"{board['title']}: {panel['title']}")
    for place in list(axes.flat)[len(panels) :]:
        place.set_axis_off()
    target = out / f"{path.stem}.png"
    figure.savefig(target, dpi=75)
    plt.close(figure)
    with Image.open(target) as image:
        image.convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(target, optimize=True)
    return empty


def asked(expr: str, span: Span) -> list[Any]:
    """The series of a range query. Raises URLError where Prometheus refuses or is not there."""
    for name, value in {**VARIABLES, "$__rate_interval": span.interval}.items():
        expr = expr.replace(name, value)
    step_s = max(1.0, (span.end_s - span.start_s) / 150)
    asking = {"query": expr, "start": span.start_s, "end": span.end_s, "step": step_s}
    url = f"{span.address}/api/v1/query_range?{urllib.parse.urlencode(asking)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)["data"]["result"]


def _filled(place: Axes, panel: Any, span: Span) -> bool:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if panel["type"] == "heatmap":
        return _heat(place, asked(panel["targets"][0]["expr"], span), span)
    drawn = 0
    for target in panel["targets"]:
        for series in asked(target["expr"], span):
            at, values = np.array(series["values"], float).T
            if np.isfinite(values).any():
                shown = values / 2**20 if unit == "bytes" else values
                place.plot(at - span.start_s, shown, label=_name(target, series), linewidth=1.3)
                drawn += 1
    place.set_xlabel("s", fontsize=8)
    place.set_ylabel(LABELS.get(unit, ""), fontsize=8)
    top = max(place.get_ylim()[1], 1e-9)
    place.set_ylim(-0.03 * top, 1.05 * top)  # a line at 0 is seen too
    place.tick_params(labelsize=8)
    place.grid(alpha=0.3)
    if unit == "percentunit":
        place.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    elif top > MOST_PLAIN:
        place.yaxis.set_major_formatter(EngFormatter(sep=" "))
    _legend(place, drawn)
    return drawn > 0


def _legend(place: Axes, drawn: int) -> None:
    """Below the axes, so that it hides nothing; of many series the first."""
    if drawn:
        handles, names = place.get_legend_handles_labels()
        more = len(names) - MOST_IN_LEGEND
        names = names[:MOST_IN_LEGEND]
        if more > 0:
            names[-1] += f" and {more} more"
        place.legend(
            handles[:MOST_IN_LEGEND],
            names,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.2),
            ncols=2,
            fontsize=7,
            frameon=False,
        )


def _name(target: Any, series: Any) -> str:
    """A series' name by the panel's legend, without the one instance that the picture is of."""
    name = target["legendFormat"].replace("{{instance}}", "")
    for label, value in series["metric"].items():
        name = name.replace(f"{{{{{label}}}}}", value)
    return " ".join(name.split()) or "server"


def _heat(place: Axes, found: list[Any], span: Span) -> bool:
    """Counts between two edges, over time: buckets hold all up to their edge."""
    buckets = sorted(found, key=lambda one: float(one["metric"]["le"]))
    if not buckets:
        return False
    times = [float(at) - span.start_s for at, _ in buckets[-1]["values"]]
    held = np.array(
        [[float(value) for _, value in one["values"]][-len(times) :] for one in buckets]
    )
    counts = np.diff(held, axis=0, prepend=0)
    edges = [f"{float(one['metric']['le']):g}" for one in buckets]
    place.pcolormesh(times, range(len(edges)), np.ma.masked_less_equal(counts, 0), cmap="viridis")
    place.set_yticks(range(len(edges)), [f"≤ {edge} s" for edge in edges], fontsize=6)
    place.set_xlabel("s", fontsize=8)
    place.tick_params(axis="x", labelsize=8)
    return bool((counts > 0).any())


if __name__ == "__main__":
    sys.exit(main())
