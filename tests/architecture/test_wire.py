"""The wire contract: generated code is what the generator makes, packages are ours, every error has its code."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool

from server.errors import BadInput, Overloaded, RequestError
from server.rpc.status import CODES, status_of, trailers_of
from wire import POOL, control_pb2, tasks_pb2
from wire import inference_pb2 as pb

ROOT = Path(__file__).resolve().parents[2]
WIRE = Path("wire")


def leaves(tree: type[RequestError]) -> set[type[RequestError]]:
    """The classes below `tree` that have none below them."""
    below = tree.__subclasses__()
    return {tree} if not below else set().union(*(leaves(branch) for branch in below))


def test_the_generator_makes_exactly_the_committed_files(tmp_path: Path):
    command = [sys.executable, str(ROOT / "scripts/generate_wire.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    made = {p.name: p.read_text() for p in (tmp_path / WIRE).iterdir()}

    assert done.returncode == 0, done.stderr
    contracts = ("control", "inference", "tasks")
    assert made.keys() == {f"{name}_pb2.{kind}" for name in contracts for kind in ("py", "pyi")}
    for name, text in made.items():
        assert text == (ROOT / WIRE / name).read_text(), f"run `make proto`: {name} is stale"


@pytest.mark.parametrize("contract", [pb, control_pb2, tasks_pb2])
def test_our_messages_live_in_a_pool_of_their_own(contract: Any):
    assert contract.DESCRIPTOR.pool is POOL is not descriptor_pool.Default()
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindFileByName(contract.DESCRIPTOR.name)


@pytest.mark.parametrize(
    "package",
    ["gearshift", "server", "profiler", "models", "loadtest", "trainer", "surroundings", "wire"],
)
def test_packages_resolve_inside_this_repository(package: str):
    found = importlib.import_module(package).__file__

    assert found is not None
    assert Path(found).resolve().is_relative_to(ROOT)


def test_proto_holds_data_only():
    assert {p.suffix for p in (ROOT / "proto").iterdir()} == {".proto"}


def test_every_request_error_has_a_code_and_nothing_else_has():
    assert CODES.keys() == leaves(RequestError)
    assert grpc.StatusCode.OK not in CODES.values()
    assert grpc.StatusCode.UNKNOWN not in CODES.values()


def test_a_request_error_keeps_its_words():
    assert status_of(BadInput("what, where")) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "what, where",
    )


def test_a_retry_hint_becomes_trailing_metadata_in_whole_milliseconds():
    assert trailers_of(Overloaded("later", retry_s=0.0021)) == (
        ("retry-after-ms", "3"),
        ("grpc-retry-pushback-ms", "3"),
    )


@pytest.mark.parametrize("error", [Overloaded("now or never"), BadInput("x"), KeyError("x")])
def test_without_a_hint_there_is_no_trailing_metadata(error: Exception):
    assert trailers_of(error) == ()


def test_anything_else_is_internal_and_tells_nothing(caplog: pytest.LogCaptureFixture):
    code, text = status_of(KeyError("secret"))

    assert code is grpc.StatusCode.INTERNAL
    assert "secret" not in text
    assert "secret" in caplog.text
