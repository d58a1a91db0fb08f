"""Graphs that are kept between starts: killed at any moment of writing, or damaged, they cost a compile, no answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import models
from models.backends import Way
from models.backends.openvino_graphs.kept import KeptGraphs
from tests.support.serving.families import expected_mlp, publish_mlp, rows
from tests.support.serving.server import Server, a_request, output, serving
from tests.support.tiny import need

OF = {"artefact": "a"}
OLD, NEW = b"old" * 100_000, b"new" * 100_000

_KILLED_AT_EVERY_STEP = """
import sys
from pathlib import Path
from models.backends.openvino_graphs.kept import KeptGraphs
from tests.support.killing import at_every_step
at_every_step(Path(sys.argv[1]), lambda root: KeptGraphs({"artefact": "a"}, root).write(4, b"new" * 100_000))
"""


@pytest.fixture(autouse=True)
def _openvino() -> None:
    need(Way("openvino"))


def test_a_kill_at_any_step_of_writing_leaves_the_old_entry_or_the_new(tmp_path: Path):
    KeptGraphs(OF, tmp_path / "models").write(4, OLD)

    subprocess.run(
        [sys.executable, "-c", _KILLED_AT_EVERY_STEP, str(tmp_path)],
        cwd=Path(models.__file__).parents[1],
        check=True,
    )

    found = [KeptGraphs(OF, folder).read(4) for folder in (tmp_path / "killed").iterdir()]
    assert set(found) == {OLD, NEW}
    assert len(found) > 5


def answers(server: Server) -> bytes:
    got = output(server.infer(a_request("mlp", rows(1.0, 3))))
    assert got == pytest.approx(expected_mlp(rows(1.0, 3)), abs=1e-5)
    return got.tobytes()


def test_a_server_answers_the_same_from_what_is_kept_and_whatever_became_of_it(tmp_path: Path):
    publish_mlp(tmp_path / "models")
    kept = tmp_path / "gearshift" / "graphs"

    def served() -> bytes:
        with serving(tmp_path / "models", tmp_path, "--backends", "openvino") as server:
            return answers(server)

    first = served()
    entries = sorted(kept.glob("*.graph"))
    assert entries
    assert served() == first
    for path in entries:
        os.truncate(path, path.stat().st_size // 2)
    (kept / ".new-12345678").write_bytes(b"what a kill left")
    assert served() == first
    assert sorted(kept.glob("*.graph")) == entries
