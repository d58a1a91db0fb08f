"""What a candidate is, what befalls it and what is to be done: the words of promotion.py. Pure values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from server.policy.candidates.agreement import Tally
from server.policy.decision import ArmProfile


@dataclass(frozen=True, slots=True)
class TrialRules:
    """Live rows to be compared before a promotion, and how long (s) a promoted candidate is watched.

    Offences are counted in latency bounds, of `slo_s` each. After one, `settled_s` pass until it is judged: a neighbour
    that has just come is not known as one before. That is measured by the clock, as the hardware is looked at.
    """

    least_rows: int = 64
    probation_s: float = 600.0
    slo_s: float = 0.05
    settled_s: float = 2.0


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
    """Serves. Watched until `watched_until_s`; an operator's promotion is not.

    `offences`: when (s) its arms were taken out of use for slowness; `bad_probes`: how many in a row were bad since.
    """

    watched_until_s: float
    reason: str = ""
    by_hand: bool = False
    tally: Tally = field(default_factory=Tally)
    offences: tuple[float, ...] = ()
    bad_probes: int = 0
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


@dataclass(frozen=True, slots=True)
class Postponed:
    """Fell short while the machine had less to give than usual: it is tried again at `again_s`."""

    reason: str
    again_s: float
    tally: Tally = field(default_factory=Tally)


Stage = Profiling | Trial | Promoted | Postponed | Rejected | RolledBack


@dataclass(frozen=True, slots=True)
class Life:
    """A candidate and how far it has come. `postponed`: how often that was for the circumstances."""

    claim: Claim
    stage: Stage = field(default_factory=Profiling)
    rules: TrialRules = field(default_factory=TrialRules)
    postponed: int = 0


class Unusable(NamedTuple):
    """It cannot be opened or run, or failed on live rows that another arm answered."""

    reason: str


class Looked(NamedTuple):
    """Its arms at the present speed and those that serve beside it; the same by their profiles alone.

    `strain`: in words, what others have of the machine just now; empty where it is as it was measured.
    """

    mine: Sequence[ArmProfile]
    others: Sequence[ArmProfile]
    mine_profiled: Sequence[ArmProfile] = ()
    others_profiled: Sequence[ArmProfile] = ()
    strain: str = ""


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
    """The quarantine took one of its arms out of use; or left it out, its probe being bad."""

    reason: str
    stays: bool = False


class Ordered(NamedTuple):
    """An operator wants it promoted; or rolled back, for `reason`."""

    promote: bool
    reason: str = ""


class Waited(NamedTuple):
    """It may be time to try it again."""


Event = Unusable | Looked | Compared | Timed | Offended | Ordered | Waited


class Promote(NamedTuple):
    """Let it serve."""

    reason: str


class Reject(NamedTuple):
    """Let it go; it never served."""

    reason: str


class RollBack(NamedTuple):
    """Stop serving with it."""

    reason: str


class Postpone(NamedTuple):
    """Let it go, or stop serving with it, for now."""

    reason: str


Verdict = Promote | Reject | RollBack | Postpone
