"""The words of a decision: who waits, what could run them and at what cost, and what to do next. Pure values."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import NamedTuple, cast


class Arm(NamedTuple):
    """A way of running a family: one variant, on one backend, on one device."""

    variant: str
    backend: str
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Ticket:
    """One request in the queue: `rows` samples that are answered together, by `deadline_s` on the caller's clock.

    `soft`: it is rather answered late than not at all. A policy drops it all the same: the shell keeps it.
    """

    id: int
    arrival_s: float
    deadline_s: float
    rows: int = 1
    min_accuracy: float = 0.0
    variant: str | None = None
    slo_class: str = "default"
    soft: bool = False

    def accepts(self, arm: "ArmProfile") -> bool:
        """Whether `arm` meets this ticket's accuracy demand and pin."""
        return arm.accuracy >= self.min_accuracy and self.variant in (None, arm.arm.variant)


class StallRisk(NamedTuple):
    """This share of the batches takes `factor` times as long as foreseen, each for itself: no news of the speed."""

    share: float = 0.0
    factor: float = 1.0


NO_STALLS = StallRisk()


@dataclass(frozen=True, slots=True)
class ArmProfile:
    """What an arm costs at the present speed. `mean_s[b]` and `upper_s[b]` are the batch latency (s) of b rows.

    Index 0 is unused (0.0); `upper_s` is the estimate that 95 % of batches stay below. The largest batch is
    `len(mean_s) - 1` rows. `separable`: a row's answer is known not to hang on others of its request, so that several
    batches may answer one. `switch_s`: what the first batch takes longer (s) on a worker that ran another arm before; 0
    where that is not known to be anything. `stalls`: how often a batch takes far longer.
    """

    arm: Arm
    accuracy: float
    mean_s: tuple[float, ...]
    upper_s: tuple[float, ...]
    separable: bool = True
    switch_s: float = 0.0
    stalls: StallRisk = NO_STALLS

    @property
    def max_batch(self) -> int:
        """The most rows one batch may have."""
        return len(self.mean_s) - 1

    def left_s(self, rows: int, elapsed_s: float) -> float:
        """How long (s) a batch of so many rows that began `elapsed_s` ago is expected to go on."""
        return max(0.0, self.mean_s[rows] - elapsed_s)


@dataclass(frozen=True, slots=True)
class Finished:
    """A batch that ended: what it ran on, its rows, and how long (s) its worker was busy with it."""

    arm: Arm
    rows: int
    latency_s: float


class Haste(NamedTuple):
    """Requests that allow far less than the SLO's bound: rows/s, counted by their worth, and their bound (s)."""

    rate_rps: float = 0.0
    bound_s: float = 0.0


NO_HASTE = Haste()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is likely to come, and what has come: the shell's knowledge beside the queue itself.

    `rate_rps`: arrivals (rows/s) expected soon; `workers` share the queue; `arrived`: rows offered since the start,
    refused ones included; `finished`: the batches that ended since the policy was last asked; `values`: what an answer
    to each SLO class is worth now, 1 where a class is not named; `clump_rows`: requests that come at once,
    on average; `burst_rows`: how uneven counts are over about a latency bound, as if rows came so many at once;
    `caution`: how careful to be, 0 to 1, for the SLO's percentile to be kept; `boldness`: how far it is kept with room
    to spare, 0 to 1; `last`: the arm that the worker ran last for which is decided, None where it ran none or that is
    not known; `haste`: who will not wait for a long batch to end; `busy_s`: how long (s) the other workers' batches are
    expected to go on, added up.
    """

    rate_rps: float = 0.0
    workers: int = 1
    arrived: int = 0
    finished: tuple[Finished, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict[str, float])
    clump_rows: float = 1.0
    burst_rows: float = 1.0
    caution: float = 0.0
    boldness: float = 0.0
    last: Arm | None = None
    haste: Haste = NO_HASTE
    busy_s: float = 0.0

    @property
    def uneven_rows(self) -> float:
        """Rows that come close together, at once or in a burst."""
        return max(self.clump_rows, self.burst_rows)


class Drop(NamedTuple):
    """A ticket that will not be run, and why: `late` (cannot be in time) or `shed` (not all can be; this one goes)."""

    ticket: Ticket
    reason: str


_new_drop = cast(Callable[[tuple[Ticket, str]], Drop], partial(tuple.__new__, Drop))


def drops(tickets: Iterable[Ticket], reason: str) -> list[Drop]:
    """A drop of each, all for one reason; made in half the time that `Drop` takes, as there may be hundreds."""
    return list(map(_new_drop, zip(tickets, repeat(reason))))


class Terms(NamedTuple):
    """On what terms a batch was chosen, for those who ask why.

    `waiting`: rows in the queue; `affordable_s`: worker time each could have; `price`: accuracy per second of worker
    time; `stay`: what a row left waiting was held to be worth.
    """

    waiting: int
    rate_rps: float
    affordable_s: float
    price: float
    stay: float


@dataclass(frozen=True, slots=True)
class Run:
    """Run these tickets on this arm now; answer the dropped ones at once. `terms`: where the policy has a price."""

    profile: ArmProfile
    tickets: tuple[Ticket, ...]
    reason: str
    dropped: tuple[Drop, ...] = ()
    terms: Terms | None = None

    @property
    def rows(self) -> int:
        """Rows in the batch."""
        return sum(t.rows for t in self.tickets)


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Run nothing before `at_s` unless a ticket arrives; answer the dropped ones at once."""

    at_s: float
    dropped: tuple[Drop, ...] = ()


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing to run until a ticket arrives; answer the dropped ones at once."""

    dropped: tuple[Drop, ...] = field(default=())


Decision = Run | WaitUntil | Idle
"""A decision's tickets and drops are still in the queue: the shell removes them."""

Policy = Callable[[Sequence[Ticket], Outlook, float], Decision]
"""(tickets waiting, earliest deadline first; outlook; now_s) -> what to do next. Deterministic."""

PolicyFactory = Callable[[Sequence[ArmProfile]], Policy]
"""Builds a policy's tables for these arms. The shell calls it anew when profiles change and swaps the result whole.

What a policy remembers (its last plan, a learnt batch size) belongs to the factory and so outlives its tables.
"""
