"""Rows given as bytes are answered as the inputs that are made of them; a bad one is told, and costs nobody else."""

import hashlib
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.support.adding.wording import MOST, expected, publish_words, tokenizer
from tests.support.serving.server import Server, equal, eventually, refused_start, serving
from wire import inference_pb2 as pb

TEXTS = ("the cat sat", "a dog", "the dog sat on the mat", "mat")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    root = tmp_path_factory.mktemp("coded")
    publish_words(root / "models")
    with serving(root / "models", root / "cache") as one:
        yield one


@pytest.fixture
def client(server: Server) -> Generator[Any]:
    one: Any = triton.InferenceServerClient(server.url)
    yield one
    one.close()


def text_input(texts: list[str] | list[bytes], name: str = "text") -> Any:
    data = np.array([t.encode() if isinstance(t, str) else t for t in texts], np.object_)
    tensor = triton.InferInput(name, [len(texts)], "BYTES")
    tensor.set_data_from_numpy(data)
    return tensor


def ids_input(text: str) -> Any:
    ids = np.array([tokenizer().encode(text).ids], np.int64)
    tensor = triton.InferInput("input_ids", list(ids.shape), "INT64")
    tensor.set_data_from_numpy(ids)
    return tensor


def close(answer: Any, texts: list[str] | tuple[str, ...]) -> bool:
    return np.allclose(answer.as_numpy("mean"), [expected(t) for t in texts], atol=1e-5)


def test_texts_are_answered_as_their_tokens_are(client: Any):
    assert close(client.infer("words", [text_input(list(TEXTS))]), TEXTS)
    for text in TEXTS:
        assert close(client.infer("words", [text_input([text])]), [text])
        assert close(client.infer("words", [ids_input(text)]), [text])  # its mask left out


def test_texts_in_typed_contents_and_on_a_stream(server: Server, client: Any):
    request = pb.ModelInferRequest(model_name="words")
    request.inputs.add(name="text", datatype="BYTES", shape=(2, 1)).contents.bytes_contents.extend(
        [t.encode() for t in TEXTS[:2]]
    )
    answer = server.infer(request)
    got = np.array(answer.outputs[0].contents.fp32_contents, np.float32).reshape(2, -1)
    assert np.allclose(got, [expected(t) for t in TEXTS[:2]], atol=1e-5)

    found: dict[str, Any] = {}
    client.start_stream(
        lambda result, error: found.update({(result or error).get_response().id: result})
    )
    for text in TEXTS:
        client.async_stream_infer("words", [text_input([text])], request_id=text)
    client.stop_stream()
    assert {text: close(one, [text]) for text, one in found.items()} == dict.fromkeys(TEXTS, True)


def test_many_at_once_are_never_mixed_up(client: Any):
    words = [w for t in TEXTS for w in t.split()]
    asked = [" ".join(words[i % 7 : i % 7 + 1 + i % 5]) for i in range(300)]
    found: dict[int, Any] = {}
    for i, text in enumerate(asked):
        client.async_infer(
            "words",
            [text_input([text])],
            lambda result, error, i=i: found.update({i: result or error}),
        )
    eventually(lambda: equal(len(found), len(asked)), 30.0)
    assert all(close(found[i], [text]) for i, text in enumerate(asked))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (lambda: [text_input(["cat " * MOST])], f"{MOST} tokens are the most"),
        (lambda: [text_input([b"\xff"])], "row 0 is no UTF-8 text"),
        (lambda: [text_input(["x" * 70_000])], "row 0 has 70000 bytes; 65536 are the most"),
        (lambda: [text_input(["cat"] * 9)], "9 rows; 8 are the most"),
        (lambda: [text_input(["cat"], "input_ids")], "data-type is 'BYTES'"),
        (lambda: [text_input(["cat"], "x")], "unexpected inference input 'x'"),
        (lambda: [text_input(["cat"]), ids_input("cat")], "unexpected inference input 'text'"),
    ],
)
def test_what_cannot_be_decoded_is_told(client: Any, inputs: Any, words: str):
    with pytest.raises(InferenceServerException, match=words):
        client.infer("words", inputs())
    assert close(client.infer("words", [text_input(["cat"])]), ["cat"])


@pytest.mark.parametrize(
    "raw", [b"", b"\x01", b"\x05\x00\x00\x00cat", b"\xff\xff\xff\xffcat", bytes(8)]
)
def test_bytes_that_are_no_elements_are_told(server: Server, client: Any, raw: bytes):
    request = pb.ModelInferRequest(model_name="words", raw_input_contents=[raw])
    request.inputs.add(name="text", datatype="BYTES", shape=(1,))
    with pytest.raises(Exception, match="expected 1 elements, each its length in 4 bytes"):
        server.infer(request)
    assert close(client.infer("words", [text_input(["cat"])]), ["cat"])


def test_clients_are_told_of_both_ways(client: Any):
    metadata = client.get_model_metadata("words")
    config = client.get_model_config("words").config
    assert [(i.name, i.datatype, list(i.shape)) for i in metadata.inputs] == [
        ("input_ids", "INT64", [-1, -1]),
        ("attention_mask", "INT64", [-1, -1]),
        ("text", "BYTES", [-1, 1]),
    ]
    assert {i.name: i.optional for i in config.input} == {
        "input_ids": True,
        "attention_mask": True,
        "text": True,
    }


def test_a_tokeniser_that_is_not_the_one_published_is_not_served(tmp_path: Path):
    publish_words(tmp_path / "models")
    file = tmp_path / "models" / "words" / "tokenizer.json"
    file.write_text(file.read_text().replace("mat", "hat"))
    assert "tokenizer.json (of input text) is damaged" in refused_start(
        tmp_path / "cache", "--repository", str(tmp_path / "models")
    )


def test_another_tokeniser_is_taken_up(tmp_path: Path):
    root = tmp_path / "models"
    publish_words(root)
    with serving(root, tmp_path / "cache") as server:
        client: Any = triton.InferenceServerClient(server.url)
        assert close(client.infer("words", [text_input(["cat"])]), ["cat"])

        folder = root / "words"
        swapped = (folder / "tokenizer.json").read_text()
        swapped = swapped.replace('"cat"', '"?"').replace('"dog"', '"cat"').replace('"?"', '"dog"')
        (folder / "swapped.json").write_text(swapped)
        sha256 = hashlib.sha256(swapped.encode()).hexdigest()
        manifest = (folder / "family.toml").read_text().split('file = "tokenizer.json"')
        text = f'{manifest[0]}file = "swapped.json"\nsha256 = "{sha256}"\n'
        (folder / "family.new").write_text(text)
        (folder / "family.new").replace(folder / "family.toml")
        server.await_line(re.compile("words: serves as it is published now"))

        answer = client.infer("words", [text_input(["cat"])])
        assert close(answer, ["dog"])
        assert not close(answer, ["cat"])
        client.close()
