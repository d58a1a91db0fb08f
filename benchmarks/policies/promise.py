"""Who keeps the promise, and who is compared with whom: users buy the percentile, then accuracy within it. Pure.

Policies are compared by awg among those that keep the percentile, wherever any policy does; where none does, all are.
"""

from collections.abc import Mapping
from typing import Literal, get_args

from benchmarks.policies.policies_run import Figures

PERCENTILE, SHORT = 0.99, 0.002
"""The share promised to be in time; a policy keeps it where its attainment is at most SHORT below it."""
LESS = 0.0005
"""An effective accuracy is less than another where it is more than this below it."""

Verdict = Literal["kept", "alone", "less accurate", "broken", "none can"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""Of ours. `alone`: no reference keeps it; `less accurate`: than a fixed variant that keeps it in full."""


def keeps(one: Figures) -> bool:
    """Whether it keeps the promise."""
    return one["attainment"] >= PERCENTILE - SHORT


def keepers(references: Mapping[str, Figures]) -> tuple[str, ...]:
    """Those that keep it, as named."""
    return tuple(name for name, one in references.items() if keeps(one))


def rivals(ours: Figures, references: Mapping[str, Figures]) -> tuple[str, ...]:
    """The references that ours is compared with: none where ours alone keeps the promise."""
    keeping = keepers(references)
    return keeping if keeping or keeps(ours) else tuple(references)


def best_fixed(references: Mapping[str, Figures]) -> str | None:
    """The most accurate of the fixed variants that keep the percentile in full, if any does."""
    full = [n for n, one in references.items() if is_fixed(n) and one["attainment"] >= PERCENTILE]
    return max(full, key=lambda name: references[name]["accuracy"], default=None)


def is_fixed(name: str) -> bool:
    """Whether a policy of this name stays with one variant and takes all the rows that fit."""
    return name.startswith(("static:", "fixed:"))


def verdict(ours: Figures, references: Mapping[str, Figures]) -> Verdict:
    """What is to be said of ours in a cell."""
    fixed = best_fixed(references)
    if not keeps(ours):
        return "broken" if keepers(references) else "none can"
    if fixed and ours["accuracy"] < references[fixed]["accuracy"] - LESS:
        return "less accurate"
    return "kept" if keepers(references) else "alone"
