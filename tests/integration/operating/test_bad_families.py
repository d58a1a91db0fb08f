"""A family that cannot be served costs the others nothing, and is seen not to be ready, with its reason."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
import tritonclient.grpc as triton
from grpc_health.v1 import health_pb2

from models.artifacts import publish_family
from models.catalog import Accuracy, Variant
from tests.support.serving.commands import gearshift
from tests.support.serving.families import ECHO, MLP, expected_echo, publish_scripted, rows
from tests.support.serving.server import (
    Server,
    a_request,
    output,
    refused_start,
    serving,
)
from wire import control_pb2, inference_pb2

WRONG = {
    "bottomless": "it is no regular file",
    "broken": "is no TOML",
    "damaged": "is damaged: its sha256 is",
    "deep": "nested too deeply",
    "elsewhere": "key 'name' is 'real'",
    "endless": "it is no regular file",
    "gone": "is missing",
    "huge": "is no TOML: Exceeds the limit",
    "latin": "cannot be read: 'utf-8'",
    "lone": "holds candidates only",
    "unlabelled": "(key 'labels') cannot be read",
    "unloadable": "no variant of unloadable can be loaded",
    "unreadable": "cannot be read",
    "vast": "there is no memory for max_batch =",
    "zero": "(key 'labels') cannot be read",
}
"""Bad family -> what is said of it."""
BAD = tuple(WRONG)


def a_family(root: Path, name: str) -> Path:
    """A good family of this name; its folder."""
    publish_scripted(root, replace(ECHO, name=name))
    return root / name


def with_line(root: Path, name: str, line: str) -> None:
    """A family of this name whose manifest has this line instead of the one with the same key."""
    folder = root / name if (root / name).exists() else a_family(root, name)
    text = (folder / "family.toml").read_text()
    kept = [row for row in text.splitlines() if row.split("=")[0] != line.split("=", maxsplit=1)[0]]
    (folder / "family.toml").write_text("\n".join([line, *kept]))


def publish_bad(root: Path) -> None:
    """One family for each thing that can be wrong with one, and strays that are none."""
    (a_family(root, "broken") / "family.toml").write_text("name = ")
    next(a_family(root, "damaged").glob("*.scripted")).write_text("fixed_s = 9")
    a_family(root, "real").rename(root / "elsewhere")
    next(a_family(root, "gone").glob("*.scripted")).unlink()
    (a_family(root, "latin") / "family.toml").write_bytes(b'name = "\xe9"')
    publish_scripted(root, replace(ECHO, name="lone"), candidates=("only",))
    source = root.parent / "no.onnx"
    source.write_bytes(b"not a graph")
    variant = Variant("no", "fp32", "", "", Accuracy(0.5, "made up"))
    publish_family(root, replace(MLP, name="unloadable", variants=(variant,)), {"no": source})
    with_line(root, "unlabelled", 'labels = "labels.txt"')
    manifest = a_family(root, "unreadable") / "family.toml"
    manifest.unlink()
    manifest.symlink_to(manifest)  # root reads everything, but not this
    for name, pipe in (("bottomless", "family.toml"), ("endless", "labels.txt")):
        (a_family(root, name) / pipe).unlink(missing_ok=True)
        os.mkfifo(root / name / pipe)
    with_line(root, "endless", 'labels = "labels.txt"')
    with_line(root, "zero", 'labels = "a\\u0000b"')
    with_line(root, "huge", f"max_batch = {'9' * 5000}")
    with_line(root, "vast", f"max_batch = {'9' * 18}")
    with_line(root, "deep", f"description = {'[' * 9000}")
    (root / "lost+found").mkdir()
    (root / ".git").mkdir()
    (root / "notes.txt").write_text("x")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bad") / "models"
    root.mkdir()
    publish_scripted(root, ECHO)
    publish_bad(root)
    return root


@pytest.fixture(scope="module")
def server(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(repository, tmp_path_factory.mktemp("cache")) as running:
        yield running


def index(server: Server) -> dict[str, tuple[str, str]]:
    answer = server.ask(
        "RepositoryIndex",
        inference_pb2.RepositoryIndexRequest(),
        inference_pb2.RepositoryIndexResponse,
    )
    return {one.name: (one.state, one.reason) for one in answer.models}


def test_the_good_family_serves_among_bad_ones(server: Server):
    answer = server.infer(a_request("echo", rows(1.0)))

    assert output(answer) == pytest.approx(expected_echo(rows(1.0)))
    assert server.ask(
        "ServerReady", inference_pb2.ServerReadyRequest(), inference_pb2.ServerReadyResponse
    ).ready
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/readyz") as page:
        assert page.status == 200


def test_the_index_says_what_is_wrong_with_each(server: Server):
    found = index(server)

    assert found.pop("echo") == ("READY", "")
    assert {name: state for name, (state, _) in found.items()} == dict.fromkeys(BAD, "UNAVAILABLE")
    for name, words in WRONG.items():
        assert words in found[name][1], name


@pytest.mark.parametrize("name", BAD)
def test_a_bad_family_is_not_ready_and_says_why_wherever_it_is_asked_for(server: Server, name: str):
    client = triton.InferenceServerClient(server.url)
    x = triton.InferInput("x", [1, 16], "FP32")
    x.set_data_from_numpy(rows(1.0))
    reason = index(server)[name][1]

    assert not client.is_model_ready(name)
    for ask in (
        lambda: client.infer(name, [x]),
        lambda: client.get_model_metadata(name),
        lambda: client.get_model_config(name),
        lambda: client.get_inference_statistics(name),
    ):
        with pytest.raises(triton.InferenceServerException) as refused:
            ask()
        assert refused.value.status() == "StatusCode.UNAVAILABLE"
        assert (
            f"model '{name}' is in the repository and not served: {reason}"
            in refused.value.message()
        )
    check = server.channel.unary_unary("/grpc.health.v1.Health/Check")
    said = check(health_pb2.HealthCheckRequest(service=name).SerializeToString())
    assert health_pb2.HealthCheckResponse.FromString(said).status == 2


def test_the_control_service_tells_too(server: Server):
    plan = server.channel.unary_unary("/gearshift.v1.Control/GetPlan")

    everybody = control_pb2.GetPlanResponse.FromString(plan(b""))
    with pytest.raises(grpc.RpcError) as refused:
        plan(control_pb2.GetPlanRequest(family="broken").SerializeToString())

    assert [one.family for one in everybody.plans] == ["echo"]
    error: Any = refused.value
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "is no TOML" in error.details()


def test_metrics_and_log_have_each_once(server: Server):
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/metrics") as page:
        text = page.read().decode()

    assert 'gearshift_family_ready{family="echo"} 1.0' in text
    for name in BAD:
        assert f'gearshift_family_ready{{family="{name}"}} 0.0' in text
        lines = [line for line in server.lines if f"family {name} is not served" in line]
        assert len(lines) == 1, server.log
        assert " ERROR " in lines[0]
    assert "Traceback" not in server.log


def test_status_shows_them(server: Server):
    def status(*flags: str) -> str:
        done = gearshift("status", "--url", server.url, *flags)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "damaged: not served: " in status()
    assert status("--family", "gone").startswith("gone: not served: ")
    assert set(json.loads(status("--json"))["unserved"]) == set(BAD)


def test_a_family_that_was_not_asked_for_is_not_looked_at(repository: Path, tmp_path: Path):
    with serving(repository, tmp_path, "--families", "echo", "--strict") as server:
        assert list(index(server)) == ["echo"]


def test_of_the_families_asked_for_the_good_ones_serve(repository: Path, tmp_path: Path):
    with serving(repository, tmp_path, "--families", "damaged,echo") as server:
        assert {name: state for name, (state, _) in index(server).items()} == {
            "damaged": "UNAVAILABLE",
            "echo": "READY",
        }


@pytest.mark.parametrize("name", ["broken", "unloadable"])
@pytest.mark.parametrize("strict", [("--strict",), ()])
def test_strict_ends_with_exit_code_2(
    repository: Path, tmp_path: Path, name: str, strict: tuple[str, ...]
):
    more = {} if strict else {"GEARSHIFT__MODELS__STRICT": "true"}

    said = refused_start(
        tmp_path, "--repository", str(repository), "--families", f"{name},echo", *strict, **more
    )

    assert (
        "is no TOML" in said
        if name == "broken"
        else "no variant of unloadable can be loaded" in said
    )


def test_where_no_family_can_be_served_the_server_does_not_start(repository: Path, tmp_path: Path):
    said = refused_start(
        tmp_path, "--repository", str(repository), "--families", "broken,unloadable,gone"
    )

    for words in ("is no TOML", "no variant of unloadable can be loaded", "is missing"):
        assert words in said


def test_models_list_and_verify_go_on_with_the_others(repository: Path, tmp_path: Path):
    for action in ("list", "verify"):
        done = gearshift("models", action, "--repository", str(repository), cache=tmp_path)

        assert done.returncode == 2
        assert "echo: " in done.stdout
        assert "is no TOML" in done.stderr
