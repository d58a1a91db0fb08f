"""What it costs to end on an arm that is not worth staying on: a switch, or what it loses meanwhile."""

from collections.abc import Sequence

from server.policy.decision import ArmProfile
from server.policy.dispatch.costs import Costs
from server.policy.dispatch.pricing import Pricing

LASTS = 0.25
"""Share of a latency bound for which a price holds: it changes with the queue, about as often as batches end.

Longer, and price swings make switches; shorter, and a worker stays for long on an arm that is not worth it.
"""


def returning(
    arm: int, arms: Sequence[ArmProfile], table: Costs, on: Pricing, slo_s: float
) -> float:
    """For one of `arms` (those of `table`, in its order): what a worker that has run it is behind (accuracies).

    It goes on with the arm, whose rows are worth less at today's price than the best arm's are, for as long as that
    price holds; or it switches, which takes time at that price: whichever costs less. This stands for the relative
    value of a state in a semi-Markov decision process (Howard, 1971). Where the arms in use are all as good at today's
    price, none is to be returned to, and a switch is charged for itself alone.
    """
    rows = LASTS * slo_s / max(on.affordable_s, table.row_s)
    point = table.points[arm]
    loss = on.stay - (point.accuracy - on.price * point.cost_s)
    return min(on.price * arms[arm].switch_s, rows * max(loss, 0.0))
