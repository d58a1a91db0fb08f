"""What an answer's size is held to be is never less than it is, and little more for raw contents."""

import numpy as np
import pytest

from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from models.datatypes import DATATYPES
from server.engine.values import Execution
from server.errors import BadInput
from server.rpc import answers
from server.rpc.answer_size import AnswerSize

ROWS, WIDTH = 3, 5000
MIB = 1 << 20


def a_family(*datatypes: str) -> Family:
    """A family with an output of each of these datatypes."""
    outputs = tuple(TensorSpec(f"y-{d}", d, (-1, WIDTH)) for d in datatypes)
    variants = (Variant("only", "fp32", "", "", Accuracy(0.8, "made up")),)
    return Family("m", (TensorSpec("x", "FP32", (-1, 1)),), outputs, variants, Slo(1.0), 16)


def an_answer(family: Family, *, raw: bool) -> bytes:
    """An answer whose every value takes the most room that its datatype allows, without its id."""
    execution = Execution("only", "fp32", "scripted", 0.8, ROWS, 1.0)
    arrays = [np.full((ROWS, WIDTH), _longest(spec.datatype)) for spec in family.outputs]
    common = answers.shared(family, execution, family.outputs, [a.shape for a in arrays])
    message = answers.whole(common, "", 0.1, arrays)
    return message if raw else answers.typed(message, arrays)


def allows(family: Family, most_bytes: int, *, raw: bool) -> bool:
    """Whether such an answer is held to fit."""
    try:
        names = [spec.name for spec in family.outputs]
        AnswerSize(family, most_bytes).check(ROWS, names, "", raw=raw)
    except BadInput:
        return False
    return True


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    "datatypes", [*((d,) for d in DATATYPES), ("FP16", "INT8"), ("INT64", "FP32")]
)
def test_an_answer_that_is_let_through_fits_at_its_longest(datatypes: tuple[str, ...], raw: bool):
    family = a_family(*datatypes)

    size = len(an_answer(family, raw=raw))

    assert not allows(family, size - 1, raw=raw)
    assert allows(family, size + 16384, raw=raw)


def test_a_refusal_names_the_limit_and_what_would_do():
    size = AnswerSize(a_family("INT64", "FP32"), MIB)

    with pytest.raises(BadInput) as refusal:
        size.check(16, ["y-INT64", "y-FP32"], "7", raw=False)

    assert (
        "the answer for 16 rows of model 'm' may take 1120000 bytes (70000 a row, in typed contents)"
        in str(refusal.value)
    )
    assert "ask for 14 rows at most, ask for fewer outputs, send raw contents" in str(refusal.value)
    assert str(refusal.value).endswith("max_message_mib raised, which is 1 on this server")


def test_an_id_is_sent_back_and_counts():
    size = AnswerSize(a_family("FP32"), MIB)

    size.check(16, ["y-FP32"], "7", raw=True)
    with pytest.raises(BadInput, match="ask for 12 rows at most"):
        size.check(16, ["y-FP32"], "é" * 400_000, raw=True)


def test_an_operator_hears_of_families_whose_answers_do_not_all_fit():
    family = a_family("FP32")

    assert AnswerSize(family).shortfall() == AnswerSize(family, MIB).shortfall() == ""
    assert (
        "20000 bytes, so requests for all of them may have 1 rows of"
        in AnswerSize(family, 40_000).shortfall()
    )
    assert "may have not one row" in AnswerSize(family, 20_000).shortfall()


def _longest(datatype: str) -> np.generic:
    """The value that takes the most bytes: the lowest one of signed whole numbers, the highest of others."""
    dtype = DATATYPES[datatype].dtype
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return dtype.type(limits.min if dtype.kind == "i" else limits.max)
    return dtype.type(1)
