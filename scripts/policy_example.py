"""The worked example of docs/policy.md: its figures as Markdown on standard output, its picture into docs/.

Six requests wait, one came every 4 ms, the last 4 ms ago; 250 a second are expected; the SLO is 47.2 ms; the arms are
the small CPU's of tests/support/builders.py.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from server.policy.decision import Outlook, Ticket
from server.policy.dispatch.alike.scene import Scene
from server.policy.dispatch.costs import Costs
from server.policy.dispatch.explain import Alternative, alternatives
from server.policy.dispatch.pricing import Planner, Pricing
from server.policy.dispatch.tuning import DEFAULT
from server.policy.queueing.tickets import Queue
from tests.support.builders import a_ticket, cpu_arms

SLO_S = 0.0472
NOW_S = 0.024
OUTLOOK = Outlook(rate_rps=250.0)
PICTURE = Path(__file__).resolve().parent.parent / "docs" / "policy_example.png"


class Figures(NamedTuple):
    """The terms, the table they come from, and every step weighed, best first."""

    plan: Pricing
    table: Costs
    weighed: tuple[Alternative, ...]


def main() -> int:
    """Print the table and draw the picture."""
    found = figures()
    print(markdown(*found))
    draw(*found)
    return 0


def figures() -> Figures:
    """All that the example tells."""
    planner = Planner(cpu_arms(), DEFAULT)
    mask = planner.mask(0.0, None)
    plan = Scene(Queue.of(waiting()), mask, planner, OUTLOOK, (NOW_S, 0)).pricing
    weighed = alternatives(cpu_arms(), waiting(), OUTLOOK, NOW_S)
    return Figures(plan, planner.costs(mask, SLO_S), weighed)


def waiting() -> list[Ticket]:
    """The queue of the example."""
    return [a_ticket(id=i, arrival_s=0.004 * i, slo_s=SLO_S) for i in range(6)]


def markdown(plan: Pricing, table: Costs, weighed: tuple[Alternative, ...]) -> str:
    """The figures: what a row can have, the price, and the best step of every arm."""
    vertices = ", ".join(f"{1e3 * v.cost_s:.2f} ms {v.accuracy:.3f}" for v in table.vertices)
    lines = [
        f"affordable {1e3 * plan.affordable_s:.2f} ms a row; price {plan.price / 1e3:.4f} a ms; "
        f"a ticket left waiting is worth {plan.stay:.3f}",
        f"vertices: {vertices}\n",
        "| step | worth | upper latency |",
        "| --- | --- | --- |",
    ]
    best: dict[str, Alternative] = {}
    for one in weighed:
        best.setdefault(one.variant, one)
    lines += [
        f"| {c.variant} x {c.rows} | {c.worth:+.4f} | {1e3 * c.latency_s:.1f} ms |"
        for c in best.values()
    ]
    return "\n".join(lines)


def draw(plan: Pricing, table: Costs, weighed: tuple[Alternative, ...]) -> None:
    """Left: the arms, their hull and the price as a slope. Right: every step's worth."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    _draw_price(left, plan, table)
    for name in dict.fromkeys(c.variant for c in weighed):
        own = sorted((c.rows, c.worth) for c in weighed if c.variant == name and c.in_time)
        right.plot(*zip(*own, strict=True), marker=".", label=name)
    top = weighed[0]
    right.plot(top.rows, top.worth, "k*", ms=13, label=f"chosen: {top.variant} x {top.rows}")
    right.set(
        xlabel="batch (rows)",
        ylabel="worth, less the best step's",
        ylim=(-0.2, 0.01),
        title="Every step in time",
    )
    right.grid(alpha=0.3)
    right.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=110)


def _draw_price(axis: Any, plan: Pricing, table: Costs) -> None:
    points = [(1e3 * v.cost_s, v.accuracy) for v in table.vertices]
    axis.plot(*zip(*points, strict=True), "o-", label="arms worth mixing (hull)")
    at_ms = 1e3 * plan.affordable_s
    axis.axvline(at_ms, color="grey", ls=":", label=f"affordable: {at_ms:.2f} ms a row")
    spans_ms = [0.0, 1e3 * table.vertices[-1].cost_s]
    price = plan.price / 1e3
    worth = [plan.stay + price * x for x in spans_ms]
    axis.plot(spans_ms, worth, "r--", lw=1, label=f"price: {price:.3f} a ms")
    axis.set(xlabel="worker time per row (ms)", ylabel="accuracy", title="What time buys")
    axis.set_ylim(0.69, 0.8)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, loc="lower right")


if __name__ == "__main__":
    sys.exit(main())
