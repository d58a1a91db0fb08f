"""What has changed between two readings of the hardware, and a watch over many that does not chatter. Pure.

Limits (cores, quota, memory, presence) count at once: someone set them. Shares of time and reasons are noisy: they
are told when several looks in a row agree, sooner when it gets worse than when it gets better, and not again until
they have moved. Pressure (PSI) is read but never told: a server at full load always has threads that wait.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from profiler.hardware.changes import (
    Change,
    ClockCapChanged,
    ClockChanged,
    CoresChanged,
    CoresMoved,
    DeviceBack,
    DeviceErrors,
    DeviceLost,
    DeviceThrottled,
    MemoryLimitChanged,
    Neighbour,
    QuotaChanged,
    Steal,
    Throttled,
)
from profiler.hardware.readings import GpuReading, Reading
from profiler.hardware.shares import busy_share, neighbour_share, steal_share, throttled_share

LOOK_S = 0.5
"""Shares are taken over at least this long: the kernel counts in ticks of 0.01 s, so a core's share is good to 2 %."""
WORSE_LOOKS = 2
"""Looks in a row that must agree before bad news is told: a job of cron's that lasts half a second is not news."""
BETTER_LOOKS = 4
"""And before it is told that it is over: a pause between two bursts is no end."""
MOVED_SHARE = 0.15
"""While something is on, it is told again when its share has moved by this much."""
QUOTA_CORES = 0.01
"""Quotas closer than this are the same: what is less is rounding of microseconds."""
LIMIT_SHARE = 0.01
"""Relative change of a memory or clock limit that counts: ballooning by pages and boost steps of 1 MHz do not."""
CLOCK_SHARE = 0.10
"""Relative change of the running clock that counts: turbo wanders by a few per cent with the temperature."""
BUSY_SHARE = 0.5
"""The running clock only counts while the allowed CPUs are at least this busy: idle ones slow down by design."""


@dataclass(frozen=True, slots=True)
class Bars:
    """A share of time is on from `on` upwards, and over below `off`."""

    on: float
    off: float


THROTTLED = Bars(0.05, 0.02)
"""A twentieth longer per batch is what drift already follows; a quota that bites withholds far more."""
STEAL = Bars(0.05, 0.02)
NEIGHBOUR = Bars(0.10, 0.05)
"""On two cores monitoring and the kernel's own threads use up to a tenth of one."""


_Share = type[Throttled] | type[Steal] | type[Neighbour]
SHARES: tuple[tuple[_Share, Bars, Callable[[Reading, Reading], float | None]], ...] = (
    (Throttled, THROTTLED, throttled_share),
    (Steal, STEAL, steal_share),
    (Neighbour, NEIGHBOUR, neighbour_share),
)


def compare(before: Reading, after: Reading) -> tuple[Change, ...]:
    """All that differs by enough to be told, from these two readings alone; nothing for a reading and itself."""
    found = list(_limits(before, after))
    for kind, bars, share_of in SHARES:
        share = share_of(before, after)
        found += [kind(share)] if share is not None and share >= bars.on else []
    was_hz, is_hz = before.clock.now_hz, _busy_clock_hz(before, after)
    found += (
        [ClockChanged(was_hz, is_hz)] if was_hz and is_hz and _clock_moved(was_hz, is_hz) else []
    )
    return (*found, *_reasons(before, after))


@dataclass(frozen=True, slots=True)
class Gate:
    """What was last reported of one thing, and how many looks in a row have disagreed with it."""

    reported: float = 0.0
    looks: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """The watch's memory: the last reading, the one the present look began with, and what was told.

    `shares` in the order of SHARES; `clock` in Hz, 0 until it was seen busy; `reasons` and how many looks have
    disagreed with them by GPU.
    """

    last: Reading
    began: Reading
    shares: tuple[Gate, ...] = (Gate(),) * len(SHARES)
    clock: Gate = Gate()
    reasons: Mapping[str, tuple[frozenset[str], int]] = field(
        default_factory=dict[str, tuple[frozenset[str], int]]
    )


def watching(reading: Reading) -> State:
    """The state at the start: limits as they are, calm otherwise, so that trouble already there is told."""
    return State(reading, reading)


def step(state: State, reading: Reading) -> tuple[State, tuple[Change, ...]]:
    """The state after one more reading, and what is to be told now. Never raises."""
    limits = tuple(_limits(state.last, reading))
    state = replace(state, last=reading)
    if reading.cores.cpus != state.began.cores.cpus or reading.at_s < state.began.at_s:
        return replace(
            state, began=reading
        ), limits  # the sums are of other CPUs or of another clock
    if reading.at_s - state.began.at_s < LOOK_S:
        return state, limits
    return _looked(state, reading, limits)


def _looked(
    state: State, reading: Reading, limits: tuple[Change, ...]
) -> tuple[State, tuple[Change, ...]]:
    """The end of one look: shares, clock and reasons are weighed, and the next look begins."""
    gates: list[Gate] = []
    changes = list(limits)
    for gate, (kind, bars, share_of) in zip(state.shares, SHARES, strict=True):
        after, share = _share_due(gate, bars, share_of(state.began, reading))
        gates.append(after)
        changes += [kind(share, gate.reported)] if share is not None else []
    clock, clock_changes = _clock_due(state.clock, _busy_clock_hz(state.began, reading))
    reasons, reasons_changes = _reasons_due(state.reasons, reading.gpus)
    return State(reading, reading, tuple(gates), clock, reasons), (
        *changes,
        *clock_changes,
        *reasons_changes,
    )


