"""A labelled stream of pictures: windows of one event's length, one kind of scene in each. Numpy alone, by seed.

Streams that rates are measured on come from held-out pictures; those of demos and tests from the test split.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.data import Split
from trainer.errors import TrainError
from trainer.tasks.kinds import Kinds, Wanted

Frames = NDArray[np.uint8]
"""(n, channels, height, width), pixel values."""


@dataclass(frozen=True, slots=True)
class Scenery:
    """How scenes look: with probability `same` a frame shows the picture of the frame before, else another of its kind.

    Every frame is shifted by up to `shift` of the side, and its brightness changed by a factor of up to 1 +- `light`.
    """

    kinds: Kinds
    shares: tuple[float, ...] = ()
    """Of windows, by kind, in any unit; empty: equal."""
    window_frames: int = 10
    same: float = 0.7
    shift: float = 1 / 14
    light: float = 0.2

    def __post_init__(self) -> None:
        if self.window_frames < 1 or not 0 <= self.same <= 1 or not 0 <= self.light < 1:
            raise TrainError(
                "scenes need window_frames of at least 1, same in 0..1 and light in 0..1"
            )
        if self.shares and (len(self.shares) != len(self.kinds) or not sum(self.shares) > 0):
            raise TrainError(
                f"{len(self.shares)} shares of windows for {len(self.kinds)} kinds of scenes; give one for each"
            )

    @property
    def window_shares(self) -> tuple[float, ...]:
        """Of all windows, by kind; together 1."""
        parts = self.shares or (1.0,) * len(self.kinds)
        return tuple(part / sum(parts) for part in parts)


@dataclass(frozen=True, slots=True)
class Footage:
    """`frames` (windows * window_frames, ...) in order; window w shows `kinds[w]` and is an event or not as a whole."""

    frames: Frames
    kinds: NDArray[np.int64]
    window_frames: int

    def events(self, task: Wanted) -> NDArray[np.bool_]:
        """Whether each window is an event of `task`, (windows,)."""
        return task.events(self.kinds)

    def frame_events(self, task: Wanted) -> NDArray[np.bool_]:
        """The same for each frame, (n,)."""
        return np.repeat(self.events(task), self.window_frames)


def footage(split: Split, scenery: Scenery, windows: int, seed: int) -> Footage:
    """So many windows of pictures from `split`, every kind as often as its share says, to within one; in random order.

    Raises TrainError where a kind is to be shown of whose class there is no picture.
    """
    rng = np.random.default_rng(seed)
    kinds = rng.permutation(apportioned(scenery.window_shares, windows))
    _check(split, scenery.kinds, kinds)
    by_class = [np.flatnonzero(split.labels == c) for c in range(len(scenery.kinds.classes))]
    ids = np.concatenate(
        [_scene(by_class[c], scenery, rng) for c in scenery.kinds.class_of(kinds)]
        or [np.empty(0, np.int64)]
    )
    seen = scenery.kinds.shown(split.images[ids], np.repeat(kinds, scenery.window_frames))
    return Footage(moved(seen, scenery, rng), kinds, scenery.window_frames)


def apportioned(shares: Sequence[float], count: int) -> NDArray[np.int64]:
    """`count` positions in `shares`, ascending, each as often as its share of 1, to within one (largest remainders)."""
    exact = np.asarray(shares) * count
    whole = np.floor(exact).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: count - int(whole.sum())]] += 1
    return np.repeat(np.arange(len(shares)), whole)


def moved(pictures: Frames, scenery: Scenery, rng: np.random.Generator) -> Frames:
    """Each picture a little elsewhere (what that uncovers is 0) and a little brighter or darker."""
    n, _, height, width = pictures.shape
    reach = round(scenery.shift * height)
    padded = np.pad(pictures, ((0, 0), (0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(2, 3))
    down, right = rng.integers(0, 2 * reach + 1, (2, n))
    shifted = windows[np.arange(n), :, down, right]
    light = rng.uniform(1 - scenery.light, 1 + scenery.light, (n, 1, 1, 1)).astype(np.float32)
    return np.clip(np.rint(shifted * light), 0, 255).astype(np.uint8)


def _scene(
    pictures: NDArray[np.int64], scenery: Scenery, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Which picture each frame of a window shows."""
    drawn = rng.choice(pictures, scenery.window_frames)
    new = rng.random(scenery.window_frames) >= scenery.same
    new[:1] = True
    latest = np.maximum.accumulate(np.where(new, np.arange(scenery.window_frames), 0))
    return drawn[latest]


def _check(split: Split, kinds: Kinds, shown: NDArray[np.int64]) -> None:
    missing = np.setdiff1d(kinds.class_of(np.unique(shown)), split.labels)
    if len(missing):
        names = ", ".join(kinds.classes[int(c)] for c in missing)
        raise TrainError(f"there is no picture of {names} to show; leave it out, or give more data")
