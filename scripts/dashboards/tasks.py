"""Tasks that share a network: streams, frames, rates and events by task."""

from scripts.dashboards.parts import Board, Panel, Query, of, rate, total

SHARED = "a task package (docs/sharing.md)"
FED = f"{SHARED} and labels fed back"


def _of(name: str) -> str:
    return of(name, family=False)


def _rate(name: str) -> str:
    return rate(name, family=False)


def _share(title: str, text: str, unit: str, *queries: Query) -> Panel:
    return Panel(title, text, unit, queries, needs=SHARED)


BOARD = Board(
    "gearshift-tasks",
    "Gearshift: shared tasks",
    "Tasks that share a network: streams, frames, rates and events by task.",
    (
        (
            "Shared tasks",
            (
                _share(
                    "Frames by outcome",
                    "What became of the frames of all streams.",
                    "ops",
                    Query(total(_rate("gearshift_share_frames_total"), "outcome"), "{{outcome}}"),
                ),
                _share(
                    "Frames dropped",
                    "By reason.",
                    "ops",
                    Query(
                        total(_rate("gearshift_share_dropped_frames_total"), "reason"), "{{reason}}"
                    ),
                ),
                _share(
                    "Rate by task",
                    "Frames a second of one stream, planned and achieved.",
                    "ops",
                    Query(_of("gearshift_task_planned_fps"), "{{task}} planned"),
                    Query(_of("gearshift_task_achieved_fps"), "{{task}} achieved"),
                ),
                _share(
                    "Streams",
                    "Streams that are open.",
                    "short",
                    Query(_of("gearshift_share_streams"), "{{instance}}"),
                ),
                _share(
                    "Time of the device",
                    "Busy, planned for one stream, and allowed.",
                    "percentunit",
                    Query(_of("gearshift_share_busy_ratio"), "{{instance}} busy"),
                    Query(_of("gearshift_share_planned_cost_ratio"), "{{instance}} planned"),
                    Query(_of("gearshift_share_budget_ratio"), "{{instance}} allowed"),
                ),
                _share(
                    "Reuse of the stem",
                    "Frames of tasks for each frame through the stem.",
                    "none",
                    Query(_of("gearshift_stem_reuse_ratio"), "{{instance}}"),
                ),
                _share(
                    "Event F1 by task, as planned",
                    "What the plan predicts.",
                    "percentunit",
                    Query(_of("gearshift_task_predicted_f1_ratio"), "{{task}} predicted"),
                ),
                Panel(
                    "Event F1 by task, by labels",
                    "What the labels fed back say.",
                    "percentunit",
                    (Query(_of("gearshift_task_measured_f1_ratio"), "{{task}} measured"),),
                    needs=FED,
                ),
                _share(
                    "Plans made",
                    "By reason.",
                    "short",
                    Query(
                        total(
                            f"increase({_of('gearshift_share_replans_total')}[$__rate_interval])",
                            "reason",
                        ),
                        "{{reason}}",
                    ),
                ),
            ),
        ),
    ),
    by_family=False,
)
