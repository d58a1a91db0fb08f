"""The execution tree of a plan: which stretch of the stem runs at which rate, what hangs where, what that costs. Pure.

The planner charges by it and the runtime runs by it, so that the two cannot disagree.
"""

from collections.abc import Iterable, Sequence

from server.sharing.planner.plan import Choice, StemSegment
from server.sharing.planner.workload import NetworkCosts

Cut = tuple[int, float]
"""(frozen layers, rate in frames a second) of one task."""


def stem_of(cuts: Iterable[Cut]) -> tuple[StemSegment, ...]:
    """The stem's steps: each stretch runs at the highest rate of the tasks that branch at its end or deeper.

    Stretches of equal rate are one step, so rates fall strictly. A task that freezes nothing has no part in it.
    """
    fastest: dict[int, float] = {}
    for frozen, rate_fps in cuts:
        fastest[frozen] = max(rate_fps, fastest.get(frozen, 0.0))
    fastest.pop(0, None)
    steps: list[StemSegment] = []
    end, rate = 0, 0.0
    for frozen in sorted(fastest, reverse=True):
        if fastest[frozen] > rate:
            if rate:
                steps.append(StemSegment(frozen, end, rate))
            end, rate = frozen, fastest[frozen]
    if rate:
        steps.append(StemSegment(0, end, rate))
    return tuple(reversed(steps))


def cost_of(choices: Sequence[Choice], costs: NetworkCosts) -> float:
    """What a second of these choices costs: the stem's steps and every task's own layers, each at its rate."""
    stem = stem_of((c.frozen, c.rate_fps) for c in choices)
    shared = sum(costs.segment(step.start, step.end) * step.rate_fps for step in stem)
    return shared + sum(costs.heads[c.task, c.frozen] * c.rate_fps for c in choices)
