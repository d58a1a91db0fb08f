"""Whether what tasks cost and what becomes of their frames still is what the plan was made with. Pure.

Damped four ways: sums decay instead of jumping, too little evidence says nothing, a difference must last, and
after a verdict there is silence, twice as long each time that the last one did not help.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from server.sharing.planner.workload import NetworkCosts

MARGIN = 0.2  # of the total cost: less is noise of clocks and neighbours, and no plan changes much for it
HALF_LIFE_S = 5.0
EVIDENCE_S = 0.2
"""Device time seen; below it one slow call would decide. Of a device that is hardly used, so much is kept longer."""
LASTING_S = 3.0  # how long the difference must hold
BEHIND = 0.5  # of the time. A worker that is less busy does not lose frames: they came late, or too many at a time
SILENCE_S = 10.0  # after a verdict: the first plan by new costs must show itself
LONGEST_SILENCE_S = 320.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """The stem from one point to another."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Own:
    """A task's own layers."""

    task: str
    frozen: int


Part = Stretch | Own


def name(part: Part) -> str:
    """For people."""
    if isinstance(part, Stretch):
        return f"the stem from layer {part.start} to {part.end}"
    return f"task '{part.task}' at {part.frozen} frozen layers"


@dataclass(frozen=True, slots=True)
class Spent:
    """Device time that went into a part, and how many frames it was for."""

    frames: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What happened since the last look."""

    spent: Mapping[Part, Spent] = field(default_factory=dict[Part, Spent])
    busy_s: float = 0.0
    """The worker's, with all that it does between the parts."""
    planned: float = 0.0
    """Task-frames that the plan has in this time, on all open streams."""
    analysed: float = 0.0
    """Task-frames that were run."""
    lost: float = 0.0
    """Task-frames that were dropped because the device was behind, or came late."""
    seconds: float = 0.0
    """In which all this happened."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is remembered between looks; begin with `Memory()`."""

    sums: Usage = field(default_factory=Usage)
    looked_s: float | None = None
    off_since_s: float | None = None
    """Since when the difference exceeds the margin."""
    quiet_until_s: float = 0.0
    silence_s: float = SILENCE_S


@dataclass(frozen=True, slots=True)
class Keep:
    """The plan's costs hold, or it is too early to say."""


@dataclass(frozen=True, slots=True)
class Recalibrate:
    """Plan anew with these costs; begin anew with the sums (the state does)."""

    costs: NetworkCosts


def look(
    state: Memory, seen: Usage, costs: NetworkCosts, now_s: float
) -> tuple[Memory, Keep | Recalibrate]:
    """After what was `seen` since the last look: do `costs` (device seconds a frame) still hold?"""
    sums = _decayed(state, seen, now_s)
    state = replace(state, sums=sums, looked_s=now_s)
    if abs(moved(sums, costs) - 1) <= MARGIN:
        helped = now_s >= state.quiet_until_s + state.silence_s
        silence_s = SILENCE_S if helped else state.silence_s
        return replace(state, off_since_s=None, silence_s=silence_s), Keep()
    since_s = now_s if state.off_since_s is None else state.off_since_s
    if now_s - since_s < LASTING_S or now_s < state.quiet_until_s:
        return replace(state, off_since_s=since_s), Keep()
    longer_s = min(2 * state.silence_s, LONGEST_SILENCE_S)
    after = Memory(Usage(), now_s, None, now_s + state.silence_s, longer_s)
    return after, Recalibrate(recalibrated(sums, costs))


def moved(sums: Usage, costs: NetworkCosts) -> float:
    """How many times as dear all that ran was as planned; 1 where too little has run to say."""
    expected_s = _expected_s(sums, costs)
    if sums.busy_s < EVIDENCE_S or expected_s <= 0:
        return 1.0
    dearer, short = sums.busy_s / expected_s, _shortfall(sums)
    return max(dearer, short) if short > 1 + MARGIN else dearer


