"""What `gearshift train-tasks` is asked to do, checked against the data before anything is spent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import inf
from typing import TypeVar

import numpy as np

from models.artifacts import is_plain_name
from trainer.data import Dataset, Split
from trainer.data.splits import held_out
from trainer.errors import TrainError
from trainer.tasks.footage import Scenery
from trainer.tasks.kinds import Kinds, Wanted, frequency, wanted


@dataclass(frozen=True, slots=True)
class Base:
    """The network that all tasks come from: `name` in the repository, `budget` in units (as for `gearshift train`)."""

    name: str = ""
    network: str = ""
    classes: str = ""
    budget: float = 60_000.0
    lr: float = 0.1
    augment: str = "crop"


@dataclass(frozen=True, slots=True)
class Scenes:
    """What streams show. `event_length_s` is a window's, at `stream_fps`; `same`: see `footage.Scenery`."""

    views: str = ""
    stream_fps: float = 10.0
    event_length_s: float = 0.6
    same: float = 0.7


@dataclass(frozen=True, slots=True)
class Heads:
    """What is fine-tuned: `tasks` and `points` as written, units for each head, frames to learn from."""

    tasks: str = ""
    points: str = ""
    head_budget: float = 12_000.0
    head_lr: float = 0.05
    frames: int = 8192


@dataclass(frozen=True, slots=True)
class Held:
    """What is measured on: `held_out` is the share of the training split that nothing learns from, half of it to choose
    thresholds on and half to measure on; so many frames and windows are shown of them."""

    held_out: float = 0.15
    choosing_frames: int = 3000
    measuring_windows: int = 800


@dataclass(frozen=True, slots=True)
class Asked:
    """All of it. Empty texts mean what `completed` makes of them."""

    data: str
    seed: int = 0
    base: Base = field(default_factory=Base)
    scenes: Scenes = field(default_factory=Scenes)
    heads: Heads = field(default_factory=Heads)
    held: Held = field(default_factory=Held)


def asked_before(origin: str) -> Asked:
    """What a published task's `origin` says was asked for: to show it scenes again. Raises TrainError."""
    try:
        known = json.loads(origin)["asked"]
        parts = (
            Base(**known["base"]),
            Scenes(**known["scenes"]),
            Heads(**known["heads"]),
            Held(**known["held"]),
        )
        return Asked(known["data"], known["seed"], *parts)
    except (ValueError, KeyError, TypeError) as error:
        raise TrainError(
            "the package does not say how it was made; publish it with this version's `gearshift train-tasks`"
        ) from error


Part = TypeVar("Part", Base, Scenes, Heads)

FASHION = {
    "name": "share-demo",
    "network": "cnn-w64-d3",
    "classes": "Sandal,Sneaker,Ankle boot",
    "views": "plain,mirrored",
    "points": "3,5,7",
    "tasks": "coat=Coat;dress=Dress;t-shirt=T-shirt/top;pullover=Pullover;outerwear=Coat,Pullover;"
    "shoe-right=Sandal:mirrored,Sneaker:mirrored,Ankle boot:mirrored;summer=T-shirt/top,Dress;shirt=Shirt",
}
"""For fashion-mnist: the base knows shoes, pointing either way; tasks look for clothes, and for the way shoes point."""


_ANY_NETWORK = {key: value for key, value in FASHION.items() if key != "points"}


@dataclass(frozen=True, slots=True)
class Work:
    """Asked for and found possible: the base's classes, the tasks, how scenes look, how many windows an event's are."""

    asked: Asked
    dataset: Dataset
    base_classes: tuple[int, ...]
    scenery: Scenery
    tasks: tuple[Wanted, ...]

    def frequency(self, task: Wanted) -> float:
        """The share of windows that are the task's events."""
        return frequency(task, self.scenery.window_shares)


@dataclass(frozen=True, slots=True)
class Splits:
    """The training split's pictures, each in one part: to learn from, to choose thresholds on, to measure on."""

    learning: Split
    choosing: Split
    measuring: Split


