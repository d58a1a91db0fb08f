"""Pictures of three kinds, and scenes that change in no way unless a test says so."""

import numpy as np

from trainer.data import Split
from trainer.tasks.footage import Scenery
from trainer.tasks.kinds import Kinds

KINDS = Kinds(("round", "square", "flat"))


def pictures(each: int = 5, side: int = 4) -> Split:
    """Picture i of class c is all of value 40 * c + i + 1: a frame without changes tells which it shows."""
    labels = np.repeat(np.arange(3), each)
    values = 40 * labels + np.tile(np.arange(each), 3) + 1
    images = np.broadcast_to(values[:, None, None, None], (3 * each, 1, side, side))
    return Split(images.astype(np.uint8), labels.astype(np.int64))


def still(**changes: object) -> Scenery:
    """Frames as the pictures are."""
    given = {"kinds": KINDS, "window_frames": 5, "shift": 0.0, "light": 0.0}
    return Scenery(**(given | changes))  # pyright: ignore[reportArgumentType]
