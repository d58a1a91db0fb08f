"""A simulation's figures for people: a few lines for a terminal, Markdown for a document."""

from collections.abc import Mapping, Sequence
from typing import Any

from server.simulator.figures import Report


def as_text(title: str, found: Report) -> str:
    """The figures in a few lines."""
    bound = f" ({found['awg'] / found['bound_awg']:.1%} of the bound)" if _bounded(found) else ""
    return (
        f"{title}: {found['offered']} offered, attainment {found['attainment']:.2%}, "
        f"effective accuracy {found['effective_accuracy']:.2%}, awg {found['awg']:.2%}{bound}\n"
        f"not run: {found['dropped_by_reason'] or 'none'}; answered late: {found['late']}\n"
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
    rows += [(name, str(found[name])) for name in ("offered", "dropped", "late", "rebuilt")]
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


def _shown(row: Mapping[str, Any]) -> tuple[str, ...]:
    return str(row["offered"]), f"{row['attainment']:.2%}", f"{row['effective_accuracy']:.2%}"


def _bounded(found: Report) -> bool:
    return bool(found.get("bound_awg"))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
