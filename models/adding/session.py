"""An ONNX graph opened to be tried: the file that is served, and a session of ONNX Runtime that runs it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from models.adding.graph import ReadGraph
from models.adding.reading import Arrays, Opened
from models.artifacts.external import references
from models.backends.base import words
from models.build.errors import BuildError
from models.exact_int8 import EXACT_INT8

_ONLY_FATAL = 4
"""Of the runtime's own lines: what it objects to is raised, and told in a sentence."""


class OnnxRunner:
    """A session of the graph as it will be served. Raises BuildError where the runtime does not take it."""

    def __init__(self, graph: ReadGraph, served: Path) -> None:
        self._names = list(graph.outputs)
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ONLY_FATAL
        options.add_session_config_entry(*EXACT_INT8)
        try:
            self._session = ort.InferenceSession(
                str(served), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors share no base
            raise BuildError(
                f"{graph.path} cannot be loaded by ONNX Runtime: {words(error)}"
            ) from error

    def run(self, rows: Arrays) -> dict[str, NDArray[Any]]:
        """The outputs that are served."""
        answers = cast("list[NDArray[Any]]", self._session.run(self._names, dict(rows)))
        return dict(zip(self._names, answers, strict=True))

    def stated(self, output: str) -> Sequence[int | str | None]:
        """An output's dimensions as far as the graph states them."""
        return next(o.shape for o in self._session.get_outputs() if o.name == output)


def open_graph(graph: ReadGraph, work: Path) -> Opened:
    """The graph, loaded; written to the folder `work` where it was changed. Raises BuildError."""
    served = _served_file(graph, work)
    return Opened(graph, served, OnnxRunner(graph, served))


def _served_file(graph: ReadGraph, work: Path) -> Path:
    """The file that is served: the user's own, or one with what was changed."""
    if not graph.changed:
        return graph.path
    if references(graph.path):
        onnx.load_external_data_for_model(graph.model, str(graph.path.parent))
    path = work / f"{'one_row' if graph.one_row else 'graph'}.onnx"
    try:
        onnx.save(graph.model, str(path))
    except ValueError as error:  # a message has 2 GiB at most
        raise BuildError(
            f"{graph.path} is too large to be changed ({error}); {'; '.join(graph.remarks)}: export it so"
        ) from error
    return path
