"""Whatever a client sends, it gets the fitting code and words, and the server goes on answering correctly."""

from typing import Any

import grpc
import numpy as np
import pytest

from tests.support.serving.bad_requests import BAD, CASES, GONE, NOT_SERVED, TOO_MUCH, Case
from tests.support.serving.families import expected_echo, rows
from tests.support.serving.server import SERVICE, Server, a_request, output
from wire import inference_pb2 as pb


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_bad_request_is_refused_with_code_and_words(server: Server, case: Case):
    request = a_request("echo", rows(1.0), "R7")
    case.spoil(request)

    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(request)

    assert refusal.value.code() is case.code
    assert refusal.value.details().startswith("[request id: R7] ")
    assert case.words in refusal.value.details()
    assert_still_right(server)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("int_contents", 1, "UINT8 belongs in uint_contents, not in int_contents"),
        ("uint_contents", 2**8, "values outside 0..255, the range of UINT8"),
        ("uint_contents", 2**32 - 1, "values outside 0..255, the range of UINT8"),
    ],
)
def test_typed_values_out_of_range_are_refused(server: Server, field: str, value: int, words: str):
    request = a_pair()
    getattr(request.inputs[1].contents, field).extend([0, value, 0])

    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(request)

    assert refusal.value.code() is BAD
    assert f"input 'b' for model 'pair': {words}" in refusal.value.details()
    assert_still_right(server)


def test_inputs_with_different_rows_are_refused(server: Server):
    request = a_pair()
    request.inputs[1].shape[:] = (2, 3)
    request.inputs[1].contents.uint_contents.extend([0] * 6)

    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(request)

    assert refusal.value.code() is BAD
    assert "input 'b' has 2 rows, other inputs of the request for model 'pair' have 1" in (
        refusal.value.details()
    )
    assert_still_right(server)


def test_one_missing_of_two_inputs_is_named(server: Server):
    request = a_pair()
    del request.inputs[1]

    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(request)

    assert refusal.value.code() is BAD
    assert "expected 2 inputs but got 1 inputs for model 'pair'" in refusal.value.details()
    assert "missing required input(s) ['b']" in refusal.value.details()
    assert_still_right(server)


def test_a_refusal_without_an_id_says_so(server: Server):
    with pytest.raises(grpc.RpcError, match=r"\[request id: <id_unknown>\] unexpected shape"):
        server.infer(a_request("echo", rows(1.0)[:, :3]))


@pytest.mark.parametrize("where", ["name", "id", "model"])
def test_an_endless_name_does_not_break_the_answer(server: Server, where: str):
    request = a_request("echo", rows(1.0), "R7")
    request.inputs[0].name = "€" * 100_000 if where == "name" else "bad"
    request.id = "é" * 100_000 if where == "id" else "R7"
    request.model_name = "m" * 100_000 if where == "model" else "echo"

    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(request)

    assert refusal.value.code() is (GONE if where == "model" else BAD)
    assert refusal.value.details().startswith("[request id: ")
    assert_still_right(server)


MODEL = b"\x0a\x04echo"
BYTES = [
    ("garbage", b"\xff" * 40, BAD, "cannot parse ModelInferRequest"),
    ("cut in the middle", MODEL + b"\x2a\x20\x0a\x01x", BAD, "cannot parse ModelInferRequest"),
    ("empty message", b"", GONE, "Request for unknown model: '' is not found"),
    ("model name not UTF-8", b"\x0a\x02\xff\xfe", BAD, "cannot parse ModelInferRequest"),
    ("id not UTF-8", MODEL + b"\x1a\x02\xc3\x28", BAD, "cannot parse ModelInferRequest"),
    ("input name not UTF-8", MODEL + b"\x2a\x04\x0a\x02\xff\xfe", BAD, "cannot parse"),
    ("dtype not UTF-8", MODEL + b"\x2a\x04\x12\x02\xff\xfe", BAD, "cannot parse"),
    ("output name not UTF-8", MODEL + b"\x32\x04\x0a\x02\xff\xfe", BAD, "cannot parse"),
    ("parameter key not UTF-8", MODEL + b"\x22\x04\x0a\x02\xff\xfe", BAD, "cannot parse"),
    ("nested without end", MODEL + b"\x2a\xff\xff\xff\xff\x0f", BAD, "cannot parse"),
    ("wire type that does not exist", b"\x0f", BAD, "cannot parse"),
    ("field number 0", b"\x00\x01", BAD, "cannot parse"),
]


