"""Families come, change and go while the server runs, by their folders or a client's call; nobody loses an answer."""

import json
import re
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.support.serving.families import ECHO, expected_echo, publish_mlp, publish_scripted, rows
from tests.support.serving.server import PATIENCE_S, Server, eventually, serving

QUICKLY = {"GEARSHIFT__MODELS__WATCH_EVERY_S": "0.1"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    publish_scripted(folder, ECHO)
    return folder


@contextmanager
def served(root: Path, **environment: str) -> Generator[tuple[Server, Any]]:
    """A server that looks often, and a stock client of it."""
    with serving(root, root.parent / "cache", **{**QUICKLY, **environment}) as server:
        client: Any = triton.InferenceServerClient(server.url)
        yield server, client
        client.close()


def ask(client: Any, model: str, first: float = 1.0, count: int = 1) -> Any:
    """The answer for these rows, which must be theirs."""
    x = rows(first, count)
    tensor = triton.InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x)
    y = client.infer(model, [tensor], client_timeout=PATIENCE_S).as_numpy("y")
    assert y.tolist() == expected_echo(x).tolist()
    return y


def rewritten(root: Path, old: str, new: str) -> None:
    """The manifest with one thing changed, put there whole."""
    path = root / "echo" / "family.toml"
    text = path.read_text()
    assert old in text
    fresh = path.with_suffix(".new")
    fresh.write_text(text.replace(old, new, 1))
    fresh.replace(path)


def slo_ms(client: Any) -> str:
    return client.get_model_config("echo").config.parameters["slo_ms"].string_value


class Traffic:
    """Clients that go on asking until they are stopped; `failures`: what each was answered that is no right answer."""

    def __init__(self, url: str, model: str, clients: int = 4) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self._done = threading.Event()
        self._lock = threading.Lock()
        work = [(url, model, n) for n in range(clients)]
        self._threads = [threading.Thread(target=self._ask, args=one) for one in work]

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def await_more(self, count: int) -> None:
        """Return once so many more have been answered."""
        wanted = self.answered + count

        def there() -> None:
            assert self.answered >= wanted

        eventually(there, PATIENCE_S)

    def _ask(self, url: str, model: str, which: int) -> None:
        client: Any = triton.InferenceServerClient(url)
        turn = 0
        while not self._done.is_set():
            turn += 1
            try:
                ask(client, model, which + turn % 100, 1 + turn % 3)
            except (InferenceServerException, AssertionError) as error:
                with self._lock:
                    self.failures.append(str(error))
            with self._lock:
                self.answered += 1
        client.close()


def test_a_family_that_comes_is_served_within_seconds(root: Path):
    with served(root) as (server, client):
        publish_mlp(root)
        server.await_line(re.compile("mlp: serves"))

        assert client.is_model_ready("mlp")
        assert {one.name: one.state for one in client.get_model_repository_index().models} == {
            "echo": "READY",
            "mlp": "READY",
        }
        server.await_serving("mlp")
        ask(client, "echo")


def test_a_family_that_is_no_good_is_said_once_and_served_when_it_is(root: Path):
    with served(root) as (server, client):
        (root / "other").mkdir()
        (root / "other" / "family.toml").write_text("name = ")
        server.await_line(re.compile("family other is not served: .*is no TOML"))
        with pytest.raises(InferenceServerException, match="is no TOML"):
            ask(client, "other")
        assert client.is_server_ready()

        (root / "other" / "family.toml").unlink()
        publish_scripted(root, replace(ECHO, name="other"))
        server.await_line(re.compile("other: serves"))
        ask(client, "other")
        assert server.log.count("other is not served") == 1


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ("latency_ms = 2000.0", "latency_ms = 1500.0", lambda client: slo_ms(client) == "1500"),
        (
            "max_batch = 8",
            "max_batch = 6",
            lambda client: client.get_model_config("echo").config.max_batch_size == 6,
        ),
    ],
)
def test_what_requests_are_held_to_changes_under_traffic_and_nobody_loses_an_answer(
    root: Path, old: str, new: str, seen: Callable[[Any], bool]
):
    with served(root) as (server, client), Traffic(server.url, "echo") as traffic:
        traffic.await_more(50)
        rewritten(root, old, new)
        server.await_line(re.compile("echo: serves as it is published now"))
        assert seen(client)
        traffic.await_more(50)
        server.await_line(
            re.compile("echo: what served before has answered all it had, and is gone")
        )
        traffic.await_more(50)
    assert traffic.failures == []


def test_a_change_that_cannot_be_served_changes_nothing(root: Path):
    with served(root) as (server, client):
        rewritten(root, "max_batch = 8", "max_batch = 400000000")
        server.await_line(re.compile("what was published is not taken up, the server goes on"))
        ask(client, "echo")
        assert client.get_model_config("echo").config.max_batch_size == 8


