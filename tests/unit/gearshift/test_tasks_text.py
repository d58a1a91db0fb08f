"""Shared tasks as text: what is planned, what it costs, what was measured, and what is not known."""

import json
from typing import Any

from gearshift import tasks_text
from gearshift.asking import plain
from wire import tasks_pb2

pb: Any = tasks_pb2
CHOICE = pb.TaskChoice(
    task="cat",
    frozen=7,
    rate_fps=5.0,
    x_vote=2,
    f1=0.81,
    recall=0.9,
    precision=0.74,
    reason="7 costs less",
)
PLAN = pb.TaskPlan(
    choices=[CHOICE],
    stem=[pb.StemStep(start=0, end=7, rate_fps=5.0, cost=0.0123)],
    cost=0.02,
    objective=0.81,
    reason="task_added",
)


def standing(**more: Any) -> str:
    """The plan as it fares."""
    return tasks_text.standing(plain(pb.GetTaskPlanResponse(package="net", plan=PLAN, **more)))


def test_a_plan_tells_stem_tasks_and_why():
    lines = tasks_text.changed(plain(pb.AddTaskResponse(plan=PLAN))).splitlines()

    assert lines == [
        "  predicted F1 0.8100 at 0.02 device seconds a second of a stream (task added)",
        "  stem     layers 0 to 7 at 5 fps for 12.3 ms a second",
        "  task     cat: 7 layers shared, 5 fps, 2 in a row; predicted F1 0.8100 (recall 0.9000, precision 0.7400)",
        "           7 costs less",
    ]


def test_a_server_without_tasks_says_so():
    assert tasks_text.changed({"plan": plain(pb.TaskPlan())}) == "  no task is in service"


def test_what_was_measured_is_told_beside_what_was_predicted():
    measured = pb.TaskStanding(task="cat", achieved_fps=4.5, measured_f1=0.79, labelled_windows=40)

    text = standing(tasks=[measured], streams=2, busy=0.5, budget=0.6, reuse=3.0)

    assert "4.50 fps achieved, F1 0.7900 on 40 labelled windows" in text
    assert "net: 2 streams, 50% busy, budget 0.6 device seconds a second" in text
    assert "feeds 3.00 task-frames" in text


def test_without_labels_no_measured_f1_is_made_up():
    told = plain(pb.GetTaskPlanResponse(plan=PLAN, tasks=[pb.TaskStanding(task="cat")]))

    assert told["tasks"][0]["measured_f1"] is None
    assert "labelled" not in tasks_text.standing(told)
    assert json.loads(json.dumps(told)) == told


def test_counts_are_by_name_and_none_where_nothing_was():
    text = standing(outcomes={"skipped": 3, "analysed": 2, "failed": 0}, dropped={"queue_full": 1})

    assert "frames   2 analysed, 3 skipped\n" in text
    assert "dropped  1 queue full\n" in text
    assert text.endswith("replans  none")


def test_a_list_tells_who_is_in_service_and_who_has_left_the_package():
    entries = [
        pb.TaskEntry(task="cat", meaning="a cat", in_service=True, in_package=True, frozen=[0, 7]),
        pb.TaskEntry(task="dog", meaning="a dog", in_package=True, frozen=[3]),
        pb.TaskEntry(task="emu", in_service=True),
    ]
    answer = pb.ListTasksResponse(
        package="net", frame_shape=[3, 8, 8], stream_fps=10, tasks=entries
    )

    assert tasks_text.listing(plain(answer)).splitlines() == [
        "net: frames 3x8x8, 10 fps",
        "  cat: in service; a cat; may share 0, 7 layers",
        "  dog: not in service; a dog; may share 3 layers",
        "  emu: in service; the package on disk holds it no more",
    ]
