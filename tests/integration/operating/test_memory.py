"""Requests leave nothing behind: the collector is told to look rarely, so their memory must go without it."""

from pathlib import Path

import numpy as np

from models.catalog import Family, Slo, TensorSpec
from tests.support.serving.families import publish_scripted
from tests.support.serving.server import Server, a_request, serving

WIDTH = 50_000
"""Values in a row: 200 kB a request."""
WIDE = Family(
    "wide",
    inputs=(TensorSpec("x", "FP32", (-1, WIDTH)),),
    outputs=(TensorSpec("y", "FP32", (-1, 1)),),
    variants=(),
    slo=Slo(5.0),
    max_batch=2,
)


def test_the_memory_of_a_request_is_free_when_it_is_answered(tmp_path: Path):
    publish_scripted(tmp_path / "models", WIDE)
    request = a_request("wide", np.zeros((1, WIDTH), np.float32))
    with serving(tmp_path / "models", tmp_path) as server:
        for _ in range(20):
            server.infer(request)
        before = _resident_mib(server)

        for _ in range(400):  # 80 MB, four times that with the copies on the way
            server.infer(request)

        assert _resident_mib(server) - before < 30


def _resident_mib(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
