"""A real Prometheus, set up as deploy/ says, scrapes the real server and answers queries about it."""

import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving.commands import ended
from tests.support.serving.families import rows
from tests.support.serving.server import ROOT, Server, a_request, serving
from tests.support.sharing.packages import a_package
from tests.support.watching.prometheus import (
    PROMTOOL,
    RULES,
    asked,
    judged,
    needs_prometheus,
    scraped,
)

pytestmark = needs_prometheus
WAIT_S = 30.0


@pytest.fixture
def scraping(server: Server, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that scrapes `server`."""
    with scraped(server, tmp_path) as address:
        yield address


def query(address: str, expression: str) -> dict[str, float]:
    """`slo_class/outcome` -> value of each series of an instant query; none while Prometheus starts."""
    return {
        "/".join(row["metric"].get(k, "") for k in ("slo_class", "outcome")): float(row["value"][1])
        for row in asked(address, "query", query=expression)
    }


def await_value(address: str, expression: str, key: str, least: float) -> float:
    """The value of one series once it is at least `least`. Fails when half a minute is over."""
    stop_s = time.monotonic() + WAIT_S
    while time.monotonic() < stop_s:
        found = query(address, expression).get(key, -1.0)
        if found >= least:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{expression} has no {key} of {least} after {WAIT_S} s")


def test_prometheus_scrapes_the_server_and_answers_queries(server: Server, scraping: str):
    for _ in range(7):
        server.infer(a_request("mlp", rows(0.5), slo_class="interactive"))

    requests = 'gearshift_requests_total{family="mlp"}'
    accuracy = "gearshift_in_time_accuracy_total / gearshift_in_time_answers_total"
    assert await_value(scraping, requests, "interactive/ok", 7) >= 7
    assert await_value(scraping, 'up{job="gearshift"}', "/", 1) == 1
    assert await_value(scraping, f"max({accuracy} > 0)", "/", 0.6) < 0.91
    assert await_value(scraping, "count(gearshift_ready_arms > 0)", "/", 4) == 4


@pytest.mark.parametrize(
    "check",
    [["config", "deploy/prometheus.yml"], ["rules", "deploy/alerts.yml", "deploy/recording.yml"]],
)
def test_promtool_accepts_what_is_deployed(check: list[str]):
    done = ended([str(PROMTOOL), "check", *check])

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("alert", "at", "values", "fires"),
    [
        ("GearshiftTrialStuck", "2h10m", ("1x180", "0x180", "0+60x180"), True),
        ("GearshiftTrialStuck", "1h50m", ("0x60 1x120", "0x180", "0+60x180"), False),
        ("GearshiftTrialStuck", "2h10m", ("1x180", "0x100 1x80", "0+60x180"), False),
        ("GearshiftTrialStuck", "2h10m", ("1x180", "0x180", "0x180"), False),
        ("GearshiftCandidateRolledBack", "1h45m", ("0x180", "0x100 1x80", "0x180"), True),
        ("GearshiftCandidateRolledBack", "2h", ("0x180", "0x100 1x80", "0x180"), False),
        ("GearshiftCandidatesKeepFailing", "2h", ("0x180", "0x100 1x80", "0x180"), False),
        ("GearshiftCandidatesKeepFailing", "2h", ("0x180", "0x80 1x10 2x10 3x80", "0x180"), True),
    ],
)
def test_alerts_on_candidates_fire_when_they_are_to(
    tmp_path: Path, alert: str, at: str, values: tuple[str, str, str], fires: bool
):
    """`values`, one a minute: candidates on trial, rollbacks, requests."""
    where = 'family="m", instance="i"'
    names = (
        f'gearshift_candidates{{{where}, state="trial"}}',
        f'gearshift_promotions_total{{{where}, verdict="rolled_back"}}',
        f'gearshift_requests_total{{{where}, outcome="ok"}}',
    )

    done = judged(tmp_path, alert, at, dict(zip(names, values, strict=True)), fires=fires)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("predicted", "fires"),
    [
        ("0+60x120", False),
        ("0+120x120", True),
        ("0+120x40 4800+60x80", False),
        ("0+60x60 3600+120x60", True),
        ("0x120", False),
    ],
    ids=["as measured", "twice as slow", "for a while", "since an hour", "nothing runs"],
)
def test_a_family_that_takes_longer_than_measured_is_told_after_half_an_hour(
    tmp_path: Path, predicted: str, fires: bool
):
    """What batches of a minute take; by the profile one second a second, and nothing where nothing runs."""
    where = '{family="m", instance="i"}'
    profiled = "0x120" if predicted == "0x120" else "0+60x120"
    series = {
        f"gearshift_predicted_seconds_total{where}": predicted,
        f"gearshift_profiled_seconds_total{where}": profiled,
        'gearshift_speed_scale_ratio{family="m", instance="i", variant="idle"}': "9x120",
    }

    done = judged(tmp_path, "GearshiftSlowerThanItsProfile", "1h59m", series, fires=fires)

    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_and_server_speak_of_the_same_series(server: Server, tmp_path: Path):
    a_package(tmp_path / "models")
    with serving(tmp_path / "models", tmp_path, GEARSHIFT__SHARING__PACKAGE="tiny") as sharing:
        served = "".join(_exposed(one) for one in (server, sharing))
    rules = "".join((ROOT / "deploy" / name).read_text() for name in RULES)

    # A labelled series must be there before its first event, at 0: an alert on its increase needs that. What clients'
    # labels tell is no count, and not known before they come.
    words = rules.replace("(", " ").replace("{", " ").replace("[", " ").split()
    for name in {word.rstrip("),") for word in words if word.startswith("gearshift_")}:
        assert f"\n{name}" in served or f"\n# TYPE {name} gauge" in served


def _exposed(server: Server) -> str:
    url = f"http://127.0.0.1:{server.http_port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()
