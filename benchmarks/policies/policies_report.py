"""The policy benchmark as Markdown. Pure: figures in, text out."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.policies.policies_run import OURS
from benchmarks.policies.policies_table import NOISE_POINTS, Row

Table = Sequence[Sequence[str]]


def markdown(result: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The whole report; `result` is what the JSON holds."""
    lines = [*_head(result), *_in_short(result["summary"]), *_references(result["summary"])]
    for profile in result["profiles"]:
        lines += _grid(profile, result, rows)
    lines += [*_slow(result["slow_down"]), *_decision_time(result["decision_time"]), *_reading()]
    return "\n".join(lines) + "\n"


def _head(result: Mapping[str, Any]) -> list[str]:
    machine = result["machine"]
    tables = "; ".join(
        f"{name}: {about['arms']} arms, SLO {about['slo_ms']:.1f} ms, 1.0x = {about['largest_rps']:.0f} rps a worker"
        for name, about in result["profiles"].items()
    )
    return [
        "# Policies in the simulator\n",
        f"{tables}. {result['duration_s']:g} s a run, seeds {', '.join(map(str, result['seeds']))}; "
        f"noise: log-normal scatter of 4 % and 0.3 % of 1.5x. {machine['cpu']}, {machine['date']}, "
        f"{result['spent_s'] / 60:.0f} minutes on {result['processes']} cores.",
        f"Command: `{result['command']}`. Awg, attainment and accuracy x 100.\n",
    ]


def _in_short(summary: Mapping[str, Any]) -> list[str]:
    ahead = summary["cells_with_a_reference_ahead"]
    worst = summary["worst_recorded_cell"]
    table = [
        ["per cent of the clairvoyant bound, mean", f"{summary['mean_percent_of_bound']:.2f}"],
        [
            "... worst cell of a recorded trace",
            _worst(summary["worst_recorded_percent_of_bound"], worst),
        ],
        ["... worst cell", f"{summary['worst_percent_of_bound']:.2f}"],
        ["points ahead of the best reference, mean", f"{summary['mean_gap_points']:+.2f}"],
        ["... worst cell", f"{summary['worst_gap_points']:+.2f}"],
        [
            f"cells where a reference is ahead by more than {NOISE_POINTS}",
            f"{len(ahead)} of {summary['cells']}",
        ],
    ]
    named = [
        f"- {cell}: " + ", ".join(f"{name} ({gap:+.2f})" for name, gap in leaders.items())
        for cell, leaders in ahead.items()
    ]
    return [
        "## In short",
        "",
        *_table(["figure", "value"], table),
        *(["", *named] if named else []),
        "",
        *_table(
            ["trace", *_TRACE_HEADS.values()],
            [_trace_row(t, own) for t, own in summary["by_trace"].items()],
        ),
        "",
    ]


_TRACE_HEADS = {
    "cells": "cells",
    "mean_percent_of_bound": "per cent of the bound, mean",
    "worst_percent_of_bound": "worst cell",
    "mean_gap_points": "points ahead of the best reference, mean",
    "worst_gap_points": "worst cell",
    "cells_behind": f"cells where one is ahead by more than {NOISE_POINTS}",
}


def _trace_row(trace: str, own: Mapping[str, float]) -> list[str]:
    return [trace, *(f"{own[key]:.4g}" for key in _TRACE_HEADS)]


def _worst(percent: float | None, cell: str | None) -> str:
    return "no recorded trace here" if percent is None else f"{percent:.2f} ({cell})"


def _references(summary: Mapping[str, Any]) -> list[str]:
    table = [
        [name, f"{g['mean']:+.2f}", f"{g['worst']:+.2f}", f"{g['whole']} of {g['cells']}"]
        for name, g in summary["mean_gap_by_reference"].items()
    ]
    head = ["reference", "adaptive ahead by, mean", "worst cell", "cells run in full"]
    return ["## References\n", *_table(head, table), ""]


