"""Which of a family's arms to hold, and what they take: all that are worth it, or what fits the operator's budget."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from models.artifacts import size_of
from models.backends.base import BackendError
from models.catalog import Variant
from server.policy.arms.holding import ArmMemory, MemoryTerms, TooLittleMemory, held_within
from server.policy.arms.keep import worth_holding
from server.policy.arms.residency import Layout
from server.policy.decision import Arm, ArmProfile
from server.runtime.arms.knowledge import Knowledge
from server.runtime.arms.residency import Residency
from server.runtime.dispatch.dispatcher import Dispatcher

_log = logging.getLogger(__name__)

_MIB = 1 << 20
RECONSIDER_S = 60.0
"""So often (s) it is asked whether the load calls for other arms than those that are held."""


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """What a family's arms take by their profiles, what they may (0: no bound), and how many are out for want of it."""

    taken_bytes: int
    budget_bytes: int
    left_out: int


class Holding:
    """One family's. `left_out`: the arms that would be held if there were more memory."""

    def __init__(self, residency: Residency, knowledge: Knowledge, dispatcher: Dispatcher) -> None:
        self._residency = residency
        self._knowledge = knowledge
        self._dispatcher = dispatcher
        self.left_out: frozenset[Arm] = frozenset()
        self._again_s = inf
        self._artefacts: dict[Variant, int] = {}

    def worth(self, found: Iterable[ArmProfile]) -> frozenset[Arm]:
        """The arms to hold of these. Raises BackendError where the budget holds not one of them."""
        tables = list(found)
        kept, budget_bytes = worth_holding(tables), self.budget_bytes
        if not budget_bytes or not kept:
            self.left_out = frozenset()
            return kept
        arms = [self._memory(table) for table in tables if table.arm in kept]
        try:
            held = held_within(arms, self._terms(budget_bytes), self._residency.loaded.keys())
        except TooLittleMemory as error:
            raise BackendError(self._too_little(error)) from error
        self._note(held, kept)
        return held

    @property
    def budget_bytes(self) -> int:
        """What the arms may take; 0: no bound."""
        return self._residency.placement.memory_bytes

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask again."""
        return time.monotonic() >= self._again_s

    def use(self) -> MemoryUse:
        """What is taken now. Any thread."""
        taken = sum(self._bytes(arm) for arm in list(self._residency.loaded))
        return MemoryUse(taken, self.budget_bytes, len(self.left_out))

    def _terms(self, budget_bytes: int) -> MemoryTerms:
        placement, load = self._residency.placement, self._dispatcher.load()
        layout = Layout(placement.threads, placement.instances)
        slo_s = self._knowledge.family.slo.latency_s
        return MemoryTerms(budget_bytes, layout, slo_s, load.rate_rps)

    def _memory(self, table: ArmProfile) -> ArmMemory:
        profile = self._knowledge.profile(table.arm)
        return ArmMemory(table, self._bytes(table.arm), profile.load_s if profile else 0.0)

    def _bytes(self, arm: Arm) -> int:
        """As it was measured; no less than its artefact, as what the process had free before is not seen to grow."""
        profile = self._knowledge.profile(arm)
        variant = self._knowledge.family.variant(arm.variant)
        least = self._artefact_bytes(variant) if variant is not None else 0
        return max(least, profile.memory_bytes if profile is not None else 0)

    def _artefact_bytes(self, variant: Variant) -> int:
        """Looked up once: a graph is read for the files that it names."""
        if variant not in self._artefacts:
            self._artefacts[variant] = size_of(self._residency.placement.folder, variant)
        return self._artefacts[variant]

    def _note(self, held: frozenset[Arm], kept: frozenset[Arm]) -> None:
        left_out = kept - held
        self._again_s = time.monotonic() + RECONSIDER_S if left_out else inf
        if left_out != self.left_out:
            taken = sum(map(self._bytes, held))
            names = ", ".join(sorted(f"{arm.variant} on {arm.backend}" for arm in left_out))
            _log.info(
                "%s: memory_mib holds %d of %d arms, %d of %d MiB; left out: %s",
                self._knowledge.family.name,
                len(held),
                len(kept),
                round(taken / _MIB),
                self.budget_bytes // _MIB,
                names or "none",
            )
        self.left_out = left_out

    def _too_little(self, error: TooLittleMemory) -> str:
        least_mib = -(-error.least_bytes // _MIB)
        return (
            f"memory_mib {self.budget_bytes // _MIB} is too little for {self._knowledge.family.name}: its smallest, "
            f"{error.arm.variant} on {error.arm.backend}, takes {least_mib} MiB; set memory_mib of [machine] to "
            f"{least_mib} at least, or to 0 for no bound"
        )
