"""What a large request holds is found without building it; what no request needs is refused on the way."""

import gzip
import time

import pytest

from server.errors import BadInput, TooLarge
from server.rpc.outline import SMALL_BYTES, Outline, draw, elements
from server.rpc.transport.packing import Packed, opened
from tests.support.serving.attacks import bodies
from wire import inference_pb2 as pb


def a_request(**contents: list[int]) -> bytes:
    request = pb.ModelInferRequest(model_name="m", id="7")
    request.inputs.add(name="x", datatype="INT64", shape=[1, 100_000])
    for name, values in contents.items():
        getattr(request.inputs[0].contents, name).extend(values)
    return request.SerializeToString()


def test_an_outline_tells_model_id_and_elements():
    data = a_request(int64_contents=[-1, 300, 2**40] * 33_000)
    found = Outline()

    draw(data, found)

    assert (found.model, found.id, len(found.inputs)) == ("m", "7", 1)
    assert elements(data, found) == 99_000


@pytest.mark.parametrize(
    "kind", ["empty inputs", "empty outputs", "empty raw contents", "empty parameters", "id"]
)
def test_millions_of_entries_are_refused_at_once(kind: str):
    data = bodies(16 << 20)[kind]
    begin_s = time.perf_counter()

    with pytest.raises(BadInput, match="besides its tensors' contents"):
        draw(data, Outline())

    assert time.perf_counter() - begin_s < 1.0


def test_contents_may_be_as_large_as_they_like():
    request = pb.ModelInferRequest(model_name="m", raw_input_contents=[bytes(4 << 20)])

    draw(request.SerializeToString(), Outline())


def test_a_message_that_is_not_packed_is_left_alone():
    data = a_request(int64_contents=[1])

    assert opened(data, SMALL_BYTES) is data


def test_a_message_packed_too_tightly_is_refused():
    packed = opened(gzip.compress(bytes(32 << 20)), SMALL_BYTES)

    assert isinstance(packed, Packed)
    with pytest.raises(TooLarge, match="larger than max"):
        packed.unpack(64 << 20)
