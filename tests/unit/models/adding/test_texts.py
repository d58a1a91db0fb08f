"""A tokeniser beside a transformer's graph: texts are taken too; one that is no good costs the family nothing else."""

from pathlib import Path

import onnx
import pytest

from models.adding.adding import Asked, add
from models.adding.found import models_in
from models.artifacts import load_family
from models.catalog import Family
from tests.support.adding.wording import network, tokenizer


def added(
    folder: Path, model: onnx.ModelProto, graph: str = "model.onnx"
) -> tuple[Family, list[str]]:
    """The family of the model in `folder`, as it is read again, and what was said."""
    path = folder / "encoder" / graph
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, str(path))
    work, said = folder / "work", list[str]()
    work.mkdir()
    (found,) = models_in(folder / "encoder")
    add(found, Asked(folder / "models"), work, said.append)
    return load_family(folder / "models" / "encoder"), said


@pytest.mark.parametrize("graph", ["model.onnx", "onnx/model.onnx"])
def test_texts_are_taken_where_a_tokeniser_lies_beside(tmp_path: Path, graph: str):
    (tmp_path / "encoder").mkdir()
    tokenizer().save(str(tmp_path / "encoder" / "tokenizer.json"))

    family, said = added(tmp_path, network(), graph)

    assert [(c.name, c.kind, c.file) for c in family.coded] == [
        ("text", "tokens", "tokenizer.json")
    ]
    assert {s.name: s.default for s in family.inputs} == {"input_ids": None, "attention_mask": 1.0}
    assert any("texts are taken too, as input 'text'" in line for line in said)


@pytest.mark.parametrize("content", [None, "{}"])
def test_without_a_good_one_only_numbers_are(tmp_path: Path, content: str | None):
    (tmp_path / "encoder").mkdir()
    if content is not None:
        (tmp_path / "encoder" / "tokenizer.json").write_text(content)

    family, said = added(tmp_path, network())

    assert family.coded == ()
    assert any("texts are not taken" in line for line in said) is (content is not None)


def test_what_is_no_transformer_takes_none(tmp_path: Path):
    (tmp_path / "encoder").mkdir()
    tokenizer().save(str(tmp_path / "encoder" / "tokenizer.json"))
    text = (
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N,4] x) => (float[N,4] y) { y = Exp(x) }'
    )

    family, _ = added(tmp_path, onnx.parser.parse_model(text))

    assert family.coded == ()


def test_what_only_a_text_output_needs_goes_with_it(tmp_path: Path):
    text = """<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]>
    g (float[N,4] x) => (float[N,4] y, string[N,4] z)
    <float unused = {2.0}, float kept = {3.0}>
    { y = Mul(x, kept) big = Mul(x, unused) k = Cast<to=7>(big) z = Cast<to=8>(k) }"""
    (tmp_path / "encoder").mkdir()

    family, said = added(tmp_path, onnx.parser.parse_model(text))

    assert [o.name for o in family.outputs] == ["y"]
    assert any("'z' is left out" in line for line in said)
    (artefact,) = (tmp_path / "models" / "encoder").glob("*.onnx")
    served = onnx.load(str(artefact)).graph
    assert [n.op_type for n in served.node] == ["Mul"]
    assert [w.name for w in served.initializer] == ["kept"]
