"""What has changed between two readings of the hardware, and a watch over many that does not chatter. Pure.

Limits (cores, quota, memory, presence) count at once: someone set them. Shares of time, clocks and reasons are noisy:
trouble is told once, when several looks in a row agree, and its end once, when nothing was seen of it for a while: what
comes and goes is one trouble. Pressure (PSI) is read, not told: a server at full load always has threads that wait.
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
from profiler.hardware.readings import Reading
from profiler.hardware.shares import busy_share, neighbour_share, steal_share, throttled_share

LOOK_S = 0.5
"""Shares are taken over at least this long: the kernel counts in ticks of 0.01 s, so a core's share is good to 2 %."""
WORSE_LOOKS = 2
"""Looks in a row that must agree before bad news is told: a job of cron's that lasts half a second is not news."""
CALM_S = 60.0
"""And so long (s) nothing may be seen of it before it is told that it is over: a pause between two bursts is no end."""
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
NEIGHBOUR = Bars(0.25, 0.10)
"""What matters is that batches wait for a core, not that monitoring and the kernel's own threads use some of one."""


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
    """What was reported of one thing; how many looks in a row found it worse; since when (s) all found it better."""

    reported: float = 0.0
    looks: int = 0
    better_s: float | None = None


@dataclass(frozen=True, slots=True)
class State:
    """The watch's memory: the last reading, the one the present look began with, and what was told.

    `shares` in the order of SHARES; `clock` in Hz, 0 until it was seen busy; `reasons` by GPU, with their gates.
    """

    last: Reading
    began: Reading
    shares: tuple[Gate, ...] = (Gate(),) * len(SHARES)
    clock: Gate = Gate()
    reasons: Mapping[str, tuple[frozenset[str], Gate]] = field(
        default_factory=dict[str, tuple[frozenset[str], Gate]]
    )


def watching(reading: Reading) -> State:
    """The state at the start: limits as they are, calm otherwise, so that trouble already there is told."""
    return State(reading, reading)


def shared(state: State) -> str:
    """Who else has the processor just now, in words; empty where nobody has, as far as it was told."""
    on = zip(state.shares, SHARES, strict=True)
    return " and ".join(
        kind(gate.reported).meanwhile() for gate, (kind, _, _) in on if gate.reported
    )


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
        after, share = _share_due(gate, bars, share_of(state.began, reading), reading.at_s)
        gates.append(after)
        changes += [kind(share, gate.reported)] if share is not None else []
    clock_hz = _busy_clock_hz(state.began, reading)
    clock, clock_changes = _clock_due(state.clock, clock_hz, reading.at_s)
    reasons, reasons_changes = _reasons_due(state.reasons, reading)
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


def _share_due(
    gate: Gate, bars: Bars, share: float | None, now_s: float
) -> tuple[Gate, float | None]:
    """The gate after one look, and the share if it is to be told."""
    if share is None:
        return replace(gate, looks=0), None
    is_on = gate.reported > 0.0
    gate, is_news = _looked_at(
        gate, now_s, worse=not is_on and share >= bars.on, better=is_on and share < bars.off
    )
    if not is_news:
        return gate, None
    return Gate(0.0 if is_on else share), share


def _clock_due(gate: Gate, now_hz: float | None, now_s: float) -> tuple[Gate, tuple[Change, ...]]:
    if not now_hz:
        return gate, ()
    if not gate.reported:
        return Gate(now_hz), ()
    moved = _clock_moved(gate.reported, now_hz)
    gate, is_news = _looked_at(
        gate, now_s, worse=moved and now_hz < gate.reported, better=moved and now_hz > gate.reported
    )
    return (Gate(now_hz), (ClockChanged(gate.reported, now_hz),)) if is_news else (gate, ())


def _reasons_due(
    reported: Mapping[str, tuple[frozenset[str], Gate]], reading: Reading
) -> tuple[dict[str, tuple[frozenset[str], Gate]], list[DeviceThrottled]]:
    after: dict[str, tuple[frozenset[str], Gate]] = dict(reported)
    changes: list[DeviceThrottled] = []
    for gpu in reading.gpus:
        reasons, gate = reported.get(gpu.uuid, (frozenset[str](), Gate()))
        is_worse = bool(gpu.slowed_by - reasons)
        gate, is_news = _looked_at(
            gate, reading.at_s, worse=is_worse, better=bool(reasons) and not gpu.slowed_by
        )
        if is_news:
            known = gpu.slowed_by | reasons if is_worse else frozenset[str]()
            changes.append(DeviceThrottled(gpu.uuid, known, reasons))
            reasons, gate = known, Gate()
        after[gpu.uuid] = (reasons, gate)
    return after, changes


def _looked_at(gate: Gate, now_s: float, *, worse: bool, better: bool) -> tuple[Gate, bool]:
    """The gate after a look that finds things worse than was told, better, or neither; and whether that is news now."""
    looks = gate.looks + 1 if worse else 0
    since_s = None
    if better:
        since_s = now_s if gate.better_s is None else gate.better_s
    is_over = since_s is not None and now_s - since_s >= CALM_S
    return Gate(gate.reported, looks, since_s), looks >= WORSE_LOOKS or is_over


def _clock_moved(was_hz: float, now_hz: float) -> bool:
    return abs(now_hz - was_hz) >= CLOCK_SHARE * was_hz


def _busy_clock_hz(before: Reading, after: Reading) -> float | None:
    """What the CPUs run at, if they were busy in between."""
    busy = busy_share(before, after)
    return after.clock.now_hz if busy is not None and busy >= BUSY_SHARE else None
