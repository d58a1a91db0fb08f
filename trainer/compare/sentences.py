"""Who wins a comparison, by how much, and where nothing is significant, in plain sentences. Pure."""

import math
from itertools import chain

from trainer.compare.curves import CONFIDENCE_TEXT, Summary
from trainer.compare.findings import Findings, Match

CLOSE = 0.05
"""Costs in CPU seconds and in units may differ so much, as a share, before it is said."""

BUDGET_SHARE = 0.01
"""So much, as a share, may a run spend beside its budget before it is said."""


def in_short(found: Findings) -> list[str]:
    """The best first, then each selector against the baseline, then what the reader has to know to trust it."""
    of_baseline = [m for m in found.matches if m.theirs == found.baseline]
    return [*_winner(found), *(_against(m) for m in of_baseline), *_doubts(found)]


def _winner(found: Findings) -> list[str]:
    if len(found.curves) < 2:
        return []
    if found.best is None:
        return [f"No selector is cheaper than `{found.baseline}` at equal error."]
    won = [f"`{m.theirs}`" for m in found.of_best if m.verdict == 1]
    level = [f"`{m.theirs}`" for m in found.of_best if m.verdict != 1]
    ahead = f"; significantly ahead of {', '.join(won)}" if won else ""
    behind = f"; not significantly ahead of {', '.join(level)}" if level else ""
    return [f"Cheapest at equal error: `{found.best}`{ahead}{behind}."]


def _against(match: Match) -> str:
    return f"`{match.ours}` against `{match.theirs}`: {_cost(match)}{_error(match)}{_backprops(match)}."


def _cost(match: Match) -> str:
    s = match.speedup
    if s.ratio is None:
        return _bound(match)
    dearer = s.ratio < 1.0
    size = f"{1 / s.ratio if dearer else s.ratio:.2f} times {'dearer' if dearer else 'cheaper'} at equal error"
    if s.interval is None:
        return f"{size}, of a single seed: whether that is significant is unknown"
    high = "no limit" if math.isinf(s.interval[1]) else f"{s.interval[1]:.2f}"
    evidence = f"speed-up {s.ratio:.2f}, {CONFIDENCE_TEXT} interval {s.interval[0]:.2f} to {high}, {s.seeds} seeds"
    if s.verdict == 0:
        return f"no significant difference of cost at equal error ({evidence})"
    return f"{size} ({evidence})"


def _bound(match: Match) -> str:
    s = match.speedup
    if s.at_least is not None:
        size = f"its errors are all lower: more than {s.at_least:.2f} times cheaper"
    elif s.at_most is not None:
        size = f"its errors are all higher: speed-up less than {s.at_most:.2f}"
    else:
        return "no runs to compare"
    doubt = {0: ", not significantly", None: "; whether that is significant is unknown"}
    return size + doubt.get(match.verdict, "")


def _error(match: Match) -> str:
    """At the largest budget that both have a run of."""
    last = next((d for d in reversed(match.differences) if d is not None), None)
    if last is None:
        return ""
    size = f"{abs(100 * last.mean):.2f} points {'lower' if last.mean < 0 else 'higher'}"
    return f"; at the largest common budget its error is {size}{_significance(last)}"


def _significance(difference: Summary) -> str:
    if difference.interval is None:
        return ""
    low, high = difference.interval
    evidence = f"{CONFIDENCE_TEXT} interval {100 * low:+.2f} to {100 * high:+.2f}"
    return f" ({evidence})" if low > 0.0 or high < 0.0 else f", not significantly ({evidence})"


def _backprops(match: Match) -> str:
    saved = match.speedup.backprops_ratio
    if saved is None:
        return ""
    size = f"{saved:.2f} times fewer" if saved >= 1.0 else f"{1 / saved:.2f} times as many"
    return f"; {size} backprops at equal error"


def _doubts(found: Findings) -> list[str]:
    seeds = max(len(c.seeds) for c in found.curves.values())
    few = [f"Only {seeds} seed(s): too few for a verdict."] if seeds < 3 else []
    absent = len(found.absent)
    gone = [f"Without a result: {absent} run(s), see the report's end."] if absent else []
    of_each = [(*_pace(found, selector), *_spent(found, selector)) for selector in found.curves]
    return [*few, *gone, *chain.from_iterable(of_each)]


def _pace(found: Findings, selector: str) -> list[str]:
    """Whether units stand for CPU seconds alike."""
    mine, base = (
        found.figure(s, None, lambda o: o.cpu_seconds / o.units if o.units else None)
        for s in (selector, found.baseline)
    )
    if not mine or not base or not base.mean or abs(mine.mean / base.mean - 1.0) <= CLOSE:
        return []
    ratio = mine.mean / base.mean
    effect = "smaller" if ratio > 1.0 else "larger"
    return [
        f"A unit of `{selector}` took {ratio:.2f} times the CPU seconds of one of `{found.baseline}`: "
        f"measured in CPU seconds its speed-up is {effect} by that."
    ]


def _spent(found: Findings, selector: str) -> list[str]:
    shares = [
        spent.mean / budget
        for budget in found.budgets
        if (spent := found.figure(selector, budget, lambda o: o.units)) is not None
    ]
    worst = max(shares, key=lambda share: abs(share - 1.0), default=1.0)
    if abs(worst - 1.0) <= BUDGET_SHARE:
        return []
    return [f"`{selector}` spent {worst:.3f} of a budget where it was farthest from it."]
