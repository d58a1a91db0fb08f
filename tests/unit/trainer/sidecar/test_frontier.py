"""A frontier is read from a file as grpcurl prints it."""

import json
from pathlib import Path

import pytest

from trainer.errors import TrainError
from trainer.sidecar.frontier import read

TOLD = {
    "variants": [
        {
            "name": "a",
            "accuracy": 0.9,
            "state": "serving",
            "origin": "{}",
            "probation": True,
            "latency": [{"rows": 1, "meanMs": 2.0}, {"rows": 8, "mean_ms": 8.0}],
        },
        {"name": "b", "accuracy": 0.8, "state": "rejected", "reason": "slower", "compared": "12"},
    ],
    "regions": [{"sloMs": 64, "offered": "30", "inTime": "15", "effectiveAccuracy": 0.9}],
    "windowS": 60,
    "workers": 2,
}


def test_a_frontier_is_read_from_what_grpcurl_prints(tmp_path: Path):
    path = tmp_path / "frontier.json"
    path.write_text(json.dumps(TOLD))

    found = read(path)

    first, second = found.variants
    assert (first.name, first.accuracy, first.state) == ("a", 0.9, "serving")
    assert first.latency_s == {1: 0.002, 8: 0.008}
    assert (second.state, second.reason, second.latency_s) == ("rejected", "slower", {})
    assert (found.regions[0].bound_s, found.regions[0].offered, found.workers) == (0.064, 30, 2)
    assert found.window_s == 60.0
    assert found.standing("b") == second
    assert found.standing("c") is None


@pytest.mark.parametrize("text", ["", "[]", '{"variants": 3}', '{"workers": "many"}'])
def test_a_file_that_is_no_frontier_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "frontier.json"
    path.write_text(text)

    with pytest.raises(TrainError, match=r"frontier\.json is no frontier: .*GetFrontier"):
        read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(TrainError, match="is no frontier"):
        read(tmp_path / "nothing.json")