def _limits(before: Reading, after: Reading) -> Iterable[Change]:
    was, now = before.cores, after.cores
    if was.usable != now.usable:
        yield CoresChanged(was.usable, now.usable)
    elif was.cpus != now.cpus and len(was.cpus) == len(now.cpus):
        yield CoresMoved(was.cpus, now.cpus)
    if _quota_differs(was.quota_cores, now.quota_cores):
        yield QuotaChanged(was.quota_cores, now.quota_cores)
    was_bytes, now_bytes = before.memory.limit_bytes, after.memory.limit_bytes
    if was_bytes and now_bytes and abs(now_bytes - was_bytes) > LIMIT_SHARE * was_bytes:
        yield MemoryLimitChanged(was_bytes, now_bytes)
    was_hz, now_hz = before.clock.cap_hz, after.clock.cap_hz
    if was_hz and now_hz and abs(now_hz - was_hz) > LIMIT_SHARE * was_hz and was.cpus == now.cpus:
        yield ClockCapChanged(was_hz, now_hz)
    yield from _devices(before, after)


def _devices(before: Reading, after: Reading) -> Iterable[Change]:
    was, now = ({gpu.uuid: gpu for gpu in reading.gpus} for reading in (before, after))
    yield from (DeviceLost(uuid) for uuid in was if uuid not in now)
    yield from (DeviceBack(uuid) for uuid in now if uuid not in was)
    for uuid in (uuid for uuid in was if uuid in now):
        memory_errors = max(0, (now[uuid].memory_errors or 0) - (was[uuid].memory_errors or 0))
        xids = max(0, now[uuid].xids - was[uuid].xids)
        if memory_errors or xids:
            yield DeviceErrors(uuid, memory_errors, xids, now[uuid].last_xid)


def _quota_differs(was: float | None, now: float | None) -> bool:
    if was is None or now is None:
        return was is not now
    return abs(now - was) > QUOTA_CORES


def _reasons(before: Reading, after: Reading) -> list[DeviceThrottled]:
    was = {gpu.uuid: gpu.slowed_by for gpu in before.gpus}
    changed = [g for g in after.gpus if g.slowed_by != was.get(g.uuid, g.slowed_by)]
    return [DeviceThrottled(g.uuid, g.slowed_by, was[g.uuid]) for g in changed]


def _share_due(gate: Gate, bars: Bars, share: float | None) -> tuple[Gate, float | None]:
    """The gate after one look, and the share if it is to be told."""
    if share is None:
        return replace(gate, looks=0), None
    is_over = gate.reported > 0.0 and share < bars.off
    moved = abs(share - gate.reported) >= MOVED_SHARE
    differs = is_over or moved if gate.reported > 0.0 else share >= bars.on
    if not _agreed(gate.looks, differs=differs, better=share < gate.reported):
        return replace(gate, looks=gate.looks + 1 if differs else 0), None
    return Gate(0.0 if share < bars.off else share), share


def _clock_due(gate: Gate, now_hz: float | None) -> tuple[Gate, tuple[Change, ...]]:
    if not now_hz:
        return gate, ()
    if not gate.reported:
        return Gate(now_hz), ()
    differs = _clock_moved(gate.reported, now_hz)
    if not _agreed(gate.looks, differs=differs, better=now_hz > gate.reported):
        return replace(gate, looks=gate.looks + 1 if differs else 0), ()
    return Gate(now_hz), (ClockChanged(gate.reported, now_hz),)


def _reasons_due(
    reported: Mapping[str, tuple[frozenset[str], int]], gpus: Iterable[GpuReading]
) -> tuple[dict[str, tuple[frozenset[str], int]], list[DeviceThrottled]]:
    after: dict[str, tuple[frozenset[str], int]] = dict(reported)
    changes: list[DeviceThrottled] = []
    for gpu in gpus:
        reasons, looks = reported.get(gpu.uuid, (frozenset[str](), 0))
        differs = gpu.slowed_by != reasons
        if _agreed(looks, differs=differs, better=gpu.slowed_by < reasons):
            after[gpu.uuid] = (gpu.slowed_by, 0)
            changes.append(DeviceThrottled(gpu.uuid, gpu.slowed_by, reasons))
        else:
            after[gpu.uuid] = (reasons, looks + 1 if differs else 0)
    return after, changes


def _agreed(looks: int, *, differs: bool, better: bool) -> bool:
    return differs and looks + 1 >= (BETTER_LOOKS if better else WORSE_LOOKS)


def _clock_moved(was_hz: float, now_hz: float) -> bool:
    return abs(now_hz - was_hz) >= CLOCK_SHARE * was_hz


def _busy_clock_hz(before: Reading, after: Reading) -> float | None:
    """What the CPUs run at, if they were busy in between."""
    busy = busy_share(before, after)
    return after.clock.now_hz if busy is not None and busy >= BUSY_SHARE else None
