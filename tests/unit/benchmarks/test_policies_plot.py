"""The policy benchmark's figure: what a cell says of its promise."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.policies import policies_plot


def a_cell(verdict: str, gap: float | None, condition: str = "quiet") -> dict[str, Any]:
    """A cell as the JSON holds it."""
    cell = {"profile": "gpu", "trace": "poisson", "utilisation": 1.0, "workers": 1}
    return {
        "cell": {**cell, "condition": condition},
        "verdict": verdict,
        "gap": gap,
        "percent_of_bound": 97.0,
    }


@pytest.mark.parametrize(
    ("verdict", "gap", "shown"),
    [
        ("kept", 0.25, (0.25, "+0.25")),
        ("less accurate", 0.25, (0.25, "+0.25!")),
        ("none can", -1.0, (-1.0, "-1.00*")),
        ("alone", None, (policies_plot.GAP_LIMIT, "alone")),
        ("broken", 2.0, (-policies_plot.GAP_LIMIT, "broken")),
    ],
)
def test_a_cell_shows_its_gap_and_what_became_of_the_promise(
    verdict: str, gap: float | None, shown: tuple[float, str]
):
    assert policies_plot.shown(a_cell(verdict, gap)) == shown


def test_it_draws_cells_of_all_conditions(tmp_path: Path):
    path = tmp_path / "policies.png"

    policies_plot.draw([a_cell("kept", 0.1), a_cell("broken", 0.1, "stalls")], path)

    assert path.read_bytes().startswith(b"\x89PNG")
