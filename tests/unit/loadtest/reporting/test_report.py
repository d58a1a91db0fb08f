"""What a summary says of records."""

import json
import math

import numpy as np
import pytest

from loadtest.client import ClosedLoop, OpenLoop
from loadtest.fleet import deal
from loadtest.records import COLUMNS, ROW, Cost, Records, merge
from loadtest.reporting.markdown import render
from loadtest.reporting.report import recovery, summarise

NAN = math.nan
ARMS = (("big", "fp32", "ort"), ("small", "int8", "ort"))


IDLE = Cost(0.1, 1.0)


def a_row(
    due_s: float = 0.0, latency_s: float = 0.01, code: int = 0, arm: int = 0, accuracy: float = 0.8
):
    """One request's cells; unanswered ones name no arm."""
    if code:
        return (due_s, due_s, due_s + latency_s, code, -1, NAN, NAN, NAN, NAN)
    return (due_s, due_s, due_s + latency_s, code, arm, accuracy, 2.0, 0.001, 0.004)


def records(*rows: tuple[float, ...], cost: Cost = IDLE) -> Records:
    """Records of these rows."""
    return Records(np.array(list(rows), dtype=ROW), ARMS, cost, {8: "queue full"})


def test_each_request_has_exactly_one_outcome():
    seen = records(
        a_row(), a_row(latency_s=0.2), a_row(code=8), a_row(code=4), a_row(code=13), a_row(code=14)
    )

    summary = summarise(seen, slo_s=0.1, duration_s=1.0)

    assert summary["outcomes"] == {"ok": 1, "late": 1, "rejected": 1, "expired": 1, "error": 2}
    assert summary["codes"]["RESOURCE_EXHAUSTED"] == {"count": 1, "first": "queue full"}


def test_goodput_weighs_in_time_answers_by_accuracy_over_all_offered():
    seen = records(
        a_row(accuracy=0.9), a_row(accuracy=0.7, arm=1), a_row(latency_s=0.2), a_row(code=8)
    )

    summary = summarise(seen, slo_s=0.1, duration_s=1.0)

    assert summary["attainment"] == 0.5
    assert summary["effective_accuracy"] == pytest.approx(0.8)
    assert summary["awg"] == pytest.approx(0.4)


def test_latency_counts_from_when_a_request_was_due():
    late_send = (1.0, 1.5, 1.6, 0, 0, 0.8, 1.0, 0.0, 0.1)

    summary = summarise(records(late_send), slo_s=0.2, duration_s=2.0)

    assert summary["latency_ms"]["p50"] == pytest.approx(600.0)
    assert summary["outcomes"]["late"] == 1
    assert "late" in summary["client"]["saturated"]


def test_variant_shares_are_told_overall_and_by_second():
    seen = records(a_row(0.1), a_row(0.2), a_row(0.3, arm=1), a_row(1.5, arm=1))

    summary = summarise(seen, slo_s=None, duration_s=2.0)

    assert summary["variants"] == {"big": 0.5, "small": 0.5}
    assert [row["variants"] for row in summary["timeline"]] == [
        {"big": pytest.approx(2 / 3), "small": pytest.approx(1 / 3)},
        {"small": 1.0},
    ]


def test_a_second_without_requests_has_no_shares_and_no_attainment():
    summary = summarise(records(a_row(2.5)), slo_s=0.1, duration_s=3.0)

    assert summary["timeline"][0]["attainment"] is None
    assert summary["timeline"][0]["variants"] == {}


def test_without_an_slo_every_answer_is_in_time():
    assert summarise(records(a_row(latency_s=9.0)), None, 1.0)["attainment"] == 1.0


def test_unstated_accuracy_leaves_the_weighted_figures_unknown():
    summary = summarise(records(a_row(accuracy=NAN)), None, 1.0)

    assert summary["awg"] is None
    assert summary["effective_accuracy"] is None


@pytest.mark.parametrize("seen", [records(), records(a_row(code=14)), records(a_row())])
def test_every_summary_is_strict_json_and_renders(seen: Records):
    summary = {"run": {"model": "m", "url": "u", "load": "l", "inputs": "i"}}
    summary |= summarise(seen, 0.1, 1.0)

    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert render(summary).startswith("# Load test of `m`")


def test_a_busy_client_says_so():
    summary = summarise(records(a_row(), cost=Cost(0.95, 1.0)), None, 1.0)

    assert summary["client"]["saturated"] == "client CPU 95% of a core"


def test_recovery_is_when_the_next_second_and_the_rest_are_in_time():
    rows = [a_row(t / 100, latency_s=0.5 if 1000 <= t < 1070 else 0.01) for t in range(2000)]

    steps = recovery(records(*rows), slo_s=0.1, steps=[(10.0, 100.0), (10.0, 100.0)])

    assert steps[0]["recovered_after_s"] == 0.0
    assert steps[1]["recovered_after_s"] == pytest.approx(0.7, abs=0.11)


def test_a_step_that_never_recovers_says_none():
    rows = [a_row(t / 10, latency_s=0.5) for t in range(20)]

    assert recovery(records(*rows), 0.1, [(2.0, 10.0)])[0]["recovered_after_s"] is None


def test_a_warm_up_is_cut_off_and_time_starts_after_it():
    kept = records(a_row(0.5), a_row(1.5)).since(1.0)

    assert kept.column("scheduled_s").tolist() == [0.5]
    assert kept.column("done_s").tolist() == [pytest.approx(0.51)]


def test_merged_records_agree_on_their_arms():
    other = Records(
        np.array([a_row(0.2), a_row(0.1, code=8)], dtype=ROW), ARMS[1:], Cost(0.9, 1.0), {}
    )

    merged = merge([records(a_row(0.3)), other])

    assert merged.column("arm").tolist() == [-1.0, 1.0, 0.0]
    assert merged.arms == ARMS
    assert merged.cost == Cost(0.9, 1.0, 2)


def test_a_load_is_dealt_out_without_loss():
    opened = deal(OpenLoop(np.arange(5.0)), 2)
    closed = deal(ClosedLoop(3, 1.0), 8)

    assert [loop.arrivals_s.tolist() for loop in opened if isinstance(loop, OpenLoop)] == [
        [0.0, 2.0, 4.0],
        [1.0, 3.0],
    ]
    assert closed == [ClosedLoop(1, 1.0)] * 3


def test_a_row_holds_every_column():
    assert len(a_row()) == len(COLUMNS)
