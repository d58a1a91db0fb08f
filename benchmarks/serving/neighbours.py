"""How a good neighbour fares (40 requests a second, each answer compared) while another client attacks.

One server, one attack after the other, each in a process of its own; memory is the peak above what
the server took before. Run from the repository's root:

.venv/bin/python benchmarks/serving/neighbours.py
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.serving.attacks import ATTACKS
from tests.support.serving.neighbours import Fared, attackable, suffer


def main() -> int:
    """Run them all; 0 when every answer was right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parents[1] / "results" / "neighbours.md"
    )
    given = parser.parse_args()
    rows: dict[str, Fared] = {}
    with (
        tempfile.TemporaryDirectory(prefix="gearshift-neighbours-") as scratch,
        attackable(Path(scratch)) as server,
    ):
        for attack in ATTACKS:
            rows[attack] = suffer(server, attack, given.seconds)
            print(_row(attack, rows[attack]), file=sys.stderr)
    given.output.write_text(render(rows, given.seconds), encoding="utf-8")
    return 1 if any(fared.wrong for fared in rows.values()) else 0


def render(rows: dict[str, Fared], seconds: float) -> str:
    """The Markdown table."""
    head = [
        f"A neighbour's 40 requests/s during {seconds:g} s of each attack (`tests/support/serving/attacks.py`).",
        "",
        "| attack | right | p50 ms | p99 ms | latest ms | memory MiB |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(_row(name, fared) for name, fared in rows.items())]) + "\n"


def _row(name: str, fared: Fared) -> str:
    asked = len(fared.latencies_s)
    p50, p99, latest = (fared.quantile_s(share) * 1e3 for share in (0.5, 0.99, 1.0))
    right = f"{asked - len(fared.wrong)} of {asked}"
    title = name.replace("_", " ")
    return f"| {title} | {right} | {p50:.1f} | {p99:.1f} | {latest:.0f} | {fared.grown_bytes / 2**20:+.0f} |"


if __name__ == "__main__":
    sys.exit(main())
