"""What a worker's first batch on another arm than its last takes longer: learnt from live batches. Pure.

Caches are cold then, a graph has to be put in place. Each arm's batches after another arm are compared with those after
itself: medians of their last errors, so that stalls count for nothing. The arms' differences make one figure for the
family, each by how sure it is (inverse variances, as strata are pooled), of which what chance could explain is taken
off (Breiman's non-negative garrote, 1995): where a switch costs nothing that can be told from noise, it is nothing.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import sqrt
from statistics import median
from typing import NamedTuple

KEPT = 64
"""Last errors of each kind that are kept of an arm."""
LEAST = 16
"""An arm says nothing on fewer of either kind."""
SURE = 4.0
"""A cost of fewer standard errors is none."""
REPEATS = 0.01
"""Share of its latency to which a batch repeats at best: what little scatter a few show is not believed."""
OF_MEDIAN = 1.57
"""Variance of a median over that of a mean, of normal errors (pi / 2)."""
OF_MAD = 1.48
"""A normal error's deviation over its median absolute one."""


class Errors(NamedTuple):
    """Of an arm: by how much (s) its last batches took longer than foreseen, after itself and after another.

    `excess_s` is how much longer they take after another, `certainty` the inverse of that figure's variance.
    """

    stayed_s: tuple[float, ...] = ()
    switched_s: tuple[float, ...] = ()
    excess_s: float = 0.0
    certainty: float = 0.0


@dataclass(frozen=True, slots=True)
class Switches:
    """What switches have taught: by arm, and as one figure.

    `last_s`: when a worker switched last; `kept`: what is still believed since then.
    """

    arms: Mapping[Hashable, Errors] = field(default_factory=dict[Hashable, Errors])
    learnt_s: float = 0.0
    last_s: float = 0.0
    kept: float = 1.0

    @property
    def cost_s(self) -> float:
        """What a switch is believed to cost now (s)."""
        return self.learnt_s * self.kept


def stayed(state: Switches, key: Hashable, error_s: float) -> Switches:
    """The state after a batch of arm `key` on a worker that ran it before, `error_s` (s) longer than foreseen."""
    arm = state.arms.get(key, Errors())
    stayed_s = (*arm.stayed_s[1 - KEPT :], error_s)
    known = Errors(stayed_s, arm.switched_s, arm.excess_s, arm.certainty)
    return Switches({**state.arms, key: known}, state.learnt_s, state.last_s, state.kept)


def switched(
    state: Switches, key: Hashable, error_s: float, foreseen_s: float, now_s: float
) -> Switches:
    """The state after a batch on a worker that ran another arm before, `error_s` longer than the same without that."""
    arm = state.arms.get(key, Errors())
    arm = arm._replace(switched_s=(*arm.switched_s[1 - KEPT :], error_s))
    if min(len(arm.stayed_s), len(arm.switched_s)) >= LEAST:
        arm = _compared(arm, REPEATS * foreseen_s)
    arms = {**state.arms, key: arm}
    return Switches(arms, _pooled(arms.values()), now_s)


def idle(state: Switches, halvings: float) -> Switches:
    """The state after so many half-lives without a switch: what they cost is believed the less, and so tried again."""
    return replace(state, kept=0.5 ** max(halvings, 0.0))


def without(state: Switches, keys: Sequence[Hashable]) -> Switches:
    """The state that does not know these arms any more."""
    gone = set(keys)
    return replace(state, arms={key: arm for key, arm in state.arms.items() if key not in gone})


def _compared(arm: Errors, least_s: float) -> Errors:
    stayed_s, stayed_var = _middle(arm.stayed_s, least_s)
    switched_s, switched_var = _middle(arm.switched_s, least_s)
    certainty = 1.0 / (stayed_var + switched_var)
    return arm._replace(excess_s=switched_s - stayed_s, certainty=certainty)


def _middle(errors_s: Sequence[float], least_s: float) -> tuple[float, float]:
    """(the median, its variance); a single error scatters by `least_s` at least."""
    middle_s = median(errors_s)
    scatter_s = OF_MAD * median([abs(e - middle_s) for e in errors_s])
    return middle_s, OF_MEDIAN * max(scatter_s, least_s) ** 2 / len(errors_s)


def _pooled(arms: Iterable[Errors]) -> float:
    """One figure (s) for all arms, less what may be chance."""
    known = list(arms)
    certainty = sum([arm.certainty for arm in known])
    if not certainty:
        return 0.0
    excess_s = sum([arm.excess_s * arm.certainty for arm in known]) / certainty
    chance_s = SURE / sqrt(certainty)
    return excess_s * (1.0 - (chance_s / excess_s) ** 2) if excess_s > chance_s else 0.0
