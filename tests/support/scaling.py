"""The same problem in another unit of time: all that is measured in seconds, `k` times as long. Exact for k = 2^n."""

from collections.abc import Iterable, Sequence
from typing import Any

from server.policy.decision import ArmProfile, Decision, Outlook, Policy, PolicyFactory, Run, Ticket
from server.simulator.engine import simulate
from server.simulator.outcomes import Outcomes
from server.simulator.setup import Setup

POWERS = (-3, -2, -1, 1, 2, 3, 4)
"""The k that are tried are 2 to one of these."""

Decided = tuple[float, tuple[object, ...]]
"""When (s) something was decided, and what: its kind, arm, tickets, reason and drops."""


def scaled(value: Any, k: float) -> Any:
    """A value with all its times k times as long and rates a k-th: the fields named so, in values within it too."""
    names = getattr(value, "_fields", None) or getattr(value, "__dataclass_fields__", None)
    if names:
        return type(value)(**{name: _field(name, getattr(value, name), k) for name in names})
    if not hasattr(value, "_fields") and isinstance(value, tuple | list):
        return tuple([scaled(one, k) for one in value])
    return value


def served(
    arms: Iterable[ArmProfile],
    factory: PolicyFactory,
    tickets: Iterable[Ticket],
    setup: Setup,
    k: float = 1.0,
) -> tuple[list[Decided], Outcomes]:
    """Every decision of a simulation whose times are all k times as long, and what became of the tickets."""
    decided: list[Decided] = []
    arms, tickets = [scaled(arm, k) for arm in arms], [scaled(ticket, k) for ticket in tickets]
    return decided, simulate(arms, _telling(factory, decided), tickets, scaled(setup, k))


def _telling(factory: PolicyFactory, decided: list[Decided]) -> PolicyFactory:
    def build(arms: Sequence[ArmProfile]) -> Policy:
        policy = factory(arms)

        def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
            step = policy(tickets, outlook, now_s)
            decided.append((now_s, _told(step)))
            return step

        return decide

    return build


def _told(step: Decision) -> tuple[object, ...]:
    drops = tuple([(drop.ticket.id, drop.reason) for drop in step.dropped])
    if isinstance(step, Run):
        return (step.profile.arm, tuple([t.id for t in step.tickets]), step.reason, drops)
    return (type(step), drops)


def _field(name: str, field: Any, k: float) -> Any:
    factor = k if name.endswith("_s") else 1.0 / k if name.endswith("_rps") else 0.0
    if not factor or field is None:
        return scaled(field, k)
    return tuple([s * factor for s in field]) if isinstance(field, tuple) else field * factor
