"""The outcome for people: what every task's branches are worth, a row a task, a column a point. Pure."""

from typing import Any


def table(outcome: dict[str, Any]) -> str:
    """True and false positive rate of single frames, and event F1 with every frame analysed, by layers frozen."""
    points = [str(point) for point in outcome["points"]]
    head = ["task", "events", "corr", *(f"{point} frozen" for point in points)]
    rows = [_row(task, points) for task in outcome["tasks"]]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip()
        for r in [head, *rows]
    ]
    end = (
        f"published as {outcome['published']}"
        if outcome["published"]
        else "not published; see --publish"
    )
    return "\n".join(
        [
            *lines,
            "true/false positive rate of frames on held-out pictures, event F1 where all frames are analysed",
            f"base: {outcome['base_test_error']:.2%} test error on its own classes; {end}",
        ]
    )


def _row(task: dict[str, Any], points: list[str]) -> list[str]:
    branches = (task["branches"][point] for point in points)
    figures = [
        f"{b['true_positive']:.2f}/{b['false_positive']:.3f} {b['event_f1']:.2f}" for b in branches
    ]
    return [task["name"], f"{task['event_frequency']:.2f}", f"{task['correlation']:.2f}", *figures]
