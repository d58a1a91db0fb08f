"""`gearshift models add`, then a server and a real client: answers are those of a plain session on the same rows."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import tritonclient.grpc as triton

from models.__main__ import main
from tests.support.serving.server import refused_start, running, serving
from tests.support.serving.triton import asked
from tests.support.sessions import a_session, plain
from tests.support.zoo import graph

SCORES = """
g (float[N, 4] x) => (float[N, 3] scores, int64[N] label)
<float[4, 3] w = {1, 2, 0, 0, 1, 0, 0, 0, 1, 3, 0, 0}>
{ scores = MatMul(x, w) label = ArgMax <axis = 1, keepdims = 0> (scores) }
"""
SUM = "g (float[N, 2, 3] a, float[N, 2, 3] b) => (float[N, 2, 3] c) { c = Add(a, b) }"
ONE = "g (float[1, 5] x) => (float[1, 5] y) { y = Exp(x) }"
ROWS = 3


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """As Triton keeps it: three models, one with a configuration."""
    root = tmp_path / "triton"
    for name, text in (("scores", SCORES), ("sum", SUM), ("one", ONE)):
        (root / name / "1").mkdir(parents=True)
        onnx.save(graph(text), root / name / "1" / "model.onnx")
    (root / "sum" / "config.pbtxt").write_text('name: "sum"\nmax_batch_size: 8\n')
    return root


def test_a_triton_repository_is_added_by_one_command_and_answers_as_a_plain_session(
    repository: Path, tmp_path: Path
):
    rng, models = np.random.default_rng(8), tmp_path / "models"

    assert main(["add", str(repository), "--repository", str(models)]) == 0

    with serving(models, tmp_path / "cache") as server:
        for name, shapes in {
            "scores": {"x": (4,)},
            "sum": {"a": (2, 3), "b": (2, 3)},
            "one": {"x": (5,)},
        }.items():
            rows = {n: rng.random((ROWS, *s), np.float32) for n, s in shapes.items()}
            answer = asked(server.url, name, rows)
            source = repository / name / "1" / "model.onnx"
            alone = [plain(source, {n: a[i : i + 1] for n, a in rows.items()}) for i in range(ROWS)]
            assert answer.keys() == alone[0].keys()
            for output, values in answer.items():
                assert values == pytest.approx(
                    np.concatenate([one[output] for one in alone]), rel=1e-5
                )


TEXT = """
g (int64[N, S] ids, int64[N, S] mask) => (float[N, S, 3] states, float[N, 3] mean)
<float[50, 3] table, float[3, 3] w = {1, 2, 0, 0, 1, 0, 0.5, 0, 1}, int64[1] last = {2}, int64[1] tokens = {1}>
{
    vectors = Gather(table, ids)
    turned = Transpose <perm = [0, 2, 1]> (vectors)
    scores = MatMul(vectors, turned)
    attention = Softmax <axis = 2> (scores)
    mixed = MatMul(attention, vectors)
    states = MatMul(mixed, w)
    weights = Cast <to = 1> (mask)
    column = Unsqueeze(weights, last)
    kept = Mul(states, column)
    sums = ReduceSum <keepdims = 0> (kept, tokens)
    counts = ReduceSum <keepdims = 0> (column, tokens)
    mean = Div(sums, counts)
}
"""
FOUND = """
g (float[1, 3, 5] x) => (int64[K, 3] places)
{ found = NonZero(x) places = Transpose(found) }
"""


def a_text_model() -> onnx.ModelProto:
    """Attention over tokens, and their mean: of any length, in batches of any size."""
    model = graph(TEXT.replace("float[50, 3] table, ", ""))
    table = np.random.default_rng(3).normal(size=(50, 3)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(table, "table"))
    return model


def test_texts_of_any_length_are_answered_as_by_a_plain_session(tmp_path: Path):
    source, models, rng = tmp_path / "text.onnx", tmp_path / "models", np.random.default_rng(8)
    onnx.save(a_text_model(), source)
    assert main(["add", str(source), "--repository", str(models), "--slo-ms", "2000"]) == 0
    batches = []
    for _ in range(120):
        shape = (int(rng.integers(1, 4)), int(rng.integers(1, 120)))
        mask = (rng.random(shape) < 0.7).astype(np.int64)
        mask[:, 0] = 1
        batches.append({"ids": rng.integers(0, 50, shape), "mask": mask})

    with serving(models, tmp_path / "cache") as server, ThreadPoolExecutor(24) as clients:
        answers = list(clients.map(partial(asked, server.url, "text"), batches))  # many at once

    session = a_session(source)
    for inputs, answer in zip(batches, answers, strict=True):
        states, mean = session.run(["states", "mean"], inputs)
        assert answer["states"] == pytest.approx(states, rel=1e-4, abs=1e-5)
        assert answer["mean"] == pytest.approx(mean, rel=1e-4, abs=1e-5)


def test_lengths_that_differ_between_inputs_are_refused(tmp_path: Path):
    source, models = tmp_path / "text.onnx", tmp_path / "models"
    onnx.save(a_text_model(), source)
    assert main(["add", str(source), "--repository", str(models)]) == 0

    with serving(models, tmp_path / "cache") as server:
        inputs = {"ids": np.zeros((1, 5), np.int64), "mask": np.ones((1, 4), np.int64)}
        with pytest.raises(triton.InferenceServerException, match="differ in size 'S': 5 and 4"):
            asked(server.url, "text", inputs)
        inputs = {name: np.ones((1, 1025), np.int64) for name in inputs}
        with pytest.raises(triton.InferenceServerException, match="from 1 to 1024"):
            asked(server.url, "text", inputs)


def test_outputs_that_follow_from_a_row_are_answered_whole(tmp_path: Path):
    source, models = tmp_path / "found.onnx", tmp_path / "models"
    onnx.save(graph(FOUND), source)
    assert main(["add", str(source), "--repository", str(models), "--slo-ms", "2000"]) == 0
    rows = [np.eye(3, 5, k, np.float32)[None] for k in range(-2, 5)]

    with serving(models, tmp_path / "cache") as server:
        with ThreadPoolExecutor(len(rows)) as clients:
            answers = list(clients.map(lambda x: asked(server.url, "found", {"x": x}), rows))
        with pytest.raises(triton.InferenceServerException, match="must be <= 1"):
            asked(server.url, "found", {"x": np.concatenate(rows[:2])})

    for row, answer in zip(rows, answers, strict=True):
        assert np.array_equal(answer["places"], plain(source, {"x": row})["places"])


def test_what_cannot_be_added_is_told_and_the_rest_goes_on(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (repository / "one" / "1" / "model.onnx").write_bytes(b"damaged")
    models = tmp_path / "models"

    assert main(["add", str(repository), "--repository", str(models)]) == 2

    told = capsys.readouterr()
    assert "one/1/model.onnx cannot be read" in told.err
    assert sorted(p.name for p in models.iterdir() if p.is_dir() and p.name[0] != ".") == [
        "scores",
        "sum",
    ]
    assert f"gearshift serve --repository {models}" in told.out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--name", "x"], "for one"),
        (["--accuracy", "0.9"], "needs --source"),
        (["--accuracy", "2", "--source", "a"], "within 0 and 1"),
        (["--slo-ms", "0"], "--slo-ms must be"),
        (["--shape", "x"], "INPUT=N,N"),
        (["--shape", "x=0"], "sizes of at least 1"),
        (["--shape", "x=INT65:3"], "datatypes are BOOL"),
        (["--shape", "x=3,a b"], "names of free ones"),
        (["--labels", "x"], "give it too"),
        (["--normalise", "none"], "give it too"),
        (["--precisions", "int3"], "unknown precision 'int3'"),
        (["--name", "a b"], "--name 'a b' must be letters"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused(
    repository: Path,
    tmp_path: Path,
    options: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
):
    assert main(["add", str(repository), "--repository", str(tmp_path / "models"), *options]) == 2
    assert said in capsys.readouterr().err


def test_a_model_is_served_without_a_repository_and_leaves_nothing_behind(
    repository: Path, tmp_path: Path
):
    model, temporary = repository / "one" / "1" / "model.onnx", tmp_path / "tmp"
    temporary.mkdir()
    rows = np.random.default_rng(8).random((ROWS, 5), np.float32)

    with running(str(model), cache=tmp_path / "cache", TMPDIR=str(temporary)) as server:
        answer = asked(server.url, "model", {"x": rows})["y"]

    assert answer == pytest.approx(np.exp(rows), rel=1e-5)
    assert "one row at a time" in server.log
    assert not [p for p in temporary.iterdir() if p.name.startswith("gearshift-")]


def test_a_folder_of_families_in_a_models_place_is_served_as_it_is(
    repository: Path, tmp_path: Path
):
    models = tmp_path / "models"
    assert main(["add", str(repository), "--repository", str(models)]) == 0

    with running(str(models), cache=tmp_path / "cache") as server:
        found = asked(server.url, "one", {"x": np.zeros((1, 5), np.float32)})

    assert found["y"] == pytest.approx(1.0)


def test_a_model_that_cannot_be_served_ends_the_start_with_one_line(
    repository: Path, tmp_path: Path
):
    (repository / "net.pkl").touch()

    assert "skl2onnx" in refused_start(tmp_path / "cache", str(repository / "net.pkl"))
    said = refused_start(tmp_path / "cache", str(repository), "--repository", str(tmp_path))
    assert "gearshift models add" in said
