"""Selection forwards, the cheaper the better: each way tells the losses of examples as the network is, or just was."""

import copy
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from trainer.run.learner import Learner, losses_by


class Scorer(Protocol):
    """Tells losses for selection."""

    def losses(self, ids: NDArray[np.intp]) -> NDArray[np.float32]:
        """The loss of each of these training examples, not augmented (rows,)."""
        ...

    def stepped(self) -> None:
        """The network has changed."""
        ...

    def state(self) -> dict[str, Any]:
        """What a bit-exact resume needs."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Become what `state` was taken from."""
        ...


class Plain:
    """The network itself, in evaluation."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def losses(self, ids: NDArray[np.intp]) -> NDArray[np.float32]:
        """See Scorer."""
        return self._learner.losses(ids)

    def stepped(self) -> None:
        """Nothing is copied."""

    def state(self) -> dict[str, Any]:
        """Nothing is remembered."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing was."""


class Narrow:
    """A copy of the network in bfloat16, its weights taken over every `refresh_steps` training steps.

    Its losses are those of a network up to so many steps old: a percentile does not mind.
    """

    def __init__(self, learner: Learner, refresh_steps: int) -> None:
        self._learner = learner
        self._refresh_steps = refresh_steps
        self._age_steps = 0
        self._copy = copy.deepcopy(learner.module).eval().bfloat16()

    def losses(self, ids: NDArray[np.intp]) -> NDArray[np.float32]:
        """See Scorer."""
        if self._age_steps >= self._refresh_steps:
            self._copy.load_state_dict(self._learner.module.state_dict())
            self._age_steps = 0
        return losses_by(self._copy, self._learner.pixels, ids, torch.bfloat16)

    def stepped(self) -> None:
        """One more training step."""
        self._age_steps += 1

    def state(self) -> dict[str, Any]:
        """See Scorer."""
        return {"age_steps": self._age_steps, "copy": self._copy.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """See Scorer."""
        self._age_steps = int(state["age_steps"])
        self._copy.load_state_dict(state["copy"])


def scorer(way: str, learner: Learner, refresh_steps: int) -> Scorer:
    """The scorer called `way`, one of `settings.WAYS`."""
    return Narrow(learner, refresh_steps) if way == "bf16" else Plain(learner)
