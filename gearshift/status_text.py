"""A family's status as text for a terminal. Pure: the server's answer in, lines out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Plain = Mapping[str, Any]
"""A message of gearshift.v1 as plain values."""


def text_of(family: Plain) -> str:
    """One family: policy, load, results, arms, candidates, and its last decisions with why."""
    return "\n".join(
        [
            _head(family),
            *_results(family),
            *_arms(family["arms"]),
            *_out_of_use(family["out_of_use"]),
            *_candidates(family["frontier"]),
            *_decisions(family["decisions"]),
        ]
    )


def not_served(family: str, reason: str) -> str:
    """One family that the server cannot serve."""
    return f"{family}: not served: {reason}"


def _head(family: Plain) -> str:
    load = family["load"]
    return (
        f"{family['family']}: policy {family['policy']}, SLO {family['slo_ms']:g} ms"
        f"{_floor(family['min_accuracy'])}, {load['running']} of {load['workers']} workers busy\n"
        f"  load        {load['queue_length']} waiting ({load['queue_rows']} of "
        f"{load['queue_capacity_rows']} rows), {load['forecast_rps']:.0f} rps forecast"
    )


def _floor(min_accuracy: float) -> str:
    return f", accuracy at least {min_accuracy:g}" if min_accuracy else ""


def _results(family: Plain) -> Iterable[str]:
    recent, outcomes = family["recent"], family["outcomes"]
    results = f"{recent['offered']} requests"
    if recent["offered"]:
        results += f", {recent['attainment']:.1%} in time"
    if recent["in_time"]:
        results += f" at an effective accuracy of {recent['effective_accuracy']:.4f}"
    yield f"  last {recent['window_s']:.0f} s   {results}"
    for one in family["promises"]:
        kept = "kept" if one["attainment"] >= one["percentile"] else "BROKEN"
        yield (
            f"  promise     {kept}: {one['attainment']:.1%} of the last requests of class "
            f"{one['slo_class']} in time, {one['percentile']:.1%} promised, caution {one['caution']:.2f}"
        )
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    yield f"  since start {counts or 'nothing asked'}"


def _arms(arms: Sequence[Plain]) -> Iterable[str]:
    if not arms:
        yield "  no arm is ready yet: loading and measuring"
        return
    sizes = sorted({one["rows"] for arm in arms for one in arm["latency"]})
    names = [f"{arm['variant']} ({arm['backend']} on {arm['device']})" for arm in arms]
    width = max(map(len, names))
    yield f"  {'arm: ms now by batch':<{width}}  accuracy  speed" + "".join(
        f"{f'x{size}':>8}" for size in sizes
    )
    for name, arm in zip(names, arms, strict=True):
        means = {one["rows"]: one["mean_ms"] for one in arm["latency"]}
        times = "".join(f"{means[s]:8.2f}" if s in means else f"{'':8}" for s in sizes)
        yield f"  {name:<{width}}  {arm['accuracy']:8.4f}  {arm['speed_scale']:5.2f}{times}"


def _out_of_use(arms: Sequence[Plain]) -> Iterable[str]:
    for arm in arms:
        name = f"{arm['variant']} ({arm['backend']} on {arm['device']})"
        again = (
            "once its run returns"
            if arm["retry_ms"] is None
            else f"in {arm['retry_ms'] / 1e3:.1f} s"
        )
        yield f"  {name} is out of use ({arm['reason']}), tried again {again}"


def _candidates(frontier: Plain | None) -> Iterable[str]:
    """One line for each that had, or has, to earn its place."""
    for one in frontier["variants"] if frontier else ():
        if one["candidate"]:
            state = "promoted" if one["state"] == "serving" else one["state"].replace("_", " ")
            state += ", watched" if one["probation"] else ""
            why = f": {one['reason']}" if one["reason"] else ""
            yield f"  candidate {one['name']} ({one['accuracy']:.4f}): {state}{_compared(one)}{why}"


def _compared(one: Plain) -> str:
    if not one["compared"]:
        return ""
    if not one["least_agreement"]:
        return f", ran on {one['compared']} live rows"
    return f", agrees on {one['agreed']} of {one['compared']} live rows ({one['least_agreement']:.1%} needed)"


def _decisions(decisions: Sequence[Plain]) -> Iterable[str]:
    if decisions:
        yield "  last decisions kept"
    for one in decisions:
        yield f"  {one['seconds_ago']:7.1f} s ago  {_decision(one)}"


def _decision(one: Plain) -> str:
    """The same words as the server's sampled log, and what was dropped by reason."""
    seen = f"{one['queue_length']} waiting, {one['forecast_rps']:.0f} rps forecast"
    match one["action"]:
        case "run":
            what = f"{one['rows']} rows on {one['variant']} ({one['reason']})"
        case "wait":
            what = f"wait {one['wait_ms']:.1f} ms"
        case other:
            what = other
    price = f", price {one['terms']['price_per_s']:.2g} acc/s" if one["terms"] else ""
    return f"{what}: {seen}{price}{_next_best(one)}; {_dropped(one)}; took {one['took_us']:.0f} us"


def _next_best(one: Plain) -> str:
    for other in one["candidates"]:
        if other["in_time"] and other["variant"] != one["variant"]:
            return f"; next best {other['variant']} x {other['rows']}"
    return ""


def _dropped(one: Plain) -> str:
    reasons = [drop["reason"] for drop in one["dropped"]]
    if not reasons:
        return "dropped 0"
    return "dropped " + ", ".join(f"{reasons.count(r)} {r}" for r in sorted(set(reasons)))
