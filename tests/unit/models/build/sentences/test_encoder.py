"""The encoder's graph on small random weights: what plain numpy finds, at any length, whatever is filled in."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from models.backends.rows.hazards import hazards_of
from models.build.errors import BuildError
from models.build.narrowing.quantize import quantize_products
from models.build.sentences.encoder import INPUTS, OUTPUT, build_encoder
from models.build.sentences.family import sentences
from models.catalog import FreeSize
from tests.support.adding.bert import embedding, random_weights

HEADS = 4
Row = dict[str, NDArray[np.int64]]


def a_row(tokens: int, seed: int = 0) -> Row:
    rng = np.random.default_rng(seed)
    arrays = (
        rng.integers(0, 50, (1, tokens)),
        np.ones((1, tokens)),
        rng.integers(0, 2, (1, tokens)),
    )
    return {name: a.astype(np.int64) for name, a in zip(INPUTS, arrays, strict=True)}


def padded(row: Row, tokens: int) -> Row:
    return {name: np.pad(a, ((0, 0), (0, tokens - a.shape[1]))) for name, a in row.items()}


def together(*rows: Row) -> Row:
    return {name: np.concatenate([row[name] for row in rows]) for name in INPUTS}


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return build_encoder(random_weights(), HEADS)


@pytest.fixture(scope="module")
def session(model: onnx.ModelProto) -> ort.InferenceSession:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, rows: Mapping[str, NDArray[np.int64]]) -> np.ndarray:
    return session.run([OUTPUT], dict(rows))[0]


@pytest.mark.parametrize("tokens", [1, 2, 7, 40])
def test_it_computes_what_plain_numpy_does(session: ort.InferenceSession, tokens: int):
    row = a_row(tokens)

    expected = embedding(random_weights(), HEADS, row)

    np.testing.assert_allclose(run(session, row)[0], expected, atol=1e-5)


def test_rows_of_unlike_lengths_run_together_as_each_alone(session: ort.InferenceSession):
    rows = [a_row(3, 1), a_row(9, 2), a_row(6, 3)]

    found = run(session, together(*(padded(row, 12) for row in rows)))

    np.testing.assert_allclose(found, np.concatenate([run(session, r) for r in rows]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_row_of_which_all_is_hidden_is_zero_and_no_number_is_lost(session: ort.InferenceSession):
    row, hidden = a_row(5, 1), a_row(5, 2)
    hidden["attention_mask"][:] = 0

    found = run(session, together(row, hidden))

    np.testing.assert_allclose(found[0], run(session, row)[0], atol=1e-6)
    np.testing.assert_array_equal(found[1], np.zeros(32))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_its_rows_are_known_to_be_apart(model: onnx.ModelProto, precision: str, tmp_path: Path):
    rows = [a_row(n, n) for n in (4, 9, 20)]
    path = tmp_path / "net.onnx"
    onnx.save(model if precision == "fp32" else quantize_products(model, rows, ()), path)
    family = replace(sentences(), sizes=(FreeSize("tokens", 8, 40),))

    found = hazards_of(path, family)

    assert (found.hangs, found.fatal, found.endless) == ("", "", "")


def test_int8_takes_the_products_by_weights_alone_and_none_that_is_kept(model: onnx.ModelProto):
    kept = "encoder.layer.0.output.dense.product"

    made = quantize_products(model, [a_row(n, n) for n in (4, 9, 20)], [kept])

    makers = {name: node.op_type for node in made.graph.node for name in node.output}
    by_weights = {
        n.name: makers.get(n.input[1], "") for n in made.graph.node if n.op_type == "MatMul"
    }
    narrow = [name for name, op in by_weights.items() if op == "DequantizeLinear"]
    assert len(narrow) == 2 * 6 - 1
    assert kept not in narrow
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    row = a_row(11)
    expected = embedding(random_weights(), HEADS, row)
    assert float(run(session, row)[0] @ expected) > 0.95


def test_weights_of_another_network_are_refused():
    lacking, more = random_weights(), random_weights()
    del lacking["encoder.layer.1.attention.self.key.bias"]
    more["decoder.weight"] = np.zeros(3, np.float32)

    with pytest.raises(BuildError, match=r"lack encoder\.layer\.1\.attention\.self\.key\.bias"):
        build_encoder(lacking, HEADS)
    with pytest.raises(BuildError, match=r"unknown here: \['decoder\.weight'\]"):
        build_encoder(more, HEADS)
    with pytest.raises(BuildError, match="word_embeddings"):
        build_encoder({}, HEADS)
