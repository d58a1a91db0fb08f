"""Measures what training steps, selection forwards and bookkeeping cost here, side by side, on the run's own code."""

import copy
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from numpy.typing import NDArray

from trainer.cost import Prices
from trainer.learner import Learner
from trainer.scoring import scorer
from trainer.selectors import Selector, make
from trainer.settings import Settings

CHUNK = 512
"""Examples looked at together."""
_ROUNDS = 15
_WARM = 3


def measure(learner: Learner, settings: Settings) -> Prices:
    """Prices in medians over rounds that time every kind of work in turn, so that a change of speed falls on all.

    CPU seconds of the whole process count, not the wall clock's: a neighbour on the machine is not ours to charge. The
    learner is as it was afterwards. Takes about a second on a small network.
    """
    trial = copy.deepcopy(learner)
    rng = np.random.default_rng(0)
    selection, batch = settings.selection, settings.recipe.batch
    chosen = scorer(selection.way, trial, 1)
    weights = np.ones(batch, np.float32)
    work: dict[str, tuple[int, Callable[[], object]]] = {
        "unit": (CHUNK, lambda: trial.losses(_ids(rng, trial, CHUNK))),
        "step": (batch, lambda: trial.step(_ids(rng, trial, batch), weights, 1e-6, rng)),
        "selection": (CHUNK, lambda: chosen.losses(_ids(rng, trial, CHUNK))),
        "bookkeeping": (CHUNK, _bookkeeping(selection.selector, len(trial.pixels), rng)),
    }
    took_s: dict[str, list[float]] = {name: [] for name in work}
    for at in range(_WARM + _ROUNDS):
        for name, (examples, run) in work.items():
            begun_s = time.process_time()
            run()
            if at >= _WARM:
                took_s[name].append((time.process_time() - begun_s) / examples)
    typical = {name: median(times) for name, times in took_s.items()}
    unit_s = typical["unit"]
    return Prices(
        typical["step"] / unit_s,
        typical["selection"] / unit_s,
        typical["bookkeeping"] / unit_s,
        unit_s,
    )


def _ids(rng: np.random.Generator, learner: Learner, count: int) -> NDArray[np.intp]:
    return rng.integers(0, len(learner.pixels), count)


def _bookkeeping(spec: str, n: int, rng: np.random.Generator) -> Callable[[], object]:
    """One chunk's worth of choosing and remembering, on made-up losses, past the first epoch."""
    selector: Selector = make(spec, n)
    everything = np.arange(n)
    selector.begin_epoch(0, 0.0)
    selector.order(rng)
    selector.trained(everything, rng.random(n, np.float32))
    selector.begin_epoch(1, 0.1)
    selector.order(rng)

    def look() -> None:
        ids = rng.integers(0, n, CHUNK)
        unknown = selector.unknown(ids)
        losses = np.where(unknown, rng.random(len(ids), np.float32), np.float32(np.nan))
        kept = selector.keep(ids, losses, rng)
        chosen = ids[kept.positions]
        selector.trained(chosen, rng.random(len(chosen), np.float32))

    return look
