"""Whatever rows go into a REST body, as JSON or as memory, packed or not, come out of it."""

import gzip
import json
import zlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.catalog import TensorSpec
from models.datatypes import BY_DTYPE, DATATYPES
from server.errors import BadInput
from server.rest import decode, packing

ARRAYS = st.sampled_from([row for row in DATATYPES.values() if row.name != "FP16"]).flatmap(
    lambda row: hnp.arrays(
        row.dtype,
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=4),
        elements=hnp.from_dtype(row.dtype, allow_nan=False, allow_infinity=False),
    )
)


def body_of(array: np.ndarray, *, binary: bool, nested: bool) -> tuple[bytes, dict[str, str]]:
    """A request with it for an input, and its headers."""
    name = BY_DTYPE[array.dtype.name].name
    one = {"name": "x", "datatype": name, "shape": array.shape}
    if not binary:
        data = array.tolist() if nested else array.ravel().tolist()
        return json.dumps({"inputs": [{**one, "data": data}]}).encode(), {}
    text = {"inputs": [{**one, "parameters": {"binary_data_size": array.nbytes}}]}
    encoded = json.dumps(text).encode()
    return encoded + array.tobytes(), {decode.SPLIT: str(len(encoded))}


@given(ARRAYS, st.booleans(), st.booleans(), st.sampled_from(["", "gzip", "deflate"]))
def test_arrays_come_through(array: np.ndarray, binary: bool, nested: bool, coding: str):
    body, headers = body_of(array, binary=binary, nested=nested)
    sent = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}[coding](body)

    plain = packing.unpacked(sent, coding, 1 << 20)
    request, _ = decode.request("m", "", memoryview(plain), headers, 1 << 20)

    (tensor,) = request.inputs
    spec = TensorSpec("x", tensor.datatype, (-1, *array.shape[1:]))
    found = tensor.contents.array(spec, array.size, "m")
    assert tuple(tensor.shape) == array.shape
    assert found.tobytes() == array.tobytes() or np.array_equal(found, array.ravel())


@given(st.binary(max_size=200), st.none() | st.integers(-5, 300))
def test_bytes_are_a_request_or_told_what_they_are_not(body: bytes, split: int | None):
    headers = {} if split is None else {decode.SPLIT: str(split)}
    try:
        request, _ = decode.request("m", "", memoryview(body), headers, 1 << 20)
    except BadInput:
        return
    assert request.model == "m"