def test_loading_and_unloading_under_traffic_loses_no_request(root: Path):
    publish_scripted(root, replace(ECHO, name="other"))
    with served(root) as (server, client), Traffic(server.url, "echo") as traffic:
        traffic.await_more(20)
        for turn in range(4):
            client.unload_model("other")
            assert not client.is_model_ready("other")
            with pytest.raises(InferenceServerException, match="unloaded by a client's call"):
                ask(client, "other")
            client.load_model("other")
            ask(client, "other")
            text = json.dumps({"max_batch_size": 8 - turn % 2})
            client.load_model("echo", config=text)  # another unit takes its place each time
            assert client.get_model_config("echo").config.max_batch_size == 8 - turn % 2
            traffic.await_more(30)
    assert traffic.failures == []


def test_who_is_asked_when_it_is_unloaded_gets_answers_or_is_told_why(root: Path):
    with served(root) as (server, client), Traffic(server.url, "echo") as traffic:
        traffic.await_more(50)
        client.unload_model("echo")
        traffic.await_more(50)
        client.load_model("echo")
        failures = len(traffic.failures)
        traffic.await_more(50)
        assert len(traffic.failures) <= failures + 4  # those that were on their way
    reasons = ("unloaded by a client's call", "is loading; try again shortly")
    assert [one for one in traffic.failures if not any(why in one for why in reasons)] == []


def test_what_is_unloaded_stays_so_whatever_is_published(root: Path):
    with served(root) as (server, client):
        client.unload_model("echo")
        rewritten(root, "max_batch = 8", "max_batch = 7")
        publish_mlp(root)
        server.await_line(re.compile("mlp: serves"))
        assert not client.is_model_ready("echo")
        (echo,) = [m for m in client.get_model_repository_index().models if m.name == "echo"]
        assert (echo.state, echo.reason) == (
            "UNAVAILABLE",
            "it was unloaded by a client's call; load it by one",
        )
        client.load_model("echo")
        assert client.get_model_config("echo").config.max_batch_size == 7


def test_a_configuration_as_it_is_given_can_be_loaded_with_changes(root: Path):
    with served(root) as (_, client):
        config = client.get_model_config("echo", as_json=True)["config"]
        config["parameters"] = {
            "slo_ms": {"string_value": "750"},
            "min_accuracy": {"string_value": "0.5"},
        }
        client.load_model("echo", config=json.dumps(config))
        assert slo_ms(client) == "750"
        ask(client, "echo")

        client.load_model("echo")
        assert slo_ms(client) == "2000"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"instance_group": []}, "max_batch_size"),
        ({"name": "another"}, "is of model 'another', not 'echo'"),
        ({"max_batch_size": -1}, "max_batch_size -1 is below 1"),
        ({"parameters": {"slo_ms": {"string_value": "soon"}}}, "'soon', not a number"),
        ({"parameters": {"mood": {"string_value": "1"}}}, "parameters\\['mood'\\] is not known"),
        (
            {"input": [{"name": "z", "data_type": "TYPE_FP32", "dims": [16]}]},
            "cannot be overridden",
        ),
        ({"parameters": {"min_accuracy": {"string_value": "0.99"}}}, "is above 0.8"),
    ],
)
def test_a_configuration_that_cannot_be_had_changes_nothing(
    root: Path, config: dict[str, Any], words: str
):
    with served(root) as (_, client):
        with pytest.raises(InferenceServerException, match=words):
            client.load_model("echo", config=json.dumps(config))
        ask(client, "echo")
        assert slo_ms(client) == "2000"


def test_who_asks_for_no_family_of_the_repository_is_told_so(root: Path):
    with served(root) as (_, client):
        for name in ("none", "../echo", "", "a" * 3000):
            with pytest.raises(InferenceServerException, match="no family '"):
                client.load_model(name)
            with pytest.raises(InferenceServerException, match="no model '"):
                client.unload_model(name)
        with pytest.raises(InferenceServerException, match="from the server's repository"):
            client.load_model("echo", config="{}", files={"file:1/model.onnx": b"x"})
        ask(client, "echo")


def test_clients_may_be_kept_from_it(root: Path):
    with served(root, GEARSHIFT__MODELS__REPOSITORY_CALLS="false") as (_, client):
        for call in (client.load_model, client.unload_model):
            with pytest.raises(InferenceServerException, match=r"models\.repository_calls = true"):
                call("echo")
        ask(client, "echo")


def test_a_server_that_ends_while_it_loads_answers_who_waits(root: Path):
    publish_scripted(root, replace(ECHO, name="long"), {"only": "fixed_s = 0.5"})
    slowly = {"GEARSHIFT__PROFILES__BUDGET_S": "20"}
    with serving(root, root.parent / "cache", wait=False, **slowly) as server:
        server.await_serving("echo")
        client: Any = triton.InferenceServerClient(server.url)
        told: list[str] = []

        def load() -> None:
            try:
                client.load_model("echo", config='{"max_batch_size": 4}')
            except InferenceServerException as error:
                told.append(str(error))

        asking = threading.Thread(target=load)
        asking.start()
        time.sleep(0.3)
        server.terminate()
        asking.join(PATIENCE_S)
        assert "server" in told[0]
