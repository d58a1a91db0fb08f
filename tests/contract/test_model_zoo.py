"""Every runtime that claims a graph of the zoo answers as a plain session does, or says why it does not serve it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.backends import RUNTIMES, Way, is_installed, open_backend
from models.backends.base import Backend, BackendError, Tensors
from models.catalog import Family
from models.tolerances import compared
from profiler.measuring.conformance import Conformance
from profiler.measuring.extremes import extreme_rows, is_edge
from profiler.measuring.rows import joined, made, sample_rows, single
from profiler.profiles import Vetted
from tests.support import zoo
from tests.support.sessions import plain

EXHIBITS = {exhibit.name: exhibit for exhibit in zoo.exhibits()}
RUNTIME_NAMES = ("onnxruntime", "openvino", "torch")
_SEED = 11
"""Not that of the rows which arms are tried with."""


def rows_of(family: Family) -> Iterator[Tensors]:
    """Rows of every kind, one at a time."""
    rng = np.random.default_rng(_SEED)
    for limit in (256, 8, 2):
        yield from single({spec.name: made(rng, spec, 3, limit) for spec in family.inputs})
    yield {s.name: np.zeros((1, *s.shape[1:]), s.dtype) for s in family.inputs}
    yield from extreme_rows(family)


def batches(family: Family, vetted: Vetted) -> Iterator[Tensors]:
    """Those rows alone, and together as far as they may be."""
    rows = list(rows_of(family))
    yield from rows
    if vetted.alone:
        return
    rng = np.random.default_rng(_SEED)
    for size in range(2, family.max_batch + 1):
        yield joined([rows[i] for i in rng.integers(0, len(rows), size)])


def opened(folder: Path, family: Family, way: Way) -> tuple[Backend, Vetted] | str:
    """As a server opens an arm; the reason where it would not."""
    variant = family.variants[0]
    try:
        backend = open_backend(folder, family, variant, threads=1, way=way)
        conformance = Conformance(folder, family, sample_rows(folder, family))
        return backend, conformance.vet(backend, variant, way)
    except BackendError as error:
        return str(error)


@pytest.mark.parametrize("runtime", RUNTIME_NAMES)
@pytest.mark.parametrize("name", EXHIBITS)
def test_what_a_runtime_claims_it_answers_as_a_plain_session_does(
    name: str, runtime: str, tmp_path: Path
):
    if not is_installed(next(r for r in RUNTIMES if r.name == runtime)):
        pytest.skip(f"{runtime} is not installed")
    exhibit, folder = EXHIBITS[name], tmp_path / name
    family = zoo.write(exhibit, folder)

    claimed = opened(folder, family, Way(runtime))
    if isinstance(claimed, str):
        assert len(claimed) > 20, "the reason is said"
        assert runtime != "onnxruntime" or exhibit.fate == zoo.REFUSED, claimed
        return

    backend, vetted = claimed
    assert exhibit.fate != zoo.REFUSED
    assert bool(vetted.alone) == (exhibit.fate == zoo.ALONE), vetted
    answers = 0
    for batch in batches(family, vetted):
        answers += agrees(backend, folder / "only.onnx", family, batch)
    assert answers
    backend.close()


def agrees(backend: Backend, path: Path, family: Family, batch: Tensors) -> bool:
    """Whether there was an answer, which must be the plain session's; an error must be one there too."""
    try:
        found = backend.run(batch)
    except BackendError:
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            plain(path, batch)
        return False
    if "random" in path.parent.name:
        return True
    expected = plain(path, batch)
    for spec in family.outputs:
        mine, theirs = found[spec.name], expected[spec.name]
        assert mine.shape == theirs.shape
        if is_edge(batch) and not np.array_equal(np.isfinite(mine), np.isfinite(theirs)):
            continue
        difference = compared(
            spec.name, list(np.split(theirs, len(theirs))), list(np.split(mine, len(mine))), "fp32"
        )
        assert difference.agrees, difference
    return True
