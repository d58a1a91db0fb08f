"""One family as fronts see it: its signature, the checks of its requests, and who answers questions about it."""

from dataclasses import dataclass

from models.catalog import Family, TensorSpec
from server.engine.checking.checks import Checks
from server.metrics import FamilyMetrics
from server.runtime.candidates.candidates import Candidates
from server.runtime.dispatch.dispatcher import Dispatcher


@dataclass(slots=True, eq=False)
class ServedFamily:
    """`family` holds the variants that serve now, `candidates` tells of others; `published` is as the manifest has it,
    with as many rows in a batch as its publisher allows."""

    family: Family
    published: Family
    checks: Checks
    dispatcher: Dispatcher
    metrics: FamilyMetrics
    candidates: Candidates

    def adopt(self, family: Family) -> None:
        """The variants that serve are others now. Any thread: each is one assignment."""
        self.checks.adopt(family)
        self.family = family

    @property
    def outputs(self) -> dict[str, TensorSpec]:
        """Output name -> its spec."""
        return {spec.name: spec for spec in self.family.outputs}
