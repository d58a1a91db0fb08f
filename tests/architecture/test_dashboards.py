"""Dashboards are what the script makes of them, sound, and ask only for what there is; so do the rules."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.watching.boards import boards, filled, panels
from tests.support.watching.names import known

ROOT = Path(__file__).resolve().parents[2]
BOARDS = boards()
UNITS = {"bytes", "none", "ops", "percentunit", "reqps", "s", "short"}
_NAME = re.compile(r"\b(?:gearshift|process|nv)_[a-z0-9_]+\b")
_RECORDED = re.compile(r"\b\w+:\w+:\w+\b")


def recorded() -> set[str]:
    """What deploy/recording.yml records."""
    return {r["record"] for r in rules("recording.yml")}


def rules(name: str) -> list[Any]:
    """All rules of a file."""
    text = (ROOT / "deploy" / name).read_text()
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


@pytest.fixture(params=sorted(BOARDS))
def board(request: pytest.FixtureRequest) -> Any:
    """Each dashboard."""
    return BOARDS[request.param]


def test_the_files_are_what_the_script_makes():
    pytest.importorskip("grafana_foundation_sdk")
    from scripts import generate_dashboards  # noqa: PLC0415 - needs the SDK

    made = {name: json.loads(text) for name, text in generate_dashboards.files().items()}
    assert made == BOARDS, "run scripts/generate_dashboards.py"


def test_a_dashboard_goes_through_grafanas_sdk_and_comes_back_the_same(board: Any):
    pytest.importorskip("grafana_foundation_sdk")
    from grafana_foundation_sdk.cog import plugins  # noqa: PLC0415 - may be missing
    from grafana_foundation_sdk.cog.encoder import JSONEncoder  # noqa: PLC0415
    from grafana_foundation_sdk.models.dashboard import Dashboard  # noqa: PLC0415

    plugins.register_default_plugins()
    again = json.dumps(Dashboard.from_json(board), cls=JSONEncoder)
    assert json.loads(again) == board


def test_every_panel_has_a_title_a_description_and_a_unit(board: Any):
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]


def test_rates_are_over_grafanas_interval_and_every_job_can_be_chosen(board: Any):
    chosen = {variable["name"] for variable in board["templating"]["list"]}
    assert {"datasource", "job", "instance"} <= chosen
    for panel in panels(board):
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        for target in panel["targets"]:
            expr = target["expr"]
            assert set(re.findall(r"\[([^\]]*)\]", expr)) <= {"$__rate_interval"}, expr
            selectors = re.findall(r"\{([^}]*)\}", expr)
            assert selectors
            assert all('job=~"$job"' in s and 'instance=~"$instance"' in s for s in selectors), expr
            assert set(re.findall(r"\$(\w+)", expr)) <= chosen | {"__rate_interval"}
            assert not re.search(r'(job|instance|family)="', expr), expr
            assert "$" not in filled(expr)


def test_panels_do_not_overlap_and_stay_in_the_grid(board: Any):
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(p["x"] + p["w"] <= 24 and p["w"] > 0 and p["h"] > 0 for p in places)
    for a, b in itertools.combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or below, (a, b)


def test_names_of_panels_and_dashboards_are_their_own(board: Any):
    ids = [panel["id"] for panel in board["panels"]]
    titles = [panel["title"] for panel in panels(board)]
    assert len(set(ids)) == len(ids)
    assert len(set(titles)) == len(titles)
    assert len({one["uid"] for one in BOARDS.values()}) == len(BOARDS)


def test_dashboards_ask_only_for_what_the_server_shows(board: Any):
    exprs = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    exprs += [str(v["query"]) for v in board["templating"]["list"] if v["type"] == "query"]
    text = " ".join(exprs)
    assert set(_NAME.findall(_RECORDED.sub("", text))) <= known()
    assert set(_RECORDED.findall(text)) <= recorded()


@pytest.mark.parametrize("name", ["alerts.yml", "recording.yml"])
def test_rules_ask_only_for_what_the_server_shows(name: str):
    text = " ".join(rule["expr"] for rule in rules(name))
    assert set(_NAME.findall(_RECORDED.sub("", text))) <= known()
    assert set(_RECORDED.findall(text)) <= recorded()


def test_every_alert_leads_to_what_it_means_and_what_to_do():
    page = (ROOT / "docs/operating.md").read_text()
    alerts = [rule for rule in rules("alerts.yml") if "alert" in rule]
    assert len(alerts) > 15
    for alert in alerts:
        name = alert["alert"]
        assert alert["annotations"]["runbook"] == f"docs/operating.md#{name.lower()}"
        said = page.partition(f"\n### {name}\n")[2].partition("\n#")[0]
        assert "Means:" in said, name
        assert "Do:" in said, name


def test_no_runbook_is_of_an_alert_that_is_gone():
    page = (ROOT / "docs/operating.md").read_text()
    names = {rule["alert"] for rule in rules("alerts.yml")}
    assert set(re.findall(r"^### (Gearshift\w+)$", page, re.MULTILINE)) == names


def test_what_is_provisioned_is_yaml_and_names_prometheus():
    folder = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/gearshift.yml").read_text())["providers"]
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == "5s"  # as in deploy/prometheus.yml
    assert "scrape_interval: 5s" in (ROOT / "deploy/prometheus.yml").read_text()
    assert provider["type"] == "file"
