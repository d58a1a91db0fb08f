"""A simulation's figures for people: a few lines for a terminal, Markdown for a document, a picture over time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from server.simulator.figures import Report


def as_text(title: str, found: Report) -> str:
    """The figures in a few lines."""
    bound = f" ({found['awg'] / found['bound_awg']:.1%} of the bound)" if _bounded(found) else ""
    return (
        f"{title}: {found['offered']} offered, attainment {found['attainment']:.2%}, "
        f"effective accuracy {found['effective_accuracy']:.2%}, awg {found['awg']:.2%}{bound}\n"
        f"not run: {found['dropped_by_reason'] or 'none'}; answered late: {found['late']}; "
        f"switches of arms: {found['switches']}\n"
        f"answers in time by variant: {found['variants']}\n"
        f"decision time: p50 {found['decision_us_p50']:.0f} us, p99 {found['decision_us_p99']:.0f} us"
    )


def as_markdown(title: str, found: Report) -> str:
    """The figures as tables: the whole, by class, by second."""
    whole = [
        ("attainment", "attainment"),
        ("effective accuracy", "effective_accuracy"),
        ("awg", "awg"),
    ]
    rows = [(name, f"{found[key]:.2%}") for name, key in whole]
    if _bounded(found):
        rows.append(("clairvoyant bound on awg", f"{found['bound_awg']:.2%}"))
    rows += [
        (name, str(found[name])) for name in ("offered", "dropped", "late", "rebuilt", "switches")
    ]
    rows += [(f"dropped: {why}", str(n)) for why, n in found["dropped_by_reason"].items()]
    rows += [(f"decision {q} (us)", f"{found[f'decision_us_{q}']:.0f}") for q in ("p50", "p99")]
    parts = [f"# {title}", _table(("figure", "value"), rows)]
    if len(found["classes"]) > 1:
        parts.append(
            _table(("class", *_SHOWN), [(n, *_shown(c)) for n, c in found["classes"].items()])
        )
    parts.append(
        _table(("second", *_SHOWN), [(str(s["second"]), *_shown(s)) for s in found["timeline"]])
    )
    return "\n\n".join(parts) + "\n"


_SHOWN = ("offered", "attainment", "effective_accuracy")


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


def _shown(row: Mapping[str, Any]) -> tuple[str, ...]:
    return str(row["offered"]), f"{row['attainment']:.2%}", f"{row['effective_accuracy']:.2%}"


def _bounded(found: Report) -> bool:
    return bool(found.get("bound_awg"))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
