"""Other ways to share, to compare a plan with: greedily, as much as there is, or not at all. Pure.

The last two decide only the rates (and votes), and those as well as can be: a weak rival would flatter us.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from server.sharing.planner.plan import Infeasible, Plan
from server.sharing.planner.search.exact import solve
from server.sharing.planner.search.greedy import greedy
from server.sharing.planner.workload import NetworkCosts, Workload

__all__ = ["RIVALS", "Rival", "compared", "greedy", "max_sharing", "no_sharing"]

PATIENCE_S = 10.0
"""For one solution; then the best found so far counts. Seldom needed: proofs take fractions of a second."""


def max_sharing(workload: Workload) -> Plan:
    """Every task branches at its deepest point; rates are optimal. Raises Infeasible."""
    deepest = (replace(task, branches=task.branches[-1:]) for task in workload.tasks)
    return solve(replace(workload, tasks=tuple(deepest)), time_limit_s=PATIENCE_S).plan


def no_sharing(workload: Workload) -> Plan:
    """Every task runs a whole network of its own; rates are optimal.

    A task's network is that of its shallowest branch. Several whole networks seldom fit a budget, so tasks may also run
    at tenths of the lowest rate, as the paper's authors let them, or not at all. Raises Infeasible where a floor is not
    reached.
    """
    lowest = workload.rules.rates_fps[0]
    slower = (0.0, *(lowest * tenth / 10.0 for tenth in range(1, 10)))
    rules = replace(workload.rules, rates_fps=(*slower, *workload.rules.rates_fps))
    alone = (
        replace(task, branches=(replace(task.branches[0], frozen=0),)) for task in workload.tasks
    )
    return solve(Workload(tuple(alone), _unshared(workload), rules), time_limit_s=PATIENCE_S).plan


def _unshared(workload: Workload) -> NetworkCosts:
    """Whole networks: the stem below a task's shallowest branch is its own too."""
    costs = workload.costs
    cuts = [(task.name, task.branches[0].frozen) for task in workload.tasks]
    return NetworkCosts(
        {0: 0.0}, {(name, 0): costs.stem[cut] + costs.heads[name, cut] for name, cut in cuts}
    )


RIVALS: tuple[tuple[str, Callable[[Workload], Plan]], ...] = (
    ("greedy", greedy),
    ("max-sharing", max_sharing),
    ("no-sharing", no_sharing),
)


@dataclass(frozen=True, slots=True)
class Rival:
    """Its plan, or None and why there is none."""

    name: str
    plan: Plan | None
    why: str = ""


def compared(workload: Workload) -> Iterator[Rival]:
    """All of them on one workload."""
    for name, rival in RIVALS:
        try:
            yield Rival(name, rival(workload))
        except (Infeasible, TimeoutError) as error:
            yield Rival(name, None, str(error))
