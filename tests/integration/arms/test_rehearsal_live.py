"""The slow loop in a running server: requests are recorded, a process replays them, serving goes on, all ends."""

from pathlib import Path

from server.policy.dispatch.tuning import NAMED
from tests.support.serving.families import ECHO, publish_scripted, rows
from tests.support.serving.server import PATIENCE_S, Server, a_request, eventually, serving
from wire import control_pb2 as pb

REQUESTS = 300  # more than a rehearsal needs


def understudies(server: Server) -> list[str]:
    """The server's child processes."""
    pid = server.process.pid
    return [
        child
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def has_an_understudy(server: Server) -> None:
    """Fails where it has none."""
    assert len(understudies(server)) == 1


def policy_in_force(server: Server) -> str:
    call = server.channel.unary_unary("/gearshift.v1.Control/GetPlan")
    answer = pb.GetPlanResponse.FromString(call(b"", timeout=PATIENCE_S))
    return answer.plans[0].policy


def test_requests_are_replayed_beside_live_traffic_and_the_server_still_ends_cleanly(
    tmp_path: Path,
):
    scripts = {"quick": "fixed_s = 0.0005", "sharp": "fixed_s = 0.002"}
    publish_scripted(tmp_path / "models", ECHO, scripts, {"quick": 0.6, "sharp": 0.8})

    with serving(
        tmp_path / "models", tmp_path, GEARSHIFT__POLICY__REHEARSE_EVERY_S="0.2"
    ) as server:
        server.await_serving()
        for i in range(REQUESTS):
            server.infer(a_request("echo", rows(float(i), 1)))
        eventually(lambda: has_an_understudy(server))
        after = [server.infer(a_request("echo", rows(float(i), 1))) for i in range(50)]
        in_force = policy_in_force(server)
        server.terminate()
        code = server.ended()

    assert len(after) == 50
    assert in_force in NAMED
    assert code == 0
    assert "no rehearsal" not in server.log


def test_without_being_asked_for_there_is_no_such_process(tmp_path: Path):
    publish_scripted(tmp_path / "models", ECHO)

    with serving(tmp_path / "models", tmp_path) as server:
        server.await_serving()
        server.infer(a_request("echo", rows(1.0, 1)))

        assert understudies(server) == []
        assert policy_in_force(server) == "adaptive"
