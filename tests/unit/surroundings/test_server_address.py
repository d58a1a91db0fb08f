"""Clients ask where the server's own configuration says that it listens, and read it as the server does."""

from pathlib import Path

import pytest

from gearshift import status, tasks
from loadtest.arguments import parse
from loadtest.errors import BadOption
from server.config import read_config
from surroundings.server_address import BadAddress, resolved
from trainer.sidecar import assignment

HOST, PORT = "GEARSHIFT__SERVER__HOST", "GEARSHIFT__SERVER__PORT"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "gearshift.toml").write_text('[server]\nhost = "10.0.0.7"\nport = 9000\n')
    return tmp_path / "gearshift.toml"


def test_without_anything_it_is_the_usual_port_of_this_machine():
    assert resolved(None, None, {}) == "localhost:8001"


def test_what_is_asked_for_counts_most_then_the_environment_then_the_file(config: Path):
    environment = {PORT: "9001"}

    assert resolved(None, config, {}) == "10.0.0.7:9000"
    assert resolved(None, config, environment) == "10.0.0.7:9001"
    assert resolved("there:5", config, environment) == "there:5"
    assert resolved("::1", config, environment) == "[::1]:8001"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "0:0:0:0:0:0:0:0", ""])
def test_who_listens_on_all_addresses_is_asked_on_the_loopback(host: str):
    assert resolved(None, None, {HOST: host, PORT: "7"}) == "localhost:7"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "gpu-7.local"])
def test_another_host_is_asked_itself(host: str):
    assert resolved(None, None, {HOST: host}) in {f"{host}:8001", f"[{host}]:8001"}


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("", {}),
        ("[server]\nport = 9", {}),
        ("port = 9", {}),
        ('[server]\nhost = "h"\nport = "9"', {}),
        ("[server]\nport = 9", {PORT: "10"}),
        ("", {"GEARSHIFT_PORT": "11", "GEARSHIFT_HOST": "old"}),
        ("", {"GEARSHIFT_PORT": "12", PORT: "12"}),
        ("", {"GEARSHIFT_PORT": "tcp://10.0.0.1:8001", HOST: "new"}),
    ],
)
def test_host_and_port_are_the_servers(tmp_path: Path, text: str, environment: dict[str, str]):
    (tmp_path / "c.toml").write_text(text)
    server = read_config(tmp_path / "c.toml", environment, {}).server

    host = server.host.replace("0.0.0.0", "localhost")
    assert resolved(None, tmp_path / "c.toml", environment) == f"{host}:{server.port}"


@pytest.mark.parametrize("port", ["x", "-1", "65536", "", "8001.5"])
def test_a_port_that_is_none_is_said_with_its_place(port: str):
    with pytest.raises(BadAddress, match=f"{PORT}: port '.*' is none; .*--url"):
        resolved(None, None, {PORT: port})


def test_a_port_that_was_any_is_not_guessed():
    with pytest.raises(BadAddress, match="port 0 is any that was free"):
        resolved(None, None, {PORT: "0"})


@pytest.mark.parametrize("text", ["port = ", "\udcff"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: str):
    path = tmp_path / "c.toml"
    path.write_bytes(text.encode(errors="surrogateescape"))

    with pytest.raises(BadAddress, match=r"c\.toml cannot be read"):
        resolved(None, path, {})
    with pytest.raises(BadAddress, match=r"gone\.toml cannot be read"):
        resolved(None, tmp_path / "gone.toml", {})


def test_every_command_asks_there(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv(HOST, "127.0.0.1")
    monkeypatch.setenv(PORT, "1")
    for main in (status.main, tasks.main):
        assert main([]) == 2
        assert "no server answers at 127.0.0.1:1 " in capsys.readouterr().err
    assert tasks.main(["plan", "--address", "127.0.0.1:2"]) == 2
    assert "no server answers at 127.0.0.1:2 " in capsys.readouterr().err
    assert parse([]).target.url == "127.0.0.1:1"
    monkeypatch.delenv(HOST)
    assert parse(["--config", str(config)]).target.url == "10.0.0.7:1"

    monkeypatch.setenv(PORT, "none")
    for main in (status.main, tasks.main):
        assert main([]) == 2
        assert f"environment: {PORT}: port 'none' is none" in capsys.readouterr().err
    with pytest.raises(BadOption, match="port 'none' is none"):
        parse([])


def test_a_sidecar_asks_there_unless_its_file_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(PORT, "9002")
    path = tmp_path / "train.toml"
    text = '[sidecar]\nfamily = "f"\nrepository = "r"\nnetworks = ["cnn"]\nbudgets = [1]\n'

    found: list[str] = []
    for more in ("", 'server = "there:5"\n'):
        path.write_text(text + more)
        read = assignment.read(path)
        assert read is not None
        found.append(read.server)

    assert found == ["localhost:9002", "there:5"]
