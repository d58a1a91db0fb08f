"""Models that nobody here made, served with default settings to real clients: every answer is the model's, or none."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from numpy.typing import NDArray

from models.tolerances import compared
from profiler.measuring.extremes import extreme_rows, is_edge
from profiler.measuring.rows import joined, made, single
from tests.support import zoo
from tests.support.serving.commands import gearshift
from tests.support.serving.scraping import scrape, total
from tests.support.serving.server import Server, serving
from tests.support.sessions import a_session
from wire import inference_pb2 as pb

EXHIBITS = {exhibit.name: exhibit for exhibit in zoo.exhibits()}
FAMILIES = {name: zoo.family_of(exhibit) for name, exhibit in EXHIBITS.items()}
PER_FAMILY_S = "0.1"
"""Speed is not what is looked at."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("zoo") / "models"
    for name, exhibit in EXHIBITS.items():
        zoo.write(exhibit, root / name)
    return root


@pytest.fixture(scope="module", params=["onnxruntime,openvino", "openvino"])
def server(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    cache = tmp_path_factory.mktemp("cache")
    flags = ("--repository", str(repository), "--backends", request.param)
    with serving(repository, cache, *flags, GEARSHIFT__PROFILES__BUDGET_S=PER_FAMILY_S) as one:
        yield one


def index(server: Server) -> dict[str, Any]:
    """Family -> its entry in the repository's index."""
    answer = server.ask("RepositoryIndex", pb.RepositoryIndexRequest(), pb.RepositoryIndexResponse)
    return {model.name: model for model in answer.models}


def asked(client: Any, name: str, rows: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """What a stock client gets. Raises its error."""
    inputs = []
    for spec in FAMILIES[name].inputs:
        tensor = triton.InferInput(spec.name, list(rows[spec.name].shape), spec.datatype)
        tensor.set_data_from_numpy(rows[spec.name])
        inputs.append(tensor)
    result = client.infer(name, inputs)
    return {spec.name: result.as_numpy(spec.name) for spec in FAMILIES[name].outputs}


def asked_or_error(
    client: Any, name: str, rows: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]] | str:
    try:
        return asked(client, name, rows)
    except triton.InferenceServerException as error:
        return str(error)


def rows_for(name: str) -> Iterator[dict[str, NDArray[Any]]]:
    family, rng = FAMILIES[name], np.random.default_rng(23)
    rows = [*single({s.name: made(rng, s, 4, 2) for s in family.inputs}), *extreme_rows(family)]
    yield from (dict(row) for row in rows[:12])
    yield dict(joined(rows[:3]))


def test_every_family_of_the_zoo_answers_as_a_plain_session_or_is_not_ready_with_a_reason(
    server: Server, repository: Path
):
    found, client = index(server), triton.InferenceServerClient(server.url)
    answered: set[str] = set()
    for name in EXHIBITS:
        if found[name].state != "READY":
            assert len(found[name].reason) > 20
            continue
        session = a_session(repository / name / "only.onnx")
        for rows in rows_for(name):
            answered |= {name} if is_right(client, name, rows, session) else set()
    client.close()

    assert all(
        found[name].state != "READY" for name, e in EXHIBITS.items() if e.fate == zoo.REFUSED
    )
    ready = {name for name in EXHIBITS if found[name].state == "READY"}
    assert answered == ready
    assert len(ready) > 40


def is_right(client: Any, name: str, rows: dict[str, NDArray[Any]], session: Any) -> bool:
    """Whether there was an answer; it must be the plain session's."""
    mine = asked_or_error(client, name, rows)
    if isinstance(mine, str):
        assert EXHIBITS[name].fate == zoo.ALONE or "failed" in mine
        return False
    if name == "random":
        return True
    names = [spec.name for spec in FAMILIES[name].outputs]
    for output, theirs in zip(names, session.run(names, rows), strict=True):
        if is_edge(rows) and not np.array_equal(np.isfinite(theirs), np.isfinite(mine[output])):
            continue
        difference = compared(
            output, np.split(theirs, len(theirs)), np.split(mine[output], len(theirs)), "fp32"
        )
        assert difference.agrees, (name, difference)
    return True


def test_ids_of_sixty_four_bits_are_hashed_as_the_model_hashes_them(
    server: Server, repository: Path
):
    if index(server)["hashed_ids"].state != "READY":
        assert "INT64" in index(server)["hashed_ids"].reason
        return
    rng = np.random.default_rng(3)
    ids = rng.integers(-(2**62), 2**62, (1184, 4))
    session, client = (
        a_session(repository / "hashed_ids" / "only.onnx"),
        triton.InferenceServerClient(server.url),
    )

    found = np.concatenate(
        [asked(client, "hashed_ids", {"x": part})["y"] for part in np.split(ids, 296)]
    )

    client.close()
    assert (found == session.run(None, {"x": ids})[0]).all()


def test_a_runtime_that_disagrees_is_told_in_log_and_metric_with_the_difference(server: Server):
    name, of = (
        "gearshift_reference_difference_ratio",
        {"family": "triple_int8", "backend": "openvino"},
    )

    assert (
        "triple_int8: only is not run by openvino on cpu: its answers are not the reference's"
        in server.log
    )
    assert total(scrape(server), name, **of) > 0.1


def test_a_runtime_that_disagrees_is_told_by_the_command_that_explains_too(
    repository: Path, tmp_path: Path
):
    flags = ("--explain", "--budget-s", "0.2", "--repository", str(repository))

    done = gearshift("profile", "--family", "triple_int8", *flags, cache=tmp_path)

    assert done.returncode == 0, done.stderr
    explained = done.stdout[done.stdout.index("failed\n") :]
    assert (
        "only@openvino: its answers are not the reference's: the largest difference is 0."
        in explained
    )


def test_clients_at_once_get_no_part_of_each_others_answers(server: Server):
    """A softmax over the rows of a batch: every row alone is 1 everywhere."""
    client = triton.InferenceServerClient(server.url)
    rows = [np.full((1, 6), float(i), np.float32) for i in range(60)]

    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda x: asked(client, "softmax_over_rows", {"x": x})["y"], rows))

    client.close()
    assert all((y == 1).all() for y in found)
    assert "softmax_over_rows: only on" in server.log
    assert "rows are run one by one" in server.log


def test_a_row_among_others_is_refused_where_rows_must_be_alone(server: Server):
    client = triton.InferenceServerClient(server.url)

    with pytest.raises(triton.InferenceServerException, match="batch-size must be <= 1"):
        asked(client, "softmax_over_rows", {"x": np.zeros((2, 6), np.float32)})

    assert client.get_model_config("softmax_over_rows").config.max_batch_size == 1
    client.close()


def test_ids_beyond_an_embedding_are_errors_and_cost_no_arm(server: Server):
    if index(server)["embedding_of_two"].state != "READY":
        return
    client = triton.InferenceServerClient(server.url)
    good, bad = np.array([[0, 1, 1, 0]]), np.array([[0, 1, 2, 0]])

    for _ in range(5):
        with pytest.raises(triton.InferenceServerException):
            asked(client, "embedding_of_two", {"x": bad})
        assert asked(client, "embedding_of_two", {"x": good})["y"].tolist() == [
            [0.5, 1.5, 1.5, 0.5]
        ]

    client.close()
    assert total(scrape(server), "gearshift_quarantines_total", family="embedding_of_two") == 0


def test_the_runtimes_own_lines_stay_out_of_the_log(server: Server):
    assert "[E:onnxruntime" not in server.log
    assert "\x1b[" not in server.log
