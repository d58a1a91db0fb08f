"""What crosses the seam between a transport and the runtime: validated requests in, answers out, both in batches."""

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from server.errors import RequestError
from server.policy.decision import Arm, ArmProfile, Ticket

if TYPE_CHECKING:  # they need each other
    from server.runtime.dispatch.wholes import Whole

Arrays = Mapping[str, NDArray[np.generic]]
"""Tensor name -> array whose first axis is the batch."""


class Rows(Mapping[str, NDArray[np.generic]]):
    """A job's inputs that lie where its front has them: made into arrays for who asks, gathered without that.

    Any thread. What they lie in must be good for as long as this object is referred to: it need not be lent.
    """

    __slots__ = ()

    @abstractmethod
    def arrays(self) -> Arrays:
        """Every input's rows, not to be written to."""

    @classmethod
    @abstractmethod
    def gather(cls, parts: Sequence[Self], into: Arrays) -> None:
        """Copy the rows of all, one after the other, into these arrays, which have as many rows as all of them."""

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        return self.arrays()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays())

    def __len__(self) -> int:
        return len(self.arrays())


class Portion(Mapping[str, NDArray[np.generic]]):
    """`rows` rows of a run's outputs, from `first` on: cut out for who asks. `whole`: all rows, outputs in order."""

    __slots__ = ("first", "rows", "whole")

    def __init__(self, whole: Arrays, first: int, rows: int) -> None:
        self.whole, self.first, self.rows = whole, first, rows

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        return self.whole[name][self.first : self.first + self.rows]

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole)

    def __len__(self) -> int:
        return len(self.whole)


class Loan:
    """Memory that a request's inputs lie in: given back, once, when nobody needs it any more. Any thread.

    At first whoever waits for the answer does; then each step that a worker was given with the job or a piece of it,
    until the worker is done with it, even where others have answered meanwhile.
    """

    def __init__(self, give_back: Callable[[], object]) -> None:
        self._give_back = give_back
        self._lock = threading.Lock()
        self._needed_by = 1

    def take(self) -> None:
        """One more needs it."""
        with self._lock:
            self._needed_by += 1

    def let_go(self) -> None:
        """One fewer does."""
        with self._lock:
            self._needed_by -= 1
            over = not self._needed_by
        if over:
            self._give_back()


@dataclass(slots=True, eq=False)
class Job:
    """One validated request. Times are on time.monotonic's clock; `origin` and `token` are the transport's own and come
    back; `inputs` may be `Rows`; `ticket` is set by the dispatcher that admits it; `retries`: how often it came back
    from an arm that let it down.

    A job of more rows than any batch is served in pieces, jobs that are `part_of` it, from its row `first` on. They
    share its `loan`, where the memory of its inputs is lent. `row_units`: units of work in each row, and the `sizes`
    that are free, where any are. `soft`: it is rather answered late than not at all; `missed`: it will be late.
    """

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
    whole: "Whole | None" = None
    part_of: "Whole | None" = None
    first: int = 0
    loan: Loan | None = None
    row_units: int = 1
    sizes: tuple[int, ...] = ()
    soft: bool = False
    missed: bool = False
    token: object = None

    @property
    def units(self) -> int:
        """Its work, as tickets and profiles count it: its rows where no size is free."""
        return self.rows * self.row_units


@dataclass(frozen=True, slots=True)
class Batch:
    """How a batch was run: the same for all its answers. `telling`: what it took says something of its arm's speed.
    `after`: what its worker ran before. `units`: its work, as profiles count it. Rows of unlike sizes run one after the
    other; `gathered_s` is when gathering would have ended had all come first.

    Of a request that was split `variants` names all that took part.
    """

    profile: ArmProfile
    precision: str
    rows: int
    started_s: float
    gathered_s: float
    ended_s: float
    units: int
    telling: bool = True
    variants: tuple[str, ...] = ()
    after: Arm | None = None

    @property
    def compute_s(self) -> float:
        """Time inside the backend."""
        return self.ended_s - self.gathered_s


@dataclass(slots=True, eq=False)
class JobAnswer:
    """A job's one answer: outputs and the batch they come from, or an error.

    Those that ran together share `batch`, and the outputs are a `Portion` of what is theirs together.
    """

    job: Job
    outputs: Arrays | None = None
    batch: Batch | None = None
    error: RequestError | None = None


Deliver = Callable[[Sequence[JobAnswer]], Sequence[JobAnswer] | None]
"""Takes answers to who asked, from whichever thread has them; returns those withheld, with the error given instead."""


def _nothing(*_: object) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told what a dispatcher does. All but `seen` are called without its lock.

    `changed`: an arm went out of use or came back, so readiness may be another; `seen`: a ticket came, it may be
    refused; quick, as the lock is held.
    """

    deliver: Deliver = _nothing
    changed: Callable[[], None] = _nothing
    seen: Callable[[Ticket], None] = _nothing