def _grid(profile: str, result: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    table = [_cells(row) for row in rows if row.cell.profile == profile]
    head = [
        "trace",
        "load",
        "workers",
        "bound",
        "adaptive (range)",
        "attainment",
        "accuracy",
        "% of bound",
        "best reference",
        "its awg",
        "gap",
    ]
    slo_ms = result["profiles"][profile]["slo_ms"]
    return [f"## Profile {profile}, SLO {slo_ms:.1f} ms\n", *_table(head, table), ""]


def _cells(row: Row) -> list[str]:
    low, high = (100.0 * value for value in row.spread)
    gap = f"{row.gap:+.2f}"
    return [
        row.cell.trace,
        f"{row.cell.utilisation:g}x",
        str(row.cell.workers),
        f"{100 * row.bound:.2f}",
        f"{100 * row.ours['awg']:.2f} ({low:.2f} to {high:.2f})",
        f"{100 * row.ours['attainment']:.2f}",
        f"{100 * row.ours['accuracy']:.2f}",
        f"{row.percent_of_bound:.2f}",
        row.best,
        f"{100 * row.references[row.best]['awg']:.2f}",
        f"**{gap}**" if row.gap < -NOISE_POINTS else gap,
    ]


def _slow(slow: Mapping[str, Any]) -> list[str]:
    groups: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for window in slow["rows"]:
        groups.setdefault((window["cell"], window["factor"]), []).append(window)
    if not groups:
        return []
    table = [[cell, f"{factor:g}x", *_slowed(found)] for (cell, factor), found in groups.items()]
    head = [
        "cell",
        "slower",
        "first 0.5 s",
        "attainment",
        "awg",
        "oracle's awg",
        "ours less oracle",
        "best reference, corrected",
        "as published",
    ]
    return [
        "## Hardware slows mid-run\n",
        f"Every batch takes longer from {slow['from_s']:g} to {slow['until_s']:g} s; figures are of what arrives then. "
        "The oracle is ours, told the speed at once. References: awg (attainment) with the speed measured as ours has "
        "it, and with the profile never corrected. 1x: the same window without a slow-down.\n",
        *_table(head, table),
        "",
    ]


def _slowed(windows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line: ours, the oracle, the best reference under either way of following."""
    mine = {w["follow"]: w for w in windows if w["policy"] == OURS}
    ours, oracle = mine["measured"], mine["told"]
    figures = [f"{100 * ours[key]:.2f}" for key in ("first", "attainment", "awg")]
    figures += [f"{100 * oracle['awg']:.2f}", f"{100 * (ours['awg'] - oracle['awg']):+.2f}"]
    for follow in ("measured", "profile"):
        others = [w for w in windows if w["policy"] != OURS and w["follow"] == follow]
        best = max(others, key=lambda w: w["awg"], default=None)
        figures.append(_named(best) if best else "")
    return figures


def _named(window: Mapping[str, Any]) -> str:
    return f"{window['policy']} {100 * window['awg']:.2f} ({100 * window['attainment']:.2f})"


def _decision_time(times: Sequence[Mapping[str, Any]]) -> list[str]:
    table = [
        [r["policy"], r["queue"], f"{r['p50_us']:.0f}", f"{r['p99_us']:.0f}", str(r["decisions"])]
        for r in times
    ]
    head = ["policy", "queue", "median (us)", "p99 (us)", "decisions"]
    return [
        "## Time of one decision: 24 arms, 1,000 queued, one core",
        "",
        *_table(head, table),
        "",
    ]


def _reading() -> list[str]:
    return [
        "## How to read it\n",
        "- Medians over seeds; gaps are medians of differences on the same arrivals. A gap below zero means that a "
        "reference is ahead.",
        "- Ours learns its arms' speeds from finished batches, as in the server; references are given the true ones.",
        "- The bound knows all arrivals and no noise (`server/simulator/bound.py`).",
        "- A reference is first run on a sixth of one seed's load; if it is far behind the best ones there, or did "
        "exactly what another did, it is not run in full: its gap in that cell is the screening run's "
        "(`benchmarks/policies/policies_table.py`).",
        "- Traces: azure_conv and mooncake_conversation are recorded arrivals, real times where the rate is below the "
        "recording's, else drawn on its clock; twitter's counts are real, its times within a second drawn; gamma and "
        "surges are made (`benchmarks/policies/traces.py`).",
        "- Tuned on seeds 1 to 3 of azure_conv, twitter, gamma and surges. mooncake_conversation and the seeds above "
        "are for reporting only.",
    ]


def _table(head: Sequence[str], rows: Table) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]
