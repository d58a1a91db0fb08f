"""The closed loop: a server serves, a sidecar trains what it lacks, the server tries it and lets it serve, or not."""

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("sklearn", reason="the digits are scikit-learn's")

from models.artifacts import load_family
from tests.support.serving.server import PATIENCE_S, ROOT, serving
from tests.support.training.command import (
    FAMILY,
    KEEN,
    around,
    await_told,
    command,
    publish,
    sidecar_file,
    standings,
    train,
    visited,
)

pytestmark = pytest.mark.timeout(300)
"""Half a minute where nothing else runs: they train, serve and wait for a verdict, which a busy machine delays."""

POOR = ("cnn-w1-d1", 6000)
"""Hardly better than guessing, so that whatever is trained properly must be let in."""


def test_a_sidecar_fills_the_gap_of_a_server_under_traffic(tmp_path: Path):
    [poor] = json.loads(publish(tmp_path, *POOR, "--precisions", "fp32").stdout)["published"]
    with serving(tmp_path / "models", tmp_path / "cache", "--workers", "1", **KEEN) as server:
        config = str(sidecar_file(tmp_path, server.url))
        with visited(server) as visitors:
            done = train(tmp_path, config)
            server.await_line(re.compile("promoted"))
            visitors.await_answers_of_others({poor}, 50)
        told = standings(server)
    [better] = told.keys() - {poor}

    assert done.returncode == 0, done.stderr
    assert re.search(rf"{better} is serving: moves the frontier", done.stderr)
    assert told[better].state == "serving"
    assert told[better].accuracy > told[poor].accuracy + 0.3
    assert visitors.variants() == {poor, better}
    assert visitors.right(better) == pytest.approx(told[better].accuracy, abs=0.1)
    assert visitors.failures == []


def test_a_candidate_that_is_worse_everywhere_is_rejected_and_never_answers(tmp_path: Path):
    publish(tmp_path, "cnn-w8-d2", 60000, "--precisions", "fp32")
    with serving(tmp_path / "models", tmp_path / "cache", "--workers", "1", **KEEN) as server:
        with visited(server) as visitors:
            offered = json.loads(
                publish(tmp_path, "cnn-w32-d3", 3000, "--precisions", "fp32").stdout
            )
            [worse] = offered["published"]
            await_told(server, f"{worse}: rejected: does not move the frontier")
        options = {"networks": ["cnn-w32-d3"], "budgets": [3000]}
        proposal = train(
            tmp_path, str(sidecar_file(tmp_path, server.url, **options)), "--next", "--json"
        )
        told = standings(server)

    assert told[worse].state == "rejected"
    assert worse not in visitors.variants()
    assert visitors.failures == []
    assert json.loads(proposal.stdout)["network"] is None, "what was rejected is not trained again"


def test_without_a_family_the_sidecar_makes_its_first_variants_and_then_wants_a_server(
    tmp_path: Path,
):
    config = str(
        sidecar_file(tmp_path, "127.0.0.1:1", networks=["cnn-w8-d2", "cnn-w2-d1"], rounds=2)
    )
    (tmp_path / "models").mkdir()

    done = train(tmp_path, config)
    family = load_family(tmp_path / "models" / FAMILY)

    assert done.returncode == 2
    assert "no server answers at 127.0.0.1:1" in done.stderr.splitlines()[-1]
    assert [(v.name[:9], v.candidate) for v in family.variants] == [("cnn-w2-d1", False)]
    assert json.loads(family.variants[0].origin)["budget"] == 60000


def test_a_sidecar_that_is_told_to_end_goes_on_from_where_it_was(tmp_path: Path):
    (tmp_path / "models").mkdir()
    config = str(sidecar_file(tmp_path, "127.0.0.1:1", budgets=[1_000_000]))
    with subprocess.Popen(
        command(config), cwd=ROOT, env=around(tmp_path), stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        begun = process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    kept = list((tmp_path / "work").glob("cnn-w8-d2-*.pt"))
    proposal = train(tmp_path, config, "--next")
    before = (tmp_path / "models" / FAMILY).exists()
    again = train(tmp_path, config)

    assert "training cnn-w8-d2" in begun
    assert process.returncode == 0, said
    assert "the same command goes on from there" in said
    assert len(kept) == 1
    assert not before
    assert proposal.stdout == "this was interrupted and goes on\n"
    assert again.returncode == 0, again.stderr
    assert "this was interrupted and goes on" in again.stderr
    assert len(load_family(tmp_path / "models" / FAMILY).variants) == 1
    assert list((tmp_path / "work").iterdir()) == []
