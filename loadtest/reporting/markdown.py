"""A report for people: the summary as Markdown. Pure."""

from typing import Any

_ARM_HEADS = ("variant", "precision", "backend", "share", "accuracy", "batch", "compute ms")


def render(summary: dict[str, Any]) -> str:
    """Markdown with one table of figures, one of outcomes and one of arms."""
    client = summary["client"]
    parts = [
        f"# Load test of `{summary['run']['model']}`",
        _settings(summary),
        *_warning(client["saturated"]),
        _table(("measure", "value"), _figures(summary)),
        _table(("outcome", "requests"), _outcomes(summary)),
        *_errors(summary["codes"]),
        _table(_ARM_HEADS, _arms(summary)),
        *_recovery(summary.get("recovery", [])),
        f"Client: {client['processes']} process(es), {client['cpu_percent']:.0f} % of a core, "
        "sends late by "
        f"{client['lateness_ms']['p50']:.2f} / {client['lateness_ms']['p99']:.2f} / "
        f"{client['lateness_ms']['max']:.2f} ms (p50 / p99 / max).",
    ]
    return "\n\n".join(parts) + "\n"


def _warning(saturated: str) -> list[str]:
    return [f"> **Do not trust this run:** {saturated}."] if saturated else []


def _settings(summary: dict[str, Any]) -> str:
    run = summary["run"]
    slo = (
        "none given (every answer counts)"
        if summary["slo_ms"] is None
        else f"{summary['slo_ms']:g} ms"
    )
    return f"Server {run['url']} · {run['load']} · SLO {slo} · inputs: {run['inputs']}"


def _outcomes(summary: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, str(count)) for name, count in summary["outcomes"].items()]


def _figures(summary: dict[str, Any]) -> list[tuple[str, str]]:
    latency = summary["latency_ms"] or {}
    percentiles = " / ".join(
        _number(latency.get(p), 1) for p in ("p50", "p90", "p95", "p99", "p999")
    )
    return [
        ("offered", f"{summary['offered']} ({summary['offered_rps']:.1f} rps)"),
        ("attainment", _percent(summary["attainment"])),
        ("effective accuracy", _percent(summary["effective_accuracy"])),
        ("accuracy-weighted goodput", _percent(summary["awg"])),
        (
            "throughput / goodput",
            f"{summary['throughput_rps']:.1f} / {summary['goodput_rps']:.1f} rps",
        ),
        ("latency p50 / p90 / p95 / p99 / p99.9", f"{percentiles} ms"),
        ("batch size, mean", _number(summary["batch_size_mean"], 2)),
        (
            "queue / compute, mean",
            f"{_number(summary['queue_ms_mean'], 2)} / {_number(summary['compute_ms_mean'], 2)} ms",
        ),
    ]


def _errors(codes: dict[str, dict[str, Any]]) -> list[str]:
    rows = [
        (code, str(row["count"]), row["first"]) for code, row in codes.items() if "first" in row
    ]
    return [_table(("code", "requests", "first message"), rows)] if rows else []


def _arms(summary: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            arm["variant"],
            arm["precision"],
            arm["backend"],
            _percent(arm["share"]),
            _percent(arm["accuracy"]),
            _number(arm["batch_size_mean"], 2),
            _number(arm["compute_ms_mean"], 2),
        )
        for arm in summary["arms"]
    ]


def _recovery(steps: list[dict[str, Any]]) -> list[str]:
    rows = [
        (f"{step['start_s']:g}", f"{step['rate_rps']:g}", _number(step["recovered_after_s"], 1))
        for step in steps
    ]
    return [_table(("step at s", "rps", "99 % in time after s"), rows)] if rows else []


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
