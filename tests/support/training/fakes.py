"""What a run works with, as small fakes that cost nothing and remember what was asked of them. Wants torch."""

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from trainer.run.cost import Prices
from trainer.run.loop import Parts, Run
from trainer.run.settings import made
from trainer.selectors import Kept, make
from trainer.selectors.base import EveryExample, Ids, Losses

PRICES = Prices(step=3.0, selection=1.0, bookkeeping=0.1, unit_s=1e-5)


def losses_of(ids: NDArray[np.intp]) -> NDArray[np.float32]:
    """Between 0 and 1, one for each example."""
    return (np.sin(ids * 12.9898) ** 2).astype(np.float32)


class Recorder:
    """A learner whose network never changes."""

    def __init__(self, loss: float = 0.0) -> None:
        self.steps: list[tuple[NDArray[np.intp], NDArray[np.float32], float]] = []
        self.judged_after: list[int] = []
        self.contradicted = 0.0
        self.loss = loss

    def step(
        self, ids: NDArray[np.intp], weights: NDArray[np.float32], rate: float, rng: Generator
    ) -> NDArray[np.float32]:
        del rng
        self.steps.append((ids, weights, rate))
        return losses_of(ids) + np.float32(self.loss)

    def judge(self, held_out: NDArray[np.intp]) -> tuple[float, float, float]:
        assert len(held_out)
        self.judged_after.append(len(self.steps))
        return 1.0 / len(self.judged_after), 0.5, self.contradicted


class Forwards:
    """A scorer."""

    def __init__(self) -> None:
        self.asked: list[NDArray[np.intp]] = []
        self.stepped_times = 0

    def losses(self, ids: NDArray[np.intp]) -> NDArray[np.float32]:
        self.asked.append(ids)
        return losses_of(ids)

    def stepped(self) -> None:
        self.stepped_times += 1


class Nothing(EveryExample):
    """A selector that keeps no example at all."""

    name = "nothing"

    def keep(self, ids: Ids, losses: Losses, rng: Generator) -> Kept:
        del ids, losses, rng
        return Kept(np.empty(0, np.intp), np.empty(0, np.float32))


class Weighing(EveryExample):
    """A selector whose weights are the examples' numbers."""

    name = "weighing"

    def keep(self, ids: Ids, losses: Losses, rng: Generator) -> Kept:
        del losses, rng
        return Kept(np.arange(len(ids)), ids.astype(np.float32))


def a_run(
    selector: Any = "uniform",
    prices: Prices = PRICES,
    held_out: int = 0,
    loss: float = 0.0,
    examples: int = 700,
    **values: Any,
) -> tuple[Run, Recorder, Forwards]:
    """Of `examples` in ten classes; `held_out` examples steer it; training losses are `loss` above `losses_of`."""
    recorder, forwards = Recorder(loss), Forwards()
    settings = made({"data": "none", "budget": 10_000.0, "batch": 16, **values})
    chosen = make(selector, examples) if isinstance(selector, str) else selector
    steering: Any = np.arange(held_out) if held_out else None
    parts: Any = (recorder, forwards, chosen, steering, 10)
    return Run(settings, prices, Parts(*parts)), recorder, forwards
