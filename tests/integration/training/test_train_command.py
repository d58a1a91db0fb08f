"""`gearshift train` as its users call it: what it publishes, what it refuses, what it asks of a server."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("sklearn", reason="the digits are scikit-learn's")

from models.artifacts import load_family
from tests.support.serving.families import ECHO, publish_scripted
from tests.support.serving.server import Server
from tests.support.training.command import FAMILY, publish, sidecar_file, train
from trainer.errors import TrainError
from trainer.sidecar.frontier import NoServer, ask

TINY = ("cnn-w2-d1", 6000)


@pytest.fixture
def bare() -> Iterator[str]:
    """Where a gRPC server without any service is."""
    grpc_server = grpc.server(ThreadPoolExecutor(1))
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    grpc_server.start()
    yield f"127.0.0.1:{port}"
    grpc_server.stop(None).wait()


def test_a_run_publishes_what_it_trained_with_all_that_led_to_it(tmp_path: Path):
    (tmp_path / "models").mkdir()

    outcome = json.loads(
        publish(tmp_path, *TINY, "--precisions", "fp32,int8", "--min-accuracy", "0.1").stdout
    )
    family = load_family(tmp_path / "models" / FAMILY)
    full = family.variants[0]
    origin = json.loads(full.origin)

    assert outcome["published"] == [v.name for v in family.variants]
    assert {v.precision for v in family.variants} <= {"fp32", "int8"}
    assert (family.slo.latency_s, family.slo.min_accuracy) == (2.0, 0.1)
    assert full.accuracy.value == pytest.approx(1 - outcome["test_error"], abs=0.003)
    assert origin["data"] == "digits"
    assert "sha256" in origin["data_source"]
    told = {key: origin[key] for key in ("units", "forwards", "backprops", "cpu_seconds")}
    assert told == {key: outcome[key] for key in told}
    assert (origin["network"], origin["budget"], origin["seed"]) == (*TINY, 0)
    assert (origin["selector"], origin["label_noise"]) == ("uniform", 0.0)


def test_the_same_run_again_is_a_candidate_beside_the_first(tmp_path: Path):
    publish(tmp_path, *TINY, "--precisions", "fp32")
    publish(tmp_path, *TINY, "--precisions", "fp32", "--seed", "1")

    family = load_family(tmp_path / "models" / FAMILY)

    assert [v.candidate for v in family.variants] == [False, True]


INTO = ("--publish", "{}/models", "--family")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--publish", "{}/models"), "--publish REPOSITORY and --family NAME go together"),
        ((*INTO, "d", "--precisions", "int4"), "unknown precisions int4; known: fp32,"),
        ((*INTO, "d", "--slo-ms", "0"), "--slo-ms must be above 0"),
        ((*INTO, "echo"), "family echo in {}/models is another: its inputs are x FP32"),
        ((*INTO, "../d"), "family '../d' must have a plain name"),
        (
            ("--publish", "/proc/models", "--family", "d"),
            "repository /proc/models cannot be written",
        ),
        (("--next",), "--next needs a TOML file with a table [sidecar]"),
    ],
)
def test_what_could_not_be_published_is_refused_before_anything_is_trained(
    tmp_path: Path, flags: tuple[str, ...], said: str
):
    publish_scripted(tmp_path / "models", ECHO)
    given = [flag.format(tmp_path) for flag in flags]

    done = train(tmp_path, "--data", "digits", "--budget", "1e12", "--network", TINY[0], *given)

    assert done.returncode == 2
    assert said.format(tmp_path) in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--nice", "3", "--publish", "x"), "--publish, --nice: the keys of [sidecar] say that"),
        (
            ("--budget", "9", "--seed", "1"),
            "a sidecar chooses budget, seed by its networks and budgets",
        ),
    ],
)
def test_a_sidecar_is_refused_options_of_a_single_run(
    tmp_path: Path, flags: tuple[str, ...], said: str
):
    done = train(tmp_path, str(sidecar_file(tmp_path, "127.0.0.1:1")), *flags)

    assert done.returncode == 2
    assert said in done.stderr


def test_a_sidecar_is_refused_for_a_network_that_cannot_be(tmp_path: Path):
    done = train(tmp_path, str(sidecar_file(tmp_path, "127.0.0.1:1", networks=["cnn-w8-d9"])))

    assert done.returncode == 2
    assert "cnn-w8-d9 halves the side 9 times" in done.stderr


def test_the_next_network_can_be_planned_from_a_file(tmp_path: Path):
    publish(tmp_path, *TINY, "--precisions", "fp32")
    [variant] = load_family(tmp_path / "models" / FAMILY).variants
    known = {
        "variants": [
            {
                "name": variant.name,
                "accuracy": variant.accuracy.value,
                "origin": variant.origin,
                "state": "serving",
                "latency": [{"rows": 1, "meanMs": 0.1}],
            }
        ],
        "regions": [{"sloMs": 64, "offered": 30, "inTime": 30, "effectiveAccuracy": 0.3}],
        "windowS": 60,
    }
    (tmp_path / "frontier.json").write_text(json.dumps(known))
    config = sidecar_file(tmp_path, "127.0.0.1:1", networks=["cnn-w2-d1", "cnn-w8-d2"])

    done = train(
        tmp_path, str(config), "--next", "--frontier", str(tmp_path / "frontier.json"), "--json"
    )
    proposal = json.loads(done.stdout)

    assert (proposal["network"], proposal["budget"], proposal["seed"]) == ("cnn-w8-d2", 60000, 0)
    assert 0 < proposal["expected_gain"] < 1
    assert "bounds of about 64 ms" in proposal["reason"]


def test_a_frontier_is_asked_of_a_server(server: Server):
    found = ask(server.url, "echo")

    assert {(v.name, v.state) for v in found.variants} == {
        ("quick", "serving"),
        ("sharp", "serving"),
    }
    assert all(0.0 < v.latency_s[1] < 1.0 for v in found.variants)
    assert 10.0 <= found.window_s < 60.0
    assert found.workers >= 1


def test_a_family_that_is_not_served_or_a_server_that_is_not_there_is_told(server: Server):
    with pytest.raises(
        NoServer, match=r"does not serve nothing: .*; start it anew with the repository"
    ):
        ask(server.url, "nothing")
    with pytest.raises(
        NoServer, match=r"no server answers at 127\.0\.0\.1:1 .*start `gearshift serve`"
    ):
        ask("127.0.0.1:1", "echo")


def test_a_server_too_old_to_be_asked_is_told(bare: str):
    with pytest.raises(
        TrainError, match="tells no frontier; it is older than this command"
    ) as raised:
        ask(bare, "echo")
    assert not isinstance(raised.value, NoServer)
