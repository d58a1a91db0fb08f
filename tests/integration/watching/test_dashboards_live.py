"""Every query of every panel finds data in a real Prometheus that scrapes a real server under load."""

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.support.serving.scraping import scrape
from tests.support.serving.server import PATIENCE_S, Server, eventually
from tests.support.watching.boards import Asked, boards, filled, queries
from tests.support.watching.busy import busy, publish
from tests.support.watching.prometheus import asked, needs_prometheus, over_time, scraped

pytestmark = needs_prometheus
TRITONS = ("request_success", "request_failure", "count", "exec_count", "request_duration_us")


class Watched(NamedTuple):
    """A server under load, the Prometheus that scrapes it, and since when."""

    server: Server
    address: str
    since_s: float


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """One for all queries."""
    folder = tmp_path_factory.mktemp("watched")
    since_s = time.time()
    with (
        busy(folder) as server,
        scraped(server, tmp_path_factory.mktemp("prometheus")) as address,
    ):
        publish(folder, "quick", "sharp")
        yield Watched(server, address, since_s)


def numbers(series: list[Any]) -> list[float]:
    """All finite values of a range query's answer."""
    found = (float(value) for one in series for _, value in one["values"])
    return [value for value in found if math.isfinite(value)]


@pytest.mark.parametrize("query", list(queries()), ids=str)
def test_every_query_of_every_panel_has_data(watched: Watched, query: Asked):
    def has_data() -> None:
        assert numbers(over_time(watched.address, filled(query.expr), watched.since_s))

    eventually(has_data, PATIENCE_S)


@pytest.mark.parametrize("name", sorted(boards()))
def test_every_variable_has_something_to_choose(watched: Watched, name: str):
    for variable in boards()[name]["templating"]["list"]:
        if variable["type"] == "query":
            selector, _, label = variable["query"].removeprefix("label_values(").rpartition(", ")

            def is_there(selector: str = selector, label: str = label) -> None:
                found = asked(watched.address, "query", query=filled(selector))
                assert all(one["metric"][label.rstrip(")")] for one in found)
                assert found

            eventually(is_there, PATIENCE_S)


def test_some_figures_are_those_that_the_load_must_give(watched: Watched):
    def are_right() -> None:
        for expr, least, most in (
            ("gearshift_build_info", 1, 1),
            ("gearshift_price_per_core_hour", 0.04, 0.04),
            ('gearshift_workers{family="echo"}', 2, 2),
            ('gearshift_promotions_total{family="echo", verdict="promoted"}', 1, 1),
            ("max_over_time(gearshift_busy_workers[5m])", 1, 2),
            ("instance_family:gearshift_accuracy:ratio_rate15m", 0.69, 0.81),
            ('gearshift_task_measured_f1_ratio{task="a"}', 0.5, 1),
        ):
            found = asked(watched.address, "query", query=expr)
            assert found, expr
            assert all(least <= float(one["value"][1]) <= most for one in found), expr

    eventually(are_right, PATIENCE_S)


def test_tritons_names_are_told_where_they_are_asked_for(watched: Watched):
    labels = frozenset({("model", "echo"), ("version", "1")})

    samples = scrape(watched.server)

    assert all((f"nv_inference_{name}", labels) in samples for name in TRITONS)
    assert samples["nv_inference_count", labels] > 0


def test_a_server_that_is_not_asked_for_them_has_none_of_tritons_names(server: Server):
    assert not [name for name, _ in scrape(server) if name.startswith("nv_")]
