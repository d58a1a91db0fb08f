"""A model that never comes back, in the middle of a start: the server still ends when it is told to."""

import os
from pathlib import Path

from tests.support import zoo
from tests.support.serving.server import eventually, serving

ENDLESS = (
    "g (float[N,4] x) => (float[N,4] y) { c = Constant<value=bool {1}>() y = Loop (, c, x) "
    "<body = l (int64 i, bool cin, float[N,4] v) => (bool co, float[N,4] w) { w = Identity(v) "
    "m = ReduceMax<keepdims=0>(w) e = Constant<value=float {-1.0}>() co = Greater(m, e) }> }"
)


def busy_s(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def at_it(pid: int, begun: float) -> None:
    """The model has been running for some time: nothing else takes so long."""
    assert busy_s(pid) - begun > 1


def test_a_server_with_a_model_that_never_comes_back_ends_in_good_order(tmp_path: Path):
    zoo.write(zoo.Exhibit("endless", zoo.graph(ENDLESS)), tmp_path / "models" / "endless")
    flags = ("--backends", "onnxruntime")

    with serving(
        tmp_path / "models", tmp_path, *flags, wait=False, GEARSHIFT__SERVER__DRAIN_S="0.5"
    ) as server:
        begun = busy_s(server.process.pid)
        eventually(lambda: at_it(server.process.pid, begun), within_s=30)

    assert "Traceback" not in server.log