def recalibrated(sums: Usage, costs: NetworkCosts) -> NetworkCosts:
    """Costs as they were measured: each part by its own ratio, parts not seen and work between parts by the total."""
    total = moved(sums, costs)
    measured_s = sum(spent.seconds for spent in sums.spent.values())
    between = max(1.0, sums.busy_s / measured_s) if measured_s > 0 else 1.0
    between *= max(1.0, total * _expected_s(sums, costs) / sums.busy_s)
    stem, through = {0: 0.0}, 0.0
    for start, end in pairwise(sorted(costs.stem)):
        own_s = _segment_s(sums, costs, start, end)
        through += costs.segment(start, end) * total if own_s is None else own_s * between
        stem[end] = through
    heads: dict[tuple[str, int], float] = {}
    for (task, frozen), cost in costs.heads.items():
        spent = sums.spent.get(Own(task, frozen))
        if spent is None or spent.frames <= 0:
            heads[task, frozen] = cost * total
        else:
            heads[task, frozen] = spent.seconds / spent.frames * between
    return NetworkCosts(stem, heads)


def _segment_s(sums: Usage, costs: NetworkCosts, start: int, end: int) -> float | None:
    """Of one frame, as measured: its part of all stretches that go through it. None where none has run.

    What was taken to cost nothing (clocks err) gets an even part, or it would cost nothing for ever.
    """
    through = [
        (part, spent)
        for part, spent in sums.spent.items()
        if isinstance(part, Stretch) and part.start <= start and end <= part.end and spent.frames
    ]
    measured_s = sum(spent.seconds for _, spent in through)
    expected_s = sum(spent.frames * _cost(part, costs) for part, spent in through)
    if expected_s > 0:
        return costs.segment(start, end) * measured_s / expected_s
    frames = sum(spent.frames * _segments(part, costs) for part, spent in through)
    return measured_s / frames if frames else None


def _segments(part: Stretch, costs: NetworkCosts) -> int:
    return sum(part.start < point <= part.end for point in costs.stem)


def _shortfall(sums: Usage) -> float:
    """How many times more task-frames were due than run, where the device lost any of them.

    A stream that sends faster than it said loses frames too, but reaches its planned rate; one whose frames come late
    or in bursts loses them on an idle device.
    """
    if not sums.lost or not sums.analysed or not sums.planned:
        return 1.0
    if sums.busy_s < BEHIND * sums.seconds:
        return 1.0
    delivered = sums.analysed / (sums.analysed + sums.lost)
    return 1 / min(1.0, max(delivered, sums.analysed / sums.planned))


def _expected_s(sums: Usage, costs: NetworkCosts) -> float:
    return sum(spent.frames * _cost(part, costs) for part, spent in sums.spent.items())


def _cost(part: Part, costs: NetworkCosts) -> float:
    """Of one frame; 0 where the costs do not know the part (its task has gone)."""
    if isinstance(part, Own):
        return costs.heads.get((part.task, part.frozen), 0.0)
    known = part.start in costs.stem and part.end in costs.stem
    return costs.segment(part.start, part.end) if known else 0.0


def _decayed(state: Memory, seen: Usage, now_s: float) -> Usage:
    gap_s = 0.0 if state.looked_s is None else now_s - state.looked_s
    old = state.sums
    keep = max(0.5 ** (gap_s / HALF_LIFE_S), _to_keep(old.busy_s, seen.busy_s))
    spent: dict[Part, Spent] = {}
    for part in old.spent.keys() | seen.spent.keys():
        was, now = old.spent.get(part, Spent(0, 0)), seen.spent.get(part, Spent(0, 0))
        spent[part] = Spent(keep * was.frames + now.frames, keep * was.seconds + now.seconds)
    return Usage(
        spent,
        keep * old.busy_s + seen.busy_s,
        keep * old.planned + seen.planned,
        keep * old.analysed + seen.analysed,
        keep * old.lost + seen.lost,
        keep * old.seconds + seen.seconds,
    )


def _to_keep(old_s: float, new_s: float) -> float:
    """The share of the old sums without which there would be too little evidence."""
    lacking_s = EVIDENCE_S * (1 + 1e-9) - new_s
    return min(1.0, max(0.0, lacking_s) / old_s) if old_s > 0 else 0.0
