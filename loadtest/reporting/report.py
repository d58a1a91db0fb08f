"""What a run's records say: every share, percentile and second of it. Pure: records in, a
JSON-ready dict out.

Attainment is answered in time / offered; effective accuracy the mean accuracy of in-time
answers; awg (accuracy-weighted goodput) the sum of accuracy over in-time answers / offered.
"""

import math
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from loadtest.records import DEADLINE_EXCEEDED, OK, RESOURCE_EXHAUSTED, Cost, Records

CPU_LIMIT = 0.85  # of one core; beyond it the client's own queue is part of what it measures
LATENESS_LIMIT_S = 0.005  # p99 between due and sent; a tenth of a typical SLO
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
_PERCENTILES = {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "p999": 99.9}

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


def summarise(
    records: Records, slo_s: float | None, duration_s: float | None = None
) -> dict[str, Any]:
    """The whole report. `slo_s` None: every answer is in time. `duration_s` None: until the last
    request was due."""
    due_s, latency_s = records.column("scheduled_s"), latency(records)
    answered = records.column("code") == OK
    timely = in_time(records, slo_s)
    span_s = duration_s or max(float(due_s.max(initial=0.0)), 1e-9)
    return {
        "slo_ms": None if slo_s is None else slo_s * 1e3,
        "duration_s": span_s,
        "offered": len(due_s),
        "offered_rps": len(due_s) / span_s,
        "answered": int(answered.sum()),
        "throughput_rps": float(answered.sum() / span_s),
        "goodput_rps": float(timely.sum() / span_s),
        **quality(records.column("accuracy"), timely),
        "latency_ms": _latencies_ms(latency_s[answered]),
        "outcomes": outcomes(records, slo_s),
        "codes": _codes(records),
        "variants": _shares(records, timely | answered),
        "arms": _arms(records, answered),
        "batch_size_mean": _mean(records.column("batch_size")),
        "queue_ms_mean": _mean(records.column("queue_s"), 1e3),
        "compute_ms_mean": _mean(records.column("compute_s"), 1e3),
        "timeline": _timeline(records, timely, span_s),
        "client": client(records.cost, records.column("sent_s") - due_s),
    }


def latency(records: Records) -> Numbers:
    """Seconds from due to done, per request."""
    return records.column("done_s") - records.column("scheduled_s")


def in_time(records: Records, slo_s: float | None) -> Flags:
    """Which requests were answered within `slo_s` of being due."""
    limit_s = math.inf if slo_s is None else slo_s
    return (records.column("code") == OK) & (latency(records) <= limit_s)


def quality(accuracy: Numbers, timely: Flags) -> dict[str, float | None]:
    """attainment, effective_accuracy and awg; the latter two None where no answer states its
    accuracy."""
    offered = len(timely)
    stated = accuracy[timely & np.isfinite(accuracy)]
    return {
        "attainment": float(timely.sum() / offered) if offered else None,
        "effective_accuracy": float(stated.mean()) if len(stated) else None,
        "awg": float(stated.sum() / offered)
        if len(stated) or (offered and not timely.any())
        else None,
    }


def outcomes(records: Records, slo_s: float | None) -> dict[str, int]:
    """Requests by outcome; every request has exactly one."""
    code, timely = records.column("code"), in_time(records, slo_s)
    counts = {
        "ok": int(timely.sum()),
        "late": int(((code == OK) & ~timely).sum()),
        "rejected": int((code == RESOURCE_EXHAUSTED).sum()),
        "expired": int((code == DEADLINE_EXCEEDED).sum()),
    }
    return {**counts, "error": len(code) - sum(counts.values())}


def recovery(
    records: Records, slo_s: float | None, steps: list[tuple[float, float]], goal: float = 0.99
) -> list[dict[str, float | None]]:
    """Per step of the load: seconds from its start until attainment holds `goal`, None where it
    never does.

    Found on a grid of 100 ms: the first point from which both the next second and all the rest
    of the step reach it.
    """
    due_s, timely = records.column("scheduled_s"), in_time(records, slo_s)
    found: list[dict[str, float | None]] = []
    start_s = 0.0
    for length_s, rate_rps in steps:
        inside = (due_s >= start_s) & (due_s < start_s + length_s)
        seconds = _recovered_after(due_s[inside] - start_s, timely[inside], length_s, goal)
        found.append({"start_s": start_s, "rate_rps": rate_rps, "recovered_after_s": seconds})
        start_s += length_s
    return found


