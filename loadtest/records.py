"""What became of every request: one row each, columns as numpy arrays. Times are seconds since
the run's start."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from loadtest.answers import facts

COLUMNS = (
    *("scheduled_s", "sent_s", "done_s", "code", "arm"),
    *("accuracy", "batch_size", "queue_s", "compute_s"),
)
ROW = np.dtype([(name, "f8") for name in COLUMNS])
"""One request. `code` is gRPC's status number, `arm` an index into `Records.arms` (-1: not
answered); unknown is NaN."""

ArmName = tuple[str, str, str]
"""(variant, precision, backend), as answers name them."""

OK, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE = 0, 4, 8, 13, 14
"""The gRPC status numbers that mean something here."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the driving itself took: CPU and wall seconds of the busiest client process, and how
    many there were."""

    cpu_s: float
    wall_s: float
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Records:
    """A run's requests in the order in which they ended. `details` holds each failing code's
    first message."""

    rows: NDArray[np.void]
    arms: tuple[ArmName, ...]
    cost: Cost
    details: dict[int, str]

    def column(self, name: str) -> NDArray[np.float64]:
        """One of COLUMNS, a value per request."""
        return self.rows[name]

    def since(self, start_s: float) -> "Records":
        """Only the requests scheduled from `start_s` on, with times counted from there: cuts off
        a warm-up."""
        kept = self.rows[self.column("scheduled_s") >= start_s].copy()
        for name in ("scheduled_s", "sent_s", "done_s"):
            kept[name] -= start_s
        return Records(kept, self.arms, self.cost, self.details)


class Ledger:
    """Rows while they come in. One thread adds; any thread may take a copy of the tail."""

    def __init__(self) -> None:
        """An empty ledger."""
        self._cells = array("d")
        self._arms: dict[ArmName, int] = {}
        self.details: dict[int, str] = {}

    def add(
        self, times: tuple[float, float, float], code: int, answer: bytes | None, why: str
    ) -> None:
        """Book one request: (scheduled, sent, done), its status, and the answer or what the
        status says."""
        said = None
        if code == OK:
            try:
                said = facts(answer or b"")
            except DecodeError:
                code, why = INTERNAL, "the answer is not a ModelInferResponse"
        if said is not None:
            arm = self._arms.setdefault(said[:3], len(self._arms))
            self._cells.extend((*times, code, arm, *said[3:]))
            return
        nan = float("nan")
        self.details.setdefault(code, why)
        self._cells.extend((*times, code, -1.0, nan, nan, nan, nan))

    def tail(self, start: int) -> NDArray[np.void]:
        """A copy of the rows from number `start` on."""
        return np.frombuffer(self._cells[start * len(COLUMNS) :], dtype=ROW)

    def close(self, cost: Cost) -> Records:
        """Everything booked so far."""
        return Records(self.tail(0), tuple(self._arms), cost, dict(self.details))


def merge(parts: Sequence[Records]) -> Records:
    """The records of several client processes that ran at the same time, as one."""
    arms = tuple(dict.fromkeys(arm for part in parts for arm in part.arms))
    blocks: list[NDArray[np.void]] = []
    for part in parts:
        block = part.rows.copy()
        places = np.array([arms.index(arm) for arm in part.arms] + [-1], dtype="f8")
        block["arm"] = places[block["arm"].astype(int)]
        blocks.append(block)
    details = {code: why for part in reversed(parts) for code, why in part.details.items()}
    busiest = max(
        (part.cost for part in parts), key=lambda cost: cost.cpu_s / max(cost.wall_s, 1e-9)
    )
    rows = np.concatenate(blocks)
    return Records(
        rows[np.argsort(rows["done_s"], kind="stable")],
        arms,
        Cost(busiest.cpu_s, busiest.wall_s, sum(part.cost.processes for part in parts)),
        details,
    )
