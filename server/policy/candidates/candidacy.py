"""What a candidate is, what befalls it and what is to be done: the words of promotion.py. Pure values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from server.policy.candidates.agreement import Tally
from server.policy.decision import ArmProfile


@dataclass(frozen=True, slots=True)
class TrialRules:
    """Live rows to be compared before a promotion, and how long (s) a promoted candidate is watched."""

    least_rows: int = 64
    probation_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Claim:
    """What its publisher says of it: accuracy, and the 95 % half-width of that."""

    accuracy: float
    interval: float = 0.0


@dataclass(frozen=True, slots=True)
class Profiling:
    """Waits to be measured, or is being measured."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Runs on live rows and answers nobody. `ratios`: what undisturbed runs took over what was foreseen."""

    tally: Tally = field(default_factory=Tally)
    ratios: tuple[float, ...] = ()
    strikes: int = 0


@dataclass(frozen=True, slots=True)
class Promoted:
    """Serves. Watched until `watched_until_s`; an operator's promotion is not."""

    watched_until_s: float
    reason: str = ""
    by_hand: bool = False
    tally: Tally = field(default_factory=Tally)
    offences: int = 0
    strikes: int = 0


@dataclass(frozen=True, slots=True)
class Rejected:
    """Did not earn its place."""

    reason: str
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True)
class RolledBack:
    """Had its place and lost it."""

    reason: str
    tally: Tally = field(default_factory=Tally)


Stage = Profiling | Trial | Promoted | Rejected | RolledBack


@dataclass(frozen=True, slots=True)
class Life:
    """A candidate and how far it has come."""

    claim: Claim
    stage: Stage = field(default_factory=Profiling)
    rules: TrialRules = field(default_factory=TrialRules)


class Unusable(NamedTuple):
    """It cannot be opened or run, or failed on live rows that another arm answered."""

    reason: str


class Looked(NamedTuple):
    """Its arms at the present speed and those that serve beside it; the same by their profiles alone."""

    mine: Sequence[ArmProfile]
    others: Sequence[ArmProfile]
    mine_profiled: Sequence[ArmProfile] = ()
    others_profiled: Sequence[ArmProfile] = ()


class Compared(NamedTuple):
    """Live rows answered by it and by an arm of that claim; on `agreed` of them with the same class.

    `agreed` None: the family's outputs are no class scores, only that it ran is known.
    """

    rows: int
    agreed: int | None
    other: Claim


class Timed(NamedTuple):
    """A run in an idle moment took so many times what was foreseen."""

    ratio: float


class Offended(NamedTuple):
    """The quarantine took one of its arms out of use, or left it out after a probe."""

    reason: str


class Ordered(NamedTuple):
    """An operator wants it promoted; or rolled back, for `reason`."""

    promote: bool
    reason: str = ""


Event = Unusable | Looked | Compared | Timed | Offended | Ordered


class Promote(NamedTuple):
    """Let it serve."""

    reason: str


class Reject(NamedTuple):
    """Let it go; it never served."""

    reason: str


class RollBack(NamedTuple):
    """Stop serving with it."""

    reason: str


Verdict = Promote | Reject | RollBack
