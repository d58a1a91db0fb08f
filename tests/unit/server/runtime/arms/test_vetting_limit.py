"""An arm whose runs do not end when its answers are tried keeps nobody else waiting."""

import threading
from pathlib import Path

import pytest

from server.runtime.arms import residency
from server.runtime.arms.residency import Placement, Residency
from tests.support import zoo

LONG = (
    "g (float[N,2] x) => (float[N,2] y) { n = Constant<value=int64 {40000}>() c = Constant<value=bool {1}>() "
    "y = Loop (n, c, x) <body = l (int64 i, bool cin, float[N,2] v) => (bool co, float[N,2] w) "
    "{ co = Identity(cin) w = Neg(v) }> }"
)


def test_an_arm_that_does_not_come_back_from_its_trial_is_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(residency, "VET_LIMIT_S", 0.02)
    folder = tmp_path / "long"
    family = zoo.write(zoo.Exhibit("long", zoo.graph(LONG)), folder)
    arms = Residency(family, Placement(folder, ("onnxruntime",), 1, 1))
    candidate = arms.candidates()[0]
    loaded = arms.open(candidate)
    assert loaded is not None

    vetted = arms.vet(candidate, loaded.backend)

    assert vetted is None
    assert "trying its answers did not come back within 0.0 s" in arms.failed[candidate.arm]
    for thread in threading.enumerate():
        if thread.name == "guarded":
            thread.join(60)