@pytest.mark.parametrize(
    ("data", "code", "words"), [b[1:] for b in BYTES], ids=[b[0] for b in BYTES]
)
def test_bytes_that_are_no_request_are_refused(
    server: Server, data: bytes, code: grpc.StatusCode, words: str
):
    with pytest.raises(grpc.RpcError) as refusal:
        server.channel.unary_unary(SERVICE + "ModelInfer")(data, timeout=10)

    assert refusal.value.code() is code
    assert words in refusal.value.details()
    assert_still_right(server)


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_an_oversize_message_is_refused_before_it_is_parsed(
    server: Server, compression: grpc.Compression
):
    request = a_request("echo", rows(1.0))
    request.raw_input_contents[0] = bytes((64 << 20) + 1)

    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(request, compression=compression)

    assert refusal.value.code() is TOO_MUCH
    assert "message larger than max (" in refusal.value.details()
    assert_still_right(server)


def test_a_message_below_what_the_signature_allows_is_read(server: Server):
    request = a_request("echo", rows(1.0))
    request.raw_input_contents[0] = bytes((1 << 20) - 100)

    with pytest.raises(grpc.RpcError, match="Expected 64, got 1048476") as refusal:
        server.infer(request)

    assert refusal.value.code() is BAD


@pytest.mark.parametrize(
    "method",
    [SERVICE + "TraceSetting", SERVICE + "Nothing", "/other.Service/ModelInfer", "/x"],
)
def test_an_unknown_method_is_unimplemented(server: Server, method: str):
    with pytest.raises(grpc.RpcError) as refusal:
        server.channel.unary_unary(method)(b"", timeout=10)

    assert refusal.value.code() is NOT_SERVED
    assert f"unknown method {method}" in refusal.value.details()
    assert_still_right(server)


@pytest.mark.parametrize("method", ["ModelMetadata", "ModelConfig", "ModelStatistics"])
@pytest.mark.parametrize(("name", "version"), [("nobody", ""), ("echo", "99"), ("nobody", "1")])
def test_questions_about_what_is_not_there_are_not_found(
    server: Server, method: str, name: str, version: str
):
    request = getattr(pb, f"{method}Request")(name=name, version=version)

    with pytest.raises(grpc.RpcError) as refusal:
        server.ask(method, request, getattr(pb, f"{method}Response"))

    assert refusal.value.code() is GONE
    assert f"Request for unknown model: '{name}'" in refusal.value.details()
    assert version in refusal.value.details()


@pytest.mark.parametrize("method", ["ModelMetadata", "ModelReady", "RepositoryIndex", "ServerLive"])
def test_garbage_to_any_method_is_an_invalid_argument(server: Server, method: str):
    with pytest.raises(grpc.RpcError) as refusal:
        server.channel.unary_unary(SERVICE + method)(b"\xff" * 9, timeout=10)

    assert refusal.value.code() is BAD
    assert f"cannot parse {method}Request" in refusal.value.details()


def test_another_repository_is_not_served(server: Server):
    request = pb.RepositoryIndexRequest(repository_name="elsewhere")

    with pytest.raises(grpc.RpcError) as refusal:
        server.ask("RepositoryIndex", request, pb.RepositoryIndexResponse)

    assert refusal.value.code() is NOT_SERVED
    assert "repository 'elsewhere' is not known" in refusal.value.details()


def test_a_bad_request_in_a_stream_fails_alone(server: Server):
    bad = a_request("echo", rows(1.0)[:, :3], "bad")
    good = a_request("echo", rows(2.0), "good")
    stream = server.channel.stream_stream(
        SERVICE + "ModelStreamInfer",
        pb.ModelInferRequest.SerializeToString,
        pb.ModelStreamInferResponse.FromString,
    )

    answers = {a.infer_response.id: a for a in stream(iter([bad, good, bad]), timeout=10)}

    assert "[request id: bad] unexpected shape for input 'x'" in answers["bad"].error_message
    assert answers["good"].error_message == ""
    np.testing.assert_allclose(
        output(answers["good"].infer_response), expected_echo(rows(2.0)), rtol=1e-6
    )


def a_pair() -> Any:
    """A typed request for `pair`; its input `b` has no contents yet."""
    request: Any = pb.ModelInferRequest(model_name="pair")
    request.inputs.add(name="a", datatype="INT32", shape=(1, 2)).contents.int_contents.extend(
        [1, 2]
    )
    request.inputs.add(name="b", datatype="UINT8", shape=(1, 3))
    return request


def assert_still_right(server: Server) -> None:
    """The server answers a good request, with the right numbers."""
    x = rows(4.0, 2)
    np.testing.assert_allclose(
        output(server.infer(a_request("echo", x))), expected_echo(x), rtol=1e-6
    )