def completed(asked: Asked, dataset: Dataset) -> Asked:
    """`asked` with what it leaves open: for fashion-mnist as in `FASHION`; else the base learns the first half of the
    classes and every other one is a task."""
    if dataset.name == "fashion-mnist":
        known = FASHION if asked.base.network in {"", FASHION["network"]} else _ANY_NETWORK
    else:
        half = (len(dataset.classes) + 1) // 2
        known = {
            "network": "resnet-w8-d1",
            "views": "plain",
            "name": f"{dataset.name}-tasks",
            "classes": ",".join(map(str, range(half))),
            "tasks": ";".join(f"class-{c}={c}" for c in range(half, len(dataset.classes))),
        }
    return replace(
        asked,
        base=_filled(asked.base, known),
        scenes=_filled(asked.scenes, known),
        heads=_filled(asked.heads, known),
    )


def _filled(part: Part, known: Mapping[str, str]) -> Part:
    empty = [f.name for f in fields(part) if getattr(part, f.name) == ""]
    return replace(part, **{name: known[name] for name in empty if name in known})


def checked(asked: Asked, dataset: Dataset) -> Work:
    """What is to be done. Raises TrainError for every text or number that makes no sense with this data."""
    asked = completed(asked, dataset)
    _check_numbers(asked)
    kinds = Kinds(dataset.classes, tuple(v.strip() for v in asked.scenes.views.split(",")))
    window_frames = round(asked.scenes.event_length_s * asked.scenes.stream_fps)
    scenery = Scenery(kinds, window_frames=window_frames, same=asked.scenes.same)
    tasks = wanted(asked.heads.tasks, kinds)
    if unnamed := [
        name for name in (asked.base.name, *(t.name for t in tasks)) if not is_plain_name(name)
    ]:
        raise TrainError(f"{unnamed[0]!r} must be a plain name: letters, digits and _.-")
    words = [word for word in asked.base.classes.split(",") if word.strip()]
    classes = tuple(sorted({kinds.class_named(word) for word in words}))
    if len(classes) < 2:
        raise TrainError(f"--base-classes {asked.base.classes!r}: give two or more to tell apart")
    return Work(asked, dataset, classes, scenery, tasks)


def splits_of(work: Work) -> Splits:
    """The training split in three, stratified, by the seed. The test split has no part in it."""
    train, rng = work.dataset.train, np.random.default_rng(work.asked.seed)
    learning, out = held_out(train.labels, work.asked.held.held_out, rng)
    choosing, measuring = held_out(train.labels[out], 0.5, rng)
    return Splits(*(_part(train, ids) for ids in (learning, out[choosing], out[measuring])))


def of_base(work: Work, split: Split) -> Split:
    """Its pictures of the base's classes, which are numbered anew."""
    ids = np.flatnonzero(np.isin(split.labels, work.base_classes))
    numbers = np.full(len(work.dataset.classes), -1)
    numbers[list(work.base_classes)] = range(len(work.base_classes))
    return Split(split.images[ids], numbers[split.labels[ids]])


def _check_numbers(asked: Asked) -> None:
    scenes, heads, held = asked.scenes, asked.heads, asked.held
    window_frames = scenes.event_length_s * scenes.stream_fps
    heads_can_learn = _positive(heads.head_budget, heads.head_lr)
    wrong = [
        text
        for text, bad in (
            ("seed must not be negative", asked.seed < 0),
            ("stream_fps must be above 0 and finite", not 0 < scenes.stream_fps < inf),
            ("event_length_s must be a frame or longer, and finite", not 1 <= window_frames < inf),
            ("same must be in 0..1", not 0 <= scenes.same <= 1),
            ("head_budget and head_lr must be above 0 and finite", not heads_can_learn),
            ("frames must be 64 or more", heads.frames < 64),
            ("held_out must be above 0 and below 1", not 0 < held.held_out < 1),
            ("choosing_frames must be 10 or more", held.choosing_frames < 10),
            ("measuring_windows must be 10 or more", held.measuring_windows < 10),
        )
        if bad
    ]
    if wrong:
        raise TrainError("; ".join(wrong))


def _positive(*numbers: float) -> bool:
    return all(0 < number < inf for number in numbers)


def _part(split: Split, ids: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Split:
    return Split(split.images[ids], split.labels[ids])
