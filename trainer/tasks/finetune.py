"""Fine-tuning heads behind frozen layers: a head learns from the stem's activations, the stem never from anything.

From the deepest point to the shallowest: a task's head at each begins as its head at the point behind it, with the
base's own layers before it (gradual unfreezing: Howard and Ruder 2018, arXiv 1801.06146).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from trainer.errors import Diverged
from trainer.run.learner import ROWS, decayed
from trainer.run.pixels import floats
from trainer.run.schedule import learning_rate
from trainer.run.sizing import layer_multiplications
from trainer.tasks.cuts import fresh_head, stem_of, thawed
from trainer.tasks.footage import Frames
from trainer.tasks.kinds import Wanted

CACHE_BYTES = 512 << 20
"""Activations of the training frames are kept where they fit into so much; else they are computed for every batch."""
_STEP_UNITS = 3.0
"""Forward, backward and update over a forward."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How heads learn. `budget`: units that each may spend, one being a forward of the whole base for one frame.

    A frame of a step costs 3 times the head's share of the base's multiplications: the deeper a head, the more frames
    it sees, each up to `passes` times.
    """

    budget: float
    passes: float = 8.0
    lr: float = 0.05
    batch: int = 64
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Lesson:
    """What all tasks learn from: frames (n, c, h, w) and the kind of scene that each shows, (n,)."""

    frames: Frames
    kinds: NDArray[np.int64]


Heads = dict[tuple[str, int], nn.Sequential]
"""By task and frozen layers: from the point's activation (n, ...) to logits (n, 1)."""


class Activations:
    """What the layers before a point make of all frames: kept, where that is small enough."""

    def __init__(self, stem: nn.Sequential, frames: Frames) -> None:
        self._stem = stem
        self._frames = torch.from_numpy(frames)
        size = self._fresh(np.arange(1)).nbytes * len(frames)
        self._kept = self._all() if len(stem) and size <= CACHE_BYTES else None

    def at(self, ids: NDArray[np.intp]) -> Tensor:
        """Those of the frames `ids`, in their order."""
        return self._fresh(ids) if self._kept is None else self._kept[torch.from_numpy(ids)]

    def _all(self) -> Tensor:
        parts = np.array_split(np.arange(len(self._frames)), -(-len(self._frames) // ROWS))
        return torch.cat([self._fresh(ids) for ids in parts])

    def _fresh(self, ids: NDArray[np.intp]) -> Tensor:
        with torch.no_grad():
            return self._stem(floats(self._frames[torch.from_numpy(ids)]))


def fine_tuned(
    base: nn.Sequential,
    points: Sequence[int],
    tasks: Sequence[Wanted],
    lesson: Lesson,
    tuning: Tuning,
) -> Iterator[tuple[Heads, float]]:
    """The heads so far, and the share of all work that is done (0 to 1), after every few steps; whole when it ends.

    `points` ascending. Raises Diverged where a head's loss is no number. Nothing of `base` changes.
    """
    plan = {point: step_count(base, point, lesson, tuning) for point in points}
    units = {point: steps * share for point, (steps, share) in plan.items()}
    total, done = sum(units.values()) * len(tasks), 0.0
    heads: Heads = {}
    behind: int | None = None
    for point in reversed(points):
        activations = Activations(stem_of(base, point), lesson.frames)
        for task in tasks:
            torch.manual_seed(tuning.seed)
            deeper = None if behind is None else heads[task.name, behind]
            head = fresh_head(base, point) if deeper is None else thawed(base, point, deeper)
            heads[task.name, point] = head
            for share in _learn(head, activations, task, lesson, tuning, plan[point][0]):
                yield heads, (done + share * units[point]) / total
            done += units[point]
        behind = point


def step_count(
    base: nn.Sequential, frozen: int, lesson: Lesson, tuning: Tuning
) -> tuple[int, float]:
    """How many steps a head takes that freezes so many layers, and the units of one."""
    costs = layer_multiplications(base, torch.from_numpy(lesson.frames[:1]).float())
    each = _STEP_UNITS * sum(costs[frozen:]) / sum(costs)
    frames = min(tuning.passes * len(lesson.frames), tuning.budget / each)
    return max(1, int(frames / tuning.batch)), each * tuning.batch


def _learn(  # noqa: PLR0913, PLR0917 - one loop's six nouns
    head: nn.Sequential,
    activations: Activations,
    task: Wanted,
    lesson: Lesson,
    tuning: Tuning,
    steps: int,
) -> Iterator[float]:
    """Half of every batch are frames of events. Yields the share of steps taken; evaluation mode when it ends."""
    half = tuning.batch // 2
    batches = _batches(task.events(lesson.kinds), steps, tuning)
    wanted = torch.cat([torch.ones(half), torch.zeros(tuning.batch - half)])
    optimiser = torch.optim.SGD(
        decayed(head, tuning.weight_decay), tuning.lr, momentum=tuning.momentum, nesterov=True
    )
    head.train()
    for step, ids in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step / steps, tuning.lr)
        loss = binary_cross_entropy_with_logits(head(activations.at(ids))[:, 0], wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if not torch.isfinite(loss):
            raise Diverged(
                f"task {task.name}: the loss is no number any more; lower the rate (--head-lr)"
            )
        yield (step + 1) / steps
    head.eval().requires_grad_(False)


def _batches(events: NDArray[np.bool_], steps: int, tuning: Tuning) -> NDArray[np.intp]:
    """(steps, batch): the first half of each row are frames of events."""
    rng = np.random.default_rng(tuning.seed)
    half = tuning.batch // 2
    ours = _draws(np.flatnonzero(events), (steps, half), rng)
    others = _draws(np.flatnonzero(~events), (steps, tuning.batch - half), rng)
    return np.concatenate([ours, others], axis=1)


def _draws(
    ids: NDArray[np.intp], shape: tuple[int, int], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Of this shape: all of `ids` in a new order, again and again."""
    count = shape[0] * shape[1]
    rounds = -(-count // len(ids))
    return np.concatenate([rng.permutation(ids) for _ in range(rounds)])[:count].reshape(shape)
