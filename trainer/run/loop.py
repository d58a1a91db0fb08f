"""One training run: looks at examples, trains on those that the selector keeps, until its budget is spent.

The order of everything follows from the seed, the settings and the prices alone: no clock is read here.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.errors import Diverged, TrainError
from trainer.run.cost import Ledger, Prices
from trainer.run.learner import Learner
from trainer.run.pixels import Pixels
from trainer.run.schedule import learning_rate
from trainer.run.scoring import Scorer
from trainer.run.settings import Settings
from trainer.selectors import Batches, Selector

CHUNK = 512
"""Examples looked at together."""
JUDGED_SHARE = 0.04
"""Of the budget, at least, between two looks at the held-out examples."""
MOST_JUDGING = 0.02
"""Of what is spent, on these looks: less would be learnt of a small budget than they cost it."""
_SMOOTHING = 0.02
_DIVERGED = 3.0
"""A smoothed training loss of so many times ln(classes), which guessing has, will not come down again."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run works with. `held_out` steers a selector that adapts, where there is one."""

    learner: Learner
    scorer: Scorer
    selector: Selector
    held_out: Pixels | None
    classes: int


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One training step done: share of the budget spent (0 to 1), its mean loss, the rate it was taken at."""

    share: float
    loss: float
    rate: float


class Run:
    """`steps` trains; between two of them `state` may be taken, from which another Run goes on bit by bit the same."""

    def __init__(self, settings: Settings, prices: Prices, parts: Parts) -> None:
        self.settings = settings
        self.prices = prices
        self.ledger = Ledger()
        self._parts = parts
        self._rng = np.random.default_rng(settings.seed)
        self._batches = Batches(settings.recipe.batch)
        self._epoch = -1
        self._order: NDArray[np.intp] = np.empty(0, np.intp)
        self._at = 0
        self._smooth_loss = math.log(parts.classes)
        self._judged_units, self._judged_loss = 0.0, math.nan

    @property
    def share(self) -> float:
        """Of the budget, spent."""
        return self.units / self.settings.budget

    @property
    def units(self) -> float:
        """Spent."""
        return self.ledger.units(self.prices)

    @property
    def _last_units(self) -> float:
        """The most that may be spent before a step, for the budget to pay for that step."""
        return self.settings.budget - self.settings.recipe.batch * self.prices.step

    @property
    def keep_rate(self) -> float:
        """What the selector expects to keep now of what it looks at."""
        return self._parts.selector.keep_rate

    @property
    def epoch(self) -> int:
        """Begun last, from 0; -1 before the first."""
        return self._epoch

    def steps(self) -> Iterator[TrainingStep]:
        """Train until the budget does not pay for the next step, or for a look and a step after it; it is not exceeded.

        Raises TrainError when training diverges, and where the budget ends before the first step.
        """
        while self.units <= self._last_units:
            waiting = self._batches.pop()
            if waiting is not None:
                step = self._train(*waiting)
                self._judge()  # before others see the step: they may save the state
                yield step
            elif affordable := self._affordable():
                self._look(affordable)
            else:
                break
        if not self.ledger.backprops:
            raise self._too_little()

    def _affordable(self) -> int:
        """How many examples can be looked at and leave enough for a step, were all to need a selection forward."""
        price = self.prices.selection + self.prices.bookkeeping
        left = self._last_units - self.units
        return CHUNK if left >= CHUNK * price else int(left / price)

    def _look(self, most: int) -> None:
        """Choose among the next examples, `most` of them or fewer, of the epoch's order."""
        parts = self._parts
        if self._at >= len(self._order):
            self._begin_epoch()
        ids = self._order[self._at : self._at + most]
        self._at += len(ids)
        unknown = parts.selector.unknown(ids)
        losses = np.full(len(ids), np.nan, np.float32)
        asked = ids[unknown]
        if len(asked):
            losses[unknown] = parts.scorer.losses(asked)
        self.ledger = self.ledger.looked(len(ids), len(asked))
        kept = self._checked(lambda: parts.selector.keep(ids, losses, self._rng))
        self._batches.push(ids[kept.positions], kept.weights)

    def _begin_epoch(self) -> None:
        self._epoch += 1
        self._parts.selector.begin_epoch(self._epoch, min(1.0, self.share))
        self._order = self._parts.selector.order(self._rng)
        self._at = 0
        if not len(self._order):
            raise TrainError(
                f"selector {self._parts.selector.name} leaves no example in epoch {self._epoch}"
            )

    def _train(self, ids: NDArray[np.intp], weights: NDArray[np.float32]) -> TrainingStep:
        recipe, parts = self.settings.recipe, self._parts
        share = self.units / self._last_units if self._last_units else 1.0
        rate = learning_rate(share, recipe.lr, warmup=recipe.warmup, decay=recipe.decay)
        losses = parts.learner.step(ids, weights, rate, self._rng)
        self._checked(lambda: parts.selector.trained(ids, losses))
        parts.scorer.stepped()
        self.ledger = self.ledger.trained(len(ids))
        loss = float(losses.mean())
        self._watch(loss)
        return TrainingStep(self.share, loss, rate)

    def _watch(self, loss: float) -> None:
        self._smooth_loss += _SMOOTHING * (loss - self._smooth_loss)
        limit = _DIVERGED * math.log(max(2, self._parts.classes))
        if not self._smooth_loss <= limit:
            raise self._diverged(
                f"the training loss is {self._smooth_loss:.3g}, guessing has {limit / _DIVERGED:.3g}"
            )

    def _judge(self) -> None:
        """Tell a selector that adapts how the held-out loss has come down per unit since it was last looked at."""
        held_out = self._parts.held_out
        if held_out is None or not self._parts.selector.adapts:
            return
        pause = max(JUDGED_SHARE * self.settings.budget, len(held_out) / MOST_JUDGING)
        if self.units - self._judged_units < pause:
            return
        if self.units + len(held_out) > self._last_units:
            return  # no step would come after it
        loss, wrong, contradicted = self._parts.learner.judge(held_out)
        self.ledger = self.ledger.evaluated(len(held_out))
        now = self.units
        self._parts.selector.doubted(contradicted, wrong)
        if not math.isnan(self._judged_loss):
            improvement = (self._judged_loss - loss) / (now - self._judged_units)
            self._checked(lambda: self._parts.selector.judged(improvement))
        self._judged_units, self._judged_loss = now, loss

    def _checked(self, run: Any) -> Any:
        """What `run` returns; a loss that is not finite is training that has diverged."""
        try:
            return run()
        except ValueError as error:
            raise self._diverged(str(error)) from error

    def _diverged(self, how: str) -> Diverged:
        recipe = self.settings.recipe
        return Diverged(
            f"training diverged after {self.units:.0f} units: {how}; "
            f"lower lr (now {recipe.lr}) or lengthen warmup (now {recipe.warmup})"
        )

    def _too_little(self) -> TrainError:
        batch = self.settings.recipe.batch
        return TrainError(
            f"a budget of {self.settings.budget:.0f} units ends before the first step, which takes {batch} examples at "
            f"{self.prices.step:.1f} units each; {self.ledger.looks} were looked at; give more"
        )

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, as values that a checkpoint can hold.

        Some are the run's own tensors, not copies: write them out before the next step.
        """
        return {
            "ledger": self.ledger,
            "prices": self.prices,
            "rng": self._rng.bit_generator.state,
            "batches": self._batches.state(),
            "epoch": self._epoch,
            "order": self._order,
            "at": self._at,
            "smooth_loss": self._smooth_loss,
            "judged": (self._judged_units, self._judged_loss),
            "selector": self._parts.selector.state(),
            "scorer": self._parts.scorer.state(),
            "module": self._parts.learner.module.state_dict(),
            "optimiser": self._parts.learner.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.ledger, self.prices = state["ledger"], state["prices"]
        self._rng.bit_generator.state = state["rng"]
        self._batches.restore(state["batches"])
        self._epoch, self._order, self._at = state["epoch"], state["order"], state["at"]
        self._smooth_loss = state["smooth_loss"]
        self._judged_units, self._judged_loss = state["judged"]
        self._parts.selector.restore(state["selector"])
        self._parts.learner.module.load_state_dict(state["module"])
        self._parts.learner.optimiser.load_state_dict(state["optimiser"])
        self._parts.scorer.restore(state["scorer"])
