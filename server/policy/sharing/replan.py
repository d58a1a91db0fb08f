"""What becomes of the plan in force when tasks, costs or the budget change, and whether a new one is worth switching to. Pure."""

from server.policy.sharing.options import choice, mean_f1, options_of, with_choices
from server.policy.sharing.plan import Choice, Plan
from server.policy.sharing.tree import cost_of
from server.policy.sharing.workload import Workload

MARGIN = 0.005
"""Of the objective: a switch re-arms branches and rates, and predictions are hardly better than this."""


def worth_switching(current: Plan, new: Plan, workload: Workload) -> bool:
    return True


def adapted(current: Plan, workload: Workload) -> Plan | None:
    return None
