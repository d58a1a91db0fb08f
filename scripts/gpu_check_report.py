"""The findings of gpu_check as Markdown."""

from typing import Any


def table(found: dict[str, Any]) -> str:
    """Device and versions, the suite's last line, one row for each arm, torch's ways, and what failed."""
    machine = found["machine"]
    lines = [f"# Engines on {machine.get('device', 'this machine')}", ""]
    lines += [
        _machine(machine),
        "",
        "## Contract suite",
        "",
        found["contract suite"].get("summary", "not run"),
        "",
    ]
    lines += [f"- skipped: {reason}" for reason in found["contract suite"].get("skipped", [])]
    lines += ["", "## Arms", "", *_arms(found["arms"]), "", "## torch", "", *_torch(found["torch"])]
    lines += ["", "## Failed", "", *([f"- {f}" for f in found["failed"]] or ["Nothing."])]
    return "\n".join(lines) + "\n"


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in machine.get("versions", {}).items())
    gpu = ", ".join(f"{k} {v}" for k, v in machine.get("gpu", {}).items()) or "left out"
    cores = machine.get("cores")
    return f"{machine.get('date')}, Python {machine.get('python')}, {cores} cores. GPU: {gpu}. {versions}."


def _arms(arms: dict[str, Any]) -> list[str]:
    if "error" in arms:
        return [arms["error"]]
    lines = [
        f"{arms['weights']}. Errors against fp32 of ONNX Runtime on the CPU over {arms['rows']} pictures, as shares of "
        "its standard deviation. Latency: p50 / p95 / p99, ms.",
        "",
        "| variant | backend | device | load s | rms | max | top-1 | batch 1 | batch 8 | batch 32 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    return lines + [_arm(row) for row in arms["arms"]]


def _arm(row: dict[str, Any]) -> str:
    head = f"| {row['variant']} | {row['backend']} | {row['device']} |"
    if "error" in row:
        return f"{head} {row['error']} | | | | | | |"
    errors = f" {row['load_s']:.2f} | {row['rms_error']:.4f} | {row['max_error']:.3f} | {row['top1_agreement']:.3f} |"
    cells = (row["latency_ms"].get(batch) for batch in (1, 8, 32))
    return head + errors + "".join(f" {_latency(cell)} |" for cell in cells)


def _latency(cell: dict[str, float] | None) -> str:
    return f"{cell['p50']:.2f} / {cell['p95']:.2f} / {cell['p99']:.2f}" if cell else "no time left"


def _torch(torch: dict[str, Any]) -> list[str]:
    if "error" in torch:
        return [torch["error"]]
    lines = [
        "| precision | way | batch | p50 ms | first call s |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in torch["rows"]:
        cells = (
            f"{row['p50_ms']:.3f} | {row['first_s']:.2f}"
            if "p50_ms" in row
            else f"{row['error']} | "
        )
        lines.append(f"| {row['precision']} | {row['way']} | {row['batch']} | {cells} |")
    return [*lines, *(["", torch["note"]] if torch["note"] else [])]
