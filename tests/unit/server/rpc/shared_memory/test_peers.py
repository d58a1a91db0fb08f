"""Who is on this machine, as gRPC writes addresses."""

import pytest

from server.rpc.shared_memory.peers import is_local


@pytest.mark.parametrize(
    "peer",
    [
        b"ipv4:127.0.0.1:4711",
        b"ipv4:127.3.2.1:1",
        b"unix:",
        b"unix:/run/gearshift.sock",
        b"unix-abstract:x",
        b"ipv6:[::1]:4711",
        b"ipv6:%5B::1%5D:4711",
        b"ipv6:[::ffff:127.0.0.1]:4711",
        b"ipv6:%5B::ffff:127.0.0.1%5D:4711",
    ],
)
def test_loopback_and_unix_sockets_are_local(peer: bytes):
    assert is_local(peer)


@pytest.mark.parametrize(
    "peer",
    [
        b"",
        b"ipv4:10.0.0.1:4711",
        b"ipv4:1.127.0.0:1",
        b"ipv6:[fe80::1%25eth0]:4711",
        b"ipv6:[::ffff:10.0.0.1]:4711",
        b"ipv6:[2001:db8::1]:4711",
        b"ipv6:[::1",
        b"dns:localhost:1",
        b"vsock:1:1",
        b"\xff\xfe",
    ],
)
def test_all_others_are_not(peer: bytes):
    assert not is_local(peer)
