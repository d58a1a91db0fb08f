"""What the hardware looked like at one moment: plain values. None is what this machine does not tell. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """`usable` whole cores; the CPUs that affinity and cpuset leave; the quota in cores, None where none is set."""

    usable: int
    cpus: frozenset[int]
    quota_cores: float | None = None


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Seconds counted up since some start in the past: only the difference of two readings means something.

    `busy_s` (work of ordinary priority, ours included) and `stolen_s` (by the hypervisor) are of the allowed CPUs
    together. `own_s` is this process's; `throttled_s` is what CPU quotas withheld, over all cores. `waited_s` is the
    time in which some task waited for a CPU (PSI), `waited_share` the kernel's mean of it over the last 10 s.
    """

    busy_s: float | None = None
    stolen_s: float | None = None
    own_s: float | None = None
    throttled_s: float | None = None
    throttled_periods: int | None = None
    waited_s: float | None = None
    waited_share: float | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """Mean over (some of) the allowed CPUs: what they run at, and the most they may run at."""

    now_hz: float | None = None
    cap_hz: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """The machine's memory or the cgroup's limit, whichever is less, and how much of it is left."""

    limit_bytes: int | None = None
    available_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU's lasting facts; 0 where it does not tell. The clocks are the most it may reach."""

    uuid: str
    name: str
    driver: str
    memory_bytes: int
    sm_clock_hz: float
    memory_clock_hz: float
    power_limit_w: float

    def kind(self) -> str:
        """All that changes a kernel's cost, for the fingerprint and for people.

        Not the uuid: an identical GPU in its place, after a repair or a migration, costs the same and the stored
        profiles hold for it. The driver compiles and schedules kernels; the power limit decides which clock large
        batches reach, so it bends the curve rather than scale it.
        """
        clocks = f"{self.sm_clock_hz / 1e6:.0f}/{self.memory_clock_hz / 1e6:.0f} MHz"
        memory = f"{self.memory_bytes / (1 << 20):.0f} MiB"
        return f"{self.name}, {memory}, {clocks}, {self.power_limit_w:.0f} W, driver {self.driver}"


@dataclass(frozen=True, slots=True)
class GpuReading:
    """One GPU that answers. `slowed_by` says why its clock is held down; errors are counts since the watch began.

    `memory_errors` counts ECC errors that could not be corrected, `xids` the driver's critical events.
    """

    uuid: str
    clock_hz: float | None = None
    slowed_by: frozenset[str] = frozenset()
    power_w: float | None = None
    temperature_c: float | None = None
    memory_errors: int | None = None
    xids: int = 0
    last_xid: int | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One moment, `at_s` on the monotonic clock. A GPU that is not in `gpus` does not answer or does not exist."""

    at_s: float
    cores: Cores
    time: CpuTime = CpuTime()
    clock: Clock = Clock()
    memory: Memory = Memory()
    gpus: tuple[GpuReading, ...] = ()
