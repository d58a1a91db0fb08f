"""Values for tests, every argument defaulted: a test states only what matters to it."""

from math import log2

from profiler.hardware.readings import Clock, Cores, CpuTime, GpuReading, Memory, Reading
from server.policy.decision import Arm, ArmProfile, Outlook, Ticket


def a_ticket(  # noqa: PLR0917 - every field can be given
    id: int = 0,  # noqa: A002 - the field's name
    arrival_s: float = 0.0,
    slo_s: float = 0.1,
    rows: int = 1,
    min_accuracy: float = 0.0,
    variant: str | None = None,
) -> Ticket:
    """A ticket that arrived at `arrival_s` and must be answered within `slo_s`."""
    return Ticket(id, arrival_s, arrival_s + slo_s, rows, min_accuracy, variant)


def a_reading(
    at_s: float = 0.0,
    *,
    cores: int = 2,
    quota_cores: float | None = None,
    clock: Clock | None = None,
    limit_bytes: int | None = 8 << 30,
    gpus: tuple[GpuReading, ...] = (),
    **time: float | None,
) -> Reading:
    """A quiet machine at `at_s`; `time` gives fields of CpuTime, those that are not given are 0."""
    quiet: dict[str, float | None] = dict.fromkeys(
        ("busy_s", "stolen_s", "own_s", "throttled_s"), 0.0
    )
    return Reading(
        at_s,
        Cores(cores, frozenset(range(cores)), quota_cores),
        CpuTime(**quiet | time),
        clock or Clock(),
        Memory(limit_bytes),
        gpus,
    )


def tickets(count: int, slo_s: float = 0.1, gap_s: float = 0.0) -> list[Ticket]:
    """`count` plain tickets, one every `gap_s` from 0."""
    return [a_ticket(id=i, arrival_s=i * gap_s, slo_s=slo_s) for i in range(count)]


def a_profile(  # noqa: PLR0917 - every field can be given
    variant: str = "small",
    accuracy: float = 0.7,
    first_s: float = 0.003,
    more_s: float | None = None,
    max_batch: int = 16,
    p95: float = 1.07,
) -> ArmProfile:
    """An arm whose batch takes `first_s`, and `more_s` (default: as much again) for each further row."""
    step_s = first_s if more_s is None else more_s
    mean_s = (0.0, *(first_s + step_s * b for b in range(max_batch)))
    return ArmProfile(Arm(variant, "scripted"), accuracy, mean_s, tuple(p95 * t for t in mean_s))


def three_arms() -> list[ArmProfile]:
    """Small, middle and large: 3, 6 and 12 ms for the first row, a third less for each further one."""
    return [
        a_profile("small", 0.70, 0.003, 0.002),
        a_profile("middle", 0.75, 0.006, 0.004),
        a_profile("large", 0.80, 0.012, 0.008),
    ]


def an_outlook(rate_rps: float = 0.0, workers: int = 1) -> Outlook:
    """What is expected; by default nothing, on one worker."""
    return Outlook(rate_rps, workers)


def cpu_arms() -> list[ArmProfile]:
    """Like a small CPU: four networks in int8 and fp32; time per row hardly falls with the batch."""
    rows = [
        ("mobilenet-int8", 0.714, 2.5, 1.10),
        ("lite0-int8", 0.745, 3.0, 1.15),
        ("lite1-int8", 0.762, 4.0, 1.25),
        ("lite2-int8", 0.772, 5.4, 1.30),
        ("lite0-fp32", 0.751, 5.7, 0.91),
        ("lite2-fp32", 0.776, 11.8, 0.91),
    ]
    return [
        _gaining(name, accuracy, first_ms / 1e3, gain) for name, accuracy, first_ms, gain in rows
    ]


def _gaining(variant: str, accuracy: float, first_s: float, gain: float) -> ArmProfile:
    """An arm whose rows cost `gain` times less each in a batch of 8 and beyond."""
    mean_s = (0.0, *(first_s * b / gain ** min(1.0, log2(b) / 3) for b in range(1, 33)))
    upper_s = tuple(1.07 * t for t in mean_s)
    return ArmProfile(Arm(variant, "scripted"), accuracy, mean_s, upper_s)
