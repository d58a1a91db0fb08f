"""gzip and deflate, both ways: what a body takes unpacked is bounded before it is unpacked."""

import zlib

from server.errors import BadInput, TooLarge, Unsupported
from server.texts import shown

_EITHER, _GZIP = 47, 31
"""zlib's words for its own and gzip's form, told apart by the first bytes; and for gzip's."""
_LEAST_BYTES = 1024
"""Of an answer that is worth packing."""
_LEVEL = 1


def unpacked(body: bytes, coding: str, most_bytes: int) -> bytes:
    """The body, as `Content-Encoding` says that it is packed. Raises BadInput, TooLarge or Unsupported."""
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "deflate"):
        raise Unsupported(f"Content-Encoding '{shown(coding)}' is not known; gzip and deflate are")
    unpack = zlib.decompressobj(_EITHER)
    try:
        plain = unpack.decompress(body, most_bytes + 1)
    except zlib.error as error:
        raise BadInput(f"the body is not packed as Content-Encoding says: {error}") from error
    if len(plain) > most_bytes:
        raise TooLarge(f"the body takes more than {most_bytes} bytes unpacked")
    if not unpack.eof or unpack.unused_data:
        raise BadInput("the packed body is cut off, or goes on behind its end")
    return plain


def coding_of(accepted: str) -> str:
    """How an answer is packed for a client with this `Accept-Encoding`: gzip, deflate, or "" for not at all."""
    names = [part.partition(";") for part in accepted.lower().split(",")]
    wanted = {name.strip() for name, _, q in names if q.replace(" ", "") not in ("q=0", "q=0.0")}
    return next((name for name in ("gzip", "deflate") if name in wanted), "")


def packed(body: bytes, coding: str) -> bytes | None:
    """The answer packed so; None where it goes out as it is."""
    if not coding or len(body) < _LEAST_BYTES:
        return None
    pack = zlib.compressobj(_LEVEL, wbits=_GZIP if coding == "gzip" else zlib.MAX_WBITS)
    return pack.compress(body) + pack.flush()
