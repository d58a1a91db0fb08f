"""What crosses the seam under every front: requests in, answers out, as plain values. Times are time.monotonic's.

A front decodes its protocol into a Request and encodes an Answer; of protocols nothing is known here.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from models.catalog import Family
from models.coded import always
from models.datatypes import BY_DTYPE
from server.engine.contents import Buffer, Contents
from server.errors import RequestError

Scalar = bool | int | float | str
"""What a request's parameter may be."""


@dataclass(slots=True, eq=False)
class Tensor:
    """One input: its datatype as the Open Inference Protocol calls it, its shape with rows first, its elements."""

    name: str
    datatype: str
    shape: Sequence[int]
    contents: Contents

    @classmethod
    def of(cls, name: str, array: NDArray[np.generic]) -> Self:
        """An array as it is: copied only where its elements do not lie row by row. Raises KeyError for other dtypes."""
        dense = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        flat = dense.reshape(-1).view(np.uint8).data if dense.size else b""
        return cls(name, BY_DTYPE[array.dtype.name].name, array.shape, Buffer(flat))


@dataclass(slots=True, eq=False)
class Request:
    """What a client asks of `model`, a family.

    `inputs` each once, `outputs` those wanted (none named: all), `version` "" or "1", or a variant's name, which pins
    it. Parameters: see `demands.py`. `arrival_s`: when its message came, None: now; `deadline_s`: when its client gives
    up, whatever the SLO says. `client` tells clients apart, and nothing else; `trace` is a W3C traceparent. Both are
    carried along. `is_wanted`: whether anybody waits for the answer still, asked before what takes long. `release` is
    called once, however the request ended, when the inputs' memory is read no more: it may be a while after the answer,
    and never where a runtime that was given up does not come back. `origin` is the front's own.
    """

    model: str
    inputs: Sequence[Tensor]
    id: str = ""
    version: str = ""
    outputs: Sequence[str] = ()
    parameters: Mapping[str, Scalar | None] = field(default_factory=dict[str, Scalar | None])
    arrival_s: float | None = None
    deadline_s: float | None = None
    client: Hashable = None
    trace: str = ""
    release: Callable[[], object] | None = None
    origin: Any = None
    is_wanted: Callable[[], bool] = always


class Execution(NamedTuple):
    """How an answer was computed; one object for all answers of a batch that agree in it.

    Of a request that was split: the variant of least accuracy, and `variants` names all that took part; `batch_size`
    (rows) is that variant's batch; `compute_s` is from its first batch's start to its last one's end.
    """

    variant: str
    precision: str
    backend: str
    accuracy: float
    batch_size: int
    compute_s: float
    variants: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Answer:
    """A request's one answer: outputs by name, in the order asked for, and how they were computed; or an error.

    `rows` are the request's, `queue_s` what it waited. `trailers` go out with the answer where a front can carry them.
    `family` is whom the outputs are of: another may have the request's `model` for its name by now.
    """

    request: Request
    rows: int
    outputs: Mapping[str, NDArray[np.generic]] = field(
        default_factory=dict[str, NDArray[np.generic]]
    )
    execution: Execution | None = None
    queue_s: float = 0.0
    error: RequestError | None = None
    trailers: tuple[tuple[str, str], ...] = ()
    family: Family | None = None


Deliver = Callable[[Sequence[Answer]], None]
"""Takes answers of one batch to their clients, from any thread; of those that it cannot give it sets `error`."""
