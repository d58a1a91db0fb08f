"""What a run has cost, in units of one evaluation forward of one example. Pure."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Prices:
    """What each kind of work costs per example, in units: 1 is an evaluation forward in float32, on the same threads.

    `step`: forward, backward and update of a training step. `selection`: a selection forward on the way chosen for it.
    `bookkeeping`: all else that a look at an example costs: choosing, queueing, remembering. `unit_s`: seconds of CPU
    that one unit took when these were measured.
    """

    step: float
    selection: float
    bookkeeping: float
    unit_s: float

    @property
    def f(self) -> float:
        """Selection forward over training step: what bounds Selective-Backprop's gain to 1 / (f + keep rate)."""
        return self.selection / self.step


@dataclass(frozen=True, slots=True)
class Ledger:
    """Examples counted by what was done with them."""

    looks: int = 0
    selections: int = 0
    backprops: int = 0
    evaluations: int = 0

    def looked(self, looks: int, selections: int) -> "Ledger":
        """So many examples were looked at; for so many of them a selection forward was run."""
        return replace(self, looks=self.looks + looks, selections=self.selections + selections)

    def trained(self, examples: int) -> "Ledger":
        """A training step on so many examples."""
        return replace(self, backprops=self.backprops + examples)

    def evaluated(self, examples: int) -> "Ledger":
        """So many held-out examples were evaluated to steer the run."""
        return replace(self, evaluations=self.evaluations + examples)

    def units(self, prices: Prices) -> float:
        """All of it at these prices."""
        return (
            self.backprops * prices.step
            + self.selections * prices.selection
            + self.looks * prices.bookkeeping
            + self.evaluations
        )

    @property
    def forwards(self) -> int:
        """Examples that went forward, whatever for."""
        return self.selections + self.backprops + self.evaluations

    @property
    def keep_rate(self) -> float:
        """Trained on over looked at; 1 before the first look."""
        return self.backprops / self.looks if self.looks else 1.0
