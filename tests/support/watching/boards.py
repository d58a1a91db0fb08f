"""The committed dashboards: their panels, and queries as Grafana would send them."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.support.serving.server import ROOT

FOLDER = ROOT / "deploy" / "grafana" / "dashboards"
VARIABLES = {"$job": ".+", "$instance": ".+", "$family": ".+"}


class Asked(NamedTuple):
    """One query of one panel."""

    board: str
    panel: str
    expr: str

    def __str__(self) -> str:
        return f"{self.board}: {self.panel}: {self.expr}"


def boards() -> dict[str, Any]:
    """Name of the file -> the dashboard in it."""
    return {path.name: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def panels(board: Any) -> list[Any]:
    """Those that show something, rows apart."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> Iterator[Asked]:
    """Every query of every panel."""
    for board in boards().values():
        for panel in panels(board):
            for target in panel["targets"]:
                yield Asked(board["uid"], panel["title"], target["expr"])


def filled(expr: str, interval: str = "10s") -> str:
    """With all jobs, instances and families chosen, and this for $__rate_interval."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    return expr.replace("$__rate_interval", interval)
