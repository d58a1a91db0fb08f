"""What an engine tells of itself and of its families, as plain values: for metadata, configuration and readiness."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models.catalog import Family
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved

State = Literal["ready", "loading", "unavailable"]


@dataclass(frozen=True, slots=True)
class RequestOffer:
    """How much a family can be asked for just now.

    `max_batch`: rows of a request without an SLO of its own; `max_batch_with_time`: of one with as long as it takes;
    `max_waiting`: requests of one row that may wait; `capacity_rows`: rows that may wait at all. `late`: a request that
    says nothing of time is answered late rather than refused.
    """

    max_batch: int
    max_batch_with_time: int
    max_waiting: int
    capacity_rows: int
    late: bool = False


@dataclass(frozen=True, slots=True)
class FamilyDescription:
    """One family of the repository. `family` and `offer` are None for one that is not served, for the `reason` told.

    `family` has the signature, the default SLO and the variants that serve now.
    """

    name: str
    state: State
    reason: str = ""
    family: Family | None = None
    offer: RequestOffer | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """`ready`: every family that can be served has an arm, and the engine is not stopping."""

    ready: bool
    families: tuple[FamilyDescription, ...]


def described(
    families: Mapping[str, ServedFamily], unserved: Unserved
) -> tuple[FamilyDescription, ...]:
    """All families, those that are not served first."""
    bad = [
        FamilyDescription(n, "loading" if unserved.is_coming(n) else "unavailable", why)
        for n, why in unserved.reasons.items()
    ]
    good = [_served(one) for name, one in dict(families).items() if name not in unserved]
    return (*bad, *good)


def offer_of(one: ServedFamily, variant: str | None = None) -> RequestOffer:
    """What can be asked of the family, or of one variant that is pinned."""
    bounds, capacity = one.checks.bounds, one.dispatcher.limits.capacity_rows
    late = one.checks.late
    return RequestOffer(
        bounds.max_batch(variant),
        bounds.max_batch_with_time(variant),
        capacity if late else bounds.max_waiting() or capacity,
        capacity,
        late,
    )


def _served(one: ServedFamily) -> FamilyDescription:
    ready = bool(one.dispatcher.arms)
    return FamilyDescription(
        one.family.name,
        "ready" if ready else "loading",
        "" if ready else "loading and profiling",
        one.family,
        offer_of(one),
    )
