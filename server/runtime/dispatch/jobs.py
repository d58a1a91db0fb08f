"""What crosses the seam between a transport and the runtime: validated requests in, answers out, both in batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server.errors import RequestError
from server.policy.decision import ArmProfile, Ticket

Arrays = Mapping[str, NDArray[np.generic]]
"""Tensor name -> array whose first axis is the batch."""


@dataclass(slots=True, eq=False)
class Job:
    """One validated request. Times are on time.monotonic's clock; `origin` is the transport's own and comes back;
    `ticket` is set by the dispatcher that admits it; `retries`: how often it came back from an arm that let it down."""

    inputs: Arrays
    rows: int
    arrival_s: float
    deadline_s: float
    min_accuracy: float
    variant: str | None
    slo_class: str
    origin: object
    ticket: Ticket | None = None
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """How a batch was run: the same for all its answers. `telling`: what it took says something of its arm's speed."""

    profile: ArmProfile
    precision: str
    rows: int
    started_s: float
    gathered_s: float
    ended_s: float
    telling: bool = True

    @property
    def compute_s(self) -> float:
        """Time inside the backend."""
        return self.ended_s - self.gathered_s


@dataclass(slots=True, eq=False)
class Answer:
    """A job's one answer: outputs and the batch they come from, or an error."""

    job: Job
    outputs: Arrays | None = None
    batch: Batch | None = None
    error: RequestError | None = None


Deliver = Callable[[Sequence[Answer]], Sequence[Answer] | None]
"""Takes answers back to their transport, from whichever thread has them."""
