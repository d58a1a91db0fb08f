"""The live policy benchmark: arms as a server tells them, and what its report compares."""

import pytest

from benchmarks.policies.policies_live_run import Delivered, LiveRun, arms_of
from benchmarks.policies.policies_live_table import markdown
from wire import control_pb2


def a_plan(factor: float) -> control_pb2.Plan:
    """One arm with batches of 1, 2 and 4, all `factor` times as slow."""
    plan = control_pb2.Plan(family="imagenet")
    arm = plan.arms.add(variant="small", backend="onnxruntime", device="cpu", accuracy=0.7)
    for rows, mean_ms in ((1, 2.0), (2, 3.0), (4, 7.0)):
        arm.latency.add(rows=rows, mean_ms=factor * mean_ms, upper_ms=factor * mean_ms + 1.0)
    return plan


def a_run(policy: str, awg: float, predicted: float = 0.7, in_full: bool = True) -> LiveRun:
    """One policy's run."""
    live, told = (Delivered(awg=a, attainment=0.99, accuracy=0.75) for a in (awg, predicted))
    return LiveRun(policy, in_full, live, told, 12.0, "")


def a_result() -> dict[str, object]:
    """What the report says beside the runs."""
    machine = {"cpu": "some processor", "server_core": 0, "client_core": 1, "date": "today"}
    return {
        "machine": machine,
        "trace": "azure_conv",
        "seed": 11,
        "offered": 100,
        "duration_s": 10.0,
        "slo_ms": 78.4,
        "command": "python",
    }


def test_an_arms_tables_are_the_mean_of_what_was_told_straight_between_sizes():
    (arm,) = arms_of([a_plan(1.0), a_plan(2.0)])

    assert arm.mean_s == pytest.approx((0.0, 0.003, 0.0045, 0.0075, 0.0105))
    assert arm.upper_s[4] == pytest.approx(0.0115)
    assert (arm.arm.variant, arm.accuracy) == ("small", pytest.approx(0.7))


def test_the_report_tells_how_far_ours_is_from_its_prediction_and_from_the_best_reference():
    runs = [
        a_run("adaptive", 0.72, 0.73),
        a_run("adaptive", 0.74, 0.73),
        a_run("slackfit", 0.71),
        a_run("aimd", 0.60),
    ]

    text = markdown(a_result(), [*runs, a_run("adaptive", 0.7, 0.7, in_full=False)])

    assert "| adaptive, measured less predicted, awg | +0.00 |" in text
    assert "| adaptive ahead of the best reference live, whole trace | +2.00 (slackfit) |" in text
    assert text.index("| slackfit |") < text.index("| aimd |")
