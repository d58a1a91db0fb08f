"""Which of a family's variants serve: grows and shrinks while the server goes on."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from models.catalog import Family, Variant
from server.runtime.arms.residency import Residency
from server.runtime.arms.tuner import Tuner
from server.runtime.candidates.measuring import MeasuredArm

Announce = Callable[[Family], None]
"""Tells the transport's side which variants there are."""


class ServingVariants:
    """`family` holds the variants that serve now: a value, swapped whole. Changed on the tuner's thread only."""

    def __init__(
        self,
        family: Family,
        residency: Residency,
        tuner: Tuner,
        announce: Announce,
        budget_s: float,
    ) -> None:
        self.family = family
        self._residency = residency
        self._tuner = tuner
        self._announce = announce
        self._budget_s = budget_s

    @property
    def is_closed(self) -> bool:
        """Whether nobody comes to serve any more: the server stops."""
        return self._tuner.is_stopping

    def serve(self, variants: Iterable[Variant], measured: Sequence[MeasuredArm] = ()) -> None:
        """Serve with these variants, no others. Arms that are `measured` serve as they are; of other new variants the
        arms are opened, and measured within the budget where that is needed. The rest goes on undisturbed.
        """
        family = replace(self.family, variants=tuple(variants))
        gone = _missing(self.family, family)
        if gone:
            self._tuner.drop(gone)
        new = _missing(family, self.family)
        self.family = family
        self._residency.adopt(family)
        self._tuner.adopt(family)
        ready = [m for m in measured if m.way.variant.name in new]
        if ready:
            self._tuner.enlist((m.way, m.profile, m.loaded) for m in ready)
        others = new - {m.way.variant.name for m in ready}
        if others:
            self._tuner.take_in(others, self._budget_s)
        if gone and not new:
            self._tuner.settle()  # what was not worth its memory beside those may be now
        self._announce(family)

    def has_arm(self, variant: str) -> bool:
        """Whether the policy may choose it."""
        return any(arm.variant == variant for arm in self._tuner.arms)


def _missing(one: Family, other: Family) -> set[str]:
    """Names of the variants of `one` that `other` has not, or with another artefact."""
    held = {(v.name, v.content) for v in other.variants}
    return {v.name for v in one.variants if (v.name, v.content) not in held}
