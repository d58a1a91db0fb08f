"""Hosts and ports as gRPC and sockets want them: an IPv6 address may be given with or without its brackets."""

from ipaddress import AddressValueError, IPv6Address

USUAL_PORT = 8001


def bare(host: str) -> str:
    """The host without brackets, as sockets want it."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def joined(host: str, port: int) -> str:
    """`host:port`, the host in brackets where it is an IPv6 address."""
    host = bare(host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def target(url: str) -> str:
    """A server's address for a gRPC channel: `[::1]:8001` as it is, an IPv6 address alone with the usual port."""
    return joined(url, USUAL_PORT) if is_ipv6(bare(url)) else url


def is_ipv6(text: str) -> bool:
    """Whether it is an IPv6 address, nothing before or behind it."""
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True
