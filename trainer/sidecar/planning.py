"""From what was published and what a server says to what to train next: the pure `trainer.sidecar.gaps`, fed."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from models.catalog import Family
from trainer.data import Dataset
from trainer.run.sizing import multiplications
from trainer.sidecar import memory
from trainer.sidecar.assignment import Assignment
from trainer.sidecar.frontier import Frontier, NoServer
from trainer.sidecar.gaps import Attempt, Demand, Proposal, Served, Tried, propose

_NOBODY_RPS = 1e-3
"""Where nobody asked of late, somebody is taken to ask so rarely that time is not scarce."""


_NOTHING_GAINS = "no network that may be trained would gain enough for those who ask"


class Planner:
    """What an assignment allows, sized for the images of `dataset`. Raises TrainError for a network that cannot be."""

    def __init__(self, assignment: Assignment, dataset: Dataset) -> None:
        shape, classes = dataset.train.images.shape[1:], len(dataset.classes)

        @cache
        def sized(network: str) -> int:
            return multiplications(network, shape, classes)

        self._sized = sized
        self._assignment = assignment
        self.attempts = [
            Attempt(network, budget, self._sized(network))
            for network in assignment.networks
            for budget in assignment.budgets
        ]

    def first(self, failed: Sequence[Tried] = ()) -> Proposal | None:
        """For a family that does not exist yet: what is trained soonest, so that something serves. None: all failed."""
        broken = {tried.attempt for tried in failed}
        able = [attempt for attempt in self.attempts if attempt not in broken]
        if not able:
            return None
        attempt = min(able, key=lambda o: (o.multiplications, o.budget))
        family, folder = self._assignment.family, self._assignment.repository
        reason = (
            f"there is no family {family} in {folder} yet; {attempt.network} is trained soonest"
        )
        return Proposal(attempt, 0, reason, 1.0)

    def tried(self, family: Family | None, frontier: Frontier | None = None) -> list[Tried]:
        """The runs that have come to something published."""
        return memory.tried(memory.standings(family, frontier), self._sized)

    def next(
        self, family: Family | None, frontier: Frontier, failed: Sequence[Tried] = ()
    ) -> Proposal | None:
        """What would gain most; None where nothing gains enough. Raises NoServer where nothing is measured yet."""
        variants = memory.standings(family, frontier)
        points = memory.points(variants, self._sized)
        if not points:
            name = self._assignment.family
            raise NoServer(
                f"no variant of {name} has been measured by the server yet; ask again in a while"
            )
        served = Served(points, self._demands(family, frontier), frontier.workers)
        known = [*self.tried(family, frontier), *failed]
        return propose(served, known, self.attempts, self._assignment.aim.least_gain)

    def _demands(self, family: Family | None, frontier: Frontier) -> tuple[Demand, ...]:
        asked = tuple(
            Demand(r.bound_s, r.offered / frontier.window_s, r.effective_accuracy)
            for r in frontier.regions
            if r.offered
        )
        bound_s = family.slo.latency_s if family else self._assignment.aim.slo_ms / 1e3
        return asked or (Demand(bound_s, _NOBODY_RPS),)


def as_values(proposal: Proposal | None) -> dict[str, Any]:
    """As plain values; all but the reason are None where there is nothing to train."""
    if proposal is None:
        nothing = dict.fromkeys(("network", "budget", "seed", "expected_gain"))
        return {**nothing, "reason": _NOTHING_GAINS}
    plain = asdict(proposal)
    attempt = plain.pop("attempt")
    return {**attempt, **plain}
