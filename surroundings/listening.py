"""Sockets that listen on a host and a port, on as many addresses as the host has here."""

import errno
import socket
from typing import Any

from surroundings.addresses import bare, joined

_ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""Why an address of a name cannot be listened on: it is not this machine's."""
_LOOPBACK = ("127.0.0.1", "::1")


class NotOurs(OSError):
    """The host is unknown, or no address of this machine."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Listens on each address of `host`, on one port (0: any); they do not block.

    Raises OSError naming the address, NotOurs where another port would not help.
    """
    try:
        return _listen(bare(host), port)
    except (OSError, UnicodeError) as error:
        where = joined(host, port)
        reason = error.strerror if isinstance(error, OSError) else error
        kind = NotOurs if _is_the_hosts(error) else OSError
        raise kind(f"cannot listen on {where}: {reason or error}") from error


def _listen(host: str, port: int) -> list[socket.socket]:
    """Listens on each address of `host`, on one port; on IPv4 and IPv6 where it is `::`. Raises OSError."""
    listeners: list[socket.socket] = []
    absent: OSError | None = None
    for family, address in _addresses(host, port):
        both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        port = listeners[0].getsockname()[1] if listeners else port
        try:
            where: Any = (address[0], port, *address[2:])
            made = socket.create_server(where, family=family, backlog=128, dualstack_ipv6=both)
        except OSError as error:
            if error.errno in _ABSENT:
                absent = error
                continue
            for one in listeners:
                one.close()
            raise
        made.setblocking(False)
        listeners.append(made)
    if absent is not None and not listeners:
        raise absent
    return listeners


def _addresses(host: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
    """Of `localhost` both, whatever the machine's own tables say: gRPC has them so (RFC 6761)."""
    hosts = _LOOPBACK if host.lower() == "localhost" else (host,)
    kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
    rows = [row for one in hosts for row in socket.getaddrinfo(one, port, type=kind, flags=flags)]
    return list(dict.fromkeys((row[0], row[4]) for row in rows))


def _is_the_hosts(error: Exception) -> bool:
    """Whether the host is to blame, so that no other port helps."""
    of_names = isinstance(error, socket.gaierror | UnicodeError)
    return of_names or (isinstance(error, OSError) and error.errno in _ABSENT)
