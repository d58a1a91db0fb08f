"""Alerts and what they rest on, put to promtool: each fires when it is to, and not before."""

from pathlib import Path

import pytest

from tests.support.watching.prometheus import claimed, judged, needs_prometheus

pytestmark = needs_prometheus
WHERE = 'job="gearshift", instance="i", family="m"'
REQUESTS = f'gearshift_requests_total{{{WHERE}, outcome="ok"}}'
MISSED = f'gearshift_requests_total{{{WHERE}, outcome="late"}}'
CANCELLED = f'gearshift_requests_total{{{WHERE}, outcome="cancelled"}}'
IN_TIME = f"gearshift_in_time_answers_total{{{WHERE}}}"
ACCURACY = f"gearshift_in_time_accuracy_total{{{WHERE}}}"
PROMISED = f"gearshift_slo_percentile_ratio{{{WHERE}}}"
LEAST = f"gearshift_slo_min_accuracy_ratio{{{WHERE}}}"
READY = f"gearshift_ready_arms{{{WHERE}}}"
SLO = f"gearshift_slo_seconds{{{WHERE}}}"
UP = 'up{job="gearshift", instance="i"}'
OUT = f"gearshift_quarantined_arms{{{WHERE}}}"


def missing(share: float, minutes: int = 480) -> dict[str, str]:
    """A hundred requests a minute of which this share is late, all the time; the SLO promises 99 %."""
    late = round(100 * share)
    return {
        REQUESTS: f"0+{100 - late}x{minutes}",
        MISSED: f"0+{late}x{minutes}",
        IN_TIME: f"0+{100 - late}x{minutes}",
        PROMISED: f"0.99x{minutes}",
    }


def accurate(mean: float, least: float) -> dict[str, str]:
    """A hundred answers a minute of this mean accuracy."""
    return {IN_TIME: "0+100x120", ACCURACY: f"0+{100 * mean:g}x120", LEAST: f"{least}x120"}


FAST, SLOW = "GearshiftBurnsFast", "GearshiftBurnsSlowly"
LATE_FOR_A_WHILE = {
    REQUESTS: "0+100x420 42000+70x60",
    MISSED: "0x420 0+30x60",
    IN_TIME: "0+100x420 42000+70x60",
    PROMISED: "0.99x480",
}
MENDED = {
    REQUESTS: "0+70x420 29400+100x60",
    MISSED: "0+30x420 12600x60",
    IN_TIME: "0+70x420 29400+100x60",
    PROMISED: "0.99x480",
}


@pytest.mark.parametrize(
    ("alert", "at", "series", "fires"),
    [
        (FAST, "2h", missing(0.3), True),
        (FAST, "2h", missing(0.1), False),
        (FAST, "7h10m", LATE_FOR_A_WHILE, False),
        (FAST, "7h45m", LATE_FOR_A_WHILE, True),
        (FAST, "7h20m", MENDED, False),
        (SLOW, "7h", missing(0.05), True),
        (SLOW, "7h", missing(0.02), False),
        (SLOW, "7h45m", MENDED, False),
        ("GearshiftAccuracyLow", "1h", accurate(0.65, 0.7), True),
        ("GearshiftAccuracyLow", "1h", accurate(0.75, 0.7), False),
        ("GearshiftAccuracyLow", "1h", accurate(0.65, 0.0), False),
        ("GearshiftAccuracyLow", "10m", accurate(0.65, 0.7), False),
        ("GearshiftNoProfile", "10m", {READY: "0x20", SLO: "0.05x20"}, True),
        ("GearshiftNoProfile", "4m", {READY: "0x20", SLO: "0.05x20"}, False),
        ("GearshiftNoProfile", "10m", {READY: "2x20", SLO: "0.05x20"}, False),
        ("GearshiftNoProfile", "10m", {READY: "0x20"}, False),
        ("GearshiftDown", "5m", {UP: "1x2 0x10"}, True),
        ("GearshiftDown", "3m", {UP: "1x2 0x10"}, False),
        ("GearshiftDown", "5m", {UP: "1x10"}, False),
        ("GearshiftArmsOutOfUse", "10m", {OUT: "1x20"}, True),
        ("GearshiftArmsOutOfUse", "10m", {OUT: "1x3 0x2 1x20"}, False),
        ("GearshiftArmsOutOfUse", "10m", {OUT: "0x20"}, False),
    ],
)
def test_alerts_fire_when_they_are_to(
    tmp_path: Path, alert: str, at: str, series: dict[str, str], fires: bool
):
    done = judged(tmp_path, alert, at, series, fires=fires)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("window", "at"), [("5m", "1h"), ("30m", "1h"), ("1h", "2h"), ("6h", "7h")]
)
def test_burn_is_the_share_missed_over_the_share_that_may_be(tmp_path: Path, window: str, at: str):
    name = f"instance_family:gearshift_burn:ratio_rate{window}"
    series = missing(0.25) | {CANCELLED: "0+500x480"}

    done = claimed(
        tmp_path,
        series,
        at,
        f"round({name}, 0.01)",
        [{"labels": f"{{{WHERE}}}", "value": 25}],
    )

    assert done.returncode == 0, done.stdout + done.stderr
