"""The ONNX graph of a TorchScript module, by torch's exporter for scripts: it needs no other package."""

import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.adding.archives import recipe
from models.adding.leaving_out import ROWS
from models.adding.reading import Arrays
from models.adding.torch_files.script import LoadedScript, named, quiet
from models.backends.base import words
from models.build.errors import BuildError


class _Tensors(torch.nn.Module):
    """The script with tensors in order for its arguments, and for what it returns."""

    def __init__(self, script: LoadedScript) -> None:
        super().__init__()
        self.module = script.module
        self.names = [one.name for one in script.inputs]

    def forward(self, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        answer = self.module(**dict(zip(self.names, given, strict=True)))
        return tuple(named(answer).values())


def export(script: LoadedScript, rows: Arrays, outputs: Arrays, target: Path) -> None:
    """Write the graph to `target`. `rows`: two that it is run on, or one where it takes no more. Raises BuildError."""
    inputs = {one.name: {0: ROWS} | _axes(one.dims, one.sizes) for one in script.inputs}
    given = tuple(torch.from_numpy(np.array(rows[name])) for name in inputs)
    if len(given[0]) == 1:  # its rows stay as they are
        inputs = {name: {a: s for a, s in axes.items() if a} for name, axes in inputs.items()}
    try:
        with torch.no_grad(), quiet(), _graph_unsaid():
            traced: Any = torch.jit.trace(_Tensors(script), given, check_trace=False)
            torch.onnx.export(
                traced,
                given,
                str(target),
                dynamo=False,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes=inputs,
            )
    except Exception as error:  # what torch raises has no base
        raise BuildError(
            f"{script.path} cannot be made an ONNX graph ({words(error)}), and scripts are served as "
            f"such{_a_dict(error)}; {recipe()}"
        ) from error


def _a_dict(error: Exception) -> str:
    known = "DictConstruct" in str(error)
    return (
        "; let forward return a tuple, or a dict that is written at once ({'a': a, 'b': b})" * known
    )


@contextmanager
def _graph_unsaid() -> Generator[None]:
    """torch writes the graph that it cannot export past Python, and its switch for that does nothing."""
    torch_itself: Any = torch
    torch_itself._C._jit_set_onnx_log_output_stream("stderr")  # noqa: SLF001 - no public way
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 2)
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _axes(dims: Sequence[int], sizes: Sequence[str]) -> dict[int, str]:
    names = iter(sizes)
    return {axis: next(names) for axis, dim in enumerate(dims, start=1) if dim < 0}
