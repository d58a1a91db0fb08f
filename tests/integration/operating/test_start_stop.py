"""Stored profiles are used, damaged ones set aside; on SIGTERM the server drains before it ends."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from tests.support.serving.families import ECHO, SLOW, expected_echo, publish_scripted, rows
from tests.support.serving.scraping import fetch
from tests.support.serving.server import Server, a_request, output, serving
from wire import inference_pb2 as pb


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A repository with `echo` and the profile that a first start has stored."""
    root = tmp_path_factory.mktemp("profiled")
    publish_scripted(root / "models", ECHO)
    with serving(root / "models", root) as first:
        assert "echo: measuring only" in first.log
    (stored,) = (root / "gearshift" / "profiles").glob("*.json")
    return root / "models", stored


@pytest.fixture(scope="module")
def unhurried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `models`, the family `slow` among them, and its stored profile: 0.15 s a batch."""
    root = tmp_path_factory.mktemp("unhurried")
    publish_scripted(root / "models", SLOW, {"only": "fixed_s = 0.15"})
    with serving(root / "models", root, "--workers", "1"):
        return root


def test_a_variant_that_does_not_load_leaves_the_others_serving(tmp_path: Path):
    publish_scripted(tmp_path / "models", ECHO, {"good": "", "bad": "no script"})

    with serving(tmp_path / "models", tmp_path) as server:
        x = rows(1.0)
        answer = server.infer(a_request("echo", x))

        assert "echo: bad on scripted cpu is out: bad (" in server.log
        assert answer.parameters["variant"].string_param == "good"
        assert output(answer) == pytest.approx(expected_echo(x))
        with pytest.raises(grpc.RpcError, match="variant 'bad' is not available") as refusal:
            server.infer(a_request("echo", x, variant="bad"))
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_second_start_measures_nothing(tmp_path: Path, profiled: tuple[Path, Path]):
    models, known = profiled

    with serving(models, tmp_path, "--profiles", str(known.parent)) as second:
        second.infer(a_request("echo", rows(1.0)))
        assert "measuring" not in second.log


def test_a_changed_artefact_is_measured_again(tmp_path: Path, profiled: tuple[Path, Path]):
    _, known = profiled
    publish_scripted(tmp_path / "models", ECHO, {"only": "fixed_s = 0.001"})

    with serving(tmp_path / "models", tmp_path, "--profiles", str(known.parent)) as second:
        assert "echo: measuring only" in second.log


@pytest.mark.parametrize("content", ["", '{"schema": 99}', '{"schema": 1, "family": "echo"}'])
def test_a_damaged_profile_is_set_aside_and_measured_again(
    tmp_path: Path, profiled: tuple[Path, Path], content: str
):
    models, known = profiled
    stored = tmp_path / "profiles" / known.name
    stored.parent.mkdir()
    stored.write_text(content)

    with serving(models, tmp_path, "--profiles", str(stored.parent)) as server:
        assert "cannot be used, another version's or damaged" in server.log
        assert "echo: measuring only" in server.log
    assert json.loads(stored.read_text()).keys() == json.loads(known.read_text()).keys()
    assert stored.with_name(f"{stored.name}.bad").read_text() == content


def test_profiles_that_cannot_be_stored_cost_a_warning_only(tmp_path: Path, models: Path):
    (tmp_path / "file").write_text("in the way")

    with serving(models, tmp_path, "--profiles", str(tmp_path / "file")) as server:
        server.infer(a_request("echo", rows(1.0)))
        assert "profiles cannot be stored" in server.log


def test_requests_in_flight_are_answered_before_the_end_and_new_ones_refused(unhurried: Path):
    with serving(unhurried / "models", unhurried, "--workers", "1") as server:
        begun = server.begin_together([a_request("slow", rows(float(i), 4)) for i in range(6)])
        begun[0].result()  # so the others have arrived: one runs, four wait

        server.terminate()
        refused = until_refused(server)
        still_draining = not all(call.done() for call in begun)

        assert refused is grpc.StatusCode.UNAVAILABLE
        assert still_draining
        for i, call in enumerate(begun):
            assert output(call.result()) == pytest.approx(expected_echo(rows(float(i), 4)))
        assert server.ended() == 0
        assert server.log.rstrip().endswith("stopped")


def test_a_drain_that_takes_too_long_answers_what_is_left(unhurried: Path):
    flags = ("--workers", "1")
    with serving(unhurried / "models", unhurried, *flags, GEARSHIFT__SERVER__DRAIN_S="0") as server:
        begun = server.begin_together([a_request("slow", rows(float(i), 4)) for i in range(6)])
        begun[0].result()

        server.terminate()
        codes = [call.code() for call in begun]

        left = [call.details() for call in begun if call.code() is grpc.StatusCode.UNAVAILABLE]
        assert 1 <= codes.count(grpc.StatusCode.OK) <= 3  # the first, and what ran already
        assert len(left) == 6 - codes.count(grpc.StatusCode.OK)
        assert all("the server stopped before this request was run" in text for text in left)
        assert server.ended() == 0


def test_a_server_that_leaves_is_not_ready_and_serves_until_its_second_signal(
    tmp_path: Path, models: Path
):
    with serving(models, tmp_path, GEARSHIFT__SERVER__SHUTDOWN_DELAY_S="600") as server:
        watch = server.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=60)
        ready = next(watch)
        x = rows(1.0)

        server.terminate()
        leaving = next(watch)
        answer = server.infer(a_request("echo", x))
        status, _, _ = fetch(server, "/readyz")
        server.terminate()

        assert (ready, leaving) == (b"\x08\x01", b"\x08\x02")
        assert status == 503
        assert output(answer) == pytest.approx(expected_echo(x))
        assert server.ended() == 0


def test_a_server_that_nobody_hurries_refuses_once_its_time_to_leave_is_over(
    tmp_path: Path, models: Path
):
    with serving(models, tmp_path, GEARSHIFT__SERVER__SHUTDOWN_DELAY_S="0.2") as server:
        server.terminate()

        assert server.ended() == 0
        assert "not ready any more; refusing in" in server.log


def test_an_idle_stream_and_a_watch_do_not_hold_up_the_end(tmp_path: Path, models: Path):
    with serving(models, tmp_path, GEARSHIFT__SERVER__DRAIN_S="60") as server:
        let_go = threading.Event()
        watch = server.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=60)
        stream = server.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")(
            _silent_until(let_go), timeout=60
        )
        first = next(watch)

        server.terminate()
        rest = list(watch)
        code = stream.code()
        let_go.set()

        assert first == b"\x08\x01"
        assert rest[-1] == b"\x08\x02"
        assert code in {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
        assert server.ended() == 0


def until_refused(server: Server) -> grpc.StatusCode | None:
    """The code with which the first call is refused; None where a thousand are not."""
    for _ in range(1000):
        try:
            server.ask("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse)
        except grpc.RpcError as error:
            return error.code()
    return None


def _silent_until(let_go: threading.Event) -> Iterator[bytes]:
    """A client that keeps its stream open and says nothing."""
    let_go.wait(60)
    yield from ()
