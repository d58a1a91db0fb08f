"""The live comparison of stem sharing as a table and a plot."""

import statistics
from pathlib import Path
from typing import Any

import surroundings  # noqa: F401 - before any library that it keeps quiet

ARMS = ("gearshift", "max-sharing", "no-sharing")


def markdown(result: dict[str, Any]) -> str:
    """The report."""
    settings, machine, rounds = result["settings"], result["machine"], result["rounds"]
    head = [
        "# Shared tasks live: Gearshift, max-sharing and no-sharing",
        "",
        f"Package `{settings['package']}`, {settings['streams']} streams of {settings['seconds']:g} s at every "
        f"number of tasks, budget {settings['budget']:g} device seconds a second for all streams. {machine['cpu']}, "
        f"{machine['usable_cores']} cores, {machine['date']}. Frames of the test split, through gRPC, at their own "
        "pace; the same for all three, one after the other. Event F1 is the mean over tasks, measured / predicted.",
        f"Command: `python benchmarks/sharing/share_live.py{_flags(settings)}`.",
        "",
        f"| tasks | F1 {' | F1 '.join(ARMS)} | of max | of none | task-frames/s | of none | device s/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = [_row(one) for one in rounds]
    tail = ["", *_findings(rounds), "", *_plans(rounds[-1]), ""]
    return "\n".join([*head, *rows, *tail])


def _flags(settings: dict[str, Any]) -> str:
    """Those that tell this run from another."""
    at = f" --at {','.join(map(str, settings['at']))}" if settings["at"] else ""
    out = f" --out {settings['out']}"
    return f" --seconds {settings['seconds']:g} --budget {settings['budget']:g}{at}{out}"


def plot(result: dict[str, Any], path: Path) -> None:
    """Measured (solid) and predicted (dashed) F1, and task-frames a second, against the number of tasks."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rounds = result["rounds"]
    counts = [len(one["tasks"]) for one in rounds]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for arm in ARMS:
        (line,) = left.plot(counts, _each(rounds, arm, "measured_f1"), marker="o", label=arm)
        colour = line.get_color()
        left.plot(counts, _each(rounds, arm, "predicted_f1"), linestyle="--", color=colour)
        right.plot(counts, _each(rounds, arm, "task_fps"), marker="o", color=colour, label=arm)
    left.set(
        xlabel="tasks", ylabel="mean event F1", ylim=(0, 1), title="measured (dashed: predicted)"
    )
    right.set(xlabel="tasks", ylabel="task-frames a second", ylim=(0, None), title="all streams")
    left.legend(loc="lower left")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _each(rounds: list[dict[str, Any]], arm: str, key: str) -> list[float]:
    return [one["arms"][arm][key] for one in rounds]


def _row(one: dict[str, Any]) -> str:
    ours, most, none = (one["arms"][arm] for arm in ARMS)
    f1 = " | ".join(f"{a['measured_f1']:.3f} / {a['predicted_f1']:.3f}" for a in (ours, most, none))
    frames = " / ".join(f"{a['task_fps']:.0f}" for a in (ours, most, none))
    busy = " / ".join(f"{a['busy']:.3f}" for a in (ours, most, none))
    return (
        f"| {len(one['tasks'])} | {f1} | {_ratio(ours, most, 'measured_f1')} | {_ratio(ours, none, 'measured_f1')} "
        f"| {frames} | {_ratio(ours, none, 'task_fps')} | {busy} |"
    )


def _ratio(ours: dict[str, Any], other: dict[str, Any], key: str) -> str:
    return f"{ours[key] / other[key]:.2f}x" if other[key] else "-"


def _findings(rounds: list[dict[str, Any]]) -> list[str]:
    lines = []
    for arm in ARMS:
        gaps = [
            abs(m - p)
            for m, p in zip(
                _each(rounds, arm, "measured_f1"), _each(rounds, arm, "predicted_f1"), strict=True
            )
        ]
        lines.append(
            f"- {arm}: measured and predicted F1 differ by {statistics.mean(gaps):.3f} on average, "
            f"{max(gaps):.3f} at most."
        )
    added = [s for one in rounds for arm in one["arms"].values() for s in arm["added_s"]]
    lost = sum(arm["dropped"] + arm["unanswered"] for one in rounds for arm in one["arms"].values())
    if added:
        lines.append(
            f"- Adding a task took {statistics.median(added):.2f} s (median), {max(added):.2f} at most."
        )
    lines.append(f"- Frames dropped or unanswered, of all: {lost}.")
    return lines


def _plans(last: dict[str, Any]) -> list[str]:
    lines = [
        f"With {len(last['tasks'])} tasks (layers frozen, frames a second of each stream, votes; F1 measured / "
        "predicted):",
        "",
        f"| task | {' | '.join(ARMS)} |",
        "| --- | --- | --- | --- |",
    ]
    for task in last["tasks"]:
        cells = [_cell(last["arms"][arm]["by_task"][task]) for arm in ARMS]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return lines


def _cell(task: dict[str, float]) -> str:
    return (
        f"{task['frozen']}, {task['fps']:g} fps, {task['x_vote']}: "
        f"{task['measured_f1']:.2f} / {task['predicted_f1']:.2f}"
    )
