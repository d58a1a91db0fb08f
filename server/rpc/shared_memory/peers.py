"""Which clients share this machine's memory, told by how they are connected."""

from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote


def is_local(peer: bytes) -> bool:
    """Whether a peer, as gRPC writes its address, came over a Unix socket or from a loopback address."""
    if peer.startswith((b"unix:", b"unix-abstract:", b"ipv4:127.")):
        return True
    kind, _, rest = unquote(peer.decode(errors="replace")).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return False
    host = rest.rpartition(":")[0].strip("[]").partition("%")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_loopback
