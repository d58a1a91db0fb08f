"""From settings to a run: data with its noise and its held-out part, network, selector, prices."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models import trainable
from trainer.data import Dataset, Split, load, pixel_statistics
from trainer.data.labels import replacement
from trainer.data.noise import shuffled
from trainer.data.splits import held_out
from trainer.errors import TrainError
from trainer.run.cost import Prices
from trainer.run.learner import Learner
from trainer.run.loop import Parts, Run
from trainer.run.pixels import Pixels
from trainer.run.pricing import measure
from trainer.run.scoring import scorer
from trainer.run.settings import Settings
from trainer.selectors import make


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run that may begin, what it learns from as read (`dataset`), and the network that it trains."""

    run: Run
    learner: Learner
    dataset: Dataset


def prepare(
    settings: Settings,
    device: torch.device,
    prices: Prices | None = None,
    dataset: Dataset | None = None,
) -> Prepared:
    """Load (unless `dataset` is there), build and, unless `prices` are given, measure them.

    Raises TrainError for what cannot be trained.

    Label noise falls on the training split before a part of it is held out, so what steers an adaptive selector is as
    noisy as what it trains on. The test split is not looked at.
    """
    dataset = dataset or load(settings.data)
    train, steering = _splits(settings, dataset)
    torch.manual_seed(settings.seed)
    learner = Learner(_module(settings, dataset), Pixels(train, device), settings.recipe, device)
    try:
        selector = make(settings.selection.selector, len(train.labels))
    except ValueError as error:
        raise TrainError(f"selector: {error}") from error
    prices = prices or measure(learner, settings)
    parts = Parts(
        learner,
        scorer(settings.selection.way, learner, settings.selection.refresh_steps),
        selector,
        Pixels(steering, device) if len(steering.labels) else None,
        len(dataset.classes),
    )
    return Prepared(Run(settings, prices, parts), learner, dataset)


def pricing(source: str) -> Callable[[Settings], Prices]:
    """Tells what a run on the data at `source` is charged on the CPU, measured when asked; the data are read once.

    Raises TrainError as `prepare` does, when asked.
    """
    read = cache(load)
    return lambda settings: prepare(settings, torch.device("cpu"), None, read(source)).run.prices


def _splits(settings: Settings, dataset: Dataset) -> tuple[Split, Split]:
    labels = dataset.train.labels
    classes = len(dataset.classes)
    if settings.labels:
        path, _, key = settings.labels.rpartition(":")
        labels = replacement(Path(path), key, count=len(labels), classes=classes)
    if settings.label_noise:
        labels = shuffled(
            labels, settings.label_noise, classes, np.random.default_rng(settings.seed)
        )
    share = settings.selection.held_out
    if not share:
        return Split(dataset.train.images, labels), _part(
            dataset.train.images, labels, np.empty(0, np.intp)
        )
    kept, out = held_out(labels, share, np.random.default_rng(settings.seed))
    return _part(dataset.train.images, labels, kept), _part(dataset.train.images, labels, out)


def _part(images: NDArray[np.uint8], labels: NDArray[np.int64], ids: NDArray[np.intp]) -> Split:
    return Split(images[ids], labels[ids])


def _module(settings: Settings, dataset: Dataset) -> torch.nn.Module:
    images = dataset.train.images
    mean, std = pixel_statistics(images)
    try:
        return trainable.build(
            trainable.parse(settings.network),
            channels=images.shape[1],
            side=images.shape[2],
            classes=len(dataset.classes),
            mean=mean,
            std=std,
        )
    except ValueError as error:
        raise TrainError(f"network: {error}") from error
