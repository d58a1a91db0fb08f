"""Measures what training steps, selection forwards and bookkeeping cost here, side by side, on the run's own code."""

import copy
import time
from collections.abc import Callable
from itertools import count
from statistics import median

import numpy as np
from numpy.typing import NDArray

from trainer.run.cost import Prices
from trainer.run.learner import Learner
from trainer.run.loop import CHUNK
from trainer.run.scoring import Scorer, scorer
from trainer.run.settings import Settings
from trainer.selectors import Batches, Selector, make

_ROUNDS = 15
_WARM = 3


def measure(learner: Learner, settings: Settings) -> Prices:
    """Prices in medians over rounds that time every kind of work in turn, so that a change of speed falls on all.

    CPU seconds of the whole process count, not the wall clock's: a neighbour on the machine is not ours to charge. The
    learner is as it was afterwards. Takes about a second on a small network.
    """
    trial = copy.deepcopy(learner, {id(learner.pixels): learner.pixels})  # images are not copied
    rng = np.random.default_rng(0)
    selection, batch = settings.selection, settings.recipe.batch
    chosen = scorer(selection.way, trial, 1)
    weights = np.ones(batch, np.float32)
    n = len(trial.pixels)
    selector = _past_first_epoch(selection.selector, n, rng)
    work: dict[str, tuple[int, Callable[[], object]]] = {
        "unit": (CHUNK, lambda: trial.losses(_ids(rng, trial, CHUNK))),
        "step": (batch, lambda: trial.step(_ids(rng, trial, batch), weights, 1e-6, rng)),
        "selection": (CHUNK, lambda: chosen.losses(_ids(rng, trial, CHUNK))),
        "refresh": (batch * selection.refresh_steps, lambda: _refresh(chosen)),
        "choosing": (CHUNK, _choosing(selector, n, batch, rng)),
        "ordering": (n, _ordering(selector, rng)),
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
        (typical["step"] + typical["refresh"]) / unit_s,
        typical["selection"] / unit_s,
        (typical["choosing"] + typical["ordering"]) / unit_s,
        unit_s,
    )


def _ids(rng: np.random.Generator, learner: Learner, count: int) -> NDArray[np.intp]:
    return rng.integers(0, len(learner.pixels), count)


def _refresh(chosen: Scorer) -> None:
    """What a scorer does at the first look after so many steps, but for the look itself."""
    chosen.stepped()
    chosen.losses(np.empty(0, np.intp))


def _past_first_epoch(spec: str, n: int, rng: np.random.Generator) -> Selector:
    selector = make(spec, n)
    selector.begin_epoch(0, 0.0)
    selector.order(rng)
    selector.trained(np.arange(n), rng.random(n, np.float32))
    return selector


def _ordering(selector: Selector, rng: np.random.Generator) -> Callable[[], object]:
    """An epoch's beginning, of which each example bears its part."""
    epochs = count(1)

    def begin() -> None:
        selector.begin_epoch(next(epochs), 0.1)
        selector.order(rng)

    return begin


def _choosing(
    selector: Selector, n: int, batch: int, rng: np.random.Generator
) -> Callable[[], object]:
    """One chunk's worth of choosing, queueing and remembering, on made-up losses."""
    batches = Batches(batch)

    def look() -> None:
        ids = rng.integers(0, n, CHUNK)
        unknown = selector.unknown(ids)
        losses = np.full(len(ids), np.nan, np.float32)
        losses[unknown] = rng.random(int(unknown.sum()), np.float32)
        kept = selector.keep(ids, losses, rng)
        batches.push(ids[kept.positions], kept.weights)
        while (waiting := batches.pop()) is not None:
            selector.trained(waiting[0], rng.random(batch, np.float32))

    return look
