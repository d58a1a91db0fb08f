"""Two profiles side by side: how much faster or slower each arm is now, what else changed, and a verdict."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from profiler.hardware.fingerprint import Hardware
from profiler.profiles import MachineProfile, Point, Profile, repaired

SAME = 0.05
"""Medians within five per cent of each other are the same: machines repeat no better from day to day."""
APART = 0.10
"""An arm that moved by so much more or less than all together is named."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: where it is from, the hardware as described, its profiles."""

    fingerprint: str
    created: str
    hardware: Mapping[str, str]
    profiles: tuple[Profile, ...]

    @classmethod
    def of(cls, machine: MachineProfile, hardware: Hardware) -> "Side":
        """What was measured here."""
        return cls(machine.fingerprint, machine.created, hardware.described(), machine.profiles)


@dataclass(frozen=True, slots=True)
class Change:
    """An arm's new median over its old one, by common batch: (ratio, low, high), from the intervals of both."""

    arm: str
    threads: int
    ratios: Mapping[int, tuple[float, float, float]]

    @property
    def middle(self) -> float:
        """The median ratio over its batch sizes."""
        return median(ratio for ratio, _, _ in self.ratios.values())

    @property
    def span(self) -> tuple[float, float]:
        """The median ends of the ratios' intervals."""
        rows = self.ratios.values()
        return median(low for _, low, _ in rows), median(high for _, _, high in rows)


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed. `ratio` is the median over arms; 1 where no arm is in both."""

    old: str
    new: str
    ratio: float
    changes: tuple[Change, ...]
    gone: tuple[str, ...]
    added: tuple[str, ...]
    hardware: Mapping[str, tuple[str, str]]
    verdict: str


def read(path: Path) -> Side:
    """A stored profile, of this schema or an older one, or what `gearshift profile --json` printed.

    Raises ValueError naming the file and what is wrong.
    """
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
        profiles = tuple(_profile(row) for row in content["profiles"])
        hardware = {str(k): str(v) for k, v in content["hardware"].items()}
        return Side(str(content["fingerprint"]), str(content["created"]), hardware, profiles)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} is no stored profile ({type(error).__name__}: {error}); "
            "give a file of the profiles folder, or the output of `gearshift profile --json`"
        ) from error


def compared(old: Side, new: Side) -> Diff:
    """What became of `old`."""
    before = {(p.label, p.threads): p for p in old.profiles}
    after = {(p.label, p.threads): p for p in new.profiles}
    both = [key for key in after if key in before]
    changes = tuple(c for key in both if (c := _change(before[key], after[key])).ratios)
    ratio = median(c.middle for c in changes) if changes else 1.0
    gone, added = _names(before, after), _names(after, before)
    names = sorted(old.hardware.keys() | new.hardware.keys())
    pairs = {name: (old.hardware.get(name, "-"), new.hardware.get(name, "-")) for name in names}
    moved = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    verdict = _verdict(changes, ratio, bool(moved))
    titles = [f"{side.fingerprint} ({side.created})" for side in (old, new)]
    return Diff(titles[0], titles[1], ratio, changes, gone, added, moved, verdict)


def as_values(found: Diff) -> dict[str, Any]:
    """Plain values, for JSON."""
    rows = [{**asdict(c), "ratio": c.middle, "interval": c.span} for c in found.changes]
    return {**asdict(found), "changes": rows}


def as_text(found: Diff) -> str:
    """A line per arm, then what else changed; the verdict comes last."""
    rows = [f"{found.old} -> {found.new}", "", "new p50 / old p50 (95 % interval), by common batch"]
    rows += [_row(change) for change in found.changes]
    rows += [f"gone: {name}" for name in found.gone] + [f"new: {name}" for name in found.added]
    rows += [f"{name}: {was} -> {now}" for name, (was, now) in found.hardware.items()]
    rows += [] if found.hardware else ["the hardware description is the same"]
    return "\n".join([*rows, "", f"verdict: {found.verdict}"])


def _row(change: Change) -> str:
    low, high = change.span
    by_batch = "  ".join(f"x{b}: {ratio:.2f}" for b, (ratio, _, _) in change.ratios.items())
    name = f"{change.arm} ({change.threads} thread(s))"
    return f"{name:<52}{change.middle:>6.2f} ({low:.2f} to {high:.2f})   {by_batch}"


def _change(old: Profile, new: Profile) -> Change:
    before = {p.batch: p for p in old.points}
    common = [(before[p.batch], p) for p in new.points if p.batch in before]
    return Change(new.label, new.threads, {b.batch: _ratio(a, b) for a, b in common})


def _ratio(old: Point, new: Point) -> tuple[float, float, float]:
    (old_low, old_high), (new_low, new_high) = old.interval_s, new.interval_s
    return new.p50_s / old.p50_s, new_low / old_high, new_high / old_low


def _names(
    here: Mapping[tuple[str, int], Profile], there: Mapping[tuple[str, int], Profile]
) -> tuple[str, ...]:
    return tuple(f"{name} ({n} thread(s))" for name, n in here if (name, n) not in there)


def _verdict(changes: tuple[Change, ...], ratio: float, moved: bool) -> str:
    if not changes:
        return "nothing to compare: no arm was measured at the same batch size in both"
    words = "as fast as before" if abs(ratio - 1) <= SAME else f"{_percent(ratio)} than before"
    apart = [c for c in changes if _stands_out(c, ratio)]
    named = ", ".join(f"{c.arm} {c.middle:.2f}" for c in apart)
    rest = f"; moved otherwise than the rest: {named}" if apart else ", all arms alike"
    return f"{words} (median ratio {ratio:.2f}){rest}{'; the hardware changed' if moved else ''}"


def _percent(ratio: float) -> str:
    return f"{ratio - 1:.0%} slower" if ratio > 1 else f"{1 / ratio - 1:.0%} faster"


def _stands_out(change: Change, ratio: float) -> bool:
    """Its own ratio differs from that of all by more than APART, and by more than its interval."""
    low, high = change.span
    return abs(change.middle / ratio - 1) > APART and not low <= ratio <= high


def _profile(row: Mapping[str, Any]) -> Profile:
    points = repaired([Point(**point) for point in row["points"]])
    variant, precision, backend, device = (
        str(row[key]) for key in ("variant", "precision", "backend", "device")
    )
    return Profile(variant, precision, backend, device, int(row["threads"]), points)
