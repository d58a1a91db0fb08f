"""How many rows a batch of a family may have here: as many as messages carry, and as memory has room for. Pure.

Nothing larger can be asked for, so nothing larger is tried, measured, warmed or served.
"""

from dataclasses import dataclass, replace

from models.backends.base import BackendError
from models.catalog import Family, TensorSpec

MESSAGE_MIB = 64
"""Of one message, unless the operator says otherwise (`max_message_mib`)."""
SHARE = 8
"""A batch's inputs and outputs take one part in so many of the memory that is available, at most."""
MOST_HELD = 1 << 62
"""Rows in memory at a time, where nobody knows how much of it there is."""
_ENVELOPE = 8192
"""Bytes of a message besides its contents."""


@dataclass(frozen=True, slots=True)
class Room:
    """What bounds a batch: messages of so many MiB; the memory that is available now (bytes), None where not known."""

    message_mib: int = MESSAGE_MIB
    available_bytes: int | None = None

    def fitted(self, family: Family) -> Family:
        """The family with the largest batch that there is room for. Raises BackendError where not one row has it."""
        if reason := self._refusal(family):
            raise BackendError(reason)
        return replace(
            family, max_batch=min(family.max_batch, self._carried(family), self.held(family))
        )

    def held(self, family: Family) -> int:
        """Rows whose inputs and outputs may be in memory at a time; at least one. A power of two, so that it is the
        same at the next start where memory is about the same.
        """
        if self.available_bytes is None:
            return MOST_HELD
        rows = self.available_bytes // SHARE // max(1, _row_bytes(family))
        return 1 << max(0, rows.bit_length() - 1)

    def _carried(self, family: Family) -> int:
        """Rows of the largest request whose answer, with the smallest output alone, can be sent."""
        least_in = sum(map(_least_bytes, family.largest.inputs))
        least_out = min(map(_raw_bytes, family.largest.outputs), default=0)
        room = (self.message_mib << 20) - _ENVELOPE
        return room // max(1, least_in, least_out)

    def _refusal(self, family: Family) -> str:
        """Why not one row can be served, and what to do; empty where one can."""
        needed, room = _row_bytes(family), self.available_bytes
        if not self._carried(family):
            least = max(
                sum(map(_least_bytes, family.largest.inputs)),
                min(map(_raw_bytes, family.largest.outputs), default=0),
            )
            return (
                f"{family.name} cannot be served: one row of it takes {_mib(least)} MiB in a message, and a message "
                f"may have {self.message_mib}; raise max_message_mib, or correct the shapes in its manifest"
            )
        if room is not None and needed > room:
            return (
                f"{family.name} cannot be served: the inputs and outputs of one row take {_mib(needed)} MiB, and "
                f"{_mib(room)} MiB of memory are available; free some, or correct the shapes in its manifest"
            )
        return ""


def _row_bytes(family: Family) -> int:
    """Of one row in memory, inputs and outputs; of the largest sizes, where they are free and known."""
    return sum(map(_raw_bytes, (*family.largest.inputs, *family.largest.outputs)))


def _raw_bytes(spec: TensorSpec) -> int:
    return spec.row_elements * spec.dtype.itemsize


def _least_bytes(spec: TensorSpec) -> int:
    """Of one row in a request: whole numbers in typed contents take a byte each where they are small."""
    is_float = spec.is_float
    return _raw_bytes(spec) if is_float else spec.row_elements


def _mib(size: int) -> str:
    return f"{size / 2**20:.4g}"
