"""Which dispatcher should be in force: a challenger must lead the replays for long, or by far. Pure hysteresis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Reason = Literal["best", "close", "leading", "steady", "far_ahead", "gone"]
"""`best` nobody leads it; `close` not by enough; `leading` by enough, not yet for long enough. The others hand over:
`steady` lead, `far_ahead` at once, `gone` the one in force is no candidate any more."""


@dataclass(frozen=True, slots=True)
class ContestRules:
    """How much better (in accuracy-weighted goodput, 0..1) and for how long a challenger has to be."""

    margin: float = 0.002
    """Replays of one window that differ by less differ by their noise."""
    windows: int = 2
    """Consecutive windows led by `margin`."""
    at_once: float = 0.02
    """A lead no noise explains: every window waited is lost."""


@dataclass(frozen=True, slots=True)
class Contest:
    """Who is in force, and in how many windows in a row each challenger has led it."""

    in_force: str
    leads: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class ContestResult:
    """Who should be in force and why; `lead` is how far the best challenger was ahead in this window, 0 if none was."""

    in_force: str
    reason: Reason
    lead: float


def judge(
    contest: Contest, scores: Mapping[str, float], rules: ContestRules | None = None
) -> tuple[Contest, ContestResult]:
    """The contest after one more window, and the verdict. `scores`: accuracy-weighted goodput by candidate.

    A new one in force starts without challengers. Raises ValueError where there are no scores.
    """
    if not scores:
        raise ValueError("no scores to judge by; replay at least one candidate")
    rules = rules or ContestRules()
    best = max(sorted(scores), key=scores.__getitem__)
    held = scores.get(contest.in_force)
    if held is None:
        return Contest(best), ContestResult(best, "gone", 0.0)
    lead = scores[best] - held
    if lead >= rules.at_once:
        return Contest(best), ContestResult(best, "far_ahead", lead)
    leads = {
        name: contest.leads.get(name, 0) + 1
        for name, score in scores.items()
        if name != contest.in_force and score - held >= rules.margin
    }
    steady = [name for name in sorted(leads) if leads[name] >= rules.windows]
    if steady:
        heir = max(steady, key=scores.__getitem__)
        return Contest(heir), ContestResult(heir, "steady", scores[heir] - held)
    reason = "leading" if leads else "close" if lead > 0.0 else "best"
    return Contest(contest.in_force, leads), ContestResult(contest.in_force, reason, lead)
