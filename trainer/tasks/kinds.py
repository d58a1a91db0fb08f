"""What scenes show: pictures of one class in one view, such as coats mirrored; and how tasks say which. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.errors import TrainError

VIEWS = ("plain", "mirrored", "turned")
"""As it is, left and right exchanged, upside down."""
_ANY = "*"


@dataclass(frozen=True, slots=True)
class Kinds:
    """Every class in every view: kind = view * classes + class, views in the order of `views`."""

    classes: tuple[str, ...]
    views: tuple[str, ...] = ("plain",)

    def __post_init__(self) -> None:
        unknown = [view for view in self.views if view not in VIEWS]
        if unknown or not self.views or len(set(self.views)) < len(self.views):
            raise TrainError(
                f"views {', '.join(self.views) or 'none'}: give some of {', '.join(VIEWS)}, each once"
            )

    def __len__(self) -> int:
        return len(self.classes) * len(self.views)

    def class_of(self, kinds: NDArray[np.int64]) -> NDArray[np.int64]:
        """The class of each kind, of the same shape."""
        return kinds % len(self.classes)

    def shown(self, pictures: NDArray[np.uint8], kinds: NDArray[np.int64]) -> NDArray[np.uint8]:
        """`pictures` (n, c, h, w), each in the view of its kind (n,)."""
        seen = pictures.copy()
        for number, view in enumerate(self.views):
            where = kinds // len(self.classes) == number
            if view == "mirrored":
                seen[where] = pictures[where][..., ::-1]
            elif view == "turned":
                seen[where] = pictures[where][..., ::-1, ::-1]
        return seen

    def named(self, word: str) -> tuple[int, ...]:
        """The kinds that `word` means: CLASS or CLASS:VIEW; a class by number or name, * is all. Raises TrainError."""
        what, _, view = word.strip().partition(":")
        classes = range(len(self.classes)) if what == _ANY else (self.class_named(what),)
        if view and view not in self.views:
            raise TrainError(
                f"view {view!r} in {word!r} is not among the views shown: {', '.join(self.views)}; see --views"
            )
        return tuple(
            number * len(self.classes) + label
            for number, name in enumerate(self.views)
            if view in {"", name}
            for label in classes
        )

    def class_named(self, word: str) -> int:
        """The class of that number or name, case aside. Raises TrainError, which lists the classes."""
        word = word.strip()
        if word.isdecimal() and int(word) < len(self.classes):
            return int(word)
        lowered = [name.lower() for name in self.classes]
        if word.lower() in lowered:
            return lowered.index(word.lower())
        known = ", ".join(f"{i} {name}" for i, name in enumerate(self.classes))
        raise TrainError(f"class {word!r} is unknown; there are: {known}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task as asked for: the kinds of scenes that are its events."""

    name: str
    meaning: str
    """As the user wrote it."""
    kinds: tuple[int, ...]

    def events(self, kinds: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these kinds are its events, of the same shape."""
        return np.isin(kinds, self.kinds)


def wanted(text: str, kinds: Kinds) -> tuple[Wanted, ...]:
    """Tasks from NAME=WORD,WORD;NAME=... with words as `Kinds.named` takes them.

    Raises TrainError for a task without a name or kinds, a name twice, and one that all scenes or none are events of.
    """
    found = tuple(_one(part, kinds) for part in text.split(";") if part.strip())
    names = [task.name for task in found]
    if not found or len(set(names)) < len(names):
        raise TrainError(
            f"tasks {text!r}: give at least one, and each name once: NAME=CLASS,CLASS;NAME=CLASS"
        )
    return found


def _one(text: str, kinds: Kinds) -> Wanted:
    name, _, words = (part.strip() for part in text.partition("="))
    if not name or not words.strip(", "):
        raise TrainError(f"task {text.strip()!r} is empty; write NAME=CLASS,CLASS")
    meant = {kind for word in words.split(",") if word.strip() for kind in kinds.named(word)}
    if len(meant) == len(kinds):
        raise TrainError(
            f"task {name!r} is every scene there is; leave some out, so that it has something to tell"
        )
    return Wanted(name, words, tuple(sorted(meant)))


def frequency(task: Wanted, shares: Sequence[float]) -> float:
    """The share of windows that are events of `task`, `shares` of all windows by kind adding up to 1."""
    return float(sum(shares[kind] for kind in task.kinds))
