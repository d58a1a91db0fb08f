"""Where the HTTP port listens, and whom it blames where it cannot."""

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from server.operators.http import Operators
from surroundings.listening import NotOurs


@contextmanager
def listening(host: str, port: int = 0) -> Iterator[Operators]:
    operators = Operators(host, port, CollectorRegistry(), lambda: True)
    operators.start()
    try:
        yield operators
    finally:
        operators.stop()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def named(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these addresses."""
    rows: list[Any] = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in addresses
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_more: rows)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]


def is_alive(address: str, port: int) -> bool:
    with socket.create_connection((address, port), timeout=5) as visit:
        visit.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        return visit.recv(64).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("absent", [(), ("192.0.2.1",)])
def test_a_name_with_several_addresses_is_listened_on_at_each_that_is_ours(
    monkeypatch: pytest.MonkeyPatch, absent: tuple[str, ...]
):
    with monkeypatch.context() as patch:
        named(patch, *absent, "127.0.0.1", "127.0.0.1", "127.0.0.2")
        with listening("both") as operators:
            patch.undo()
            assert is_alive("127.0.0.1", operators.port)
            assert is_alive("127.0.0.2", operators.port)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_localhost_is_both_loopbacks_as_with_grpc():
    with listening("localhost") as operators:
        assert [is_alive(a, operators.port) for a in ("127.0.0.1", "::1")] == [True, True]


@pytest.mark.parametrize("host", ["192.0.2.1", "nohost.invalid"])
def test_a_host_that_is_not_ours_is_to_blame_itself(host: str):
    with pytest.raises(NotOurs, match=f"cannot listen on {host}:0: "):
        Operators(host, 0, CollectorRegistry(), lambda: True)


def test_a_port_in_use_is_not_the_hosts_fault_and_frees_the_other_address(
    monkeypatch: pytest.MonkeyPatch,
):
    with socket.create_server(("127.0.0.2", 0)) as held:
        port = held.getsockname()[1]
        with monkeypatch.context() as patch:
            named(patch, "127.0.0.1", "127.0.0.2")
            with pytest.raises(OSError, match="in use") as refusal:
                Operators("both", port, CollectorRegistry(), lambda: True)

    assert not isinstance(refusal.value, NotOurs)
    with listening("127.0.0.1", port) as operators:
        url = f"http://127.0.0.1:{operators.port}/healthz"
        assert urllib.request.urlopen(url).status == 200
