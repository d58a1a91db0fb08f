"""What a search moves in: options with what each brings, a budget, and a choice of one option for every task. Pure."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from server.sharing.planner.options import Floats, Ints, Option, OptionTable
from server.sharing.planner.search.knapsack import Knapsack, best_fill

Picks = Ints
"""The places in the menu of the option that each task takes, (tasks, 2): depth, rate."""


@dataclass(frozen=True, slots=True)
class Field:
    """Options, (tasks, depths, rates) as in the menu, with what each brings to the objective; -inf: not allowed."""

    menu: OptionTable
    benefit: Floats
    budget: float

    def above(self, level: float) -> "Field":
        """Without the options whose F1 is below."""
        return replace(self, benefit=np.where(self.menu.f1 >= level, self.benefit, -np.inf))

    def benefit_of(self, picks: Picks) -> float:
        """In all."""
        return float(self.benefit[_at(picks)].sum())

    def cost_of(self, picks: Picks) -> float:
        """A second, stem and heads."""
        stem = self.stem_cost(levels_of(picks, len(self.menu.depths) - 1))
        return stem + float(self.menu.head_cost[_at(picks)].sum())

    def stem_cost(self, levels: Ints) -> float:
        """A second, of one staircase."""
        return float(np.concatenate([[0.0], self.menu.rates_fps])[levels] @ self.menu.segments)

    def liked(self, levels: Ints, price: float) -> Picks:
        """What every task likes best below this staircase, at a price of cost."""
        net = np.where(reached(levels, len(self.menu.rates_fps)), self.benefit, -np.inf)
        net -= price * self.menu.head_cost
        flat = net.reshape(len(net), -1).argmax(axis=1)
        return np.stack(np.divmod(flat, net.shape[2]), axis=1)

    def filled(self, levels: Ints, above: float) -> Picks | None:
        """The best picks below this staircase, if they bring more than `above`."""
        left = self.budget - self.stem_cost(levels)
        if left < 0:
            return None
        within = np.flatnonzero(reached(levels, len(self.menu.rates_fps)))
        benefit = self.benefit.reshape(len(self.benefit), -1)[:, within]
        head_cost = self.menu.head_cost.reshape(len(benefit), -1)[:, within]
        taken = best_fill(Knapsack(benefit, head_cost, left), above)
        if taken is None:
            return None
        return np.stack(np.divmod(within[taken], len(self.menu.rates_fps)), axis=1)

    def options(self, picks: Picks) -> list[Option]:
        """In the menu's order of tasks."""
        return [self.menu.options[i, d, r] for i, (d, r) in enumerate(picks.tolist())]


def _at(picks: Picks) -> tuple[Ints, Ints, Ints]:
    return np.arange(len(picks)), picks[:, 0], picks[:, 1]


def reached(levels: Ints, rates: int) -> NDArray[np.bool_]:
    """Which (depth, rate) a stem of these levels allows; depth 0 needs none."""
    return np.arange(rates) < np.concatenate([[rates], levels])[:, None]


def levels_of(picks: Picks, stretches: int) -> Ints:
    """The lowest staircase that these picks need."""
    deeper = np.arange(stretches) < picks[:, :1]
    return np.where(deeper, picks[:, 1:] + 1, 0).max(axis=0)
