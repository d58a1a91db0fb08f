"""Tells how a run goes: a progress bar for people, scalars for TensorBoard. Neither changes the run."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from trainer.errors import TrainError
from trainer.run.loop import Run, TrainingStep

_EVERY_STEPS = 20


class Progress:
    """A bar in units with its ETA, the loss and how choosy the selector is; and scalars under `logs`, if given.

    Raises TrainError where scalars are asked for and TensorBoard is not installed.
    """

    def __init__(self, run: Run, name: str, *, quiet: bool, logs: Path | None) -> None:
        self._run = run
        self._steps = 0
        self._bar: tqdm[Any] = tqdm(
            total=round(run.settings.budget),
            desc=name,
            unit="unit",
            unit_scale=True,
            disable=quiet,
            dynamic_ncols=True,
        )
        self._writer = None if logs is None else _writer(logs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is None:
            self._show()
        self._bar.close()
        if self._writer is not None:
            self._writer.close()

    def stepped(self, step: TrainingStep) -> None:
        """One training step is done."""
        self._steps += 1
        if self._steps % _EVERY_STEPS:
            return
        self._show()
        self._bar.set_postfix(
            loss=f"{step.loss:.3f}", keep=f"{self._run.keep_rate:.0%}", refresh=False
        )
        if self._writer is not None:
            units = round(self._run.units)
            values = {
                "loss": step.loss,
                "rate": step.rate,
                "keep_rate": self._run.keep_rate,
                "epoch": self._run.epoch,
            }
            for key, value in values.items():
                self._writer.add_scalar(f"train/{key}", value, units)

    def ended(self, error: float) -> None:
        """The test split was answered with this share of errors."""
        if self._writer is not None:
            self._writer.add_scalar("test/error", error, round(self._run.units))

    def _show(self) -> None:
        self._bar.update(round(self._run.units) - self._bar.n)


def _writer(logs: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise TrainError(
            "scalars (--logs) need TensorBoard; install the extra `train`, or leave --logs out"
        ) from error
    try:
        return SummaryWriter(str(logs))
    except OSError as error:
        raise TrainError(f"scalars cannot be written to {logs}: {error}") from error
