"""What keeps the server from starting is told in one message; stored profiles are used; it drains before it ends."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from models.artifacts import publish_family
from models.catalog import Accuracy, Variant
from server.rpc.wire import inference_pb2 as pb
from tests.integration.families import (
    ECHO,
    MLP,
    SLOW,
    expected_echo,
    publish_scripted,
    rows,
)
from tests.integration.serving import Server, a_request, output, refused_start, serving


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with the family `echo`."""
    publish_scripted(tmp_path / "models", ECHO)
    return tmp_path / "models"


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield str(held.getsockname()[1])


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


def test_all_mistakes_of_a_configuration_are_reported_together(tmp_path: Path):
    file = tmp_path / "g.toml"
    file.write_text('port = 70000\nslo_sm = 5\ndrain_s = "soon"\nreject_non_finite = 3\n')

    said = refused_start(tmp_path, str(file), "--workers", "-1", GEARSHIFT_QUEUE_CAPACITY="many")

    assert said.startswith("gearshift serve: bad configuration:\n")
    for problem in (
        f"{file}: port = 70000: must be between 0 and 65535",
        f"{file}: unknown key 'slo_sm'; known: drain_s, ",
        f"{file}: drain_s = 'soon': must be a number",
        f"{file}: reject_non_finite = 3: must be true or false",
        "environment: queue_capacity = 'many': must be a whole number",
        "command line: workers = '-1': must be between 0 and 64",
    ):
        assert f"  - {problem}" in said
    assert said.count("\n") == 7


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"port = ", "cannot be read: Invalid value"), (b"\xff\xfe", "cannot be read: 'utf-8'")],
)
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes, words: str):
    file = tmp_path / "g.toml"
    file.write_bytes(content)

    assert f"{file}: {words}" in refused_start(tmp_path, str(file))


def test_a_missing_configuration_file_is_named(tmp_path: Path):
    said = refused_start(tmp_path, str(tmp_path / "none.toml"))

    assert "none.toml: cannot be read: [Errno 2] No such file" in said


def test_a_missing_repository_is_named(tmp_path: Path):
    said = refused_start(tmp_path, "--repository", str(tmp_path / "none"))

    assert f"model repository {tmp_path / 'none'} cannot be read" in said
    assert "gearshift models build" in said
    assert said.count("\n") == 1


def test_an_empty_repository_is_not_served(tmp_path: Path):
    (tmp_path / "empty").mkdir()

    said = refused_start(tmp_path, "--repository", str(tmp_path / "empty"))

    assert "does not hold any family" in said


def test_a_missing_family_is_named_with_those_there(tmp_path: Path, models: Path):
    said = refused_start(tmp_path, "--repository", str(models), "--families", "echo,nobody")

    assert "does not hold nobody (it has: echo)" in said
    assert said.count("\n") == 1


def test_a_damaged_artefact_is_found_by_its_checksum(tmp_path: Path, models: Path):
    (artefact,) = (models / "echo").glob("*.scripted")
    artefact.write_text("fixed_s = 9")

    said = refused_start(tmp_path, "--repository", str(models))

    assert f"{artefact} (artefact of only) is damaged: its sha256 is" in said
    assert said.count("\n") == 1


def test_a_missing_artefact_is_named(tmp_path: Path, models: Path):
    (artefact,) = (models / "echo").glob("*.scripted")
    artefact.unlink()

    assert f"{artefact} (artefact of only) is missing" in refused_start(
        tmp_path, "--repository", str(models)
    )


def test_a_damaged_manifest_is_named(tmp_path: Path, models: Path):
    (models / "echo" / "family.toml").write_text('name = "echo"\n')

    said = refused_start(tmp_path, "--repository", str(models))

    assert "family.toml: key 'inputs' is missing" in said


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x08"])
def test_a_family_whose_only_graph_does_not_load_ends_the_server(tmp_path: Path, content: bytes):
    _publish_broken(tmp_path, content)

    said = refused_start(tmp_path, "--repository", str(tmp_path / "models"))

    assert "gearshift serve: no variant of mlp can be loaded: broken (" in said
    assert "the artefact is damaged or foreign" in said


def test_a_variant_that_does_not_load_leaves_the_others_serving(tmp_path: Path):
    publish_scripted(tmp_path / "models", ECHO, {"good": "", "bad": "no script"})

    with serving(tmp_path / "models", tmp_path) as server:
        x = rows(1.0)
        answer = server.infer(a_request("echo", x))

        assert "echo: variant bad is out: bad (" in server.log
        assert answer.parameters["variant"].string_param == "good"
        assert output(answer) == pytest.approx(expected_echo(x))
        with pytest.raises(grpc.RpcError, match="variant 'bad' is not available") as refusal:
            server.infer(a_request("echo", x, variant="bad"))
        assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("flag", ["--port", "--http-port"])
def test_a_port_in_use_is_named(tmp_path: Path, models: Path, taken: str, flag: str):
    said = refused_start(tmp_path, "--repository", str(models), flag, taken)

    assert f"gearshift serve: cannot listen on 127.0.0.1:{taken}" in said
    assert "choose another with --port / --http-port" in said
    assert said.count("\n") == 1


def test_a_host_that_is_not_ours_is_named(tmp_path: Path, models: Path):
    said = refused_start(tmp_path, "--repository", str(models), "--host", "192.0.2.1")

    assert "cannot listen on 192.0.2.1:0" in said


def test_an_unknown_policy_is_named_with_those_known(tmp_path: Path, models: Path):
    said = refused_start(tmp_path, "--repository", str(models), "--policy", "best")

    assert "policy: unknown policy 'best'; known: adaptive" in said
    assert said.count("\n") == 1


def test_a_static_policy_without_its_variant_ends_the_server(tmp_path: Path, models: Path):
    said = refused_start(tmp_path, "--repository", str(models), "--policy", "static:huge")

    assert "gearshift serve: echo cannot be served: no arm runs variant 'huge'" in said


def test_an_accuracy_that_no_variant_has_is_refused(tmp_path: Path, models: Path):
    said = refused_start(tmp_path, "--repository", str(models), "--min-accuracy", "0.9")

    assert "min_accuracy 0.9 is above 0.8, the best that echo has" in said


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
        assert "are damaged or foreign" in server.log
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
        begun = [server.begin(a_request("slow", rows(float(i), 4))) for i in range(6)]
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
    with serving(unhurried / "models", unhurried, *flags, GEARSHIFT_DRAIN_S="0") as server:
        begun = [server.begin(a_request("slow", rows(float(i), 4))) for i in range(6)]
        begun[0].result()

        server.terminate()
        codes = [call.code() for call in begun]

        left = [call.details() for call in begun if call.code() is grpc.StatusCode.UNAVAILABLE]
        assert 1 <= codes.count(grpc.StatusCode.OK) <= 3  # the first, and what ran already
        assert len(left) == 6 - codes.count(grpc.StatusCode.OK)
        assert all("the server stopped before this request was run" in text for text in left)
        assert server.ended() == 0


def test_an_idle_stream_and_a_watch_do_not_hold_up_the_end(tmp_path: Path, models: Path):
    with serving(models, tmp_path, GEARSHIFT_DRAIN_S="60") as server:
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


def _publish_broken(root: Path, content: bytes) -> None:
    (root / "broken.onnx").write_bytes(content)
    variant = Variant("broken", "fp32", "", "", Accuracy(0.5, "made up"))
    family = replace(MLP, variants=(variant,))
    publish_family(root / "models", family, {"broken": root / "broken.onnx"})
