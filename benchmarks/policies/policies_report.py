"""The policy benchmark as Markdown. Pure: what the JSON holds in, text out."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import tables
from benchmarks.policies import policies_oracle, policies_slow
from benchmarks.policies.policies_table import NOISE_POINTS
from benchmarks.policies.promise import PERCENTILE, SHORT

Told = Mapping[str, Any]


def markdown(result: Told) -> str:
    """The whole report."""
    lines = [*_head(result), *_in_short(result["summary"]), *_references(result["summary"])]
    for profile in result["profiles"]:
        lines += _grid(profile, result)
    lines += policies_oracle.markdown(result["oracle"])
    lines += policies_slow.markdown(result["slow_down"])
    lines += [*_decision_time(result["decision_time"]), *_reading()]
    return "\n".join(lines) + "\n"


def _head(result: Told) -> list[str]:
    machine = result["machine"]
    tables = "; ".join(
        f"{name}: {about['arms']} arms, SLO {about['slo_ms']:.1f} ms, 1.0x = {about['largest_rps']:.0f} rps a worker"
        for name, about in result["profiles"].items()
    )
    return [
        "# Policies in the simulator\n",
        f"{tables}. {result['duration_s']:g} s a run (of four workers half as long), seeds "
        f"{', '.join(map(str, result['seeds']))}. {machine['cpu']}, {machine['date']}, "
        f"{result['spent_s'] / 60:.0f} minutes on {result['processes']} cores.",
        f"Command: `{result['command']}`. Awg, attainment and accuracy x 100.\n",
    ]


def _in_short(summary: Told) -> list[str]:
    worst = summary["worst_recorded_cell"]
    recorded = _worst(summary["worst_recorded_percent_of_bound"], worst)
    return [
        "## In short",
        "",
        f"The promise is {100 * PERCENTILE:g} % in time; a policy keeps it down to {100 * SHORT:g} points less. Where "
        "any policy keeps it, ours is compared with those that do, by awg; where none does, with all.\n",
        *tables.lines(
            ["cells", *_HEADS],
            [
                ["all", *_group(summary)],
                *([name, *_group(own)] for name, own in summary["by_condition"].items()),
            ],
        ),
        "",
        f"Worst cell of a recorded trace, per cent of the bound: {recorded}.",
        "",
        *_listed("Broken promises", [_missed(*item) for item in summary["broken"].items()]),
        *_listed(
            "Less accurate than a fixed variant that keeps it",
            [_missed(*item) for item in summary["less_accurate"].items()],
        ),
        *_listed(
            f"A rival ahead by more than {NOISE_POINTS}",
            [_leaders(*item) for item in summary["cells_with_a_reference_ahead"].items()],
        ),
        "## By trace\n",
        *tables.lines(
            ["trace", *_HEADS],
            [[name, *_group(own)] for name, own in summary["by_trace"].items()],
        ),
        "",
    ]


_HEADS = (
    *("cells", "kept", "less accurate", "broken", "alone in keeping it", "none can"),
    *("a fixed variant keeps it", "of these broken"),
    *("per cent of the bound, mean", "worst"),
    *("points ahead of the best rival, mean", "worst", f"behind by more than {NOISE_POINTS}"),
)


def _group(own: Told) -> list[str]:
    verdicts = own["verdicts"]
    counts = [own["cells"], *(verdicts[v] for v in ("kept", "less accurate", "broken", "alone"))]
    counts += [verdicts["none can"], own["kept_by_a_fixed_variant"], own["of_these_broken"]]
    bound = [f"{own[f'{kind}_percent_of_bound']:.2f}" for kind in ("mean", "worst")]
    gaps = [_signed(own[f"{kind}_gap_points"]) for kind in ("mean", "worst")]
    return [*map(str, counts), *bound, *gaps, str(own["cells_behind"])]


def _listed(title: str, lines: Sequence[str]) -> list[str]:
    return [
        f"{title}: {len(lines)} cells.",
        "",
        *(f"- {line}" for line in lines),
        *[""][: len(lines)],
    ]


def _missed(cell: str, told: Told) -> str:
    ours, its = (
        f"{100 * f['attainment']:.2f} in time at {100 * f['accuracy']:.2f}"
        for f in (told["ours"], told["its"])
    )
    return f"{cell}: {ours}; {told['reference']} {its}"


def _leaders(cell: str, gaps: Mapping[str, float]) -> str:
    return f"{cell}: " + ", ".join(f"{name} ({gap:.2f})" for name, gap in gaps.items())


def _signed(points: float | None) -> str:
    return "" if points is None else f"{points:+.2f}"


def _worst(percent: float | None, cell: str | None) -> str:
    return "no recorded trace here" if percent is None else f"{percent:.2f} ({cell})"


def _references(summary: Told) -> list[str]:
    table = [
        [
            name,
            *(f"{g['mean']:+.2f}", f"{g['worst']:+.2f}"),
            *(f"{g['whole']} of {g['cells']}", str(g["kept"])),
        ]
        for name, g in summary["mean_gap_by_reference"].items()
    ]
    head = ["reference", "awg of ours less its, mean", "worst cell", "cells run in full"]
    return [
        "## References\n",
        *tables.lines([*head, "of these it keeps the promise in"], table),
        "",
    ]


def _grid(profile: str, result: Told) -> list[str]:
    table = [_cells(cell) for cell in result["cells"] if cell["cell"]["profile"] == profile]
    head = [
        *("trace", "load", "workers", "machine", "bound", "adaptive", "attainment", "accuracy"),
        *("% of bound", "promise", "kept by", "most accurate fixed variant that keeps it"),
        *("best rival", "its awg (attainment)", "gap"),
    ]
    slo_ms = result["profiles"][profile]["slo_ms"]
    return [f"## Profile {profile}, SLO {slo_ms:.1f} ms\n", *tables.lines(head, table), ""]


def _cells(told: Told) -> list[str]:
    cell, ours, best, fixed = told["cell"], told["ours"], told["best"], told["fixed"]
    rival = told["references"][best] if best else None
    broken = told["verdict"] in {"broken", "less accurate"}
    return [
        *(cell["trace"], f"{cell['utilisation']:g}x", str(cell["workers"]), cell["condition"]),
        f"{100 * told['bound']:.2f}",
        f"{100 * ours['awg']:.2f} +- {100 * told['spread']:.2f}",
        *(f"{100 * ours['attainment']:.2f}", f"{100 * ours['accuracy']:.2f}"),
        f"{told['percent_of_bound']:.2f}",
        f"**{told['verdict']}**" if broken else told["verdict"],
        ", ".join(told["keepers"]) or "nobody",
        f"{fixed} {100 * told['references'][fixed]['accuracy']:.2f}" if fixed else "",
        best or "",
        f"{100 * rival['awg']:.2f} ({100 * rival['attainment']:.2f})" if rival else "",
        _gap(told),
    ]


def _gap(told: Told) -> str:
    """Bold where behind; in brackets where ours broke the promise that the rival keeps."""
    if told["best"] is None:
        return ""
    spread = told["gap_spreads"].get(told["best"])
    text = f"{told['gap']:+.2f}" if spread is None else f"{told['gap']:+.2f} +- {spread:.2f}"
    if told["verdict"] == "broken":
        return f"({text})"
    return f"**{text}**" if told["behind"] else text


def _decision_time(times: Sequence[Mapping[str, Any]]) -> list[str]:
    table = [
        [r["policy"], r["queue"], f"{r['p50_us']:.0f}", f"{r['p99_us']:.0f}", str(r["decisions"])]
        for r in times
    ]
    head = ["policy", "queue", "median (us)", "p99 (us)", "decisions"]
    return [
        "## Time of one decision: 24 arms, 1,000 queued, one core",
        "",
        *tables.lines(head, table),
        "",
    ]


def _reading() -> list[str]:
    return [
        "## How to read it\n",
        "- Means over seeds, +- their standard deviation; gaps are of the same arrivals and noise, seed by seed. Below "
        "zero a rival is ahead. In brackets: ours broke a promise that the rival keeps, so that awg does not count.",
        "- Machines: quiet scatters by 4 % with 0.3 % of 1.5x; stalls: besides, 1 % of batches 5x and 0.5 % 4x; "
        "scatter: 15 % with 2 % of 2.5x; outliers: 10 % with 1 % of 3x; slow arm: the cheapest takes 3 times as long.",
        "- Ours learns its arms' speeds from finished batches, as in the server; references are told the true ones.",
        "- The bound knows all arrivals, and neither noise nor slow arms (`server/simulator/bound.py`).",
        "- A reference is first run on a sample of one seed's load. In full run the best by awg, the best of those "
        "that may keep the promise, the most accurate fixed variants that may, and the safest; the gap of others is "
        "the sample's (`benchmarks/policies/policies_table.py`).",
        "- Traces are squeezed to two minutes; a run serves a stretch of them, another with the next seed. Recorded: "
        "azure_conv and mooncake_conversation, real times where the rate is below the recording's, else drawn on its "
        "clock; of twitter the counts are real, the times within a second drawn. mooncake_spread: the same arrivals, "
        "each up to 1 ms late. Made: cameras (in step, 30 frames a second each), gamma, surges, bursts (Poisson, the "
        "rate redrawn every 0.2 s) and poisson (`benchmarks/policies/traces.py`).",
        "- Tuned on seeds 1 to 3 of azure_conv, twitter and the made traces. The seeds above, mooncake's arrivals and "
        "twitter_held (days of twitter's counts that nothing was ever chosen on) are for reporting only.",
    ]
