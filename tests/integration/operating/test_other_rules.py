"""A stored verdict by other rules than today's is no verdict: the arm is vetted anew, and keeps its timings."""

import json
from pathlib import Path
from typing import Any

import pytest

from profiler.hardware.fingerprint import Hardware
from profiler.measuring.complete import Job, complete
from profiler.measuring.rulings import rules
from profiler.profiles import MachineProfile, Point, Profile, Vetted
from tests.support import zoo
from tests.support.serving.server import serving

MIXING = next(e for e in zoo.exhibits() if e.name == "softmax_over_rows")
ONE, MANY = Point(1, 9, 0.01, 0.012, 0.013, 0.0101), Point(8, 9, 0.02, 0.022, 0.023, 0.0201)
HARDWARE = Hardware("Some CPU", 2, ("avx2",), 16, (), ("onnxruntime 1.31.1",))


def stored(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text())["profiles"]


@pytest.mark.parametrize("by", ["older", None])
def test_a_server_vets_anew_and_runs_rows_one_by_one(by: str | None, tmp_path: Path):
    zoo.write(MIXING, tmp_path / "models" / MIXING.name)
    flags = ("--backends", "onnxruntime", "--profiles", str(tmp_path / "profiles"))
    with serving(tmp_path / "models", tmp_path, *flags) as first:
        assert "rows are run one by one: its Softmax" in first.log
    (path,) = (tmp_path / "profiles").glob("*.json")
    content = json.loads(path.read_text())
    (profile,) = content["profiles"]
    one = {**profile["points"][0], "p99_s": 0.5}
    vetted = {**profile["vetted"], "alone": "", "by": by}
    if by is None:
        del vetted["by"]
    profile |= {"points": [one, {**one, "batch": 8}], "vetted": vetted}
    path.write_text(json.dumps(content))

    with serving(tmp_path / "models", tmp_path, *flags) as second:
        assert "rows are run one by one: its Softmax" in second.log
        assert "measuring" not in second.log

    (found,) = stored(path)
    assert [point["batch"] for point in found["points"]] == [1]
    assert found["points"][0]["p99_s"] == 0.5
    assert found["vetted"]["by"] == rules()
    assert "Softmax" in found["vetted"]["alone"]


def test_the_profile_command_vets_anew_and_keeps_timings(tmp_path: Path):
    folder = tmp_path / MIXING.name
    family = zoo.write(MIXING, folder)
    profile = Profile(
        family.variants[0].name,
        "fp32",
        "onnxruntime",
        "cpu",
        1,
        (ONE, MANY),
        vetted=Vetted(by="older"),
    )
    machine = MachineProfile(HARDWARE.fingerprint(), family.name, "2026-01-02", (profile,))
    job = Job(folder, family, 1, 0.1, ("onnxruntime",))

    (found,) = complete(job, machine, HARDWARE, tmp_path / "profiles").machine.profiles

    assert found.points == (ONE,)
    assert found.vetted.by == rules()
    assert "Softmax" in found.vetted.alone
    (kept,) = (tmp_path / "profiles").glob("*.json")
    assert stored(kept)[0]["vetted"]["by"] == rules()
