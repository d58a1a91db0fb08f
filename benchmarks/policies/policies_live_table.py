"""The live policy benchmark as Markdown. Pure: runs in, text out."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Literal

from benchmarks.policies.policies_live_run import LiveRun
from benchmarks.policies.policies_run import OURS

Key = Literal["awg", "attainment", "accuracy"]


def markdown(result: Mapping[str, Any], runs: Sequence[LiveRun]) -> str:
    """The whole report."""
    machine = result["machine"]
    lines = [
        "# Policies live\n",
        f"The default family on {machine['cpu']}, server pinned to core {machine['server_core']}, client to core "
        f"{machine['client_core']}; {result['trace']}, seed {result['seed']}: {result['offered']} requests in "
        f"{result['duration_s']:g} s, SLO {result['slo_ms']:.1f} ms; {machine['date']}.",
        f"Command: `{result['command']}`.\n",
        *_in_short(runs),
        *_section("The whole trace", [r for r in runs if r.in_full]),
        *_section("An excerpt", [r for r in runs if not r.in_full]),
        f"Client: at most {max(r.client_cpu_percent for r in runs):.0f} % of its core; "
        f"saturated in {sum(bool(r.client_saturated) for r in runs)} of {len(runs)} runs.\n",
        "Medians over rounds, x 100. Predicted: the simulator on the same times, with the arms' latencies as the "
        "server reported them during the run. Policies are ordered by awg; those the simulator held for the best ran "
        "the whole trace, the others an excerpt (`benchmarks/policies/policies_live.py`).\n",
    ]
    return "\n".join(lines)


def _in_short(runs: Sequence[LiveRun]) -> list[str]:
    ours = [r for r in runs if r.policy == OURS and r.in_full]
    off = {key: 100 * (_live(ours, key) - _predicted(ours, key)) for key in ("awg", "attainment")}
    rows = [
        f"| adaptive, measured less predicted, {key} | {value:+.2f} |" for key, value in off.items()
    ]
    for words, in_full in (("whole trace", True), ("excerpt", False)):
        mine = [r for r in runs if r.in_full == in_full]
        if gaps := _gaps(mine):
            best = min(gaps, key=lambda name: gaps[name])
            rows.append(
                f"| adaptive ahead of the best reference live, {words} | {gaps[best]:+.2f} ({best}) |"
            )
    return ["| figure | points |", "| --- | --- |", *rows, ""]


def _gaps(runs: Sequence[LiveRun]) -> dict[str, float]:
    """Points of awg by which ours is ahead of each reference."""
    ours = _live([r for r in runs if r.policy == OURS], "awg") if runs else 0.0
    names = {r.policy for r in runs} - {OURS}
    return {n: 100 * (ours - _live([r for r in runs if r.policy == n], "awg")) for n in names}


def _section(title: str, runs: Sequence[LiveRun]) -> list[str]:
    if not runs:
        return []
    names = sorted(
        {r.policy for r in runs}, key=lambda n: -_live([r for r in runs if r.policy == n], "awg")
    )
    rows = [_row(name, [r for r in runs if r.policy == name]) for name in names]
    head = "| policy | awg (range) | predicted | attainment | predicted | accuracy | predicted | runs |"
    return [f"## {title}\n", head, "|" + " --- |" * 8, *rows, ""]


def _row(name: str, runs: Sequence[LiveRun]) -> str:
    awg = [100 * r.live["awg"] for r in runs]
    figures = [f"{100 * _live(runs, 'awg'):.2f} ({min(awg):.2f} to {max(awg):.2f})"]
    figures.append(f"{100 * _predicted(runs, 'awg'):.2f}")
    for key in ("attainment", "accuracy"):
        figures += [f"{100 * _live(runs, key):.2f}", f"{100 * _predicted(runs, key):.2f}"]
    shown = f"**{name}**" if name == OURS else name
    return f"| {shown} | " + " | ".join(figures) + f" | {len(runs)} |"


def _live(runs: Sequence[LiveRun], key: Key) -> float:
    return median(r.live[key] for r in runs)


def _predicted(runs: Sequence[LiveRun], key: Key) -> float:
    return median(r.predicted[key] for r in runs)
