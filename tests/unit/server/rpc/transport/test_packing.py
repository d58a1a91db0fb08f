"""Compressed messages: what they reserve, and what they may unpack to."""

import gzip
import zlib

import numpy as np
import pytest

from server.errors import TooLarge
from server.rpc.transport.hosting import Handler
from server.rpc.transport.packing import Packed, opened

MIB = 1 << 20


def test_a_gzip_message_reserves_what_it_says_and_deflate_what_it_may_take():
    picture = np.random.default_rng(1).integers(0, 99, 600_000, np.uint8).tobytes()
    packed = Packed(gzip.compress(picture))

    assert packed.size(25 * MIB) == 600_000
    assert packed.unpack(packed.size(25 * MIB)) == picture
    assert Packed(zlib.compress(picture)).size(25 * MIB) == 25 * MIB


def test_one_that_says_less_than_it_holds_is_refused():
    liar = gzip.compress(bytes(2 * MIB), mtime=0)[:-4] + (400_000).to_bytes(4, "little")
    found = opened(liar, 256 << 10)

    assert isinstance(found, Packed)
    with pytest.raises(TooLarge, match="400000 vs"):
        found.unpack(found.size(25 * MIB))


def test_what_is_not_put_off_unpacks_to_a_hundred_times_its_size_or_a_mebibyte():
    handler = Handler(lambda *_: None, most_bytes=32 * MIB)

    assert handler.checked(gzip.compress(bytes(MIB))) == bytes(MIB)
    with pytest.raises(TooLarge):
        handler.checked(gzip.compress(bytes(31 * MIB)))
