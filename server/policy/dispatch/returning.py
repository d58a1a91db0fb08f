"""What it costs to end on an arm that is not worth staying on: a switch, or what it loses meanwhile."""

from collections.abc import Sequence

import numpy as np

from server.policy.decision import ArmProfile
from server.policy.dispatch.costs import Costs
from server.policy.dispatch.menu import Floats
from server.policy.dispatch.pricing import Pricing

LEAST_SHARE = 1e-3
"""Of a latency bound: a worker serves no more than its inverse of rows in one."""


def returning(arms: Sequence[ArmProfile], table: Costs, pricing: Pricing, slo_s: float) -> Floats:
    """For each of `arms` (those of `table`, in its order): what a worker that has run it is behind (accuracies).

    It goes on with the arm, whose rows are worth less at today's price than the best arm's are; or it switches, which
    takes time at that price: whichever costs less. A price holds for about a latency bound, and so many rows as a
    worker then serves are what it loses. This is the relative value of a state in a semi-Markov decision process
    (Howard, 1971), bounded from either side. Where all arms in use are as good at this price nothing is to be
    returned to, and a switch is charged for itself alone.
    """
    rows = slo_s / max(pricing.affordable_s, LEAST_SHARE * slo_s)
    switch = pricing.price * np.array([arm.switch_s for arm in arms])
    loss = [pricing.stay - (p.accuracy - pricing.price * p.cost_s) for p in table.points]
    return np.minimum(switch, rows * np.maximum(loss, 0.0))
