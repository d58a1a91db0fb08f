"""Compressed messages, unpacked by us and not by gRPC's core, which would unpack a small message to any size.

The core is told to hand them over as they came. What it does not tell is whether one is compressed; but no message of
ours begins as gzip does (its first byte is no field that protobuf knows), and only what zlib can read to its end passes
for deflate.
"""

import zlib
from dataclasses import dataclass

from server.errors import BadInput, TooLarge

MOST_RATIO = 100
"""A message may unpack to so many times its size;"""
FREE_BYTES = 1 << 20
"""and to this size at any ratio."""
_GZIP = b"\x1f\x8b"
_ZLIB = b"\x78"
_AUTOMATIC = zlib.MAX_WBITS | 32  # zlib finds out itself which of the two it is


@dataclass(frozen=True, slots=True)
class Packed:
    """A compressed message that has not been unpacked yet, because that takes a while."""

    data: bytes

    @property
    def _claimed(self) -> int | None:
        """How large it is, as it says itself where it does."""
        return int.from_bytes(self.data[-4:], "little") if self.data.startswith(_GZIP) else None

    def size(self, most_bytes: int) -> int:
        """The size up to which it is unpacked: what it says itself, within bounds."""
        allowed = most_unpacked(len(self.data), most_bytes)
        return allowed if self._claimed is None else min(allowed, self._claimed)

    def unpack(self, most_bytes: int) -> bytes:
        """The message. Raises TooLarge where it is larger than that, or packed more tightly than is taken."""
        allowed = most_unpacked(len(self.data), most_bytes)
        try:
            found = _unpacked(self.data, allowed)
        except zlib.error as error:
            raise BadInput(f"compressed message cannot be unpacked: {error}") from error
        if found is None:
            claimed = self._claimed or "more"
            raise TooLarge(
                f"unpacked message larger than max ({claimed} vs. {allowed}): at most {most_bytes} bytes, "
                f"and {MOST_RATIO} times a message's packed size or {FREE_BYTES} bytes; send less, or uncompressed"
            )
        return found


def most_unpacked(packed_bytes: int, most_bytes: int) -> int:
    """The size that a message of so many bytes may unpack to, where messages have `most_bytes` at most."""
    return min(most_bytes, max(FREE_BYTES, packed_bytes * MOST_RATIO))


def opened(data: bytes, most_bytes: int) -> bytes | Packed:
    """A message as it came, unpacked where that is no more than `most_bytes`, or still packed."""
    if not (data.startswith(_GZIP) or _is_zlib(data)):
        return data
    try:
        found = _unpacked(data, most_bytes)
    except zlib.error:
        return data  # it only looked like it
    return Packed(data) if found is None else found


def _is_zlib(data: bytes) -> bool:
    return data.startswith(_ZLIB) and len(data) > 2 and (data[0] << 8 | data[1]) % 31 == 0


def _unpacked(data: bytes, most_bytes: int) -> bytes | None:
    """None where there is more."""
    reading = zlib.decompressobj(_AUTOMATIC)
    found = reading.decompress(data, most_bytes + 1)
    if len(found) > most_bytes:
        return None
    if not reading.eof:
        raise zlib.error("it ends before its end")
    return found
