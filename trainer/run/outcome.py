"""What a run came to: its test error and all it cost, as one JSON object."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.errors import Stopped
from trainer.run import checkpoints
from trainer.run.pixels import Pixels
from trainer.run.prepare import Prepared
from trainer.run.progress import Progress


@dataclass(frozen=True, slots=True)
class Reporting:
    """How a run is told of and kept: a checkpoint file saved every so often (s), folder for scalars; None: not.

    `stop` is asked after every step whether the run is to end for now.
    """

    quiet: bool = False
    logs: Path | None = None
    checkpoint: Path | None = None
    every_s: float = 30.0
    stop: Callable[[], bool] = lambda: False


def finish(
    prepared: Prepared, reporting: Reporting, clock: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Train to the end of the budget and answer the test split, once. Raises TrainError; Stopped, all saved.

    `cpu_seconds` are of this process, resumed ones not included: those of training, without loading and testing.
    """
    run, learner = prepared.run, prepared.learner
    if reporting.checkpoint is not None:
        checkpoints.resume(reporting.checkpoint, run)
    begun_s, saved_s = time.process_time(), clock()
    name = run.settings.selection.selector
    with Progress(run, name, quiet=reporting.quiet, logs=reporting.logs) as progress:
        for step in run.steps():
            progress.stepped(step)
            stop = reporting.stop()
            if reporting.checkpoint is not None and (
                stop or clock() - saved_s >= reporting.every_s
            ):
                checkpoints.save(reporting.checkpoint, run)
                saved_s = clock()
            if stop:
                raise Stopped(f"stopped at {run.share:.0%} of the budget")
        cpu_s = time.process_time() - begun_s
        if reporting.checkpoint is not None:
            checkpoints.save(reporting.checkpoint, run)
        error = learner.judge(Pixels(prepared.dataset.test, learner.device)).wrong
        progress.ended(error)
    return figures_of(prepared, error, cpu_s)


def figures_of(prepared: Prepared, test_error: float, cpu_s: float) -> dict[str, Any]:
    """The outcome: shares, counts of examples, units, CPU seconds; prices in units of one evaluation forward."""
    run, ledger, prices = prepared.run, prepared.run.ledger, prepared.run.prices
    bookkeeping = ledger.looks * prices.bookkeeping
    return {
        "test_error": test_error,
        "units": round(run.units),
        "forwards": ledger.forwards,
        "backprops": ledger.backprops,
        "cpu_seconds": round(cpu_s, 3),
        "keep_rate": round(ledger.keep_rate, 4),
        "f": round(prices.f, 4),
        "selections": ledger.selections,
        "looks": ledger.looks,
        "bookkeeping_share": round(bookkeeping / (ledger.backprops * prices.step), 4),
        "priced_cpu_seconds": round(run.units * prices.unit_s, 3),
        "prices": asdict(prices),
        "settings": asdict(run.settings),
    }