def _recovered_after(due_s: Numbers, timely: Flags, length_s: float, goal: float) -> float | None:
    for tick in range(max(1, int(length_s * 10))):
        at_s = tick / 10.0
        rest = timely[due_s >= at_s]
        second = timely[(due_s >= at_s) & (due_s < at_s + 1.0)]
        if len(second) and second.mean() >= goal and rest.mean() >= goal:
            return at_s
    return None


def client(cost: Cost, lateness_s: Numbers) -> dict[str, Any]:
    """What the client itself took, and in words why its figures cannot be trusted; "" where they
    can."""
    share = cost.cpu_s / max(cost.wall_s, 1e-9)
    late_s = {
        "p50": float(np.percentile(lateness_s, 50)) if len(lateness_s) else 0.0,
        "p99": float(np.percentile(lateness_s, 99)) if len(lateness_s) else 0.0,
        "max": float(lateness_s.max(initial=0.0)),
    }
    reasons = [
        *([f"client CPU {share:.0%} of a core"] if share > CPU_LIMIT else []),
        *(
            [f"sends {late_s['p99'] * 1e3:.1f} ms late (p99)"]
            if late_s["p99"] > LATENESS_LIMIT_S
            else []
        ),
    ]
    return {
        "processes": cost.processes,
        "cpu_percent": share * 100.0,
        "lateness_ms": {name: value * 1e3 for name, value in late_s.items()},
        "saturated": " and ".join(reasons),
    }


def _latencies_ms(values_s: Numbers) -> dict[str, float] | None:
    if not len(values_s):
        return None
    named = {name: float(np.percentile(values_s, p) * 1e3) for name, p in _PERCENTILES.items()}
    return {"mean": float(values_s.mean() * 1e3), **named, "max": float(values_s.max() * 1e3)}


def _codes(records: Records) -> dict[str, dict[str, Any]]:
    numbers, counts = np.unique(records.column("code").astype(int), return_counts=True)
    return {
        _CODES.get(int(number), str(number)): {
            "count": int(count),
            **({"first": records.details[int(number)]} if int(number) in records.details else {}),
        }
        for number, count in zip(numbers, counts, strict=True)
    }


def _shares(records: Records, chosen: Flags) -> dict[str, float]:
    arm = records.column("arm")[chosen].astype(int)
    counts: dict[str, int] = {}
    for index, (variant, _, _) in enumerate(records.arms):
        count = int((arm == index).sum())
        if count:
            counts[variant or "unnamed"] = counts.get(variant or "unnamed", 0) + count
    total = max(1, sum(counts.values()))
    return {variant: count / total for variant, count in sorted(counts.items())}


def _arms(records: Records, answered: Flags) -> list[dict[str, Any]]:
    arm, total = records.column("arm"), max(1, int(answered.sum()))
    rows: list[dict[str, Any]] = []
    for index, (variant, precision, backend) in enumerate(records.arms):
        mine = arm == index
        if mine.any():
            names = {"variant": variant, "precision": precision, "backend": backend}
            figures = {
                "share": float(mine.sum() / total),
                "accuracy": _mean(records.column("accuracy")[mine]),
                "batch_size_mean": _mean(records.column("batch_size")[mine]),
                "compute_ms_mean": _mean(records.column("compute_s")[mine], 1e3),
            }
            rows.append({**names, **figures})
    return rows


def _timeline(records: Records, timely: Flags, span_s: float) -> list[dict[str, Any]]:
    second = records.column("scheduled_s").astype(int)
    latency_s, answered = latency(records), records.column("code") == OK
    rows: list[dict[str, Any]] = []
    for number in range(math.ceil(span_s)):
        mine = second == number
        done = _latencies_ms(latency_s[mine & answered])
        rows.append(
            {
                "second": number,
                "offered": int(mine.sum()),
                "in_time": int((mine & timely).sum()),
                **quality(records.column("accuracy")[mine], timely[mine]),
                "p99_ms": None if done is None else done["p99"],
                "variants": _shares(records, mine & answered),
            }
        )
    return rows


def _mean(values: Numbers, scale: float = 1.0) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean() * scale) if len(known) else None
