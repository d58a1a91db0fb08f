"""A real Prometheus beside a real server, set up as deploy/ says; and promtool, asked about the rules there."""

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving.commands import Ended, ended, free_port
from tests.support.serving.server import ROOT, Server

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None,
    reason="needs prometheus and promtool on PATH (on Debian: apt-get install prometheus)",
)
RULES = ("recording.yml", "alerts.yml")


@contextmanager
def scraped(server: Server, folder: Path) -> Generator[str]:
    """The address of a Prometheus that scrapes `server` once a second with the committed configuration."""
    text = (ROOT / "deploy" / "prometheus.yml").read_text()
    assert "127.0.0.1:8002" in text
    config = folder / "prometheus.yml"
    config.write_text(
        text.replace("127.0.0.1:8002", f"127.0.0.1:{server.http_port}").replace(": 5s", ": 1s")
    )
    for name in RULES:
        shutil.copy(ROOT / "deploy" / name, folder)
    address = f"127.0.0.1:{free_port()}"
    flags = {
        "config.file": config,
        "storage.tsdb.path": folder / "data",
        "web.listen-address": address,
        "log.level": "error",
    }
    command = [str(PROMETHEUS), *(f"--{name}={value}" for name, value in flags.items())]
    with subprocess.Popen(command) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


def asked(address: str, path: str, **parameters: str) -> list[Any]:
    """The series that an API call answers; none while Prometheus starts. Raises HTTPError for what it refuses."""
    url = f"{address}/api/v1/{path}?" + urllib.parse.urlencode(parameters)
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]["result"]
    except urllib.error.HTTPError as error:
        with error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
        return []
    except (urllib.error.URLError, ConnectionError):
        return []


def over_time(address: str, expr: str, start_s: float, step_s: float = 1.0) -> list[Any]:
    """The series of a range query from then until now."""
    return asked(
        address,
        "query_range",
        query=expr,
        start=str(start_s),
        end=str(time.time()),
        step=str(step_s),
    )


def claimed(
    folder: Path, series: Mapping[str, str], at: str, expr: str, samples: list[Any]
) -> Ended:
    """What promtool says to the claim that `expr` is then `samples`; series have a value a minute."""
    question = {"expr": expr, "eval_time": at, "exp_samples": samples}
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": [question]}
    path = folder / "test.yml"
    rules = [str(ROOT / "deploy" / name) for name in RULES]
    path.write_text(json.dumps({"rule_files": rules, "tests": [test]}))
    return ended([str(PROMTOOL), "test", "rules", str(path)])


def judged(folder: Path, alert: str, at: str, series: Mapping[str, str], *, fires: bool) -> Ended:
    """What promtool says to the claim that the alert fires then, or does not, once."""
    expr = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    return claimed(folder, series, at, expr, [{"labels": "{}", "value": 1}] if fires else [])
