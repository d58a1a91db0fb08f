"""What can change about the hardware under a running server: a closed set, each with its line for an operator. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoresChanged:
    """Whole cores that this process may use."""

    before: int
    after: int

    def line(self) -> str:
        """What, from and to."""
        return f"usable cores (affinity, cpuset and CPU quota): {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class CoresMoved:
    """As many CPUs as before, but others: caches are cold, and neighbours are others too."""

    before: frozenset[int]
    after: frozenset[int]

    def line(self) -> str:
        """What, from and to."""
        return f"moved to other CPUs: {_listed(self.before)} -> {_listed(self.after)}"


@dataclass(frozen=True, slots=True)
class QuotaChanged:
    """The CPU quota in cores; None is no quota."""

    before: float | None
    after: float | None

    def line(self) -> str:
        """What, from and to."""
        return f"CPU quota: {_cores(self.before)} -> {_cores(self.after)}"


@dataclass(frozen=True, slots=True)
class Throttled:
    """Share of the CPU time this process asked for that its CPU quota withheld: work takes 1/(1 - share) as long.

    Where other processes share the quota, `share` counts what was withheld from them too. `before` is what was last
    reported, 0 in calm times; `share` below it says that it is over.
    """

    share: float
    before: float = 0.0

    def line(self) -> str:
        """What, from and to."""
        return f"CPU time withheld by the quota: {_moved(self)} of what the server asks for"

    def meanwhile(self) -> str:
        """As a reason for what befalls somebody."""
        return f"the quota withheld {self.share:.0%} of the CPU time asked for"


@dataclass(frozen=True, slots=True)
class Steal:
    """Share of the allowed CPUs' time that the hypervisor gave to other machines. `before` as in Throttled."""

    share: float
    before: float = 0.0

    def line(self) -> str:
        """What, from and to."""
        return f"CPU time stolen by the hypervisor: {_moved(self)} of the server's cores"

    def meanwhile(self) -> str:
        """As a reason for what befalls somebody."""
        return f"the hypervisor took {self.share:.0%} of the server's cores"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Share of the allowed CPUs' time that other processes used. `before` as in Throttled."""

    share: float
    before: float = 0.0

    def line(self) -> str:
        """What, from and to."""
        return f"CPU time used by other processes: {_moved(self)} of the server's cores"

    def meanwhile(self) -> str:
        """As a reason for what befalls somebody."""
        return f"other processes used {self.share:.0%} of the server's cores"


@dataclass(frozen=True, slots=True)
class ClockChanged:
    """What the CPUs run at while they are busy."""

    before_hz: float
    after_hz: float

    @property
    def factor(self) -> float:
        """After over before."""
        return self.after_hz / self.before_hz

    def line(self) -> str:
        """What, from and to."""
        return f"CPU clock under load: {_ghz(self.before_hz)} -> {_ghz(self.after_hz)} ({self.factor:.0%})"


@dataclass(frozen=True, slots=True)
class ClockCapChanged:
    """The most the CPUs may run at: a governor, a power limit, an administrator."""

    before_hz: float
    after_hz: float

    def line(self) -> str:
        """What, from and to."""
        return f"CPU clock limit: {_ghz(self.before_hz)} -> {_ghz(self.after_hz)}"


@dataclass(frozen=True, slots=True)
class MemoryLimitChanged:
    """The machine's memory or the cgroup's limit, whichever is less."""

    before_bytes: int
    after_bytes: int

    def line(self) -> str:
        """What, from and to."""
        return f"memory limit: {_gib(self.before_bytes)} -> {_gib(self.after_bytes)}"


@dataclass(frozen=True, slots=True)
class DeviceLost:
    """A GPU that answered does not any more."""

    uuid: str

    def line(self) -> str:
        """What, from and to."""
        return f"GPU {self.uuid}: present -> lost"


@dataclass(frozen=True, slots=True)
class DeviceBack:
    """A GPU that did not answer, or did not exist, does now."""

    uuid: str

    def line(self) -> str:
        """What, from and to."""
        return f"GPU {self.uuid}: absent -> present"


@dataclass(frozen=True, slots=True)
class DeviceThrottled:
    """Why a GPU's clock is held down: `reasons` now, none when that is over; `before` is what was last reported."""

    uuid: str
    reasons: frozenset[str]
    before: frozenset[str] = frozenset()

    def line(self) -> str:
        """What, from and to."""
        return f"GPU {self.uuid}, clock held down by: {_reasons(self.before)} -> {_reasons(self.reasons)}"


@dataclass(frozen=True, slots=True)
class DeviceErrors:
    """New errors of a GPU: uncorrected memory errors and critical driver events (XID), the last one's number."""

    uuid: str
    memory_errors: int
    xids: int
    last_xid: int | None = None

    @property
    def count(self) -> int:
        """All of them."""
        return self.memory_errors + self.xids

    def line(self) -> str:
        """What happened how often."""
        last = "" if self.last_xid is None else f" (the last: XID {self.last_xid})"
        return (
            f"GPU {self.uuid}: {self.memory_errors} new uncorrected memory error(s), "
            f"{self.xids} critical event(s){last if self.xids else ''}"
        )


Change = (
    CoresChanged
    | CoresMoved
    | QuotaChanged
    | Throttled
    | Steal
    | Neighbour
    | ClockChanged
    | ClockCapChanged
    | MemoryLimitChanged
    | DeviceLost
    | DeviceBack
    | DeviceThrottled
    | DeviceErrors
)


def is_relief(change: Change) -> bool:
    """Whether it is the end of a trouble, or nothing but good news."""
    match change:
        case Throttled() | Steal() | Neighbour():
            relief = change.share < change.before
        case ClockChanged() | ClockCapChanged():
            relief = change.after_hz > change.before_hz
        case CoresChanged():
            relief = change.after > change.before
        case MemoryLimitChanged():
            relief = change.after_bytes > change.before_bytes
        case DeviceThrottled():
            relief = not change.reasons
        case _:
            relief = isinstance(change, DeviceBack)
    return relief


def _moved(change: Throttled | Steal | Neighbour) -> str:
    over = " (over for a minute)" if change.share < change.before else ""
    return f"{change.before:.0%} -> {change.share:.0%}{over}"


def _listed(cpus: frozenset[int]) -> str:
    return ",".join(str(n) for n in sorted(cpus)) or "none"


def _reasons(reasons: frozenset[str]) -> str:
    return " and ".join(sorted(reasons)) or "nothing"


def _cores(number: float | None) -> str:
    return "none" if number is None else f"{number:.2f} cores"


def _ghz(hertz: float) -> str:
    return f"{hertz / 1e9:.2f} GHz"


def _gib(number_bytes: int) -> str:
    return f"{number_bytes / (1 << 30):.2f} GiB"
