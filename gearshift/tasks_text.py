"""Shared tasks and their plan as text for a terminal. Pure: the server's answer in, lines out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Plain = Mapping[str, Any]
"""A message of gearshift.v1 as plain values."""


def listing(answer: Plain) -> str:
    """The package and its tasks."""
    shape = "x".join(str(n) for n in answer["frame_shape"])
    head = f"{answer['package']}: frames {shape}, {answer['stream_fps']:g} fps"
    return "\n".join([head, *(_entry(one) for one in answer["tasks"])])


def standing(answer: Plain) -> str:
    """The plan, and how it fares."""
    measured = {one["task"]: one for one in answer["tasks"]}
    return "\n".join(
        [
            f"{answer['package']}: {answer['streams']} streams, {answer['busy']:.0%} busy, "
            f"budget {answer['budget']:g} device seconds a second",
            *_plan(answer["plan"], measured),
            f"  each frame through the stem feeds {answer['reuse']:.2f} task-frames",
            f"  frames   {_counts(answer['outcomes'])}",
            f"  dropped  {_counts(answer['dropped'])}",
            f"  replans  {_counts(answer['replans'])}",
        ]
    )


def changed(answer: Plain) -> str:
    """The plan made with a change."""
    return "\n".join(_plan(answer["plan"], {}))


def _entry(one: Plain) -> str:
    state = "in service" if one["in_service"] else "not in service"
    if not one["in_package"]:
        return f"  {one['task']}: {state}; the package on disk holds it no more"
    frozen = ", ".join(str(k) for k in one["frozen"])
    return f"  {one['task']}: {state}; {one['meaning']}; may share {frozen} layers"


def _plan(plan: Plain, measured: Mapping[str, Plain]) -> Iterable[str]:
    choices: Sequence[Plain] = plan["choices"]
    if not choices:
        yield "  no task is in service"
        return
    why = f" ({plan['reason'].replace('_', ' ')})" if plan["reason"] else ""
    yield f"  predicted F1 {plan['objective']:.4f} at {plan['cost']:.4g} device seconds a second of a stream{why}"
    for step in plan["stem"]:
        yield f"  stem     layers {step['start']} to {step['end']} at {step['rate_fps']:g} fps{_cost(step)}"
    for one in choices:
        yield _choice(one) + _measured(measured.get(one["task"]))
        if one["reason"]:
            yield f"           {one['reason']}"


def _choice(one: Plain) -> str:
    votes = f", {one['x_vote']} in a row" if one["x_vote"] > 1 else ""
    return (
        f"  task     {one['task']}: {one['frozen']} layers shared, {one['rate_fps']:g} fps{votes}{_cost(one)}; "
        f"predicted F1 {one['f1']:.4f} (recall {one['recall']:.4f}, precision {one['precision']:.4f})"
    )


def _cost(part: Plain) -> str:
    return f" for {part['cost'] * 1e3:.3g} ms a second" if part["cost"] else ""


def _measured(one: Plain | None) -> str:
    if one is None:
        return ""
    text = f"; {one['achieved_fps']:.2f} fps achieved"
    if one["measured_f1"] is not None:
        text += f", F1 {one['measured_f1']:.4f} on {one['labelled_windows']} labelled windows"
    return text


def _counts(counts: Mapping[str, int]) -> str:
    parts = [f"{n} {name.replace('_', ' ')}" for name, n in sorted(counts.items()) if n]
    return ", ".join(parts) or "none"
