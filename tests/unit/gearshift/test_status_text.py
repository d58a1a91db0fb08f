"""The status as text: every state of a family has its line, and messages become plain values."""

import json
from math import inf
from typing import Any

import pytest

from gearshift.asking import plain
from gearshift.status_text import text_of
from wire import control_pb2

pb: Any = control_pb2
ARM = pb.ArmPlan(
    variant="lite0-int8",
    backend="onnx",
    device="cpu",
    accuracy=0.745,
    speed_scale=1.31,
    latency=[pb.BatchLatency(rows=1, mean_ms=3.0), pb.BatchLatency(rows=2, mean_ms=5.875)],
)
RUN = pb.Decision(
    seconds_ago=0.31,
    action="run",
    reason="partial",
    variant="lite1-int8",
    rows=4,
    queue_length=9,
    forecast_rps=212.4,
    took_us=61.2,
    terms=pb.Terms(price_per_s=31.0),
    candidates=[
        pb.Candidate(variant="lite1-int8", rows=4, worth=3.0, in_time=True),
        pb.Candidate(variant="lite1-int8", rows=3, worth=2.9, in_time=True),
        pb.Candidate(variant="lite0-int8", rows=6, worth=2.8, in_time=True),
    ],
)


def text(decisions: list[Any] | None = None, frontier: Any = None, **plan: Any) -> str:
    """A family's status from these parts of its plan, and its frontier."""
    given = {"family": "imagenet", "policy": "adaptive", "slo_ms": 47.2, **plan}
    message = pb.Plan(load=pb.Load(), recent=pb.Results(window_s=10), **given)
    more = {"frontier": frontier and plain(frontier)}
    return text_of({**plain(message), **more, "decisions": [plain(one) for one in decisions or []]})


def test_an_arm_has_its_latency_by_batch_and_its_speed():
    line = next(row for row in text(arms=[ARM]).splitlines() if "lite0" in row)

    assert line.split() == ["lite0-int8", "(onnx", "on", "cpu)", "0.7450", "1.31", "3.00", "5.88"]


def test_a_family_without_arms_is_loading():
    assert "no arm is ready yet: loading and measuring" in text()


def test_each_class_is_told_whether_its_promise_is_kept():
    kept = pb.Promise(slo_class="default", percentile=0.99, attainment=0.994, caution=0.2)
    broken = pb.Promise(slo_class="gold", percentile=0.99, attainment=0.981, caution=1.0)

    told = text(promises=[kept, broken])

    assert "promise     kept: 99.4% of the last requests of class default in time" in told
    assert "promise     BROKEN: 98.1% of the last requests of class gold in time" in told


def test_without_requests_no_share_is_made_up():
    assert "last 10 s   0 requests\n" in text(arms=[ARM])
    assert "since start nothing asked" in text()


def test_outcomes_are_counted_by_name():
    assert "since start 3 late, 12000 ok, 2 shed" in text(
        outcomes={"ok": 12000, "shed": 2, "late": 3}
    )


def test_a_least_accuracy_is_told_where_there_is_one():
    assert "SLO 47.2 ms, accuracy at least 0.7, 0 of 0 workers busy" in text(min_accuracy=0.7)
    assert "accuracy at least" not in text()


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (
            RUN,
            "    0.3 s ago  4 rows on lite1-int8 (partial): 9 waiting, 212 rps forecast, price 31 acc/s; "
            "next best lite0-int8 x 6; dropped 0; took 61 us",
        ),
        (
            pb.Decision(action="wait", reason="wait", wait_ms=2.5, queue_length=1),
            "wait 2.5 ms: 1 waiting, 0 rps forecast; dropped 0; took 0 us",
        ),
        (
            pb.Decision(
                action="idle", dropped=[pb.Dropped(reason=r) for r in ("shed", "late", "shed")]
            ),
            "idle: 0 waiting, 0 rps forecast; dropped 1 late, 2 shed; took 0 us",
        ),
    ],
)
def test_a_decision_is_one_line_with_its_why(decision: Any, words: str):
    assert text([decision]).splitlines()[-1].endswith(words)


def test_plain_values_can_be_written_as_json():
    message = pb.Decision(terms=pb.Terms(affordable_ms=float("inf"), waiting_rows=3))

    values = json.loads(json.dumps(plain(message), allow_nan=False))

    assert values["terms"]["affordable_ms"] is None
    assert values["terms"]["waiting_rows"] == 3
    assert (values["members"], values["action"]) == ([], "")
    assert plain(pb.Decision())["terms"] is None


def test_an_arm_out_of_use_is_named_with_why_and_when_it_is_tried_again():
    out = [
        pb.OutOfUse(variant="lite0", backend="onnx", device="cpu", reason="slow", retry_ms=1500.0),
        pb.OutOfUse(variant="lite1", backend="onnx", device="cpu", reason="hung", retry_ms=inf),
    ]

    told = text(arms=[ARM], out_of_use=out)

    assert "\n  lite0 (onnx on cpu) is out of use (slow), tried again in 1.5 s" in told
    assert "\n  lite1 (onnx on cpu) is out of use (hung), tried again once its run returns" in told


def test_a_candidate_has_its_state_and_what_live_rows_have_told():
    one = {"candidate": True, "accuracy": 0.8, "compared": 64}
    frontier = pb.GetFrontierResponse(
        variants=[
            pb.VariantStanding(name="plain", state="serving"),
            pb.VariantStanding(name="tried", state="trial", agreed=60, least_agreement=0.5, **one),
            pb.VariantStanding(name="new", state="serving", probation=True, reason="good", **one),
            pb.VariantStanding(name="back", state="rolled_back", candidate=True, reason="failed"),
        ]
    )

    told = text(arms=[ARM], frontier=frontier)

    assert "plain" not in told
    assert "candidate tried (0.8000): trial, agrees on 60 of 64 live rows (50.0% needed)\n" in told
    assert "candidate new (0.8000): promoted, watched, ran on 64 live rows: good\n" in told
    assert "candidate back (0.0000): rolled back: failed" in told
