"""A tokeniser of a few words, and a transformer's family that takes its ids: small, and made here."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from models.artifacts import publish_family
from models.artifacts.manifest import MANIFEST
from models.catalog import (
    Accuracy,
    CodedInput,
    Family,
    FreeSize,
    Slo,
    TensorSpec,
    Variant,
)

WORDS = ("[PAD]", "[UNK]", "[BEGIN]", "[END]", "a", "cat", "dog", "sat", "on", "the", "mat")
WIDTH = 4
MOST = 12

IDS = TensorSpec("input_ids", "INT64", (-1, -1), ("tokens",), 0.0)
MASK = TensorSpec("attention_mask", "INT64", (-1, -1), ("tokens",), 0.0, 1.0)
FAMILY = Family(
    "words",
    (IDS, MASK),
    (TensorSpec("mean", "FP32", (-1, WIDTH)),),
    (),
    Slo(2.0),
    max_batch=8,
    sizes=(FreeSize("tokens", 6, MOST),),
)


def tokenizer() -> Tokenizer:
    """Words of WORDS, with a begin and an end."""
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()  # pyright: ignore[reportAttributeAccessIssue] - its stub lacks the setter
    made.post_processor = TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="[BEGIN] $A [END]", special_tokens=[("[BEGIN]", 2), ("[END]", 3)]
    )
    return made


def table() -> NDArray[np.float32]:
    """The embedding of each word."""
    return np.random.default_rng(3).standard_normal((len(WORDS), WIDTH)).astype(np.float32)


def expected(text: str) -> NDArray[np.float32]:
    """The mean of its words' embeddings."""
    return table()[tokenizer().encode(text).ids].mean(axis=0)


def network() -> onnx.ModelProto:
    """mean over what the mask shows of table[input_ids]."""
    axes = numpy_helper.from_array(np.array([1], np.int64), "one")
    last = numpy_helper.from_array(np.array([-1], np.int64), "last")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"], axis=0),
        helper.make_node("Cast", ["attention_mask"], ["shown"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["shown", "last"], ["column"]),
        helper.make_node("Mul", ["words", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["shown", "one"], ["count"], keepdims=1),
        helper.make_node("Div", ["sum", "count"], ["mean"]),
    ]
    free = ["rows", "tokens"]
    graph = helper.make_graph(
        nodes,
        "words",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, free)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["rows", WIDTH])],
        [numpy_helper.from_array(table(), "table"), axes, last],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def publish_words(root: Path) -> Family:
    """Publish the family with its tokeniser; texts are called `text`."""
    source = root.parent / "words.onnx"
    source.write_bytes(network().SerializeToString())
    variant = Variant("only", "fp32", "", "", Accuracy(0.9, "made up"))
    published = publish_family(root, replace(FAMILY, variants=(variant,)), {"only": source})
    file = root / "words" / "tokenizer.json"
    tokenizer().save(str(file))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    manifest = root / "words" / MANIFEST
    table_of_it = (
        f'\n[[coded]]\nname = "text"\nkind = "tokens"\nfile = "{file.name}"\nsha256 = "{sha256}"\n'
    )
    manifest.write_text(manifest.read_text() + table_of_it)
    coded = CodedInput("text", "tokens", 64 << 10, file.name, sha256)
    return replace(published, coded=(coded,))
