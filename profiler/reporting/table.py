"""Profiles as an operator reads them: a table of text, or plain values. Prints nothing."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from models.catalog import Family
from profiler.hardware.fingerprint import Hardware
from profiler.measuring.summary import has_own
from profiler.profiles import MachineProfile, Point, Profile

_HEADER = (
    f"{'arm':<38} {'accuracy':>8} {'batch':>6} {'p50 ms':>8} {'+/-':>6} {'p95 ms':>8} {'p99 ms':>8}"
    f" {'rows/s':>9} {'n':>5} {'load s':>7} {'MiB':>6}"
)


def rendered(family: Family, machine: MachineProfile, hardware: Hardware) -> str:
    """The machine in two lines, then one line per arm and measured batch size."""
    facts = "; ".join(f"{name} {value}" for name, value in hardware.described().items())
    threads = "/".join(str(n) for n in sorted({p.threads for p in machine.profiles}))
    title = f"{family.name} on {machine.fingerprint}, {threads} thread(s) ({machine.created})"
    rows = [row for profile in machine.profiles for row in _rows(family, profile)]
    return "\n".join([title, facts, "", _HEADER, "-" * len(_HEADER), *rows, *_legend(machine)])


def as_values(
    family: Family, machine: MachineProfile, hardware: Hardware, spent_s: float
) -> dict[str, Any]:
    """The same as plain values; `spent_s` is how long this command measured."""
    return {
        "fingerprint": machine.fingerprint,
        "family": machine.family,
        "created": machine.created,
        "spent_s": round(spent_s, 3),
        "hardware": hardware.described(),
        "profiles": [
            {"arm": p.label, "accuracy": accuracy_of(family, p), **asdict(p), **_points(p)}
            for p in machine.profiles
        ],
    }


def _points(profile: Profile) -> dict[str, Any]:
    """The points, each with whether its tails are from its own runs or from all arms'."""
    return {
        "points": [
            {**asdict(p), "p95_from": _source(0.95, p), "p99_from": _source(0.99, p)}
            for p in profile.points
        ]
    }


def _source(quantile: float, point: Point) -> str:
    return "own" if has_own(quantile, point.n) else "pooled"


def _legend(machine: MachineProfile) -> Iterator[str]:
    points = [point for profile in machine.profiles for point in profile.points]
    if not all(has_own(0.99, point.n) for point in points):
        yield "~ too few runs of its own for this tail: the median times what the runs of all arms show"


def accuracy_of(family: Family, profile: Profile) -> float:
    """The accuracy of the variant that was profiled."""
    variant = family.variant(profile.variant)
    return variant.accuracy.value if variant else 0.0


def _rows(family: Family, profile: Profile) -> list[str]:
    rows: list[str] = []
    for point in profile.points:
        first = point is profile.points[0]
        accuracy = f"{accuracy_of(family, profile):>8.2%}"
        name = f"{profile.label:<38} {accuracy}" if first else " " * 47
        cost = f" {profile.load_s:>7.2f} {profile.memory_bytes / 2**20:>6.0f}" if first else ""
        median = f"{point.p50_s * 1e3:>8.3f} {point.half_width:>6.1%}"
        tails = ((0.95, point.p95_s), (0.99, point.p99_s))
        times = " ".join([median, *(_tail(q, s, point) for q, s in tails)])
        rate = profile.throughput_rps(point.batch)
        rows.append(f"{name} {point.batch:>6} {times} {rate:>9.1f} {point.n:>5}{cost}")
    return [*rows, *([f"    {profile.note}"] if profile.note else [])]


def _tail(quantile: float, tail_s: float, point: Point) -> str:
    mark = "" if has_own(quantile, point.n) else "~"
    return f"{mark}{tail_s * 1e3:.3f}".rjust(8)
