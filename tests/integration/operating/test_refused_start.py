"""What keeps the server from starting is told in one message, and the exit code is 2."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.artifacts import publish_family
from models.catalog import Accuracy, Variant
from tests.support.serving.families import MLP
from tests.support.serving.server import refused_start


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        yield str(held.getsockname()[1])


def test_all_mistakes_of_a_configuration_are_reported_together(tmp_path: Path):
    file = tmp_path / "g.toml"
    file.write_text('port = 70000\nslo_sm = 5\ndrain_s = "soon"\nreject_non_finite = 3\n')

    said = refused_start(
        tmp_path, str(file), "--workers", "-1", GEARSHIFT__LIMITS__QUEUE_CAPACITY="many"
    )

    assert said.startswith("gearshift serve: bad configuration:\n")
    for problem in (
        f"{file}: port = 70000: must be between 0 and 65535",
        f"{file}: unknown key 'slo_sm'; did you mean slo.latency_ms? sections: server, models, ",
        f"{file}: drain_s = 'soon': must be a number",
        f"{file}: reject_non_finite = 3: must be true or false",
        "environment: GEARSHIFT__LIMITS__QUEUE_CAPACITY = 'many': must be a whole number",
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
    assert "no whole ONNX model" in said


@pytest.mark.parametrize("flag", ["--port", "--http-port", "--rest-port"])
def test_a_port_in_use_is_named(tmp_path: Path, models: Path, taken: str, flag: str):
    said = refused_start(tmp_path, "--repository", str(models), flag, taken)

    assert f"gearshift serve: cannot listen on 127.0.0.1:{taken}" in said
    assert "choose another with --port / --http-port" in said
    assert said.count("\n") == 1


def test_a_file_in_place_of_the_unix_socket_is_named_and_left_alone(tmp_path: Path, models: Path):
    path = tmp_path / "precious"
    path.write_text("mine")

    said = refused_start(tmp_path, "--repository", str(models), "--unix-socket", str(path))

    assert f"cannot listen on {path}: there is a file that is no socket" in said
    assert "; choose another with --unix-socket\n" in said
    assert path.read_text() == "mine"


def test_a_host_that_is_not_ours_is_named(tmp_path: Path, models: Path):
    said = refused_start(tmp_path, "--repository", str(models), "--host", "192.0.2.1")

    assert "cannot listen on 192.0.2.1:0: " in said
    assert "; choose another with --host\n" in said


def test_files_that_no_runtime_takes_are_named(tmp_path: Path, models: Path):
    (artefact,) = (models / "echo").glob("*.scripted")
    artefact.rename(artefact.with_suffix(".pt"))
    manifest = models / "echo" / "family.toml"
    manifest.write_text(manifest.read_text().replace(".scripted", ".pt"))

    said = refused_start(tmp_path, "--repository", str(models))

    assert f"no runtime takes {artefact.stem}.pt of only; artefacts are *.onnx or *.pt2" in said


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


def _publish_broken(root: Path, content: bytes) -> None:
    (root / "broken.onnx").write_bytes(content)
    variant = Variant("broken", "fp32", "", "", Accuracy(0.5, "made up"))
    family = replace(MLP, variants=(variant,))
    publish_family(root / "models", family, {"broken": root / "broken.onnx"})
