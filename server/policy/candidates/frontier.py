"""Whether an arm moves the frontier of accuracy against latency that other arms span. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from server.policy.decision import ArmProfile

FASTER = 0.05
"""An arm that is no more accurate than another must be faster by this share: two measurements of one arm differ so."""
LEAST_GAIN = 0.001
"""An arm that is slower than another must be at least this much more accurate."""


class Cover(NamedTuple):
    """At a batch of `rows`, `by` is at least as accurate as `arm` and at most as slow."""

    arm: ArmProfile
    by: ArmProfile
    rows: int

    def text(self) -> str:
        """In words: which arm, and how the two compare."""
        other, mine, b = self.by.arm, self.arm, self.rows
        return (
            f"neither clearly more accurate ({mine.accuracy:.4f} against {self.by.accuracy:.4f}) nor clearly faster "
            f"({mine.mean_s[b] * 1e3:.2f} against {self.by.mean_s[b] * 1e3:.2f} ms for {b} row{'s' * (b > 1)}) than "
            f"{other.variant} on {other.backend} ({other.device})"
        )


def gain_of(interval: float) -> float:
    """The accuracy by which a slower arm must be ahead: more than its own is uncertain by (95 % half-width)."""
    return max(LEAST_GAIN, interval)


def covered(arms: Iterable[ArmProfile], gain: float, others: Sequence[ArmProfile]) -> Cover | None:
    """Why `arms` (of one variant) do not move the frontier of `others`: one cover of the first; None where they do.

    They do where, for one of them at a batch of 1, 2, 4, ... rows that an other can run too, no other is at least as
    accurate and at most as slow in the mean. For every latency bound there is then a request that is served better:
    one whose bound is that arm's latency. A lead in accuracy counts from `gain` on, one in speed from FASTER on.
    """
    found: Cover | None = None
    for arm in arms:
        covers = [_cover(arm, gain, others, rows) for rows in _sizes(arm, others)]
        if not covers or None in covers:
            return None
        found = found or covers[0]
    return found


def slowed(arm: ArmProfile, factor: float) -> ArmProfile:
    """The arm if every batch took `factor` times as long."""
    mean_s, upper_s = ([s * factor for s in table] for table in (arm.mean_s, arm.upper_s))
    return replace(arm, mean_s=tuple(mean_s), upper_s=tuple(upper_s))


def _cover(arm: ArmProfile, gain: float, others: Sequence[ArmProfile], rows: int) -> Cover | None:
    able = [o for o in others if o.max_batch >= rows and _covers(o, arm, gain, rows)]
    return Cover(arm, min(able, key=lambda o: o.mean_s[rows]), rows) if able else None


def _covers(other: ArmProfile, arm: ArmProfile, gain: float, rows: int) -> bool:
    if other.accuracy >= arm.accuracy and other.mean_s[rows] <= (1 + FASTER) * arm.mean_s[rows]:
        return True
    return other.accuracy > arm.accuracy - gain and other.mean_s[rows] <= arm.mean_s[rows]


def _sizes(arm: ArmProfile, others: Sequence[ArmProfile]) -> list[int]:
    """Batches larger than any other was measured with say nothing: how far one measures depends on the load."""
    most = min(arm.max_batch, max((o.max_batch for o in others), default=0))
    return [1 << k for k in range(most.bit_length())]
