"""A TorchScript module made an ONNX graph, which more runtimes take; believed once it answers the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adding.archives import recipe
from models.adding.graph import ReadGraph, read_graph
from models.adding.reading import Arrays, Said
from models.adding.session import OnnxRunner
from models.adding.sizing import USUAL, made_up
from models.adding.torch_files.exporting import export
from models.adding.torch_files.script import LoadedScript, load_script
from models.backends.base import words
from models.build.errors import BuildError

TOLERANCE = 1e-4
"""Of an output's largest value: a graph that is further off is not the script."""
EXAMPLE_ROWS = 2
COUNTS = (1, 3, 7)
"""Rows that are tried together."""
SCALES = (1.0, -3.0, 0.0)
"""Of the noise that both answer: branches look at signs and sizes."""


def as_graph(path: Path, said: Said, work: Path, *, one_row: bool = False) -> ReadGraph:
    """The script at `path` as a graph that gives its answers, written to the folder `work`. Raises BuildError."""
    script = load_script(path, said)
    sizes, rows = _example(script)
    outputs = script.run(rows)
    if not outputs:
        raise BuildError(
            f"{path} returns no tensor, nor a dict, list or tuple of them; let it return one"
        )
    converted = work / "script.onnx"
    export(script, rows, outputs, converted)
    graph = read_graph(converted, {}, one_row=one_row)
    graph.path, graph.changed = path, True
    several = len(next(iter(rows.values()))) > 1
    tried = _compare(script, OnnxRunner(graph, converted), sizes, COUNTS if several else (1,))
    graph.remarks.insert(
        0,
        f"it is TorchScript, and is served as an ONNX graph that gave the script's answers on {tried} rows",
    )
    graph.remarks += [script.remark] if script.remark else []
    return graph


def _example(script: LoadedScript) -> tuple[dict[str, int], Arrays]:
    """(free sizes, rows of these that it runs on: two, or one where it takes no more). Raises BuildError."""
    names = dict.fromkeys(name for one in script.inputs for name in one.sizes)
    error: BuildError | None = None
    for size in USUAL if names else USUAL[:1]:
        sizes = dict.fromkeys(names, size)
        for count in (EXAMPLE_ROWS, 1):
            rows = made_up(script.inputs, count, sizes)
            try:
                script.run(rows)
            except BuildError as refused:
                error = error or refused
            else:
                return sizes, rows
    raise BuildError(f"{error}; say other sizes or datatypes: --shape INPUT=FP32:N,N")


def _compare(
    script: LoadedScript, runner: OnnxRunner, sizes: dict[str, int], counts: Sequence[int]
) -> int:
    """How many rows both answered alike, of these sizes and of larger ones. Raises BuildError where they differ."""
    tried = 0
    for count in counts:
        for grown in {0, 5} if sizes else {0}:
            noise = made_up(script.inputs, count, {n: s + grown for n, s in sizes.items()})
            for scale in SCALES:
                rows = {n: _scaled(a, scale) for n, a in noise.items()}
                try:
                    expected = script.run(rows)
                except BuildError:  # no row of the script's
                    continue
                _check_alike(script.path, expected, runner, rows)
                tried += count
    return tried


def _scaled(array: NDArray[Any], scale: float) -> NDArray[Any]:
    return (array * scale).astype(array.dtype) if array.dtype.kind == "f" else array


def _check_alike(path: Path, expected: Arrays, runner: OnnxRunner, rows: Arrays) -> None:
    try:
        found = runner.run(rows)
    except Exception as error:  # a runtime's errors share no base
        raise BuildError(
            f"{path}: the ONNX graph made of it does not run on rows that the script takes ({words(error)}); {recipe()}"
        ) from error
    for name, answer in expected.items():
        if not _alike(answer, found[name]):
            raise BuildError(
                f"{path}: output {name!r} of the ONNX graph made of it is not the script's: it was traced, or its "
                f"branches follow from what rows hold; {recipe()}"
            )


def _alike(a: NDArray[Any], b: NDArray[Any]) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    most = float(np.max(np.abs(a), initial=0.0, where=np.isfinite(a)))
    return bool(np.allclose(a, b, rtol=0.0, atol=TOLERANCE * most, equal_nan=True))
