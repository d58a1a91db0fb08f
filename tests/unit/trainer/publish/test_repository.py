"""What is worth publishing, how sure its accuracy is, and what is written down about it. Pure parts; no torch."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from models.catalog import Accuracy, Family, Slo, TensorSpec
from trainer.errors import TrainError
from trainer.publish.evaluate import wilson_half_width
from trainer.publish.repository import (
    CandidateFile,
    Provenance,
    Spent,
    name_of,
    origin,
    worth_publishing,
)
from trainer.publish.signature import differences, signature

RUN = Provenance(
    "digits", "embedded (sha256 00ff)", "stale(3)", 7, 0.2, Spent(1200.0, 1000, 100, 4.5)
)
DIGITS = signature("digits", (1, 8, 8), ("zero", "one"), Slo(0.02))


def a_candidate(precision: str, share: float, path: Path = Path("net.onnx")) -> CandidateFile:
    return CandidateFile("cnn", precision, path, Accuracy(share, "measured", 1000, 0.01), 0.99)


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [(0.0, 10, 0.0, 0.2775), (0.5, 10, 0.2366, 0.7634), (0.9, 100, 0.8256, 0.9448)],
)
def test_the_interval_is_wilsons(share: float, n: int, low: float, high: float):
    assert wilson_half_width(share, n) == pytest.approx((high - low) / 2, abs=1e-4)


def test_more_images_make_the_interval_narrower():
    widths = [wilson_half_width(0.9, n) for n in (10, 100, 1000, 10_000)]

    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(1.96 * (0.9 * 0.1 / 10_000) ** 0.5, rel=0.01)


def test_a_precision_that_loses_too_much_is_left_out_and_logged(
    caplog: pytest.LogCaptureFixture,
):
    candidates = [a_candidate(p, s) for p, s in (("fp32", 0.9), ("bf16", 0.891), ("int8", 0.88))]

    with caplog.at_level(logging.WARNING):
        kept = worth_publishing(candidates, max_drop=0.01)

    assert [c.precision for c in kept] == ["fp32", "bf16"]
    assert "cnn in int8 is left out: it loses 2.0 points" in caplog.text


@pytest.mark.parametrize("candidates", [[], [a_candidate("int8", 0.9)]])
def test_without_fp32_there_is_nothing_to_compare_with(candidates: list[CandidateFile]):
    with pytest.raises(TrainError, match="no fp32 file"):
        worth_publishing(candidates)


def test_a_name_follows_the_content_alone(tmp_path: Path):
    here, there, other = (tmp_path / n for n in ("here.onnx", "there.onnx", "other.onnx"))
    for path, content in ((here, "A"), (there, "A"), (other, "B")):
        path.write_text(content)

    names = [name_of(a_candidate("int8", 0.9, path)) for path in (here, there, other)]

    assert names[0] == names[1] == "cnn-int8-559aead0"
    assert names[2] != names[0]


def test_the_origin_tells_data_selector_cost_and_result():
    told = json.loads(origin(a_candidate("int8", 0.9), RUN, "2.13.0", "2026-01-01T00:00:00+00:00"))

    assert told == {
        "data": "digits",
        "data_source": "embedded (sha256 00ff)",
        "network": "cnn",
        "selector": "stale(3)",
        "seed": 7,
        "label_noise": 0.2,
        "budget": 0.0,
        "units": 1200.0,
        "forwards": 1000,
        "backprops": 100,
        "cpu_seconds": 4.5,
        "test_error": 0.1,
        "test_error_interval": 0.01,
        "test_images": 1000,
        "agreement_with_fp32": 0.99,
        "torch": "2.13.0",
        "published": "2026-01-01T00:00:00+00:00",
    }


def test_a_family_agrees_with_itself_whatever_its_slo():
    assert not differences(replace(DIGITS, slo=Slo(1.0), max_batch=1), DIGITS)


@pytest.mark.parametrize(
    ("present", "said"),
    [
        (
            replace(DIGITS, inputs=(TensorSpec("x", "UINT8", (-1, 4)),)),
            "inputs are x UINT8 [-1, 4]",
        ),
        (replace(DIGITS, outputs=(TensorSpec("logits", "FP32", (-1, 3)),)), "logits FP32 [-1, 3]"),
        (replace(DIGITS, labels=("zero",)), "it has 1 labels, the trained network 2"),
        (
            replace(DIGITS, labels=("zero", "two")),
            "its label 1 is 'two', the trained network's 'one'",
        ),
    ],
)
def test_what_differs_is_named(present: Family, said: str):
    assert said in "; ".join(differences(present, DIGITS))
