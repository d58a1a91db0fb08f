"""The network that tasks are fine-tuned from: trained by the loop of `gearshift train`, on the base's classes alone."""

import torch
from torch import nn

from trainer.data import Dataset
from trainer.errors import TrainError
from trainer.run.cost import Prices
from trainer.run.outcome import Reporting, finish
from trainer.run.prepare import Prepared, prepare
from trainer.run.settings import made
from trainer.tasks.asked import Splits, Work, of_base
from trainer.tasks.cuts import as_layers

_PRICES = Prices(step=3.0, selection=1.0, bookkeeping=0.0, unit_s=1e-3)
"""Set, not measured: with selector `uniform` they say no more than how many steps a budget is, the same everywhere."""


def prepared_base(work: Work, splits: Splits) -> Prepared:
    """The run that trains it, about to begin. Raises TrainError where there is no such network, or it cannot be cut."""
    asked = work.asked.base
    settings = made(
        {
            "data": work.asked.data,
            "network": asked.network,
            "budget": asked.budget,
            "lr": asked.lr,
            "augment": asked.augment,
            "seed": work.asked.seed,
        }
    )
    train, test = of_base(work, splits.learning), of_base(work, work.dataset.test)
    if not len(train.labels) or not len(test.labels):
        raise TrainError(f"there are no pictures of the base's classes {work.base_classes}")
    classes = tuple(work.dataset.classes[c] for c in work.base_classes)
    dataset = Dataset(work.dataset.name, train, test, classes, work.dataset.source)
    prepared = prepare(settings, torch.device("cpu"), _PRICES, dataset)
    as_layers(prepared.learner.module)
    return prepared


def trained_base(prepared: Prepared, *, quiet: bool) -> tuple[nn.Sequential, float]:
    """The base, in evaluation mode, and its error on the test split of its own classes. Raises TrainError."""
    outcome = finish(prepared, Reporting(quiet=quiet))
    module = prepared.learner.module.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue] - torch's stub lacks it
    return as_layers(module.eval()), float(outcome["test_error"])
